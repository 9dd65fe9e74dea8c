"""The functions that a formula given as text may call; nothing else can be called."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import sympy as sp


@dataclass(frozen=True)
class Function:
    """One function of the text form.

    Attributes:
        build: Makes the expression.
        value: The same in floating point: constants are tried in it first, where they cannot blow up.
        arity: Number of arguments; None for one or more.
    """

    build: Callable[..., sp.Expr]
    value: Callable[..., float]
    arity: int | None = 1


def _log_gamma(x: float) -> float:
    # SymPy turns it into the logarithm of a factorial, whose digits only gamma's own range keeps in bounds.
    math.gamma(x)
    return math.lgamma(x)


def _floor(x: float) -> float:
    # SymPy works a constant out to its last digit; beyond this size floats have no fraction to cut off.
    if abs(x) > 2**53:
        raise OverflowError
    return math.floor(x)


def _ceil(x: float) -> float:
    return -_floor(-x)


def _cbrt(x: sp.Expr) -> sp.Expr:
    # SymPy's own root of a negative constant is the complex one.
    return -sp.cbrt(-x) if x.is_negative else sp.cbrt(x)


def _sign(x: float) -> float:
    return float((x > 0) - (x < 0))


FUNCTIONS: dict[str, Function] = {
    "exp": Function(sp.exp, math.exp),
    "log": Function(sp.log, math.log),
    "log10": Function(lambda x: sp.log(x, 10), math.log10),
    "log2": Function(lambda x: sp.log(x, 2), math.log2),
    "sqrt": Function(sp.sqrt, math.sqrt),
    "cbrt": Function(_cbrt, math.cbrt),
    "sin": Function(sp.sin, math.sin),
    "cos": Function(sp.cos, math.cos),
    "tan": Function(sp.tan, math.tan),
    "asin": Function(sp.asin, math.asin),
    "acos": Function(sp.acos, math.acos),
    "atan": Function(sp.atan, math.atan),
    "atan2": Function(sp.atan2, math.atan2, 2),
    "sinh": Function(sp.sinh, math.sinh),
    "cosh": Function(sp.cosh, math.cosh),
    "tanh": Function(sp.tanh, math.tanh),
    "asinh": Function(sp.asinh, math.asinh),
    "acosh": Function(sp.acosh, math.acosh),
    "atanh": Function(sp.atanh, math.atanh),
    "erf": Function(sp.erf, math.erf),
    "erfc": Function(sp.erfc, math.erfc),
    "gamma": Function(sp.gamma, math.gamma),
    "loggamma": Function(sp.loggamma, _log_gamma),
    "abs": Function(sp.Abs, abs),
    "sign": Function(sp.sign, _sign),
    "max": Function(sp.Max, max, None),
    "min": Function(sp.Min, min, None),
    "floor": Function(sp.floor, _floor),
    "ceil": Function(sp.ceiling, _ceil),
}
FUNCTIONS |= {
    alias: FUNCTIONS[name]
    for alias, name in {
        "ln": "log",
        "lgamma": "loggamma",
        "ceiling": "ceil",
        "arcsin": "asin",
        "arccos": "acos",
        "arctan": "atan",
        "arctan2": "atan2",
        "arcsinh": "asinh",
        "arsinh": "asinh",
        "arccosh": "acosh",
        "arcosh": "acosh",
        "arctanh": "atanh",
        "artanh": "atanh",
    }.items()
}
