"""How long every axis is: what each access to an array says about it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import sympy as sp

from opgen.analyse.axes import Formulas, accesses
from opgen.analyse.boundary import Boundaries
from opgen.analyse.sizes import Lengths, Node, Range, Scope, affine, sum_ranges
from opgen.errors import SpecError, UnsupportedError
from opgen.loading.indexed import Index, Size
from opgen.loading.spec import Spec

ONE_PLACE = Range(0, None, 1)


@dataclass(frozen=True)
class Access:
    """Positions start + low, ..., stop - 1 + high of an axis, where start and stop are those of a range.

    Attributes:
        text: The access as the user wrote it.
    """

    range: Range
    low: int
    high: int
    text: str

    @property
    def follows_unknown(self) -> bool:
        """Whether it moves with an index of an equation, not with one of a sum."""
        return isinstance(self.range.node, tuple)


class Measure:
    """The lengths of all axes.

    Attributes:
        lengths: Of the axes ("unknown" or "input", symbol, axis), ("auxiliary", number, axis) and of sizes.
        origins: Where position 0 of an axis of an input lies in its tensor, if it is read before that.
        halos: How far outside its grid an axis is read, below and above.

    Raises:
        SpecError: accesses contradict each other, or leave the grid.
    """

    def __init__(self, spec: Spec, formulas: Formulas, boundaries: Boundaries) -> None:
        self.spec, self.formulas, self.boundaries = spec, formulas, boundaries
        self.lengths = Lengths()
        self.origins: dict[tuple[sp.Symbol, int], int] = {}
        self.halos: dict[tuple[sp.Symbol, int], tuple[int, int]] = {}
        self._declared()
        wanted: dict[tuple[sp.Symbol, int], list[Access]] = defaultdict(list)
        for e, scope in self._scoped():
            self._collect(e, scope, wanted)
        for symbol, d in sorted(wanted, key=lambda axis: (axis[0] not in spec.unknowns, axis[0].name, axis[1])):
            found = wanted[symbol, d]
            if symbol in spec.unknowns:
                self._unknown(symbol, d, found)
            else:
                self._input(symbol, d, found)

    def halo(self, symbol: sp.Symbol) -> list[tuple[int, int]]:
        """Return how far outside each axis of an array is read."""
        return [self.halos.get((symbol, d), (0, 0)) for d in range(self.formulas.ranks.get(symbol, 0))]

    def _declared(self) -> None:
        """Take the ranges with which indices were made: Idx('i', n)."""
        for index, (low, high) in self.formulas.indexing.ranges:
            if low != 0:
                raise UnsupportedError(f"the index {index} starts at {low}", "start it at 0")
            last, more = affine(high, f"the last value of {index}")
            for scope in (*self.formulas.scopes, *self.formulas.auxiliary_scopes):
                if index in scope:
                    self.lengths.equate(scope[index].node, last, more + 1, f"the index {index}")

    def _scoped(self) -> list[tuple[sp.Expr, Scope]]:
        f = self.formulas
        found = [*zip(f.equations, f.scopes, strict=True), *zip(f.auxiliary, f.auxiliary_scopes, strict=True)]
        found += [(g, scope) for g, scope in zip(f.guess, f.scopes, strict=True) if g is not None]
        for u, scope in enumerate(f.scopes):
            for e, axis in self.boundaries.formulas(u):
                own = f.axes[u][axis]
                across = next((str(access) for access in accesses(e) if access.has(own)), None)
                if across is not None:
                    raise SpecError(
                        f"boundary of '{self.spec.unknowns[u].name}' reads {across} along {own}, across the boundary",
                        "an array on a boundary has the indices along the boundary only",
                    )
                found.append((e, {i: r for i, r in scope.items() if i != own}))
        return found

    def _collect(self, e: sp.Basic, scope: Scope, wanted: dict[tuple[sp.Symbol, int], list[Access]]) -> None:
        if isinstance(e, sp.Sum):
            self._collect(e.function, scope | dict(sum_ranges(e, scope)), wanted)
        elif isinstance(e, sp.Indexed):
            for d, position in enumerate(e.indices):
                wanted[e.base.label, d].append(self._access(e, position, scope))
        else:
            for argument in e.args:
                self._collect(argument, scope, wanted)

    def _access(self, e: sp.Indexed, position: sp.Expr, scope: Scope) -> Access:
        index, shift = affine(position, f"the index of {e}")
        if isinstance(index, Size):
            raise UnsupportedError(f"{e} is read at {position}, where {index} is no index", "read it at an index")
        if index is None:
            return Access(ONE_PLACE, shift, shift, str(e))
        if not isinstance(index, Index) or index not in scope:
            raise SpecError(
                f"{e} uses the index {index}, which runs neither over the unknown nor over a sum",
                "sum over it with sympy.Sum, or index the unknown with it",
            )
        r, more = widest(scope[index], scope)
        return Access(r, shift, shift + more, str(e))

    def _unknown(self, symbol: sp.Symbol, d: int, found: Sequence[Access]) -> None:
        u = self.spec.unknowns.index(symbol)
        own: Node = ("unknown", symbol, d)
        closed = [self.boundaries.has(u, d, end) for end in (0, 1)]
        summed: dict[Node | None, list[Access]] = defaultdict(list)
        for a in found:
            if a.follows_unknown:
                self.lengths.equate(own, a.range.node, a.range.offset, a.text)
            elif a.range != ONE_PLACE:
                summed[a.range.node].append(a)
        for node, among in sorted(summed.items(), key=str):
            self._sum_over_unknown(own, node, among, closed[1])
        low = high = 0
        for a in found:
            below, above = -a.low - a.range.start, self._above(own, a)
            if above is None and not closed[1]:
                raise self._fixed_place(a)
            above = a.high if above is None else above
            if (below > 0 and not closed[0]) or (above > 0 and not closed[1]):
                raise SpecError(
                    f"{a.text} is read outside the grid, where '{symbol.name}' is not defined",
                    f"say what it is there: boundary={{{symbol.name}: opgen.Dirichlet(0)}}, opgen.Neumann(0) or "
                    "opgen.Periodic()",
                )
            low, high = max(low, below), max(high, above)
        self.halos[symbol, d] = low, high

    def _sum_over_unknown(self, own: Node, node: Node | None, among: Sequence[Access], closed: bool) -> None:
        """Let a sum say how long an axis is, unless that is known: then it may run over a part of it."""
        known = self.lengths.fixed(own) if node is None else self.lengths.difference(own, node)
        if known is not None:
            return
        ends = [(a.range.offset + max(0, a.high), a.text) for a in among]
        end, text = max(ends)
        # Beyond a closed end it may read what the boundary gives: then the size itself is meant, if it can be.
        if closed and node is not None and min(ends)[0] <= 0 <= end:
            end = 0
        self.lengths.equate(own, node, end, text)

    def _above(self, own: Node, a: Access) -> int | None:
        """Return how far beyond the end of an axis an access reaches, None if that depends on the tensors."""
        node = a.range.node
        length = self.lengths.fixed(own) if node is None else self.lengths.difference(own, node)
        if length is None:
            return 0 if a.range == ONE_PLACE and a.high <= 0 else None
        return max(0, a.range.offset + a.high - length)

    @staticmethod
    def _fixed_place(a: Access) -> UnsupportedError:
        return UnsupportedError(
            f"{a.text} is read at a fixed place, where an axis whose length the tensors decide may end before",
            "read at an index, or at the first place, 0",
        )

    def _input(self, symbol: sp.Symbol, d: int, found: Sequence[Access]) -> None:
        own: Node = ("input", symbol, d)
        periodic = any(self._is_periodic(a.range) for a in found) and any(a.low or a.high for a in found)
        first = min(0, *(a.range.start + a.low for a in found))
        if periodic:
            self.halos[symbol, d] = max(0, *(-a.low for a in found)), max(0, *(a.high for a in found))
            first = 0
        negative = next((a for a in found if a.range == ONE_PLACE and a.low < 0), None)
        if negative is not None:
            raise SpecError(f"{negative.text} is read before the first place", "places are counted from 0")
        self.origins[symbol, d] = -first
        ends: dict[Node | None, tuple[int, str]] = {}
        for a in found:
            node, more = (None, 0) if a.range.node is None else self.lengths.find(a.range.node)
            end = a.range.offset + more + (0 if periodic else max(0, a.high)) - first
            if node not in ends or end > ends[node][0]:
                ends[node] = end, a.text
        fixed = ends.pop(None, None)
        for node, (end, text) in sorted(ends.items(), key=str):
            self.lengths.equate(own, node, end, text)
        if fixed is None:
            return
        if not ends:
            self.lengths.equate(own, None, *fixed)
            return
        length = self.lengths.fixed(own)
        for a in found:
            last = a.high + a.range.offset
            if a.range.node is None and length is None and last > 1:
                raise self._fixed_place(a)
            if a.range.node is None and length is not None and last > length:
                raise SpecError(f"{a.text} is read beyond the {length} entries of its axis", "make the axis longer")

    def _is_periodic(self, r: Range) -> bool:
        if not isinstance(r.node, tuple) or r.node[0] != "unknown":
            return False
        return self.boundaries.periodic(self.spec.unknowns.index(r.node[1]), r.node[2])


def widest(r: Range, scope: Scope) -> tuple[Range, int]:
    """Free a range of the indices that its ends depend on: a range that always holds it but for some places beyond.

    The positions j <= i + 1 of a triangle are those of i itself, and one more.
    """
    start = r.start
    if r.outer_start is not None:
        start += max(0, widest(scope[r.outer_start], scope)[0].start)
    if r.outer_stop is None:
        return Range(start, r.node, r.offset), 0
    outer, more = widest(scope[r.outer_stop], scope)
    return Range(start, outer.node, outer.offset), more + r.offset - 1
