"""opgen inspect: show what an operator means and how it will be solved; nothing is compiled."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from opgen.commands.screen import DEBUG, AsJson, Expr, Name, Unknown, say, say_json


class Stage(StrEnum):
    """The values of the chain that can be printed."""

    spec = "spec"
    model = "model"
    program = "program"
    sources = "sources"


def inspect(
    context: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A residual file.", show_default=False)] = None,
    expr: Expr = None,
    name: Name = None,
    unknown: Unknown = None,
    stage: Annotated[Stage | None, typer.Option("--stage", help="Print one stage of the chain as it is.")] = None,
    as_latex: Annotated[bool, typer.Option("--latex", help="Print F, F_y, F_x and the adjoint for a paper.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the mathematics, the structure found and the solver chosen; compile nothing."""
    from opgen.commands.chain import load, located, show_stages, stages, trace
    from opgen.commands.summary import summary, text
    from opgen.errors import UsageError

    if as_latex and (as_json or stage is not None):
        raise UsageError(f"--latex is given with {'--json' if as_json else '--stage'}", "leave out one of them")
    loaded = load(file, expr, name or ("op" if expr is not None else None), unknown)
    if stage is not None:
        made = {}
        for spec in loaded.specs:
            with located(file, spec):
                made[spec.name] = stages(spec, stage)
        if as_json:
            say_json(made)
        else:
            say("\n\n".join(show_stages(made)))
        return
    if as_latex:
        from opgen.commands.latex import latex

        written = []
        for spec in loaded.specs:
            with located(file, spec):
                written.append(latex(spec))
        say("\n\n".join(written))
        return
    shown = []
    for spec in loaded.specs:
        with located(file, spec):
            if context.meta.get(DEBUG):
                trace(spec)
            shown.append(summary(spec))
    if as_json:
        say_json({"file": None if file is None else str(file), "operators": [entry.as_json() for entry in shown]})
    else:
        say("\n\n".join(text(entry) for entry in shown))
