"""Whether the Jacobian of a field operator is symmetric, read off its formulas."""

from __future__ import annotations

import sympy as sp

from opgen.analyse.calculus import derivative
from opgen.analyse.coupled import CoupledModel, Nest, Read


def is_symmetric(model: CoupledModel) -> bool:
    """Tell whether F_y = F_y^T for a field: c_s(p), by which F at p depends on y at p + s, equals c_-s(p + s).

    Coefficients are compared as formulas; what is symmetric only by the values of its arrays is not seen. Mirrors about
    a node weigh the last point twice and are not symmetric.
    """
    if model.kind != "field" or any(s.kind == "node" for axes in model.boundary for pair in axes for s in pair):
        return False
    n = len(model.inputs)
    blocks: dict[tuple[int, int, tuple[int, ...]], sp.Expr] = {}
    for nest in model.nests:
        if nest.stage != "equation":
            continue
        for read in nest.reads:
            if model.arrays[read.array].active and model.arrays[read.array].role == "unknown":
                shift = tuple(s for _, s in read.axes)
                slope = derivative(nest.value, read.symbol)
                if [loop for loop, _ in read.axes] != list(range(len(nest.loops))):  # u[0, j], u[j, i]
                    return False
                if slope.has(sp.Derivative, sp.Subs):  # of a function that SymPy cannot differentiate
                    return False
                blocks[nest.target - n, read.array - n, shift] = _named(slope, nest)
    zero = sp.S.Zero
    for (row, column, shift), c in blocks.items():
        other = blocks.get((column, row, tuple(-s for s in shift)), zero)
        loops = next(m.loops for m in model.nests if m.stage == "equation" and m.target == n + row)
        moved = _moved(other, {loop.index: s for loop, s in zip(loops, shift, strict=False)})
        if moved != c and sp.expand(moved - c) != 0:
            return False
    return True


class _At(sp.Function):
    """An array's entry at a position that can be moved."""


def _named(e: sp.Expr, nest: Nest) -> sp.Expr:
    return e.xreplace({r.symbol: _entry(r, nest) for r in nest.reads})


def _entry(read: Read, nest: Nest) -> sp.Expr:
    positions = [shift if loop < 0 else nest.loops[loop].index + shift for loop, shift in read.axes]
    return _At(sp.Integer(read.array), *positions)


def _moved(e: sp.Expr, shifts: dict[sp.Symbol, int]) -> sp.Expr:
    return e.xreplace({index: index + s for index, s in shifts.items()}) if shifts else e
