"""Set formulas and facts for a terminal, and count what formulas cost."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence

import sympy as sp
from sympy.printing.pretty.pretty_symbology import pretty_symbol

from opgen.commands.screen import has_colour, paint
from opgen.lower.cxx import Code

# An operation of generated code: a binary sign between blanks, a sign before a value, or the call of a function.
_OPERATION = re.compile(r" [-+*/] |(?<=[(,=] )-|(?<=\()-|^-|[a-z_]\w*(?:<[^<>]*>)?\(")


def written(formulas: Iterable[sp.Expr]) -> int:
    """Count operations as a user writes them."""
    return sum(map(int, map(sp.count_ops, formulas)))


def generated(code: Code) -> int:
    """Count operations of generated code."""
    return sum(len(_OPERATION.findall(text)) for text in (*code.lines, *code.results))


def screen_width() -> int:
    """Return how many columns there are."""
    return max(shutil.get_terminal_size().columns, 40)


def headed(name: str, doc: str, width: int) -> list[str]:
    """Set the name of an operator and what it is."""
    doc = " ".join(doc.split())
    first, *more = textwrap.wrap(f"{name}: {doc}" if doc else name, width)
    return [first.replace(name, paint(name, "heading"), 1), *more]


def columns(facts: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Set sentences beside their headings."""
    column = max(len(heading) for heading, _ in facts) + 2
    lines = []
    for heading, sentence in facts:
        first, *more = textwrap.wrap(
            sentence,
            width,
            initial_indent=heading.ljust(column),
            subsequent_indent=" " * column,
            break_on_hyphens=False,
        )
        style = "warning" if heading == "warning" else "heading"
        lines += [first.replace(heading, paint(heading, style), 1), *more]
    return lines


def coloured(block: str, unknowns: Iterable[sp.Symbol], inputs: Iterable[sp.Symbol], *, unicode: bool) -> str:
    """Colour the names of unknowns and inputs in formulas that are set, where the terminal has colours."""
    if not has_colour(sys.stdout):
        return block
    styles = {
        pretty_symbol(symbol.name) if unicode else symbol.name: style
        for symbols, style in ((inputs, "input"), (unknowns, "unknown"))
        for symbol in symbols
    }
    names = "|".join(map(re.escape, sorted(styles, key=len, reverse=True)))
    return re.sub(rf"(?<!\w)(?:{names})(?!\w)", lambda found: paint(found[0], styles[found[0]]), block)


def pretty(label: str, value: sp.Basic, width: int, *, unicode: bool) -> str:
    """Set `label = value` in two dimensions."""
    # SymPy would lower the x of F_x, for which Unicode has a sign, and not the y of F_y.
    equation = sp.Eq(sp.Symbol(label.replace("_", "\0")), value, evaluate=False)
    lines = sp.pretty(equation, use_unicode=unicode, num_columns=max(width, 20)).replace("\0", "_").splitlines()
    return "\n".join(line.rstrip() for line in lines)


def can_unicode() -> bool:
    """Tell whether the terminal shows the signs of mathematics."""
    try:
        "√π⎛⎞⎡⎤─²·●".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
