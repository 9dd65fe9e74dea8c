"""Where compiled files are kept, under the digest of all that they were made from."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opgen.build import digest
from opgen.errors import ToolchainError

RECORD = "build.json"
_LOCK_TIMEOUT = 900.0  # seconds; the longest compilation of one file, many times over


@dataclass(frozen=True)
class Cache:
    """A folder of entries; each is a folder with one file that was made and a readable record of how.

    An entry is made aside and renamed into place, so it is there as a whole or not at all, whoever is killed when.
    """

    root: Path

    def folder(self, key: str) -> Path:
        """Return the folder of an entry."""
        return self.root / key[:2] / key

    def find(self, key: str, name: str) -> Path | None:
        """Return the file of an entry; None where there is none, or a damaged one."""
        folder = self.folder(key)
        record = read_record(folder / RECORD)
        if record is not None and record.get("digest") == digest.of_file(folder / name):
            return folder / name
        return None

    @contextlib.contextmanager
    def aside(self, key: str) -> Iterator[Path]:
        """Give a fresh folder to build in; the holder of the key's lock clears what killed builds left behind."""
        staging = self.root / "staging"
        with self._writing():
            staging.mkdir(exist_ok=True)
            for left in staging.glob(f"{key}-*"):
                shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{key}-", dir=staging))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, key: str, folder: Path, name: str, record: dict[str, Any]) -> Path:
        """Move a finished folder into place; whoever does so holds the key's lock and found no sound entry."""
        with self._writing():
            record = {**record, "digest": digest.of_file(folder / name)}
            (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            entry = self.folder(key)
            entry.parent.mkdir(exist_ok=True)
            shutil.rmtree(entry, ignore_errors=True)
            try:
                folder.rename(entry)
            except OSError as error:
                # Where locks do not work, another process may have been first: its entry is as good.
                if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
        return self.folder(key) / name

    @contextlib.contextmanager
    def lock(self, key: str, waiting: Callable[[float], None], timeout: float = _LOCK_TIMEOUT) -> Iterator[None]:
        """Hold the key's lock, which ends with the process that holds it.

        Args:
            key: What is locked.
            waiting: Called again and again while another process holds it, with the seconds waited; may raise.
            timeout: How many seconds to wait.

        Raises:
            ToolchainError: It was not freed in time.
        """
        with self._writing():
            folder = self.root / "locks"
            folder.mkdir(exist_ok=True)
            file = os.open(folder / key, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            start = time.monotonic()
            while not _locked(file):
                waited = time.monotonic() - start
                if waited > timeout:
                    raise ToolchainError(
                        f"another process has held the lock '{folder / key}' for more than {timeout:g} seconds",
                        "end it, or set OPGEN_CACHE to another folder",
                    )
                waiting(waited)
                time.sleep(0.05)
            yield
        finally:
            os.close(file)

    def keep_log(self, key: str, text: str) -> Path:
        """Keep the output of a compiler that failed."""
        with self._writing():
            folder = self.root / "failed"
            folder.mkdir(exist_ok=True)
            path = folder / f"{key[:16]}.log"
            path.write_text(text, encoding="utf-8")
        return path

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ToolchainError(
                f"the cache '{self.root}' cannot be written: {(error.strerror or str(error)).lower()}",
                "make room or set OPGEN_CACHE to another folder",
            ) from error


def open_cache() -> Cache:
    """Open the user's cache, or one in the folder for temporary files where that cannot be written.

    Raises:
        ToolchainError: Neither can be written.
    """
    for root in roots():
        if _writable(root):
            return Cache(root)
    private = Path(tempfile.gettempdir()) / f"opgen-cache-{os.getuid()}"
    if _writable(private, mode=0o700) and _own(private):
        return Cache(private)
    try:
        return Cache(Path(tempfile.mkdtemp(prefix="opgen-cache-")))
    except OSError as error:
        raise ToolchainError(
            f"no folder can be written to compile in: {(error.strerror or str(error)).lower()}",
            "set OPGEN_CACHE to one that can",
        ) from None


def read_record(path: Path) -> dict[str, Any] | None:
    """Return the JSON object of a file; None where there is none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


def roots() -> Iterator[Path]:
    """Yield the folders that the user wants the cache in, the first that can be written being taken."""
    if own := os.environ.get("OPGEN_CACHE"):
        yield Path(own).absolute()
    elif shared := os.environ.get("XDG_CACHE_HOME"):
        yield Path(shared).absolute() / "opgen"
    else:
        with contextlib.suppress(RuntimeError):  # no home
            yield Path.home() / ".cache" / "opgen"


def _writable(folder: Path, mode: int = 0o777) -> bool:
    """Try it: permissions alone do not tell of full disks and read-only file systems."""
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _own(folder: Path) -> bool:
    """Return whether nobody else can put libraries into a folder whose name can be guessed."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: two processes may compile the same, which only costs time.
        return True
    return True
