"""What the template of a coupled operator's kernel sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opgen.lower.cxx import Code, string
from opgen.lower.nests import ArrayCode, LoopCode, NestCode, ReadCode
from opgen.lower.program import Program

# Name, parameters after the reads, and what its results are.
FUNCTIONS = (
    ("value", "", "f"),
    ("measure", "[[maybe_unused]] const Real* of, ", "f, and the size of its terms; `of` has the sizes of sums"),
    ("linearise", "[[maybe_unused]] const Real* of, ", "f, its size, and f_a for each active read a"),
    ("push", "[[maybe_unused]] const Real* t, ", "f_a t"),
    ("pull", "", "f_a for each read"),
    ("second", "[[maybe_unused]] const Real* t, ", "f_a for each read, then f_aa t"),
    (
        "curve",
        "[[maybe_unused]] const Real* t, [[maybe_unused]] const Real* s, [[maybe_unused]] const Real* r, ",
        "f_a r + t f_aa s",
    ),
)
OUTSIDE = {"none": "none", "dirichlet": "dirichlet", "face": "face", "node": "node", "periodic": "periodic"}
MAX_RANK = 4


@dataclass(frozen=True)
class FunctionView:
    """One function of a nest."""

    name: str
    parameters: str
    text: str
    code: Code


@dataclass(frozen=True)
class EntryView:
    """A constant of a table, and what it stands for."""

    initialiser: str
    text: str
    name: str


@dataclass(frozen=True)
class NestView:
    """The holes of one nest."""

    type: str
    number: int
    text: str
    stage: str
    target: int
    rank: int
    loops: tuple[str, ...]
    reads: tuple[EntryView, ...]
    names: tuple[str, ...]
    numbers: tuple[str, ...]
    active: int
    plain: tuple[str, ...]
    product: str
    uniform: tuple[str, ...]
    active_formula: str
    of_boundary: str
    of_equation: str
    of_auxiliary: str
    fixed: Code
    functions: tuple[FunctionView, ...]


@dataclass(frozen=True)
class CoupledView:
    """The holes of coupled_kernel.cc."""

    banner: tuple[str, ...]
    op: str
    equations: tuple[str, ...]
    type: str
    name_literal: str
    input_literals: tuple[str, ...]
    dimension_literals: tuple[str, ...]
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    dimension_names: tuple[str, ...]
    explicit: str
    linear: str
    symmetric: str
    method: str
    max_iterations: int
    tol: str
    arrays: tuple[EntryView, ...]
    nests: tuple[NestView, ...]


def coupled_view(program: Program, banner: tuple[str, ...], type_name: str) -> CoupledView:
    """Fit a program to the template of a coupled operator's kernel.

    Raises:
        ValueError: the program is that of a pointwise operator.
    """
    if program.nests is None:
        raise ValueError(f"{program.name} is not coupled")
    arrays = program.nests.arrays
    return CoupledView(
        banner=banner,
        op=program.name,
        equations=tuple(" ".join(e.split()).rstrip("\\") for e in program.mathematics.equations),
        type=type_name,
        name_literal=string(program.name),
        input_literals=tuple(map(string, program.input_names)),
        dimension_literals=tuple(map(string, program.dimension_names)) or ('""',),
        inputs=program.inputs,
        unknowns=program.unknowns,
        auxiliaries=program.auxiliaries,
        dimension_names=program.dimension_names,
        explicit=_bool(program.explicit),
        linear=_bool(program.linear),
        symmetric=_bool(program.nests.symmetric),
        method=program.nests.method,
        max_iterations=program.max_iterations,
        tol=repr(program.tol or 0.0),
        arrays=tuple(EntryView(_array(a), "", a.name) for a in arrays),
        nests=tuple(_nest(nest, arrays) for nest in program.nests.nests),
    )


def _nest(nest: NestCode, arrays: Sequence[ArrayCode]) -> NestView:
    boundary, equation, auxiliary = map(_bool, nest.serves)
    # A formula without indices is computed once: by a loop of one turn.
    loops = nest.loops or (LoopCode((-1, -1, 0), (-1, -1, 1)),)
    numbers = tuple(f"{{{p.loop}, {{{p.dimension}, {p.offset}}}}}" for p in nest.plain)
    code = {name: getattr(nest, name) for name, _, _ in FUNCTIONS}
    return NestView(
        type=nest.type,
        number=nest.number,
        text=" ".join(nest.text.split()).rstrip("\\"),
        stage=nest.stage,
        target=nest.target,
        rank=nest.rank,
        loops=tuple(f"{_triple(p.start)}, {_triple(p.stop)}" for p in loops),
        reads=tuple(EntryView(_read(r), " ".join(r.text.split()).rstrip("\\"), r.name) for r in nest.reads),
        names=(*(r.name for r in nest.reads), *(p.name for p in nest.plain)),
        numbers=numbers or ("{-1, {-1, 0}}",),
        active=nest.active,
        plain=tuple(p.name for p in nest.plain),
        product=f"{nest.product[0]}, {nest.product[1]}, {_bool(nest.product[2])}",
        uniform=tuple(map(_bool, nest.uniform)) or ("false",),
        active_formula=_bool(nest.active_formula),
        of_boundary=boundary,
        of_equation=equation,
        of_auxiliary=auxiliary,
        fixed=nest.fixed,
        functions=tuple(FunctionView(name, parameters, text, code[name]) for name, parameters, text in FUNCTIONS),
    )


def _read(read: ReadCode) -> str:
    loops = ", ".join(str(loop) for loop, _ in read.axes)
    shifts = ", ".join(str(shift) for _, shift in read.axes)
    return f"{read.array}, {{{loops}}}, {{{shifts}}}"


def _array(array: ArrayCode) -> str:
    axes = ", ".join(f"{{{dimension}, {offset}}}" for dimension, offset in array.core)
    none = ("none", -1, 0)
    sides = [*array.sides, *[(none, none)] * (MAX_RANK - len(array.sides))]
    ends = [", ".join(f"{{Outside::{kind}, {of}, {halo}}}" for kind, of, halo in pair) for pair in sides]
    pairs = ", ".join(f"{{{pair}}}" for pair in ends)
    return f"Role::{array.role}, {{{len(array.core)}, {{{axes}}}}}, {_bool(array.active)}, {{{pairs}}}"


def _triple(bound: tuple[int, int, int]) -> str:
    return "{" + ", ".join(map(str, bound)) + "}"


def _bool(value: bool) -> str:
    return "true" if value else "false"
