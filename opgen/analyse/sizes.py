"""How long every axis is: what indices, sums and sizes say of each other, as equations between lengths."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import sympy as sp

from opgen.analyse.coupled import Extent
from opgen.errors import SpecError, UnsupportedError
from opgen.loading.indexed import Index, Size

Node = Hashable


@dataclass(frozen=True)
class Range:
    """The positions of an index: start <= i < length(node) + offset, or < offset if node is None.

    Where an end depends on an outer index, that one is added in place of the length.
    """

    start: int
    node: Node | None
    offset: int
    outer_start: Index | None = None
    outer_stop: Index | None = None


Scope = dict[Index, Range]


class Lengths:
    """Unknown lengths, some of which differ by a known number (a union-find with offsets)."""

    def __init__(self) -> None:
        self._parent: dict[Node, tuple[Node, int]] = {}
        self._fixed: dict[Node, int] = {}

    def find(self, node: Node) -> tuple[Node, int]:
        """Return the root that a node is measured from, and how much longer the node is."""
        parent, offset = self._parent.get(node, (node, 0))
        if parent == node:
            return node, 0
        root, more = self.find(parent)
        self._parent[node] = root, offset + more
        return self._parent[node]

    def equate(self, a: Node, b: Node | None, offset: int, why: str = "") -> None:
        """Demand length(a) = length(b) + offset; b None: = offset.

        Raises:
            SpecError: another demand says otherwise; `why` tells the user what made this one.
        """
        root, more = self.find(a)
        if b is None:
            self._fix(root, offset - more, more, why)
            return
        other, extra = self.find(b)
        if root == other:
            if more != extra + offset:
                apart = abs(extra + offset - more)
                raise SpecError(
                    f"{why} does not fit: it makes an axis {apart} {'entry' if apart == 1 else 'entries'} longer or "
                    "shorter than it is elsewhere",
                    "check the shifts and the ranges of the sums",
                )
            return
        self._parent[root] = other, extra + offset - more
        if root in self._fixed:
            self._fix(other, self._fixed.pop(root) - (extra + offset - more), extra, why)

    def _fix(self, root: Node, length: int, more: int, why: str) -> None:
        if self._fixed.setdefault(root, length) != length:
            had = self._fixed[root] + more
            raise SpecError(
                f"{why} does not fit: it gives an axis {length + more} entries that has {had} elsewhere",
                "check the ranges of the indices",
            )

    def difference(self, a: Node, b: Node) -> int | None:
        """Return length(a) - length(b), None if nothing ties them."""
        (root, more), (other, extra) = self.find(a), self.find(b)
        return more - extra if root == other else None

    def reroot(self, node: Node) -> None:
        """Measure a node's whole class from this node."""
        root, offset = self.find(node)
        if root == node:
            return
        self._parent[root] = node, -offset
        self._parent[node] = node, 0
        if root in self._fixed:
            self._fixed[node] = self._fixed.pop(root) + offset

    def fixed(self, node: Node) -> int | None:
        """Return a length that is a number."""
        root, offset = self.find(node)
        return self._fixed[root] + offset if root in self._fixed else None


class Dimensions:
    """The named dimensions that lengths are told by."""

    def __init__(self, lengths: Lengths) -> None:
        self.lengths = lengths
        self.names: list[str] = []
        self._numbers: dict[Node, int] = {}
        self._called: dict[Node, str] = {}

    def call(self, node: Node, name: str) -> None:
        """Give the dimension of a length a name, where no Size names it."""
        self._called.setdefault(self.lengths.find(node)[0], name)

    def extent(self, node: Node | None, offset: int, name: str) -> Extent:
        """Give a length as a dimension plus an offset; a dimension that is new is called `name`, or like its Size."""
        if node is None:
            return Extent(-1, offset)
        fixed = self.lengths.fixed(node)
        if fixed is not None:
            return Extent(-1, fixed + offset)
        root, more = self.lengths.find(node)
        if root not in self._numbers:
            self._numbers[root] = len(self.names)
            chosen = root.name if isinstance(root, Size) else self._called.get(root, name)
            while chosen in self.names:
                chosen += "_"
            self.names.append(chosen)
        return Extent(self._numbers[root], more + offset)


def affine(e: sp.Expr, role: str) -> tuple[sp.Symbol | None, int]:
    """Read `symbol + whole number`.

    Raises:
        UnsupportedError: it is anything else.
    """
    constant, rest = sp.expand(e).as_coeff_Add()
    if rest == 0 and constant.is_Integer:
        return None, int(constant)
    if isinstance(rest, (Index, Size)) and constant.is_Integer:
        return rest, int(constant)
    raise UnsupportedError(f"{role} is {e}", "only an index plus or minus a whole number is generated")


def expand_short_sums(e: sp.Expr, limit: int = 16) -> sp.Expr:
    """Write out sums over a few known numbers whose index is added to another, Sum(w[k]*u[i + k], (k, 0, 2))."""

    def shifting(s: Any) -> bool:
        summed = {limit[0] for limit in s.limits}
        positions = [p.free_symbols for access in s.atoms(sp.Indexed) for p in access.indices]
        return any(p & summed and p - summed for p in positions)

    def short(s: Any) -> bool:
        ends = [limit[1:] for limit in s.limits if len(limit) == 3]
        known = all(end.is_Integer for pair in ends for end in pair)
        return known and len(ends) == len(s.limits) and all(0 <= high - low < limit for low, high in ends)

    written: Any = e.replace(lambda s: isinstance(s, sp.Sum) and short(s) and shifting(s), lambda s: s.doit())
    return written


def sum_ranges(s: Any, known: Iterable[Index]) -> list[tuple[Index, Range]]:
    """Read the limits of a sum, the outermost first."""
    found: list[tuple[Index, Range]] = []
    for limit in reversed(s.limits):
        if len(limit) != 3:
            raise SpecError(f"the sum over {limit[0]} has no ends", "give (index, first, last)")
        index, low, high = limit
        visible = {*known, *(i for i, _ in found)}
        first, start = affine(low, f"the first {index} of a sum")
        last, stop = affine(high, f"the last {index} of a sum")
        if isinstance(first, Size):
            raise UnsupportedError(f"a sum over {index} starts at {low}", "start at a number or at an index")
        for end in (first, last):
            if isinstance(end, Index) and end not in visible:
                raise SpecError(
                    f"a sum over {index} ends at {end}, which is no index there",
                    "give a size, or an index around the sum",
                )
        size = last if isinstance(last, Size) else None
        outer_start = first if isinstance(first, Index) else None
        outer_stop = last if isinstance(last, Index) else None
        found.append((index, Range(start, size, stop + 1, outer_start, outer_stop)))
    return found
