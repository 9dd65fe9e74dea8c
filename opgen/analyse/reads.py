"""What a formula reads of arrays, and what it is called in there."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import sympy as sp

from opgen.analyse.coupled import Array, Read


class Reads:
    """The entries that one formula reads, each once.

    Attributes:
        all: In the order in which they were met.
    """

    def __init__(self, arrays: Sequence[Array]) -> None:
        self._arrays = arrays
        self._met: dict[object, Read] = {}

    @property
    def all(self) -> tuple[Read, ...]:
        """Return every read."""
        return tuple(self._met.values())

    def symbol(self, array: int, axes: tuple[tuple[int, int], ...], text: str) -> sp.Symbol:
        """Return what stands for an entry."""
        key = array, axes
        if key not in self._met:
            self._met[key] = Read(self._like(sp.Dummy, f"r{len(self._met)}", array), array, axes, text)
        return self._met[key].symbol

    def _like(self, kind: type[sp.Symbol], name: str, array: int) -> sp.Symbol:
        return kind(name, real=True, positive=True if self._arrays[array].symbol.is_positive else None)

    def renamed(self) -> tuple[Read, ...]:
        """Call reads after what they read: u, u_im1, u_ip1, or z_i and z_j where indices differ."""
        counts = Counter(r.array for r in self.all)
        loops: dict[int, set[tuple[int, ...]]] = defaultdict(set)
        for r in self.all:
            loops[r.array].add(tuple(loop for loop, _ in r.axes))
        named: list[Read] = []
        taken: set[str] = set()
        for r in self.all:
            parts = []
            places = r.text.partition("[")[2].rstrip("]").split(",") if counts[r.array] > 1 and r.axes else []
            for place in places:
                word = place.strip().replace(" ", "").replace("+", "p").replace("-", "m")
                if len(loops[r.array]) > 1 or not word.isidentifier() or len(word) > 1:
                    parts.append(word)
            name = "_".join([self._arrays[r.array].symbol.name, *parts])
            while name in taken:
                name += "_"
            taken.add(name)
            named.append(Read(self._like(sp.Symbol, name, r.array), r.array, r.axes, r.text))
        return tuple(named)
