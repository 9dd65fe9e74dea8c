"""opgen clean: remove generated packages and compiled code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opgen.commands.screen import GENERATED, AsJson, Output, Quiet, built_names, say, say_json, size

if TYPE_CHECKING:
    from opgen.commands.packages import Package

_NAMES = "Operators; all that are built if none is named."
# What opgen keeps in its cache. OPGEN_CACHE may name a folder that holds other things too: these stay.
_HEX = "[0-9a-f]"
_CACHED = (
    f"{_HEX}{_HEX}/{_HEX * 64}",
    "compilers/*.json",
    "staging/*-*",
    f"locks/{_HEX * 64}",
    f"failed/{_HEX * 16}.log",
    f"operators/{_HEX * 32}",
)
_CACHE_FOLDERS = (f"{_HEX}{_HEX}", "compilers", "staging", "locks", "failed", "operators")


def clean(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help=_NAMES, autocompletion=built_names),
    ] = None,
    output: Output = GENERATED,
    cache: Annotated[
        bool, typer.Option("--cache", help="Empty the cache of compiled code; the packages stay unless named.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Remove generated packages; residual files and files of your own stay."""
    from opgen.commands.packages import find, named

    packages = named(output, names) if names else () if cache else find(output)
    removed, kept = [], []
    for package in packages:
        _remove(package)
        if package.folder.exists():
            kept += sorted(package.folder.iterdir())
        else:
            removed.append(package.folder)
    if packages and not output.is_symlink() and _remove_empty(output):
        removed.append(output)
    freed = _empty_cache() if cache else None
    if as_json:
        say_json(
            {"removed": [str(path) for path in removed], "kept": [str(path) for path in kept], "cache_bytes": freed}
        )
        return
    if quiet:
        return
    for path in removed:
        say(f"removed {path}")
    for path in kept:
        say(f"kept {path}: opgen did not make it")
    if freed is not None:
        say(f"emptied the cache ({size(freed)})")
    elif not packages:
        say(f"nothing to remove in {output}")


def _remove(package: Package) -> None:
    """Remove what the manifest lists, last of all the manifest: an interrupted removal can be resumed.

    Raises:
        UsageError: A file cannot be removed.
    """
    from opgen.build.manifest import NAME, inside
    from opgen.write import remove

    paths = [package.folder / "lib" / ".gitignore"]
    for key, folder in (("files", ""), ("libraries", "lib/"), ("texts", "lib/")):
        listed = package.record.get(key)
        for path in listed if isinstance(listed, dict) else ():
            with contextlib.suppress(ValueError):  # a path that leads elsewhere is not ours, whoever wrote it there
                paths.append(package.folder / inside(folder + str(path)))
    for path in paths:
        if path.parent.resolve().is_relative_to(package.folder.resolve()):
            remove(path)
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc") if path.suffix == ".py" else ():
                remove(compiled)
    for path in paths:
        for folder_ in (path.parent / "__pycache__", *_up_to(package.folder, path.parent)):
            _remove_empty(folder_)
    remove(package.folder / NAME)
    _remove_empty(package.folder)


def _up_to(top: Path, folder: Path) -> Iterator[Path]:
    while folder != top:
        yield folder
        folder = folder.parent


def _remove_empty(folder: Path) -> bool:
    """Remove a folder if nothing is left in it, and return whether it was."""
    try:
        folder.rmdir()
    except OSError:
        return False
    return True


def _empty_cache() -> int:
    """Remove what the cache holds, and return how many bytes these were."""
    import shutil

    from opgen.build.cache import open_cache

    root = open_cache().root
    freed = 0
    for path in [path for pattern in _CACHED for path in root.glob(pattern)]:
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        freed += sum(file.stat().st_size for file in files)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    for folder in [folder for pattern in _CACHE_FOLDERS for folder in root.glob(pattern)]:
        _remove_empty(folder)
    _remove_empty(root)
    return freed
