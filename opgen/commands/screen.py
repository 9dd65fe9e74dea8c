"""What the commands share: writing to the screen, and the options that several of them have."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Self, TextIO

import typer

DEBUG = "opgen.debug"  # key of the global option in a context's meta

Output = Annotated[Path, typer.Option("--output", "-o", help="Folder of the generated packages.")]
From = Annotated[Path, typer.Option("--from", metavar="FOLDER", help="Folder of the generated packages.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
Expr = Annotated[
    str | None, typer.Option("--expr", metavar="TEXT", help="A formula in place of a file, as text or in LaTeX.")
]
Unknown = Annotated[str | None, typer.Option("--unknown", metavar="NAME", help="What to solve the formula for [y].")]
Target = Annotated[
    list[str] | None,
    typer.Option("--target", metavar="LIST", help="From tf, torch, jax, numpy, with commas [those installed]."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
March = Annotated[
    str | None,
    typer.Option("--march", metavar="NAME", help="Processor to compile for, such as x86-64-v3 [the one that is here]."),
]
Name = Annotated[str | None, typer.Option("--name", metavar="NAME", help="Name of the operator.")]
GENERATED = Path("generated")


def built_names(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the name of a built operator."""
    from opgen.commands.packages import find

    output = context.params.get("output") or GENERATED
    return [package.name for package in find(Path(output)) if package.name.startswith(incomplete)]


def say(text: str = "") -> None:
    """Print a result."""
    print(text)


def note(text: str) -> None:
    """Print what is about a result: progress, errors, advice."""
    print(text, file=sys.stderr, flush=True)


# What is printed in which colour of the terminal's own.
_STYLES = {
    "error": "1;31",
    "warning": "33",
    "heading": "1",
    "unknown": "1;35",
    "input": "36",
    "added": "32",
    "removed": "31",
    "faint": "2",
}


def has_colour(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal whose user wants colours (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Colour a text for a terminal that stdout, or another stream, goes to; elsewhere it stays as it is."""
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if has_colour(stream or sys.stdout) else text


def say_json(value: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Set rows in columns as wide as their content; the last column is not padded."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def plural(number: int, noun: str) -> str:
    """Return '1 file' or '2 files'."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size(count: int) -> str:
    """Return a number of bytes as people read it."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


class Progress:
    """Show what is being done on stderr: one line that is replaced on a terminal, a line per step elsewhere."""

    def __init__(self, *, verbose: bool = False, quiet: bool = False) -> None:
        """Verbose keeps every step on the screen; quiet shows none."""
        self.quiet = quiet
        self.replaces = sys.stderr.isatty() and not verbose
        self.shown = False

    def __call__(self, text: str) -> None:
        """Show a step."""
        if self.quiet:
            return
        if not self.replaces:
            note(text)
            return
        import shutil

        width = shutil.get_terminal_size().columns
        print(f"\r\x1b[K{text[: width - 1]}", end="", file=sys.stderr, flush=True)
        self.shown = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.clear()

    def clear(self) -> None:
        """Give the line back to whoever prints next."""
        if self.shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.shown = False
