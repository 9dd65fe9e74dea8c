"""opgen build: generate and compile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from opgen.commands.screen import (
    DEBUG,
    GENERATED,
    AsJson,
    Expr,
    March,
    Name,
    Output,
    Progress,
    Quiet,
    Target,
    Unknown,
    note,
    say,
    say_json,
)

if TYPE_CHECKING:
    from opgen.pipeline import Built

TARGETS = {"tf": "tensorflow", "torch": "torch", "jax": "jax", "numpy": "numpy"}


def build(
    context: typer.Context,
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="Residual files.")] = None,
    output: Output = GENERATED,
    target: Target = None,
    expr: Expr = None,
    name: Name = None,
    unknown: Unknown = None,
    march: March = None,
    force: Annotated[bool, typer.Option("--force", help="Build even what is current.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the compiler's commands and times.")] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Generate and compile the operators of residual files; do nothing when nothing changed."""
    from opgen import pipeline
    from opgen.commands.chain import check_source, load, trace
    from opgen.errors import CompileError

    check_source(files or (), expr, name, unknown)
    targets = chosen(target)
    made: list[Built] = []
    try:
        for file in files or (None,):
            if context.meta.get(DEBUG):
                for spec in load(file, expr, name, unknown).specs:
                    trace(spec)
            with Progress(verbose=verbose, quiet=as_json or quiet) as progress:
                built = pipeline.build(
                    file if file is not None else expr or "",
                    text=file is None,
                    name=name,
                    unknown=unknown,
                    output=output,
                    targets=targets,
                    march=march,
                    force=force,
                    progress=progress,
                    verbose=verbose,
                )
            made += built
            if not as_json and not quiet:
                for one in built:
                    report(one, verbose)
    except KeyboardInterrupt:
        changed = ", ".join(one.name for one in made if one.reasons)
        raise KeyboardInterrupt(f"{changed} had been built, nothing else was changed" if changed else "") from None
    except CompileError as error:
        if verbose and not context.meta.get(DEBUG):
            note(error.log)
        raise
    finally:
        if as_json:
            say_json({"built": [_as_json(one) for one in made]})


def chosen(words: list[str] | None) -> tuple[str, ...] | None:
    """Return the targets that --target lists, None for those installed.

    Raises:
        UsageError: One is unknown.
    """
    if not words:
        return None
    from opgen.errors import UsageError, suggest

    names = [name.strip() for word in words for name in word.split(",")]
    for name in names:
        if name not in TARGETS:
            full = {long: short for short, long in TARGETS.items()}
            meant = full.get(name.casefold())
            advice = f"did you mean '{meant}'?" if meant else suggest(name, TARGETS)
            raise UsageError(f"there is no target '{name}'", advice or f"choose from {', '.join(TARGETS)}")
    return tuple(dict.fromkeys(names))


def report(built: Built, verbose: bool) -> None:
    """Say what was done with an operator, and why."""
    if built.reasons:
        say(f"{built.name}: built in {built.seconds:.1f} s ({built.folder}): {'; '.join(built.reasons)}")
    else:
        say(f"{built.name}: current")
    for remark in built.notes:
        note(f"{built.name}: {remark}")
    if verbose:
        for library in built.libraries:
            note(f"{built.name}: {built.folder / 'lib' / library}")


def _as_json(built: Built) -> dict[str, Any]:
    return {
        "name": built.name,
        "folder": str(built.folder),
        "built": bool(built.reasons),
        "reasons": list(built.reasons),
        "libraries": list(built.libraries),
        "seconds": round(built.seconds, 3),
        "notes": list(built.notes),
    }
