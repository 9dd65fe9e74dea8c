"""Read the loose values that users write for options: one or a list, a dict or a bare value, any kind of number."""

from __future__ import annotations

import math
from collections.abc import Mapping

import sympy as sp

from opgen.errors import SpecError
from opgen.loading.expression import number
from opgen.loading.spec import is_name, short

Table = list[tuple[object, object]]
"""Keys and values of an option; the key None stands for the only unknown."""


def as_list(value: object, role: str) -> list[object]:
    """Return the items of a list, or a single value as the only item of one."""
    if isinstance(value, (set, frozenset, dict, sp.Set)):
        raise SpecError(f"{role} is a {type(value).__name__}, which has no order", "give a list")
    if isinstance(value, (list, tuple, sp.Tuple)):
        if not value and role != "inputs":
            raise SpecError(f"{role} is an empty list", "give at least one")
        return list(value)
    return [] if value is None and role != "residual" else [value]


def as_table(value: object, role: str) -> Table:
    """Return the entries of a dict; None is an empty one."""
    if value is None:
        return []
    if not isinstance(value, (Mapping, sp.Dict)):
        raise SpecError(f"{role} is {short(value)} of type {type(value).__name__}", "give a dict")
    return list(value.items())


def by_unknown(value: object, role: str) -> Table:
    """Return an option of the unknowns as a table."""
    if value is None:
        return []
    return as_table(value, role) if isinstance(value, (Mapping, sp.Dict)) else [(None, value)]


def ends(value: object) -> list[object]:
    """Return both ends of an interval, or a single value as the only item."""
    return list(value) if isinstance(value, (tuple, list, sp.Tuple)) else [value]


def output_keys(outputs: Table) -> list[object]:
    """Return the names or symbols of the outputs of an explicit operator."""
    for key, _ in outputs:
        if isinstance(key, str) and not is_name(key):
            raise SpecError(f"output name '{key}' is not a Python identifier", "choose another name")
        if not isinstance(key, (str, sp.Symbol)):
            raise SpecError(f"outputs names {short(key)} of type {type(key).__name__}", "give symbols or names")
    if not outputs:
        raise SpecError("outputs is empty", "give at least one output")
    return [key for key, _ in outputs]


def auxiliary_name(key: object) -> str:
    """Return the name of an auxiliary output."""
    name = key.name if isinstance(key, sp.Symbol) else key
    if not isinstance(name, str) or not is_name(name):
        raise SpecError(f"auxiliary name '{short(key)}' is not a Python identifier", "choose another name")
    return name


def as_float(value: object, role: str) -> float:
    """Accept a finite number."""
    if isinstance(value, float) and not math.isfinite(value):
        raise SpecError(f"{role} holds {value:g}", "give finite numbers")
    return float(number(value, role))


def as_tolerance(value: object) -> float | None:
    """Accept a finite number, or None for the default."""
    return None if value is None else as_float(value, "tol")


def as_count(value: object) -> int:
    """Accept a whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, sp.Integer)):
        raise SpecError(f"max_iterations is {short(value)}", "give a whole number")
    return int(value)


def as_text(value: object, role: str) -> str:
    """Accept a text."""
    if not isinstance(value, str):
        raise SpecError(f"{role} is {short(value)}", "give a text")
    return value


def assumptions(symbol: sp.Symbol) -> str:
    """Return what a symbol was declared with, for a message."""
    created: dict[str, bool] = getattr(symbol, "_assumptions_orig", symbol.assumptions0)
    declared = [f"{key}={value}" for key, value in sorted(created.items()) if key != "commutative"]
    return ", ".join(declared) or "no assumptions"
