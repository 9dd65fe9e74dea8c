"""Find the generated packages in a folder: those with a manifest that opgen wrote, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opgen.build import manifest
from opgen.build.cache import read_record
from opgen.errors import UsageError, suggest


@dataclass(frozen=True)
class Package:
    """A generated package.

    Attributes:
        name: Name of the operator, which is that of its folder.
        folder: Where it lies.
        record: The JSON of its manifest, which a later version of opgen may have written.
    """

    name: str
    folder: Path
    record: dict[str, Any]


def find(output: Path) -> tuple[Package, ...]:
    """Return the packages in a folder, by name.

    Raises:
        UsageError: The folder is a file, or cannot be read.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"'{output}' is a file", "name the folder that holds the generated packages with -o")
    try:
        return tuple(sorted(_packages(output), key=lambda package: package.name))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(f"'{output}' cannot be read: {reason}", "check its permissions") from None


def _packages(output: Path) -> Iterator[Package]:
    for folder in output.iterdir() if output.is_dir() else ():
        # A link belongs to whoever made it, and so does what it leads to.
        if folder.is_dir() and not folder.is_symlink():
            record = read_record(folder / manifest.NAME)
            if record is not None and "opgen" in record:
                yield Package(folder.name, folder, record)


def named(output: Path, names: Sequence[str]) -> tuple[Package, ...]:
    """Return the packages of these names, or all of them.

    Raises:
        UsageError: There is none of a name.
    """
    packages = {package.name: package for package in find(output)}
    for name in names:
        if name not in packages:
            held = f"'{output}' holds {', '.join(packages)}" if packages else f"'{output}' holds no operator"
            raise UsageError(f"no operator '{name}' is built", suggest(name, packages) or f"{held}; see opgen build")
    return tuple(packages[name] for name in dict.fromkeys(names)) if names else tuple(packages.values())


def source_of(package: Package) -> manifest.Manifest:
    """Return the record of a package whose source is still there.

    Raises:
        UsageError: It is not, or the record cannot be read.
    """
    record = manifest.read(package.folder)
    if record is None:
        raise UsageError(f"the manifest of '{package.folder}' cannot be read", "build it with opgen build --force")
    file = record.source.file
    if file is None and record.source.text is None:
        raise UsageError(f"'{package.folder}' does not say what it was made from", "build it anew from its residual")
    if file is not None and not file.is_file():
        raise UsageError(f"'{file}', which {record.op} was made from, is gone", "bring it back, or build anew")
    return record
