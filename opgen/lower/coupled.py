"""CoupledModel -> Program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import sympy as sp

from opgen.analyse.calculus import Magnitude, derivative, scale
from opgen.analyse.coupled import Array, Bound, CoupledModel, Nest
from opgen.analyse.structure import conditions, structure
from opgen.errors import UnsupportedError
from opgen.lower.aten_coupled import aten_nests
from opgen.lower.cxx import Code, Emitter, invariants
from opgen.lower.graph import Graph
from opgen.lower.names import identifiers
from opgen.lower.nests import ArrayCode, LoopCode, NestCode, Nests, PlainCode, ReadCode
from opgen.lower.program import Adjoint, Aten, Curvature, Mathematics, Program, Second, Tangent

EMPTY = Code((), ())
# What the functions of a nest call their own: no array can be called so in there.
ARGUMENTS = (
    *("a", "t", "s", "r", "of", "out"),
    *("prepare", "loop", "loops", "read", "reads", "rank", "target", "stage", "plain"),
)


def lower_coupled(model: CoupledModel) -> Program:
    """Turn the nests of a coupled operator into code.

    Raises:
        UnsupportedError: a function cannot be generated; the message names it.
    """
    spec = model.spec
    auxiliary_names = tuple(name for name, _ in spec.auxiliary)
    display = (*(s.name for s in model.inputs), *(s.name for s in model.unknowns), *auxiliary_names)
    spelled = identifiers(display)
    n, k = len(model.inputs), len(model.unknowns)
    try:
        nests = tuple(_NestLowering(model, nest, number).code() for number, nest in enumerate(model.nests))
        in_aten = aten_nests(model)
    except UnsupportedError as error:
        raise UnsupportedError(f"{spec.name}: {error}") from None
    math = _mathematics(model, display)
    found = structure(model)
    return Program(
        name=spec.name,
        doc=spec.doc,
        kind=model.kind,
        explicit=model.explicit,
        linear=model.linear,
        bounded=False,
        curved=False,
        steps=(0, 0),
        substituted=False,
        open=(False,) * k,
        max_iterations=spec.max_iterations,
        tol=spec.tol,
        adjoint_default=spec.adjoint,
        inputs=spelled[:n],
        unknowns=spelled[n : n + k],
        variables=(),
        auxiliaries=spelled[n + k :],
        input_names=display[:n],
        unknown_names=display[n : n + k],
        auxiliary_names=display[n + k :],
        coupled=True,
        dimension_names=model.dimensions,
        cores=tuple(tuple((x.dimension, x.offset) for x in a.core) for a in model.arrays[: len(display)]),
        prologue=EMPTY,
        fields=(),
        guess=EMPTY,
        bounds=EMPTY,
        values=EMPTY,
        linearisation=EMPTY,
        variables_of=EMPTY,
        unknowns_of=EMPTY,
        residual=EMPTY,
        auxiliary=EMPTY,
        adjoint=Adjoint(EMPTY, EMPTY),
        tangent=Tangent(EMPTY, EMPTY),
        second=Second(EMPTY, EMPTY, EMPTY),
        residual_pullback=EMPTY,
        residual_tangent=EMPTY,
        curvature=Curvature(EMPTY, EMPTY, EMPTY),
        aten=Aten(EMPTY, EMPTY),
        mathematics=math,
        sample=model.sample,
        sample_given=all(s is not None for s in spec.sample),
        digest=_digest(model, display, math),
        nests=Nests(
            kind=model.kind,
            method=found.method,
            pattern=found.pattern,
            solver=found.solver,
            conditions=conditions(model),
            symmetric=model.symmetric,
            arrays=tuple(_array(model, i) for i in range(len(model.arrays))),
            nests=nests,
        ),
        aten_nests=in_aten,
    )


def _array(model: CoupledModel, number: int) -> ArrayCode:
    array = model.arrays[number]
    sides: tuple[tuple[tuple[str, int, int], tuple[str, int, int]], ...] = ()
    if number < len(model.boundary):
        sides = tuple(
            ((low.kind, low.array, low.halo), (high.kind, high.array, high.halo))
            for low, high in model.boundary[number]
        )
    core = tuple((x.dimension, x.offset) for x in array.core)
    return ArrayCode(array.symbol.name, array.role, core, array.active, sides)


class _NestLowering:
    """The formula of one nest: x are its reads, by which it is differentiated."""

    def __init__(self, model: CoupledModel, nest: Nest, number: int) -> None:
        self.model, self.nest = model, nest
        self.type, self.number = f"{nest.stage.capitalize()}{number + 1}", number
        self.reads = [r.symbol for r in nest.reads]
        self.active = [r.symbol for r in nest.reads if model.arrays[r.array].active]
        sizes = dict(model.sizes)
        free = nest.value.free_symbols
        plain: list[tuple[sp.Symbol, tuple[int, int, int]]] = [
            (loop.index, (number, -1, 0)) for number, loop in enumerate(nest.loops) if loop.index in free
        ]
        plain += [(s, (-1, e.dimension, e.offset)) for s, e in sizes.items() if s in free]
        names = identifiers([*ARGUMENTS, *(s.name for s in self.reads), *(s.name for s, _ in plain)])[len(ARGUMENTS) :]
        self.names: dict[sp.Symbol, str] = dict(zip([*self.reads, *(s for s, _ in plain)], names, strict=True))
        self.plain = tuple(PlainCode(self.names[s], *where) for s, where in plain)
        scalars = [r.symbol for r in nest.reads if not r.axes and not model.arrays[r.array].active]
        self.invariant = [*scalars, *(s for s, (loop, _, _) in plain if loop < 0)]
        self.slopes = [derivative(nest.value, s) for s in self.reads]
        self.t = self._array("t", len(self.reads))
        self.s = self._array("s", len(self.reads))
        self.r = self._array("r", len(self.reads))

    def _array(self, name: str, size: int) -> list[sp.Symbol]:
        made: list[sp.Symbol] = [sp.Dummy(f"{name}{i}", real=True) for i in range(size)]
        self.names.update({s: f"{name}[{i}]" for i, s in enumerate(made)})
        return made

    def code(self) -> NestCode:
        nest, count = self.nest, len(self.reads)
        measured = [i for i, r in enumerate(nest.reads) if self.model.arrays[r.array].role == "sum"]
        sizes = {i: sp.Dummy(f"of{i}", real=True) for i in measured}
        self.names.update({s: f"of[{i}]" for i, s in sizes.items()})
        size = scale(nest.value).xreplace({Magnitude(self.reads[i]): s for i, s in sizes.items()})
        curved = [[derivative(d, b) for b in self.reads] for d in self.slopes]
        active = self.slopes[: len(self.active)]
        groups: dict[str, list[sp.Expr]] = {
            "value": [nest.value],
            "measure": [nest.value, size],
            "linearise": [nest.value, size, *active],
            "push": [sp.Add(*(d * t for d, t in zip(self.slopes, self.t, strict=True)))],
            "pull": self.slopes,
            "second": [*self.slopes, *(sp.Add(*(c * t for c, t in zip(row, self.t, strict=True))) for row in curved)],
            "curve": [
                sp.Add(
                    *(d * r for d, r in zip(self.slopes, self.r, strict=True)),
                    *(curved[i][j] * self.t[i] * self.s[j] for i in range(count) for j in range(count)),
                )
            ],
        }
        graph = Graph(self.names, self.invariant)
        nodes = {name: [graph(e) for e in group] for name, group in groups.items()}
        known = invariants(
            [v for group in nodes.values() for v in group], frozenset(self.names[s] for s in self.invariant)
        )
        fixed = Emitter((*known, *known), {}, "c").code(known)
        named = {v: f"fixed[{i}]" for i, v in enumerate(known)}
        code = {name: Emitter(group, named, "v").code(group) for name, group in nodes.items()}
        unchanging = set(self.invariant)
        return NestCode(
            type=self.type,
            number=self.number,
            serves=_serves(self.model, self.number),
            stage=nest.stage,
            target=nest.target,
            rank=nest.rank(self.model.arrays),
            text=_sentence(self.model.arrays, nest),
            active_formula=nest.active,
            loops=tuple(
                LoopCode(
                    (p.start.dimension, p.start.loop, p.start.offset), (p.stop.dimension, p.stop.loop, p.stop.offset)
                )
                for p in nest.loops
            ),
            reads=tuple(ReadCode(self.names[r.symbol], r.array, r.axes, r.text) for r in nest.reads),
            active=len(self.active),
            plain=self.plain,
            product=_product(self.model, nest),
            uniform=tuple(d.free_symbols <= unchanging for d in active),
            fixed=fixed,
            **code,
        )


def _product(model: CoupledModel, nest: Nest) -> tuple[int, int, bool]:
    """Find the matrix and the vector of which a nest is the product."""
    none = (-1, -1, False)
    simple = all(p.start == Bound(-1, -1, 0) and p.stop.loop < 0 for p in nest.loops)
    if nest.stage != "sum" or len(nest.loops) != 2 or len(nest.reads) != 2 or not simple:
        return none
    if nest.rank(model.arrays) != 1 or nest.value != nest.reads[0].symbol * nest.reads[1].symbol:
        return none
    matrix = 0 if len(nest.reads[0].axes) == 2 else 1
    m, v = nest.reads[matrix], nest.reads[1 - matrix]
    fits = model.arrays[m.array].role == "input" and model.arrays[v.array].role in ("input", "unknown")
    if not fits or v.axes != ((1, 0),) or sorted(m.axes) != [(0, 0), (1, 0)]:
        return none
    return matrix, 1 - matrix, m.axes[0] == (1, 0)


def _serves(model: CoupledModel, number: int) -> tuple[bool, bool, bool]:
    """Tell whether boundary values, equations and auxiliaries need what a nest computes."""
    needed: list[set[str]] = [set() if m.stage == "sum" else {m.stage} for m in model.nests]
    for reader in range(len(model.nests) - 1, -1, -1):
        targets = {r.array for r in model.nests[reader].reads}
        for maker in range(reader):
            if model.nests[maker].stage == "sum" and model.nests[maker].target in targets:
                needed[maker] |= needed[reader]
    mine = needed[number]
    return "boundary" in mine, "equation" in mine, "auxiliary" in mine


def _sentence(arrays: Sequence[Array], nest: Nest) -> str:
    name = arrays[nest.target].symbol.name
    positions = ", ".join(loop.index.name for loop in nest.loops[: nest.rank(tuple(arrays))])
    indexed = f"{name}[{positions}]" if positions else name
    if nest.stage == "equation":
        return f"the residual of {indexed}: {nest.text}"
    return f"{indexed} = {nest.text}"


def _mathematics(model: CoupledModel, display: Sequence[str]) -> Mathematics:
    spec, n = model.spec, len(model.inputs)
    equations = []
    for u, e in enumerate(spec.equations):
        array = model.arrays[n + u]
        nest = next(m for m in model.nests if m.stage == "equation" and m.target == n + u)
        positions = ", ".join(loop.index.name for loop in nest.loops[: len(array.core)])
        name = f"{display[n + u]}[{positions}]" if positions else display[n + u]
        equations.append(f"{name} = {_shown(e)}" if model.explicit else f"{_shown(e)} = 0")
    guess = () if model.explicit else tuple("0" if g is None else _shown(g) for g in spec.guess)
    nothing = tuple("" for _ in spec.equations)
    return Mathematics(
        equations=tuple(equations),
        latex=tuple(sp.latex(e) for e in spec.equations),
        guess=guess,
        bounds=(),
        mpmath_residual=nothing,
        mpmath_exact=tuple(None for _ in spec.equations),
        mpmath_auxiliary=tuple("" for _ in spec.auxiliary),
    )


def _shown(e: sp.Expr) -> str:
    return str(sp.sstr(e, full_prec=False))


def _digest(model: CoupledModel, display: Sequence[str], math: Mathematics) -> str:
    spec = model.spec
    parts = [spec.name, model.kind, repr(model.arrays), repr(model.boundary), *math.equations, *math.guess, *display]
    parts += [f"{m.stage} {m.target} {m.loops} {m.reads} {sp.srepr(m.value)}" for m in model.nests]
    parts += [str(spec.max_iterations), str(spec.tol), str(model.dimensions)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
