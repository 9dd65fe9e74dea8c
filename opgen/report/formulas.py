"""Formulas as MathML, and as functions of a framework's own operations."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import sympy as sp

from opgen.analyse.calculus import Start
from opgen.analyse.coupled import CoupledModel
from opgen.analyse.model import Matrix, Model
from opgen.analyse.structure import structure
from opgen.errors import UsageError

# What SymPy calls a framework.
_MODULES: dict[str, Any] = {"numpy": ["numpy"], "tf": "tensorflow", "torch": "torch", "jax": "jax"}
_LONG = 40  # operations from which a formula is folded away


@dataclass(frozen=True)
class Formula:
    """A formula for the page.

    Attributes:
        label: What it is, in words.
        mathml: It.
        text: The same on one line, for whoever cannot see or wants to copy it.
        long: Whether it is better folded away.
    """

    label: str
    mathml: str
    text: str
    long: bool


def formulas(model: Model | CoupledModel) -> list[Formula]:
    """Set the equations, their derivatives and the auxiliaries."""
    made = []
    unknowns = [s.name for s in model.unknowns]
    for number, (name, equation) in enumerate(zip(unknowns, model.spec.equations, strict=True), 1):
        which = f" {number}" if len(unknowns) > 1 else ""
        if model.explicit:
            made.append(
                _formula(f"Output {name}", f"{_named(name)} = {_latex(equation)}", equation, f"{name} = ", fold=False)
            )
        else:
            made.append(_formula(f"Equation{which}", f"{_latex(equation)} = 0", equation, "", " = 0", fold=False))
    for name, value in model.spec.auxiliary:
        made.append(_formula(f"Auxiliary {name}", f"{_named(name)} = {_latex(value)}", value, f"{name} = "))
    if isinstance(model, CoupledModel):
        return [*made, *_coefficients(model)]
    if not model.explicit:
        made.append(_matrix("Jacobian by the unknowns", "F_y", model.by_unknown))
    made.append(_matrix("Jacobian by the inputs", "f_x" if model.explicit else "F_x", model.by_input))
    return made


def adjoint_formula(explicit: bool) -> str:
    """Set what the gradient is."""
    if explicit:
        return mathml(r"\frac{dJ}{dx} = f_x^{\top} \frac{dJ}{dy}")
    return mathml(r"\frac{dJ}{dx} = -F_x^{\top} u \quad \text{with} \quad F_y^{\top} u = \frac{dJ}{dy}")


def mathml(latex: str) -> str:
    """Turn LaTeX into MathML, on a line of its own.

    Raises:
        UsageError: What does so is not installed.
    """
    try:
        from latex2mathml.converter import convert
    except ImportError:
        raise UsageError("a report needs latex2mathml, which is not installed", "pip install 'opgen[report]'") from None
    made: str = convert(re.sub(r"\\operatorname\{(\w+)\}", r"\\text{\1}", latex), display="block")
    return made


def own_operations(model: Model, target: str) -> Callable[..., Any]:
    """Write F(x, y), or f(x), with the operations of a framework itself: a function of arrays that returns a list."""
    arguments = [*model.inputs, *(() if model.explicit else model.unknowns)]
    found: Callable[..., Any] = sp.lambdify(arguments, list(model.residuals), modules=_module(target), cse=True)
    return found


def own_newton(model: Model, target: str) -> Callable[..., Any] | None:
    """Write Newton's iteration for one unknown with the operations of a framework: a function of inputs and a count."""
    if model.explicit or model.linear or len(model.unknowns) != 1:
        return None
    module = _module(target)
    x, y = model.inputs, model.unknowns[0]
    guess = model.guess[0].args[0] if isinstance(model.guess[0], Start) else model.guess[0]
    start = sp.lambdify(list(x), guess, modules=module, cse=True)
    step = sp.lambdify([*x, y], [model.residuals[0], model.by_unknown[0][0]], modules=module, cse=True)

    def newton(*given: Any, iterations: int) -> Any:
        value = start(*given) + 0 * given[0]
        for _ in range(iterations):
            residual, slope = step(*given, value)
            value = value - residual / slope
        return value

    return newton


def _module(target: str) -> Any:
    """Name where SymPy finds a framework's operations; special functions of arrays are SciPy's."""
    return ["scipy", "numpy"] if target == "numpy" and find_spec("scipy") else _MODULES[target]


def _coefficients(model: CoupledModel) -> list[Formula]:
    """Set the entries of F_y."""
    if model.explicit:
        return []
    places: dict[tuple[int, Any], list[str]] = {}
    for c in structure(model).coefficients:
        where = f"{c.text} for all {', '.join(c.over)}" if c.over else c.text
        places.setdefault((c.equation, c.value), []).append(where)
    several = len(model.unknowns) > 1
    return [
        _formula(
            f"Derivative{f' of equation {equation + 1}' if several else ''} by {', '.join(where)}",
            _latex(value),
            value,
            "",
        )
        for (equation, value), where in places.items()
    ]


def _matrix(label: str, name: str, rows: Matrix) -> Formula:
    alone = len(rows) == 1 and len(rows[0]) == 1
    value = rows[0][0] if alone else sp.ImmutableMatrix(rows)
    operations = sum(int(sp.count_ops(entry)) for row in rows for entry in row)
    text = f"{name} = {sp.sstr(value)}"
    return Formula(label, mathml(f"{name} = {_latex(value)}"), text, operations > _LONG)


def _formula(label: str, latex: str, value: Any, before: str, after: str = "", *, fold: bool = True) -> Formula:
    long = fold and int(sp.count_ops(value)) > 2 * _LONG
    return Formula(label, mathml(latex), f"{before}{sp.sstr(value)}{after}", long)


def _latex(value: Any) -> str:
    spelled = {s: _named(s.name) for s in value.atoms(sp.Symbol)}
    return str(sp.latex(value, symbol_names=spelled, mul_symbol=r" \, "))


def _named(name: str) -> str:
    """Spell a name: single letters and Greek ones as they are, others upright, so that they read as one."""
    entry = re.fullmatch(r"(\w+)\[(.+)\]", name)
    if entry:
        return f"{_named(entry[1])}_{{{entry[2]}}}"
    spelled = str(sp.latex(sp.Symbol(name)))
    return re.sub(r"(?<![\\A-Za-z])[A-Za-z]{2,}", lambda word: rf"\text{{{word[0]}}}", spelled)
