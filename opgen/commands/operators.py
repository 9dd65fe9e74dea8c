"""Look at the operators that are built, for opgen doctor: whether they load here and now, and what would mend them."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from opgen.build import current, manifest, processor
from opgen.build.manifest import Manifest
from opgen.commands.check import Check
from opgen.commands.packages import Package, find
from opgen.errors import UsageError

# How ELF files number processors.
_MACHINES = {62: "x86_64", 183: "aarch64"}


def operators(output: Path, installed: Mapping[str, str | None]) -> Iterator[Check]:
    """Check every operator in a folder.

    Args:
        output: The folder.
        installed: Version of each framework as libraries name it; None where it is not installed.
    """
    try:
        packages = find(output)
    except UsageError as error:
        yield Check("operators", "broken", error.what, error.advice)
        return
    for package in packages:
        record = manifest.read(package.folder)
        if record is None:
            mend = f"opgen build FILE --force{_place(package)}"
            yield Check(f"op {package.name}", "broken", "its manifest cannot be read", mend)
            continue
        faults = list(dict.fromkeys(_faults(record, package, installed)))
        aged = [] if faults else list(_ages(record, installed))
        if faults or aged:
            state: Literal["broken", "old"] = "broken" if faults else "old"
            yield Check(f"op {package.name}", state, "; ".join(faults or aged), command(record, package))
        else:
            yield Check(f"op {package.name}", "ok", f"its libraries fit this machine ({package.folder})")


def command(record: Manifest, package: Package) -> str:
    """Return the command that builds an operator anew."""
    source = record.source
    words = ["opgen", "build"]
    if source.file is not None:
        words.append(_shown(source.file))
    else:
        words += ["--expr", source.text or ""]
    if source.name is not None:
        words += ["--name", source.name]
    if source.unknown is not None:
        words += ["--unknown", source.unknown]
    return shlex.join(words) + _place(package)


def _place(package: Package) -> str:
    output = str(package.folder.parent)
    return "" if output == "generated" else f" -o {shlex.quote(output)}"


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _faults(record: Manifest, package: Package, installed: Mapping[str, str | None]) -> Iterator[str]:
    if record.source.file is not None and not record.source.file.is_file():
        yield f"its residual file {record.source.file} is gone"
    yield from current.damages(record, package.folder)
    present = processor.present()
    if present and (lacking := sorted(set(record.environment.processor) - set(present))):
        yield f"it was built for a processor with {', '.join(lacking)}, which this one lacks"
    for name, library in record.libraries.items():
        machine = _machine(package.folder / "lib" / name)
        if machine is not None and machine != platform.machine():
            yield f"{name} is for {machine} machines, and this is {platform.machine()}"
        for framework, version in library.against:
            here = installed.get(framework)
            if here is None:
                yield f"{framework} {version}, which {name} was built against, is not installed"
            elif here != version and name.endswith("_aten.so"):
                yield f"{name}, its gmres adjoint, was built against {framework} {version}, and {here} is installed"


def _ages(record: Manifest, installed: Mapping[str, str | None]) -> Iterator[str]:
    """Tell of libraries on interfaces that frameworks keep, which nonetheless were built against another version."""
    for name, library in record.libraries.items():
        for framework, version in library.against:
            if installed.get(framework) != version:
                yield f"{name} was built against {framework} {version}, and {installed.get(framework)} is installed"


def _machine(library: Path) -> str | None:
    """Return the machine that a library is for; None where it is not known."""
    try:
        with library.open("rb") as file:
            head = file.read(20)
    except OSError:
        return None
    return _MACHINES.get(int.from_bytes(head[18:20], "little")) if head[:4] == b"\x7fELF" else None
