"""Read boundary conditions: one for a field, or one for each of its sides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import sympy as sp

from opgen.errors import SpecError
from opgen.loading.define import Dirichlet, Neumann, Periodic
from opgen.loading.spec import listed, short

Condition = Dirichlet | Neumann | Periodic
LOW = ("low", "lower", "left", "start", "-", 0)
HIGH = ("high", "upper", "right", "end", "+", 1, -1)
# Names of sides that speak of an axis by themselves.
NAMED = {
    "left": (0, 0), "right": (0, 1), "bottom": (1, 0), "top": (1, 1), "back": (2, 0), "front": (2, 1),
    "low": (0, 0), "high": (0, 1), "lower": (0, 0), "upper": (0, 1), "start": (0, 0), "end": (0, 1),
}  # fmt: skip


def conditions(boundary: object) -> list[sp.Expr]:
    """List the expressions in boundary conditions."""
    if isinstance(boundary, Dirichlet):
        return [sp.sympify(boundary.value)]
    if isinstance(boundary, Neumann):
        return [sp.sympify(boundary.slope), sp.sympify(boundary.spacing)]
    if isinstance(boundary, sp.Expr):
        return [boundary]
    if isinstance(boundary, Mapping):
        return [e for value in boundary.values() for e in conditions(value)]
    if isinstance(boundary, (list, tuple)):
        return [e for value in boundary for e in conditions(value)]
    return []


def sides(
    boundary: object,
    unknowns: tuple[sp.Symbol, ...],
    find: Callable[[object, str], sp.Symbol],
    formula: Callable[[object, str], sp.Expr | None],
) -> Iterator[tuple[sp.Symbol, Any, Condition]]:
    """Yield unknown, side and condition; a side is None (all), an index or axis, or a pair of that and 0 or 1.

    Args:
        boundary: What the user gave.
        unknowns: The fields.
        find: Turns a key into a symbol.
        formula: Accepts an expression.

    Raises:
        SpecError: it is no boundary condition, or is given for what is no unknown.
    """
    if boundary is None or (isinstance(boundary, (Mapping, tuple, list)) and not boundary):
        return
    if not isinstance(boundary, Mapping):
        for unknown in unknowns:
            yield from _field(unknown, boundary, formula)
        return
    for key, value in boundary.items():
        symbol = find(key, "boundary")
        if symbol not in unknowns:
            raise SpecError(
                f"boundary names '{symbol.name}', which is not an unknown", f"the unknowns are {listed(unknowns)}"
            )
        yield from _field(symbol, value, formula)


def _field(unknown: sp.Symbol, value: object, formula: Any) -> Iterator[tuple[sp.Symbol, Any, Condition]]:
    if not isinstance(value, Mapping):
        for side, condition in _both(None, value):
            yield unknown, side, _condition(condition, unknown, formula)
        return
    for key, own in value.items():
        for side, condition in _both(_side(key, unknown), own):
            yield unknown, side, _condition(condition, unknown, formula)


def _both(side: Any, value: object) -> Iterator[tuple[Any, object]]:
    """Part a pair (low, high) of an axis into its sides."""
    if isinstance(value, (tuple, list)) and len(value) == 2:
        axis = 0 if side is None else side
        yield (axis, 0), value[0]
        yield (axis, 1), value[1]
    else:
        yield side, value


def _side(key: object, unknown: sp.Symbol) -> Any:
    """Say which axis and end a key means; an axis may be an index, or the name of one."""
    if isinstance(key, str):
        if key in NAMED:
            return NAMED[key]
        for ending in ("_low", "_high", "_lower", "_upper", "_left", "_right", "_start", "_end", "-", "+"):
            if key.endswith(ending) and len(key) > len(ending):
                return key[: -len(ending)], int(ending.strip("_") in HIGH)
        return key
    if isinstance(key, tuple) and len(key) == 2:
        axis, end = key
        end = end if isinstance(end, str) else int(end) if isinstance(end, (int, sp.Integer)) else None
        if end in LOW or end in HIGH:
            return axis, int(end in HIGH)
    elif isinstance(key, sp.Symbol):
        return key
    elif isinstance(key, (int, sp.Integer)) and int(key) in (0, 1, -1):
        return 0, int(int(key) != 0)
    raise SpecError(
        f"boundary of '{unknown.name}' names the side {short(key)}",
        "name an index, or a pair of an index and 'low' or 'high', or 'left', 'right', 'bottom', 'top'",
    )


def _condition(value: object, unknown: sp.Symbol, formula: Any) -> Condition:
    role = f"boundary of '{unknown.name}'"
    if value in (Dirichlet, Neumann, Periodic):
        value = value()
    if isinstance(value, Dirichlet):
        return replace(value, value=formula(value.value, role))
    if isinstance(value, Neumann):
        if value.at not in ("face", "node"):
            raise SpecError(f"{role} has a mirror at {short(value.at)}", "choose 'face' or 'node'")
        return replace(value, slope=formula(value.slope, role), spacing=formula(value.spacing, role))
    if isinstance(value, Periodic):
        return value
    if isinstance(value, (int, float, sp.Expr)) and not isinstance(value, bool):
        return Dirichlet(formula(value, role))
    raise SpecError(
        f"{role} is {short(value)}", "give opgen.Dirichlet(value), opgen.Neumann(slope) or opgen.Periodic()"
    )
