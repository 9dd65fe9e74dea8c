"""The mathematics of an operator whose unknowns are coupled: loops over arrays, and formulas of what they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sympy as sp

from opgen.loading.spec import Spec

Role = Literal["input", "unknown", "boundary", "sum", "auxiliary"]
Stage = Literal["boundary", "sum", "equation", "guess", "auxiliary"]
Kind = Literal["dirichlet", "face", "node", "periodic", "none"]


@dataclass(frozen=True)
class Extent:
    """A length: the size of a named dimension plus an offset; of dimension -1, the offset alone."""

    dimension: int
    offset: int


@dataclass(frozen=True)
class Bound:
    """An end of a loop: the size of a dimension, plus the position of an outer loop, plus an offset; -1: without it."""

    dimension: int
    loop: int
    offset: int


@dataclass(frozen=True)
class Loop:
    """Positions start <= index < stop."""

    index: sp.Symbol
    start: Bound
    stop: Bound


@dataclass(frozen=True)
class Array:
    """Numbers that a nest reads or makes, for each system of the batch.

    Attributes:
        symbol: Its name; that of an input or unknown is the user's.
        role: Where it comes from; an unknown may be read outside its grid, where its boundary conditions hold.
        core: Its extents.
        active: Whether it depends on the unknowns.
    """

    symbol: sp.Symbol
    role: Role
    core: tuple[Extent, ...]
    active: bool


@dataclass(frozen=True)
class Read:
    """One entry of an array, as a formula reads it.

    Attributes:
        symbol: What stands for it in the formula.
        array: Which array.
        axes: For each axis of the array the loop that runs along it (-1: none) and what is added to its position.
        text: How the user wrote it, u[i - 1].
    """

    symbol: sp.Symbol
    array: int
    axes: tuple[tuple[int, int], ...]
    text: str


@dataclass(frozen=True)
class Nest:
    """target[loops] = value, or += if there are more loops than the target has axes: those are summed over.

    The formula is made of the reads' symbols, the loops' indices, and sizes.
    """

    stage: Stage
    target: int
    loops: tuple[Loop, ...]
    reads: tuple[Read, ...]
    value: sp.Expr
    active: bool
    text: str

    def rank(self, arrays: tuple[Array, ...]) -> int:
        """Count the loops that are not summed over."""
        return len(arrays[self.target].core)


@dataclass(frozen=True)
class Side:
    """What an unknown is outside one end of an axis.

    Attributes:
        kind: "dirichlet": the boundary array's value; "face" and "node": the mirror image about the face outside the
            last point, or about the last point, plus the array's value; "periodic": the other end; "none": never read.
        array: The boundary array, [distance from the grid, other axes...]; -1: zero.
        halo: How far outside it is read.
    """

    kind: Kind
    array: int
    halo: int


@dataclass(frozen=True)
class CoupledModel:
    """An operator's nests and what was found about them.

    Attributes:
        spec: What the user said.
        kind: "field": coupled through shifts alone; "dense": through sums; "explicit": y = f(x).
        linear: Whether F is linear in the unknowns.
        symmetric: Whether F_y is, by its formulas.
        dimensions: Names of the sizes that tensors decide.
        sizes: Each Size in a formula and what it is.
        arrays: Inputs, unknowns, auxiliaries, then boundary values and sums.
        nests: In the order in which they are computed: boundary values and sums before what reads them. The equations'
            targets are the unknowns' numbers: F has their shapes. An explicit operator's are values, not residuals.
        boundary: Per unknown and axis, both sides.
        defaults: Whether each unknown starts from zero (True) or from a guess nest.
        warnings: What the user should know before compiling.
    """

    spec: Spec
    kind: Literal["field", "dense", "explicit"]
    linear: bool
    symmetric: bool
    dimensions: tuple[str, ...]
    sizes: tuple[tuple[sp.Symbol, Extent], ...]
    inputs: tuple[sp.Symbol, ...]
    unknowns: tuple[sp.Symbol, ...]
    arrays: tuple[Array, ...]
    nests: tuple[Nest, ...]
    boundary: tuple[tuple[tuple[Side, Side], ...], ...]
    sample: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]

    @property
    def explicit(self) -> bool:
        """Whether y is a formula of x, so that nothing is solved."""
        return self.kind == "explicit"
