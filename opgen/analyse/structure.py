"""What F_y of a coupled operator looks like, which method that calls for, and what holds outside the grids."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import sympy as sp

from opgen.analyse.boundary import Boundaries
from opgen.analyse.calculus import derivative
from opgen.analyse.coupled import CoupledModel, Loop, Nest, Read
from opgen.loading.boundary import Condition
from opgen.loading.define import Dirichlet, Neumann
from opgen.loading.indexed import Index

Method = Literal["band", "stencil", "dense"]


@dataclass(frozen=True)
class Coefficient:
    """How an equation changes with an entry of an unknown that it reads.

    Attributes:
        equation: Number of the equation.
        unknown: Number of the unknown.
        offset: How far the entry lies from the equation's own point; None if that is not the same at every point.
        text: The entry as the user wrote it, u[i - 1].
        over: Indices that a sum runs over.
        value: The derivative, in the user's notation.
    """

    equation: int
    unknown: int
    offset: tuple[int, ...] | None
    text: str
    over: tuple[str, ...]
    value: sp.Expr


@dataclass(frozen=True)
class Structure:
    """The pattern of F_y.

    Attributes:
        method: How F_y is held and its systems are solved.
        pattern: What F_y is, in a few words.
        solver: How its systems are solved, and why so.
        coefficients: By equation, then in the order of the offsets.
    """

    method: Method
    pattern: str
    solver: str
    coefficients: tuple[Coefficient, ...]


def structure(model: CoupledModel) -> Structure:
    """Find the pattern of F_y; an explicit operator has none."""
    method = choose_method(model)
    if model.explicit:
        return Structure(method, "none", "nothing is solved: f is evaluated", ())
    found = tuple(coefficients(model))
    describe = {"band": _band, "stencil": _stencil, "dense": _dense}[method]
    pattern, solver = describe(model, found)
    return Structure(method, pattern, solver, found)


def choose_method(model: CoupledModel) -> Method:
    """Choose how the Jacobian is held: a band along one axis, a stencil on a grid of two or three, else all of it."""
    n, k = len(model.inputs), len(model.unknowns)
    unknowns = model.arrays[n : n + k]
    if model.explicit:
        return "band"  # there is no F_y; a kernel sets least memory aside for one that is a band
    if model.kind != "field" or len({a.core for a in unknowns}) > 1:
        return "dense"
    rank = len(unknowns[0].core)
    rings = {tuple(low.kind == "periodic" for low, _ in sides) for sides in model.boundary[n : n + k]}
    straight = all(
        tuple(loop for loop, _ in r.axes) == tuple(range(rank))
        for m in model.nests
        if m.stage == "equation"
        for r in m.reads
        if model.arrays[r.array].active
    )
    if not straight:
        return "dense"
    return "band" if rank == 1 else "stencil" if rank in (2, 3) and len(rings) == 1 else "dense"


def coefficients(model: CoupledModel) -> Iterator[Coefficient]:
    """List what every equation reads of the unknowns, directly and through sums."""
    n = len(model.inputs)
    for e in range(len(model.unknowns)):
        nest = equation_of(model, e)
        found = list(_slopes(model, nest, nest, sp.S.One, ()))
        yield from sorted(
            (Coefficient(e, r.array - n, _offset(r, nest, over), r.text, over, value) for r, over, value in found),
            key=lambda c: (c.unknown, len(c.over), c.offset is None, c.offset or (), c.text),
        )


def equation_of(model: CoupledModel, unknown: int) -> Nest:
    """Return the nest of an unknown's equation."""
    target = len(model.inputs) + unknown
    return next(m for m in model.nests if m.stage == "equation" and m.target == target)


def _slopes(
    model: CoupledModel, nest: Nest, equation: Nest, weight: sp.Expr, over: tuple[str, ...]
) -> Iterator[tuple[Read, tuple[str, ...], sp.Expr]]:
    written = _written(model, nest)
    for read in nest.reads:
        if not model.arrays[read.array].active:
            continue
        value = weight * derivative(nest.value, read.symbol).xreplace(written)
        if model.arrays[read.array].role == "unknown":
            yield read, over, value
            continue
        inner = next(m for m in model.nests if m.stage == "sum" and m.target == read.array)
        summed = tuple(loop.index.name for loop in inner.loops[inner.rank(model.arrays) :])
        yield from _slopes(model, inner, equation, value, (*over, *summed))


def _written(model: CoupledModel, nest: Nest) -> dict[sp.Symbol, sp.Symbol]:
    """Map what stands for a read to what the user wrote."""
    texts = {m.target: m.text for m in model.nests if m.stage == "sum"}
    return {
        r.symbol: sp.Symbol(texts.get(r.array, r.text), real=True, positive=r.symbol.is_positive) for r in nest.reads
    }


def _offset(read: Read, nest: Nest, over: tuple[str, ...]) -> tuple[int, ...] | None:
    straight = tuple(loop for loop, _ in read.axes) == tuple(range(len(nest.loops)))
    return tuple(shift for _, shift in read.axes) if straight and not over else None


def _band(model: CoupledModel, found: tuple[Coefficient, ...]) -> tuple[str, str]:
    n, k = len(model.inputs), len(model.unknowns)
    shifts = [c.offset[0] for c in found if c.offset is not None]
    low, high = max(0, *(-s for s in shifts)), max(0, *shifts)
    reach = max(low, high)
    sides = [side for own in model.boundary[n : n + k] for pair in own for side in pair]
    ring = any(side.kind == "periodic" for side in sides)
    mirrored = any(side.kind in ("face", "node") for side in sides)
    shape = {(0, 0): "diagonal", (1, 1): "tridiagonal"}.get((low, high), f"a band of width {low + high + 1}")
    if k > 1:
        shape = {(0, 0): "block-diagonal", (1, 1): "block-tridiagonal"}.get(
            (low, high), f"block-banded, {low + high + 1} wide"
        )
        shape += f" with {k} x {k} blocks, one row for each of {k} fields"
    # The half-width of the matrix that is factored: of all fields of a point together, a ring folded flat.
    half = (2 * reach if ring else reach) * k + k - 1
    if ring:
        shape = shape.replace("a band", "a cyclic band") if shape.startswith("a ") else f"cyclic {shape}"
        return (
            shape,
            f"folded flat, in the order 0, n - 1, 1, n - 2, ..., to a band of half-width {half}; band LU with pivoting",
        )
    if k == 1 and reach <= 1 and not mirrored:
        return (
            shape,
            "tridiagonal elimination in chunks on all lanes and threads, with pivoting where that is called for",
        )
    why = "" if reach > 1 or k > 1 else "; its ends are mirrored"
    return shape, f"band LU with pivoting, half-width {half}{why}"


def _stencil(model: CoupledModel, found: tuple[Coefficient, ...]) -> tuple[str, str]:
    k, rank = len(model.unknowns), len(model.arrays[len(model.inputs)].core)
    points = len({c.offset for c in found} | {(0,) * rank})
    fields = f" of {k} coupled fields" if k > 1 else ""
    rings = [
        loop.index.name
        for loop, pair in zip(equation_of(model, 0).loops, model.boundary[len(model.inputs)], strict=True)
        if pair[0].kind == "periodic"
    ]
    cyclic = f", cyclic along {', '.join(rings)}" if rings else ""
    large = "conjugate gradients, as F_y is symmetric," if model.symmetric else "GMRES, as F_y is not symmetric,"
    return (
        f"{_article(points)} {points}-point stencil in {rank}-D{fields}{cyclic}",
        f"{large} preconditioned by a multigrid cycle; sparse LU where that stalls",
    )


def _article(number: int) -> str:
    return "an" if number == 11 or str(number).startswith("8") else "a"


def _dense(model: CoupledModel, found: tuple[Coefficient, ...]) -> tuple[str, str]:
    solver = "dense LU with pivoting"
    if any(c.over for c in found):
        return "dense: equations read the unknowns through sums", solver
    n, k = len(model.inputs), len(model.unknowns)
    cores = {a.core for a in model.arrays[n : n + k]}
    if cores == {()}:
        return f"dense, {k} x {k}", solver
    if len(cores) > 1:
        return "dense: the unknowns have different shapes", solver
    if any(c.offset is None for c in found):
        far = next(c.text for c in found if c.offset is None)
        return f"dense: {far} is far from its equation's point", solver
    if len(model.boundary[n]) > 3:
        return f"a stencil in {len(model.boundary[n])}-D, held as a dense matrix", solver
    return "dense: the fields are periodic along different axes", solver


def conditions(model: CoupledModel) -> tuple[tuple[str, str, str, str], ...]:
    """List what holds outside each field: unknown, index of the axis, and a sentence for each of its ends."""
    axes = [_indices(equation_of(model, u).loops, u, model) for u in range(len(model.unknowns))]
    given = Boundaries(model.spec, axes)
    n = len(model.inputs)
    found = []
    for u, symbol in enumerate(model.unknowns):
        for d, index in enumerate(axes[u]):
            ends = given.sides[u][d]
            if any(c is not None for c in ends):
                read = model.boundary[n + u][d]
                low, high = (_said(symbol.name, c, side.halo) for c, side in zip(ends, read, strict=True))
                found.append((symbol.name, index.name, low, high))
    return tuple(found)


def _indices(loops: tuple[Loop, ...], unknown: int, model: CoupledModel) -> tuple[Index, ...]:
    rank = len(model.arrays[len(model.inputs) + unknown].core)
    return tuple(loop.index for loop in loops[:rank] if isinstance(loop.index, Index))


def _said(name: str, condition: Condition | None, halo: int) -> str:
    unread = "" if halo else ", which is never read"
    if condition is None:
        return f"{name} is not defined{unread}"
    if isinstance(condition, Dirichlet):
        return f"{name} = {condition.value}{unread}"
    if isinstance(condition, Neumann):
        where = "mirror half a step outside the last point" if condition.at == "face" else "mirror on the last point"
        spacing = "" if condition.slope == 0 else f"spacing {condition.spacing}, "
        return f"{name} has the outward slope {condition.slope} ({spacing}{where}){unread}"
    return f"{name} is periodic{unread}"
