"""opgen watch: rebuild on every save."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from opgen.commands.screen import GENERATED, Name, Output, Progress, Quiet, Target, note, paint, plural, say
from opgen.errors import OpgenError

# What tells two states of a file apart; None where it is gone.
Mark = tuple[int, int, int] | None

_SETTLE = 0.1  # seconds; editors empty a file, or move it away, before they write it


def watch(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Residual files.")],
    output: Output = GENERATED,
    target: Target = None,
    name: Name = None,
    quiet: Quiet = False,
) -> None:
    """Build the operators of residual files, and again on every save, until Ctrl-C.

    A residual that does not build leaves the operator that was there. What was saved is shown as formulas before and
    after. Residual files are programs: they are executed on every save.
    """
    from opgen.commands.build import chosen
    from opgen.commands.chain import check_source
    from opgen.errors import UsageError

    check_source(files, None, name, None)
    targets = chosen(target)
    for file in files:
        if not file.is_file():
            raise UsageError(f"there is no file '{file}' to watch", "write it, or start one with opgen init")
    watched = [_Watched(file, output, targets, name, quiet) for file in dict.fromkeys(files)]
    try:
        for one in watched:
            one.update()
        if not quiet:
            note(paint(f"watching {plural(len(watched), 'file')}; Ctrl-C ends", "faint", sys.stderr))
        for _ in _wakes(watched):
            for one in watched:
                one.update()
    except KeyboardInterrupt:
        if any(one.is_building for one in watched):
            raise KeyboardInterrupt("the operators stay as they were") from None
        if not quiet:
            note("\nstopped watching")


class _Watched:
    """One residual file, the local files that it imports, and what it defined when it was last built."""

    def __init__(
        self, file: Path, output: Path, targets: tuple[str, ...] | None, name: str | None, quiet: bool
    ) -> None:
        self.file, self.output, self.targets, self.name, self.quiet = file, output, targets, name, quiet
        self.dependencies: tuple[Path, ...] = ()
        self.marks: dict[Path, Mark] = {}
        self.meant: dict[str, dict[str, object]] = {}  # operator -> what it means, as texts
        self.is_building = False

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return what to look at: a link and what it leads to are both edited."""
        own = (self.file.absolute(), self.file.resolve())
        return tuple(dict.fromkeys((*own, *self.dependencies)))

    def update(self) -> None:
        """Build if a file is not as it was seen last."""
        if self._seen() == self.marks:
            return
        time.sleep(_SETTLE)
        while (marks := self._seen()) != self._seen():
            time.sleep(_SETTLE)
        if marks == self.marks:
            return
        first, self.marks = not self.marks, marks
        if marks[self.file.absolute()] is None:
            note(f"{self.file} is gone; its operators stay, and it is built again when it is back")
            return
        try:
            self._build(first)
        except OpgenError as error:
            self.is_building = False
            kept = "the operator stays as it was" if self.meant else "nothing is built yet"
            note(f"{paint('opgen:', 'error', sys.stderr)} {' '.join(str(error).split())} ({kept})")
            if error.file is not None and Path(error.file).is_file():  # one that the residual file imports, maybe
                self._depend_on([*self.dependencies, Path(error.file)])

    def _build(self, first: bool) -> None:
        from opgen import pipeline
        from opgen.commands.build import report
        from opgen.commands.changes import differences, meanings
        from opgen.loading import load_file

        start = time.monotonic()
        loaded = load_file(self.file, self.name)
        self._depend_on(loaded.dependencies)
        meant = meanings(loaded.specs)
        self.is_building = True
        with Progress(quiet=self.quiet) as progress:
            built = pipeline.build(
                self.file, name=self.name, output=self.output, targets=self.targets, progress=progress
            )
        self.is_building = False
        if not self.quiet:
            for op in built:
                changed = [] if first else list(differences(self.meant.get(op.name), meant.get(op.name, {})))
                if op.reasons:
                    report(op, verbose=False)
                elif not first:
                    same = "means the same as before" if not changed else "is as it was built before"
                    say(f"{op.name}: saved, but {same} ({time.monotonic() - start:.1f} s)")
                for line in changed:
                    say(line)
        self.meant = meant

    def _depend_on(self, files: Iterable[Path]) -> None:
        """Look at these from now on; what is new among them has just been read."""
        self.dependencies = tuple(dict.fromkeys(path.resolve() for path in files))
        self.marks = {path: self.marks.get(path, mark) for path, mark in self._seen().items()}

    def _seen(self) -> dict[Path, Mark]:
        return {path: _mark(path) for path in self.paths}


def _mark(path: Path) -> Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _wakes(watched: Sequence[_Watched]) -> Iterator[None]:
    """Return whenever something happened in a folder of a watched file, and every second at the latest.

    The clock is for what the system does not tell: changes on a network's disk, a folder that was replaced.
    """
    from watchfiles import watch as changes

    while True:
        yield
        paths = {path for one in watched for path in one.paths}
        folders = sorted({str(path.parent) for path in paths if path.parent.is_dir()})
        if not folders:
            time.sleep(1.0)
            continue
        try:
            for _ in changes(
                *folders,
                watch_filter=partial(_is_among, paths),
                debounce=200,
                step=20,
                rust_timeout=1000,
                yield_on_timeout=True,
                recursive=False,
                ignore_permission_denied=True,
            ):
                yield
                now = {path for one in watched for path in one.paths}
                if now != paths or any(not Path(folder).is_dir() for folder in folders):
                    break
        except FileNotFoundError:
            continue  # a folder went between the look at it and its watch


def _is_among(paths: Container[Path], change: object, path: str) -> bool:
    return Path(path) in paths
