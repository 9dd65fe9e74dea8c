"""Look at the folders in use, for opgen doctor: the cache, temporary files, the generated packages."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from opgen.build.cache import RECORD, Cache, read_record, roots
from opgen.build.digest import of_file
from opgen.commands.check import Check
from opgen.commands.screen import plural, size

# What building one operator for every framework takes at most, compiler's temporary files included.
ENOUGH = 200_000_000


def storage(cache: Cache, output: Path) -> Iterator[Check]:
    """Check every folder that a build writes to."""
    yield _cache(cache)
    yield _temporary()
    yield _output(output)


def _cache(cache: Cache) -> Check:
    wanted = next(roots(), None)
    if wanted is not None and wanted != cache.root:
        found = f"'{wanted}' cannot be written; {cache.root} is used, which others may empty"
        return Check("cache", "broken", found, f"chmod u+rwx '{wanted}', or export OPGEN_CACHE=FOLDER")
    if fault := _fault(cache.root):
        return Check("cache", "broken", fault, "opgen clean --cache, or export OPGEN_CACHE=FOLDER on another disk")
    held = [file for file in cache.root.rglob("*") if file.is_file()]
    total = 0
    for file in held:
        with contextlib.suppress(OSError):  # another build may be clearing up
            total += file.stat().st_size
    damaged = [entry for entry in cache.root.glob("??/*") if entry.is_dir() and not _is_sound(entry)]
    found = f"{cache.root}: {size(total)} in {plural(len(held), 'file')}"
    if damaged:
        broken = f"{plural(len(damaged), 'entry').replace('entrys', 'entries')}, such as {damaged[0].name[:16]}"
        return Check("cache", "broken", f"{found}; damaged: {broken}", "opgen clean --cache")
    return Check("cache", "ok", f"{found}; opgen clean --cache empties it")


def _is_sound(entry: Path) -> bool:
    """Return whether an entry has its record, and the file that this describes."""
    record = read_record(entry / RECORD)
    if record is None:
        return False
    files = [file for file in entry.iterdir() if file.name != RECORD]
    return any(of_file(file) == record.get("digest") for file in files if file.is_file())


def _temporary() -> Check:
    """Look at the folder in which compilers keep what they pass on."""
    folder = Path(tempfile.gettempdir())
    if fault := _fault(folder):
        return Check("temporary files", "broken", fault, "export TMPDIR=FOLDER on another disk")
    return Check("temporary files", "ok", f"{folder}: {size(_free(folder))} free")


def _output(output: Path) -> Check:
    """Look at the folder of generated packages, or at where it would be made."""
    name = f"'{output}'"
    place = output.absolute()
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        return Check(
            "output", "broken", f"{name} cannot be made: '{place}' is a file", "move it, or build with --output"
        )
    if fault := _fault(place, runs=True):
        mend = f"chmod u+rwx '{place}', or opgen build FILE --output FOLDER"
        if os.access(place, os.W_OK | os.X_OK):
            mend = "opgen build FILE --output FOLDER on another disk"
        return Check("output", "broken", f"{name}: {fault}", mend)
    return Check("output", "ok", f"{name} {'can be written' if output.exists() else 'can be made'}")


def _fault(folder: Path, *, runs: bool = False) -> str:
    """Say why nothing can be kept in a folder, or loaded from it; permissions alone do not tell."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"opgen")
        about = os.statvfs(folder)
    except OSError as error:
        return f"'{folder}' cannot be written: {(error.strerror or str(error)).lower()}"
    if (free := _free(folder)) < ENOUGH:
        return f"only {size(free)} are free in '{folder}'"
    if about.f_files and not about.f_favail:
        return f"no more files can be made in '{folder}': its file system is out of inodes"
    if runs and about.f_flag & os.ST_NOEXEC:
        return f"'{folder}' is mounted noexec: libraries there cannot be loaded"
    return ""


def _free(folder: Path) -> int:
    about = os.statvfs(folder)
    return about.f_bavail * about.f_frsize
