"""opgen package: a wheel of operators that runs without opgen."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from opgen.commands.screen import GENERATED, From, Progress, say, size

if TYPE_CHECKING:
    from opgen.commands.packages import Package
    from opgen.package.wheel import Member


def package(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Operators that are built.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the wheel.")] = Path("dist"),
    generated: From = GENERATED,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name of the distribution [that of the operator].")
    ] = None,
    version: Annotated[str, typer.Option("--version", metavar="VERSION", help="Its version.")] = "0.1.0",
    licence: Annotated[
        str | None, typer.Option("--license", metavar="SPDX", help="Its licence [that of opgen's parts in it].")
    ] = None,
    march: Annotated[
        str | None, typer.Option("--march", metavar="NAME", help="Processor to compile for [x86-64-v3: any with AVX2].")
    ] = None,
) -> None:
    """Make one wheel of operators: it installs and runs without opgen, its tests included."""
    from opgen.commands.packages import named
    from opgen.errors import UsageError
    from opgen.package.platform import portable
    from opgen.package.wheel import Distribution, write_wheel

    packages = named(generated, names)
    if name is None and len(packages) > 1:
        raise UsageError(f"a wheel of {len(packages)} operators has no name", "give it one with --name")
    distribution = Distribution(name or packages[0].name, version, licence)
    processor = march or portable()
    with tempfile.TemporaryDirectory(prefix="opgen-package-") as folder, Progress() as progress:
        members = [_rebuilt(one, Path(folder), processor, progress) for one in packages]
        wheel = write_wheel(distribution, members, output)
    say(f"{', '.join(one.name for one in packages)}: {wheel} ({size(wheel.stat().st_size)})")


def _rebuilt(package: Package, folder: Path, march: str, progress: Progress) -> Member:
    """Build an operator anew for another processor, in a folder of its own.

    Raises:
        UsageError: Its source is gone, or its record cannot be read.
    """
    from opgen.build import manifest
    from opgen.commands.chain import load
    from opgen.commands.packages import source_of
    from opgen.errors import InternalError
    from opgen.package.wheel import Member
    from opgen.pipeline import build

    record = source_of(package)
    source = record.source
    (built,) = build(
        source.file or source.text or "",
        text=source.file is None,
        name=source.name,
        unknown=source.unknown,
        output=folder,
        targets=record.targets,
        only=(record.op,),
        march=march,
        progress=progress,
    )
    made = manifest.read(built.folder)
    if made is None:
        raise InternalError(f"'{built.folder}' has no manifest although it was built")
    loaded = load(source.file, source.text, source.name, source.unknown)
    (spec,) = (spec for spec in loaded.specs if spec.name == record.op)
    doc = " ".join(spec.doc.split()) or f"The operator {record.op}"
    return Member(built.folder, made, doc, spec.adjoint == "gmres")
