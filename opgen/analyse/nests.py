"""From indexed formulas to loops over arrays, whose lengths are measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sympy as sp

from opgen.analyse.axes import Formulas
from opgen.analyse.boundary import Boundaries
from opgen.analyse.coupled import Array, Bound, Extent, Loop, Nest, Role, Side, Stage
from opgen.analyse.measure import Measure
from opgen.analyse.reads import Reads
from opgen.analyse.sizes import Dimensions, Node, Range, Scope, affine, sum_ranges
from opgen.errors import SpecError, UnsupportedError
from opgen.loading.indexed import Index, Size, make_size
from opgen.loading.spec import Spec, by_name


class Nests:
    """The arrays and nests of a definition, collected in the order in which they are computed.

    Attributes:
        arrays: Inputs, unknowns, auxiliaries, then boundary values and sums.
        nests: Boundary values and sums before what reads them.
        boundary: Per input and unknown and axis, both sides.
        dimensions: The sizes that tensors decide.

    Raises:
        SpecError: indices, shapes and boundary conditions do not fit together.
    """

    def __init__(self, spec: Spec, formulas: Formulas) -> None:
        self.spec, self.formulas = spec, formulas
        boundaries = Boundaries(spec, formulas.axes)
        self.measure = Measure(spec, formulas, boundaries)
        self.dimensions = Dimensions(self.measure.lengths)
        self.arrays: list[Array] = []
        self.nests: list[Nest] = []
        self._sums: dict[object, int] = {}
        self._name_dimensions()
        self._operands()
        inputs = tuple(boundaries.of_input(self.measure.halo(s)) for s in spec.inputs)
        self.boundary: tuple[tuple[tuple[Side, Side], ...], ...] = (
            *inputs,
            *(boundaries.of_unknown(self, u, self.measure.halo(s)) for u, s in enumerate(spec.unknowns)),
        )
        self._nests()

    def _name_dimensions(self) -> None:
        sizes = {s for e in self.formulas.all() for s in e.atoms(Size)}
        for size in by_name(sizes):
            self.measure.lengths.reroot(size)
        for symbol, axes in zip(self.spec.unknowns, self.formulas.axes, strict=True):
            for d, index in enumerate(axes):
                self.dimensions.call(("unknown", symbol, d), index.name)

    def _operands(self) -> None:
        for symbol in self.spec.inputs:
            self.array(symbol, "input", self._core("input", symbol), False)
        for symbol, axes in zip(self.spec.unknowns, self.formulas.axes, strict=True):
            core = self._core("unknown", symbol, [i.name for i in axes])
            self.array(symbol, "unknown", core, True)
        for q, axes in enumerate(self.formulas.auxiliary_axes):
            core = tuple(self.dimensions.extent(("auxiliary", q, d), 0, i.name) for d, i in enumerate(axes))
            self.array(sp.Symbol(self.spec.auxiliary[q][0], real=True), "auxiliary", core, True)

    def _core(self, role: str, symbol: sp.Symbol, names: Sequence[str] = ()) -> tuple[Extent, ...]:
        rank = self.formulas.ranks.get(symbol, 0)
        called = [*names, *(f"{symbol.name}{d}" for d in range(len(names), rank))]
        return tuple(self.dimensions.extent((role, symbol, d), 0, called[d]) for d in range(rank))

    def _nests(self) -> None:
        spec, f = self.spec, self.formulas
        n, k = len(spec.inputs), len(spec.unknowns)
        for u, guess in enumerate(f.guess):
            if guess is not None:
                self.add("guess", n + u, guess, self.loops(f.scopes[u]), str(guess))
        for u, e in enumerate(f.equations):
            self.add("equation", n + u, e, self.loops(f.scopes[u]), str(spec.equations[u]))
        for q, e in enumerate(f.auxiliary):
            self.add("auxiliary", n + k + q, e, self.loops(f.auxiliary_scopes[q]), str(spec.auxiliary[q][1]))

    def array(self, symbol: sp.Symbol, role: Role, core: tuple[Extent, ...], active: bool) -> int:
        """Add an array and return its number."""
        self.arrays.append(Array(symbol, role, core, active))
        return len(self.arrays) - 1

    def size_of(self, node: Node, index: Index) -> Size:
        """Give a length as a Size, which formulas may hold."""
        size = make_size(f"{index.name}_size")
        self.measure.lengths.equate(size, node, 0)
        return size

    def loops(self, scope: Scope) -> tuple[Loop, ...]:
        """Make loops over the ranges of indices."""
        indices = list(scope)
        return tuple(self._loop(index, r, indices) for index, r in scope.items())

    def _loop(self, index: Index, r: Range, outer: Sequence[sp.Symbol]) -> Loop:
        start = Bound(-1, -1 if r.outer_start is None else outer.index(r.outer_start), r.start)
        if r.outer_stop is not None:
            return Loop(index, start, Bound(-1, outer.index(r.outer_stop), r.offset))
        extent = self.dimensions.extent(r.node, r.offset, index.name)
        return Loop(index, start, Bound(extent.dimension, -1, extent.offset))

    def add(self, stage: Stage, target: int, e: sp.Expr, loops: tuple[Loop, ...], text: str) -> None:
        """Add a nest, after the sums that it reads."""
        reads = Reads(self.arrays)
        value: Any = self._lift(e, loops, reads)
        renamed = reads.renamed()
        value = value.xreplace({old.symbol: new.symbol for old, new in zip(reads.all, renamed, strict=True)})
        ordered = sorted(renamed, key=lambda r: (not self.arrays[r.array].active, r.array, r.axes))
        active = any(self.arrays[r.array].active for r in ordered)
        if stage == "sum":
            array = self.arrays[target]
            self.arrays[target] = Array(array.symbol, array.role, array.core, active)
        self.nests.append(Nest(stage, target, loops, tuple(ordered), value, active, text))

    def _lift(self, e: Any, loops: tuple[Loop, ...], reads: Reads) -> Any:
        """Put symbols for what is read from arrays."""
        numbers = {loop.index: number for number, loop in enumerate(loops)}
        if isinstance(e, sp.Sum):
            array, used = self._sum(e, loops)
            return reads.symbol(array, tuple((numbers[i], 0) for i in used), self.arrays[array].symbol.name)
        if isinstance(e, sp.Indexed):
            symbol, axes = e.base.label, []
            for d, position in enumerate(e.indices):
                index, shift = affine(position, f"the index of {e}")
                origin = self.measure.origins.get((symbol, d), 0)
                axes.append((-1 if index is None else numbers[index], shift + origin))
            return reads.symbol(self._number(symbol), tuple(axes), str(e))
        if isinstance(e, Index):
            if e not in numbers:
                raise SpecError(
                    f"the index {e} stands where it runs over nothing", "sum over it, or index an array with it"
                )
            return e
        if isinstance(e, Size) or not e.free_symbols:
            return e
        if isinstance(e, sp.Symbol):
            return reads.symbol(self._number(e), (), e.name)
        return e.func(*(self._lift(a, loops, reads) for a in e.args))

    def _number(self, symbol: sp.Symbol) -> int:
        return next(i for i, a in enumerate(self.arrays) if a.symbol == symbol)

    def _sum(self, s: sp.Sum, loops: tuple[Loop, ...]) -> tuple[int, list[sp.Symbol]]:
        """Make the array that holds a sum, and the nest that computes it."""
        ranges = sum_ranges(s, [loop.index for loop in loops if isinstance(loop.index, Index)])
        outer = [loop for loop in loops if loop.index in s.free_symbols]
        used = [loop.index for loop in outer]
        key = s, tuple(outer)
        if key not in self._sums:
            if any(loop.start != Bound(-1, -1, 0) or loop.stop.loop >= 0 for loop in outer):
                raise UnsupportedError(
                    f"the sum {s} stands inside a sum whose range depends on an index",
                    "write both as one sum over two indices",
                )
            core = tuple(Extent(loop.stop.dimension, loop.stop.offset) for loop in outer)
            array = self.array(sp.Symbol(f"sum{len(self._sums) + 1}", real=True), "sum", core, False)
            self._sums[key] = array
            inner = list(outer)
            for index, r in ranges:
                inner.append(self._loop(index, r, [loop.index for loop in inner]))
            self.add("sum", array, s.function, tuple(inner), str(s))
        return self._sums[key], used
