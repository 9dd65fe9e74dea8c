"""Run the first stages of the chain, and show the values between them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opgen.commands.screen import note
from opgen.errors import OpgenError, UsageError

if TYPE_CHECKING:
    from opgen.loading import Loaded, Spec

STAGES = ("spec", "model", "program", "sources")
TARGETS = ("numpy", "tf")  # of the sources that inspect shows: all that can be generated


def check_source(files: Sequence[Path], expr: str | None, name: str | None, unknown: str | None) -> None:
    """Refuse a command line that does not say what to read.

    Raises:
        UsageError: There is no source, or too many.
    """
    if expr is not None and files:
        raise UsageError(f"both '{files[0]}' and --expr are given", "leave out one of them")
    if expr is None and not files:
        raise UsageError("no residual file is named", "name one, give --expr TEXT, or start from opgen init")
    if expr is not None and name is None:
        raise UsageError("--expr is given without a name", "add --name NAME")
    if expr is None and unknown is not None:
        raise UsageError(f"--unknown {unknown} is given without --expr", f"write unknown = {unknown} in '{files[0]}'")
    if name is not None and len(files) > 1:
        raise UsageError(f"--name {name} is given for {len(files)} files", "build them one by one")


def load(file: Path | None, expr: str | None, name: str | None, unknown: str | None) -> Loaded:
    """Load a file or a formula."""
    check_source(() if file is None else (file,), expr, name, unknown)
    from opgen.loading import load_file, load_text

    if file is not None:
        return load_file(file, name)
    return load_text(expr or "", name or "", unknown)


@contextlib.contextmanager
def located(file: Path | None, spec: Spec) -> Iterator[None]:
    """Let errors of later stages say where the operator was defined."""
    try:
        yield
    except OpgenError as error:
        raise error.at(None if file is None else str(file), spec.source.line) from None


def stages(spec: Spec, stage: str) -> Any:
    """Return one of STAGES as JSON can hold it."""
    if stage == "spec":
        return as_data(spec)
    from opgen.analyse import analyse

    model = analyse(spec)
    if stage == "model":
        return {key: value for key, value in as_data(model).items() if key != "spec"}
    from opgen.lower import lower

    program = lower(model)
    if stage == "program":
        return as_data(program)
    from opgen.render import render

    return dict(render(program, TARGETS).files)


def trace(spec: Spec) -> None:
    """Show every stage on stderr."""
    for stage in STAGES:
        note("\n".join((f"--- {spec.name}: {stage}", *show_stages({spec.name: stages(spec, stage)}))))


def as_data(value: Any) -> Any:
    """Turn a frozen value into dicts, lists, texts and numbers."""
    if dataclasses.is_dataclass(value):
        if not dataclasses.fields(value):
            return type(value).__name__
        return {field.name: as_data(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [as_data(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(map(str, value))
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def show_stages(made: Mapping[str, Any]) -> Iterator[str]:
    """Set stages as text: fields below each other, files one after the other under their paths."""
    for name, value in made.items():
        for key, entry in value.items():
            if "." in key:
                yield f"==> {name}/{key} <==\n{entry.rstrip()}"
        fields = {key: entry for key, entry in value.items() if "." not in key}
        if fields:
            yield "\n".join(_lines(fields, ""))


def _lines(value: Any, indent: str) -> Iterator[str]:
    for key, entry in value.items():
        if isinstance(entry, dict):
            yield f"{indent}{key}:"
            yield from _lines(entry, indent + "  ")
        elif isinstance(entry, list) and entry and not all(isinstance(item, (int, float)) for item in entry):
            yield f"{indent}{key}:"
            yield from (f"{indent}  {_inline(item)}" for item in entry)
        elif isinstance(entry, str) and "\n" in entry:
            yield f"{indent}{key}:"
            yield from (f"{indent}  | {line}".rstrip() for line in entry.splitlines())
        else:
            yield f"{indent}{key}: {_inline(entry)}"


def _inline(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_inline(item) for item in value)}]"
    return "none" if value is None else str(value)
