"""What generated code computes for a coupled operator, as text."""

from __future__ import annotations

from dataclasses import dataclass

from opgen.lower.cxx import Code


@dataclass(frozen=True)
class LoopCode:
    """Ends of a loop: (dimension, outer loop, offset) each, -1 where there is none."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]


@dataclass(frozen=True)
class ReadCode:
    """One entry that a formula reads: its name there, which array, and loop and shift along each axis."""

    name: str
    array: int
    axes: tuple[tuple[int, int], ...]
    text: str


@dataclass(frozen=True)
class PlainCode:
    """A number that no derivative is taken by: a loop's index, or (loop -1) a size."""

    name: str
    loop: int
    dimension: int
    offset: int


@dataclass(frozen=True)
class ArrayCode:
    """One array: its name, role, extents as (dimension, offset), and of each axis both sides as (kind, array, halo)."""

    name: str
    role: str
    core: tuple[tuple[int, int], ...]
    active: bool
    sides: tuple[tuple[tuple[str, int, int], tuple[str, int, int]], ...]


@dataclass(frozen=True)
class NestCode:
    """One nest of loops and its formula f with derivatives; a are the reads, t, s and r their tangents.

    Attributes:
        fixed: Values that depend on scalars alone, computed once a system.
        number: Its place among the nests.
        serves: Whether boundary values, equations and auxiliaries need it.
        product: Which reads are M and v of a sum of M[i, j]*v[j], and whether M is read as M[j, i]; -1 if it is none.
        uniform: Per active read whether the derivative by it is the same everywhere.
        value: results: f(a).
        measure: results: f(a), its size.
        linearise: results: f(a), its size, f_a for each active read.
        push: results: f_a t.
        pull: results: f_a for each read.
        second: results: f_a for each read, then f_aa t for each.
        curve: results: f_a r + t f_aa s.
    """

    type: str
    number: int
    serves: tuple[bool, bool, bool]
    stage: str
    target: int
    rank: int
    text: str
    active_formula: bool
    loops: tuple[LoopCode, ...]
    reads: tuple[ReadCode, ...]
    active: int
    plain: tuple[PlainCode, ...]
    product: tuple[int, int, bool]
    uniform: tuple[bool, ...]
    fixed: Code
    value: Code
    measure: Code
    linearise: Code
    push: Code
    pull: Code
    second: Code
    curve: Code


@dataclass(frozen=True)
class Nests:
    """The loops of a coupled operator, in the order in which they are computed, and what was found about them."""

    kind: str
    method: str  # "band", "stencil" or "dense": how F_y is held
    pattern: str  # of F_y, in words
    solver: str  # of its systems, in words
    conditions: tuple[tuple[str, str, str, str], ...]  # unknown, axis, what holds below and above its grid
    symmetric: bool
    arrays: tuple[ArrayCode, ...]
    nests: tuple[NestCode, ...]
