"""Which boundary condition holds on which side of which field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import sympy as sp

from opgen.analyse.coupled import Bound, Extent, Kind, Loop, Side
from opgen.errors import SpecError
from opgen.loading.boundary import Condition
from opgen.loading.define import Dirichlet, Neumann, Periodic
from opgen.loading.indexed import Index, make_index
from opgen.loading.spec import Spec, listed

if TYPE_CHECKING:
    from opgen.analyse.nests import Nests

NONE = Side("none", -1, 0)


class Boundaries:
    """The conditions of a definition by field, axis and end.

    Args:
        spec: What the user said.
        axes: The index along each axis of each unknown.

    Raises:
        SpecError: a side is named that the field does not have, or one end of an axis is periodic and the other is not.
    """

    def __init__(self, spec: Spec, axes: Sequence[tuple[Index, ...]]) -> None:
        self.spec, self.axes = spec, axes
        self.sides: list[list[list[Condition | None]]] = [[[None, None] for _ in own] for own in axes]
        for unknown, side, condition in spec.boundary:
            u = spec.unknowns.index(unknown)
            for d, end in self._meant(u, side):
                self.sides[u][d][end] = condition
        for u, own in enumerate(self.sides):
            for d, ends in enumerate(own):
                if len({isinstance(c, Periodic) for c in ends}) > 1:
                    raise SpecError(
                        f"only one end of '{spec.unknowns[u].name}' along {axes[u][d]} is periodic",
                        "both ends of an axis are, or none",
                    )

    def _meant(self, u: int, side: object) -> list[tuple[int, int]]:
        count = len(self.axes[u])
        if side is None:
            return [(d, end) for d in range(count) for end in (0, 1)]
        axis, ends = (side[0], (side[1],)) if isinstance(side, tuple) else (side, (0, 1))
        if isinstance(axis, (int, sp.Integer)):
            d = int(axis)
            if d < count:
                return [(d, end) for end in ends]
        for d, index in enumerate(self.axes[u]):
            if axis in (index, index.name) or getattr(axis, "name", None) == index.name:
                return [(d, end) for end in ends]
        named = f"{'upper' if ends[0] else 'lower'} side of axis {axis}" if isinstance(axis, int) else f"side {side}"
        raise SpecError(
            f"boundary of '{self.spec.unknowns[u].name}' names the {named}, which it does not have",
            f"its indices are {listed(self.axes[u])}",
        )

    def has(self, u: int, d: int, end: int) -> bool:
        """Tell whether an end of an axis has a condition."""
        return self.sides[u][d][end] is not None

    def periodic(self, u: int, d: int) -> bool:
        """Tell whether an axis is closed to a ring."""
        return isinstance(self.sides[u][d][0], Periodic)

    def formulas(self, u: int) -> list[tuple[sp.Expr, int]]:
        """List the expressions of a field's conditions with the axis that each belongs to."""
        found = []
        for d, ends in enumerate(self.sides[u]):
            for c in ends:
                if isinstance(c, Dirichlet):
                    found.append((c.value, d))
                elif isinstance(c, Neumann):
                    found += [(c.slope, d), (c.spacing, d)]
        return found

    @staticmethod
    def of_input(halos: list[tuple[int, int]]) -> tuple[tuple[Side, Side], ...]:
        """Make the sides of an input, which is read outside only along periodic axes."""
        pairs = []
        for low, high in halos:
            kind: Kind = "periodic" if low or high else "none"
            pairs.append((Side(kind, -1, low), Side(kind, -1, high)))
        return tuple(pairs)

    def of_unknown(self, nests: Nests, unknown: int, halos: Sequence[tuple[int, int]]) -> tuple[tuple[Side, Side], ...]:
        """Make both sides of each axis of a field, and the nests that compute their values."""
        return tuple(
            (self._side(nests, unknown, d, 0, low), self._side(nests, unknown, d, 1, high))
            for d, (low, high) in enumerate(halos)
        )

    def _side(self, nests: Nests, u: int, d: int, end: int, halo: int) -> Side:
        condition = self.sides[u][d][end]
        if halo == 0 or condition is None:
            return NONE
        if isinstance(condition, Periodic):
            return Side("periodic", -1, halo)
        distance = make_index("ghost")
        kind, value = _value(condition, distance)
        if value == 0:
            return Side(kind, -1, halo)
        name, own = self.spec.unknowns[u].name, self.axes[u][d]
        scope = {**nests.formulas.scopes[u]}
        for before, index in enumerate(self.axes[u][:d]):
            # Axes are filled one after the other, and this one also where those before it are outside: a formula tells
            # the values in these corners, an array has none there.
            low, high = nests.measure.halo(self.spec.unknowns[u])[before]
            if value.has(index) and not any(a.has(index) for a in value.atoms(sp.Indexed, sp.Sum)):
                scope[index] = replace(scope[index], offset=scope[index].offset + low + high)
                value = value.xreplace({index: index - low})
        if value.has(own):
            outside = -1 - distance if end == 0 else nests.size_of(scope[own].node, own) + distance
            value = value.subs(own, outside)
        along = nests.loops({i: scope[i] for i in self.axes[u] if i != own})
        loops = (Loop(distance, Bound(-1, -1, 0), Bound(-1, -1, halo)), *along)
        core = (Extent(-1, halo), *(Extent(loop.stop.dimension, loop.stop.offset) for loop in along))
        symbol = sp.Symbol(f"{name}_{own.name}_{'low' if end == 0 else 'high'}", real=True)
        array = nests.array(symbol, "boundary", core, False)
        nests.add("boundary", array, value, loops, f"{name} outside {own}: {value}")
        return Side(kind, array, halo)


def _value(condition: Dirichlet | Neumann, distance: Index) -> tuple[Kind, sp.Expr]:
    """Give what a side adds to the mirror image, at a distance of 0, 1, ... points from the grid."""
    if isinstance(condition, Dirichlet):
        return "dirichlet", condition.value
    if condition.at == "face":
        return "face", condition.slope * condition.spacing * (2 * distance + 1)
    return "node", condition.slope * condition.spacing * (2 * distance + 2)
