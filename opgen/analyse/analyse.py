"""Spec -> Model."""

from __future__ import annotations

from collections.abc import Sequence

import sympy as sp

from opgen.analyse.calculus import derivative
from opgen.analyse.chain import is_long
from opgen.analyse.coupled import CoupledModel
from opgen.analyse.coupled_model import analyse_coupled
from opgen.analyse.iteration import iteration
from opgen.analyse.model import Matrix, Model, Vector
from opgen.analyse.rehearsal import rehearse
from opgen.analyse.start import improve
from opgen.errors import SpecError
from opgen.loading.spec import Spec

# Where checks draw an input of which nothing is known.
DEFAULT_SAMPLE = (0.5, 2.0)


def analyse(spec: Spec) -> Model | CoupledModel:
    """Find the structure and the derivatives of an operator.

    Raises:
        SpecError: the equations cannot determine the unknowns.
    """
    if spec.indexing is not None:
        return analyse_coupled(spec)
    real = _real_symbols(spec)
    inputs = tuple(real.get(s, s) for s in spec.inputs)
    unknowns = tuple(real.get(s, s) for s in spec.unknowns)

    def convert(e: sp.Expr) -> sp.Expr:
        return sp.sympify(e).xreplace(real)

    residuals = tuple(convert(e) for e in spec.equations)
    auxiliary = tuple(convert(e) for _, e in spec.auxiliary)
    by_unknown = () if spec.explicit else _jacobian(residuals, unknowns)
    linear = not spec.explicit and all(not (d.free_symbols & set(unknowns)) for row in by_unknown for d in row)
    if not spec.explicit:
        _check_solvable(spec, by_unknown, linear)
    lower, upper, is_open = _bounds(spec, unknowns, real)
    guess = tuple(
        _guess(None if g is None else convert(g), lo, hi, linear)
        for g, lo, hi in zip(spec.guess, lower, upper, strict=True)
    )
    if len(unknowns) == 1 and spec.guess[0] is None and not linear and not spec.explicit:
        guess = (improve(guess[0], residuals[0], unknowns[0], spec.bounds[0] is not None),)
    sample = tuple(_sample(s, drawn) for s, drawn in zip(inputs, spec.sample, strict=True))
    solving = None
    if not spec.explicit:
        solving = iteration(unknowns, residuals, by_unknown, guess, lower, upper, is_open)
    return Model(
        spec=spec,
        kind="explicit" if spec.explicit else "pointwise",
        linear=linear,
        inputs=inputs,
        unknowns=unknowns,
        residuals=residuals,
        by_unknown=by_unknown,
        by_input=_jacobian(residuals, inputs),
        auxiliary=auxiliary,
        auxiliary_by_unknown=_jacobian(auxiliary, unknowns),
        auxiliary_by_input=_jacobian(auxiliary, inputs),
        guess=guess,
        lower=lower,
        upper=upper,
        open=is_open,
        iteration=solving,
        steps=rehearse(solving, inputs, sample) if solving and not linear else (0, 0),
        exact=tuple(None if e is None else convert(e) for e in spec.exact),
        sample=sample,
        warnings=_warnings(spec, residuals, inputs, unknowns),
    )


def _real_symbols(spec: Spec) -> dict[sp.Symbol, sp.Symbol]:
    """Map every symbol of unknown nature to a real one: generated code computes with real numbers."""
    return {s: sp.Symbol(s.name, real=True) for s in (*spec.inputs, *spec.unknowns) if s.is_real is None}


def _jacobian(expressions: Sequence[sp.Expr], symbols: Sequence[sp.Symbol]) -> Matrix:
    return tuple(tuple(_tidy(derivative(e, s), symbols) for s in symbols) for e in expressions)


def _tidy(d: sp.Expr, symbols: Sequence[sp.Symbol]) -> sp.Expr:
    """Expand a derivative in which the symbols may cancel: linearity must be seen through brackets."""
    if d.free_symbols & set(symbols) and not is_long(d) and d.is_polynomial(*symbols):
        expanded = sp.expand(d)
        if not expanded.free_symbols & set(symbols):
            return expanded
    return d


def _check_solvable(spec: Spec, by_unknown: Matrix, linear: bool) -> None:
    """Refuse equations that leave an unknown undetermined whatever the numbers are."""
    k = len(by_unknown)
    matched: dict[int, int] = {}

    def match(row: int, seen: set[int]) -> bool:
        for column in range(k):
            if by_unknown[row][column] == 0 or column in seen:
                continue
            seen.add(column)
            if column not in matched or match(matched[column], seen):
                matched[column] = row
                return True
        return False

    names = ", ".join(s.name for s in spec.unknowns)
    if not all(match(row, set()) for row in range(k)):
        raise SpecError(
            f"{spec.name}: the equations cannot determine all of {names}: some of them constrain fewer unknowns than "
            f"there are equations; check that each unknown has an equation of its own"
        )
    if linear and 1 < k <= 4 and sp.simplify(sp.Matrix(by_unknown).det()) == 0:
        raise SpecError(
            f"{spec.name}: the equations for {names} depend on each other, so they have no single solution; "
            f"replace one of them"
        )


def _bounds(spec: Spec, unknowns: Vector, real: dict[sp.Symbol, sp.Symbol]) -> tuple[Vector, Vector, tuple[bool, ...]]:
    """Take the bounds as given, else from what the unknown's symbol promises."""
    lower, upper, is_open = [], [], []
    for unknown, given in zip(unknowns, spec.bounds, strict=True):
        if given is not None:
            lo, hi = (sp.sympify(e).xreplace(real) for e in given)
            is_open.append(False)
        else:
            lo = sp.S.Zero if unknown.is_nonnegative else -sp.oo
            hi = sp.S.Zero if unknown.is_nonpositive else sp.oo
            is_open.append(bool(unknown.is_positive or unknown.is_negative))
        lower.append(lo)
        upper.append(hi)
    return tuple(lower), tuple(upper), tuple(is_open)


def _guess(given: sp.Expr | None, lo: sp.Expr, hi: sp.Expr, linear: bool) -> sp.Expr:
    if linear:
        return sp.S.Zero  # one step from anywhere; from zero it is F_y y = -F(x, 0) itself
    if given is not None:
        return given
    if lo.is_infinite and hi.is_infinite:
        return sp.S.One
    if hi.is_infinite:
        return lo + 1
    if lo.is_infinite:
        return hi - 1
    if lo.is_number and hi.is_number and (lo * hi).is_positive and (hi / lo > 10 or lo / hi > 10):
        return sp.Float(sp.sign(lo) * sp.sqrt(lo * hi), 17)
    return (lo + hi) / 2


def _sample(symbol: sp.Symbol, given: tuple[float, float] | None) -> tuple[float, float]:
    if given is not None:
        return given
    low, high = DEFAULT_SAMPLE
    return (-high, -low) if symbol.is_negative else (low, high)


def _warnings(spec: Spec, residuals: Vector, inputs: Vector, unknowns: Vector) -> tuple[str, ...]:
    found = []
    free = set().union(*(e.free_symbols for e in residuals)) if residuals else set()
    for given, symbol in zip(spec.inputs, inputs, strict=True):
        if symbol not in free:
            found.append(f"input {given.name} does not occur in the equations: its gradient is zero")
    if not spec.explicit:
        for e in residuals:
            for atom in sorted(e.atoms(sp.Pow, sp.log), key=sp.default_sort_key):
                base = atom.args[0]
                if not base.free_symbols & set(unknowns) or base.is_positive:
                    continue
                if isinstance(atom, sp.log) or not atom.exp.is_integer:
                    found.append(f"{atom} is real only where {base} > 0: a guess or bounds keep the iteration there")
                elif atom.exp.is_negative:
                    found.append(f"{atom} is singular where {base} = 0")
    return tuple(dict.fromkeys(found))
