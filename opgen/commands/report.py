"""opgen report: one page about an operator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opgen.commands.screen import GENERATED, From, Progress, note, say

if TYPE_CHECKING:
    from opgen.commands.packages import Package
    from opgen.report.report import Subject


def report(
    name: Annotated[str, typer.Argument(metavar="NAME", help="An operator that is built.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The page [NAME-report.html beside the package].")
    ] = None,
    generated: From = GENERATED,
    drawings: Annotated[
        Path | None, typer.Option("--plots", metavar="FOLDER", help="Also write each plot there, as SVG and PNG.")
    ] = None,
) -> None:
    """Write one page about an operator: its formula, solutions, derivatives, failures and speed, all measured now."""
    import os

    from opgen.commands.packages import named
    from opgen.write import write_bytes, write_text

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from opgen.report.report import check
    from opgen.report.report import report as make

    check()
    (package,) = named(generated, [name])
    page = output or generated / f"{name}-report.html"
    with Progress() as progress:
        text, plots = make(_subject(package, generated, progress), progress)
    write_text(page, text)
    say(f"{name}: {page}")
    if drawings is not None:
        for plot in plots:
            for kind in ("svg", "png"):
                write_bytes(drawings / f"{plot.name}.{kind}", plot.file(kind))
        note(f"{name}: {2 * len(plots)} files in {drawings}")


def _subject(package: Package, generated: Path, progress: Progress) -> Subject:
    """Bring an operator up to date, and go through the first stages of the chain again for what they say.

    Raises:
        UsageError: Its source is gone, or its record cannot be read.
    """
    from opgen.analyse import analyse
    from opgen.build import manifest
    from opgen.commands.chain import load, located
    from opgen.commands.packages import source_of
    from opgen.commands.summary import summary
    from opgen.lower import lower
    from opgen.pipeline import build
    from opgen.report.report import Subject

    record = source_of(package)
    source = record.source
    build(
        source.file or source.text or "",
        text=source.file is None,
        name=source.name,
        unknown=source.unknown,
        output=generated,
        targets=record.targets,
        only=(record.op,),
        march=record.environment.march or None,
        progress=progress,
    )
    built = manifest.read(package.folder) or record
    loaded = load(source.file, source.text, source.name, source.unknown)
    (spec,) = (spec for spec in loaded.specs if spec.name == record.op)
    with located(source.file, spec):
        model = analyse(spec)
        return Subject(model, lower(model), tuple(summary(spec).all_facts()), built, package.folder)
