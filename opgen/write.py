"""Put the files of a package in place: Tree, folder -> Written."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from opgen.errors import UsageError

if TYPE_CHECKING:
    from opgen.render.tree import Tree


@dataclass(frozen=True)
class Written:
    """Paths in the package, sorted; files that were right already are in none of them."""

    changed: tuple[str, ...]
    removed: tuple[str, ...]


def write(tree: Tree, folder: Path, earlier: Iterable[str] = ()) -> Written:
    """Write the files of a tree that differ from what is there; the others keep their time stamps.

    Args:
        tree: The files.
        folder: The package; made if it is missing.
        earlier: Files that an earlier build wrote; those that the tree does not hold are removed, and nothing else is.

    Raises:
        UsageError: The folder cannot be written.
    """
    changed = tuple(path for path, text in tree.files if write_text(folder / path, text))
    removed = tuple(path for path in sorted(earlier) if path not in tree and remove(folder / path))
    for path in (*changed, *removed):
        _forget_bytecode(folder / path)
    return Written(changed, removed)


def write_text(path: Path, text: str) -> bool:
    """Write one file in one go if it differs, and return whether it did."""
    return write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> bool:
    """Write one file in one go if it differs, and return whether it did."""
    if not path.is_symlink() and _content(path) == data:
        return False
    with _aside(path) as (file, new):
        with os.fdopen(file, "wb") as stream:
            stream.write(data)
        new.chmod(0o644 & ~_umask())
    return True


def copy(source: Path, path: Path) -> bool:
    """Copy a file in one go if it differs, and return whether it did.

    A process that uses the old one keeps it: the name goes to a new file, the old one is never written to.
    """
    if not path.is_symlink() and _content(path) == source.read_bytes():
        return False
    with _aside(path) as (file, new):
        os.close(file)
        shutil.copyfile(source, new)
        new.chmod(0o755 & ~_umask())
    return True


def remove(path: Path) -> bool:
    """Remove a file, and return whether it was there."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _refused(path, error) from None
    return True


def _forget_bytecode(path: Path) -> None:
    """Remove what Python compiled of a file: within a second it cannot tell two texts of one length apart."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        remove(compiled)


@contextlib.contextmanager
def _aside(path: Path) -> Iterator[tuple[int, Path]]:
    """Give an open file beside a path, and rename it to the path in the end."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        new = Path(name)
        try:
            yield file, new
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _refused(path, error) from None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _refused(path: Path, error: OSError) -> UsageError:
    reason = (error.strerror or type(error).__name__).lower()
    return UsageError(f"'{path}' cannot be written: {reason}", "choose another folder with -o")
