"""Coupled operators as ATen text: what is printed, and that its derivatives are those of the formulas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from gmres import compiled, systems
from gmres.compiled import Array, Gradients
from gmres.systems import Batch, Fields, Problem, check_derivatives

from opgen.analyse.analyse import analyse
from opgen.analyse.coupled import Bound, CoupledModel, Nest, Side
from opgen.loading.file import load_file
from opgen.lower.aten_coupled import aten_nests
from opgen.lower.lower import lower
from opgen.render.aten_coupled import coupled_aten_view
from opgen.render.render import fill

FORMULAS = Path(__file__).parent / "gmres" / "formulas.py"
NAMES = re.findall(r"^(\w+) = (?:Implicit|Explicit)\(", FORMULAS.read_text(), re.MULTILINE)
EXTENTS = {"i": 4, "j": 3, "k": 2, "n": 5, "m": 3, "A1": 4}


@cache
def models() -> dict[str, CoupledModel]:
    made = [analyse(spec) for spec in load_file(FORMULAS).specs]
    return {model.spec.name: model for model in made if isinstance(model, CoupledModel)}


@cache
def source(name: str) -> str:
    model = models()[name]
    return fill("src/coupled_aten.cc.jinja", coupled_aten_view(lower(model), aten_nests(model), ("Made by a test.",)))


# The text.


def body(name: str, function: str) -> list[str]:
    """The statements of one function."""
    inside = source(name).split(f"\nat::Tensor {function}(", 1)[1].split("\n", 1)[1].split("\n}\n", 1)[0]
    return [line.strip() for line in inside.split("\n")]


def test_a_stencil_reads_like_its_formula() -> None:
    assert body("line", "residual_u") == [
        "const Loops loops{{0, of.i}};",
        "const at::Tensor u_im1 = read(of.u, loops, {{0, -1}});",
        "const at::Tensor u = read(of.u, loops, {{0}});",
        "const at::Tensor u_ip1 = read(of.u, loops, {{0, 1}});",
        "const at::Tensor c = read(of.c, loops, {{0}});",
        "const at::Tensor h = read(of.h, loops);",
        "return c * pow(h, 2) * exp(u) + u_im1 + u_ip1 - 2 * u;",
    ]
    assert "// The residual of u[i]: h**2*exp(u[i])*c[i] + u[i + 1] + u[i - 1] - 2*u[i]\n" in source("line")
    assert "of.u = extended(of.u, 0, {Outside::dirichlet, 1}, {Outside::dirichlet, 1});" in source("line")


@pytest.mark.parametrize(
    ("name", "function", "result"),
    [
        ("layer", "sum1", "contract({X, U}, loops, 1)"),
        ("cubic", "sum1", "contract({sin(z_k), T, z_j}, loops, 1)"),
        ("chained", "sum1", "contract({z, B, A}, loops, 1)"),
        ("both", "sum1", "contract({z, A}, loops, 1) + contract({-2 * pow(z, 2), B, a}, loops, 1)"),
        ("kernel", "sum1", "contract({pow(z, 2), exp(-abs(i - j) / n)}, loops, 1)"),
        ("upper", "sum1", "contract({x * z, within1.to(at::kDouble)}, loops, 1)"),
        ("apart", "sum1", "sum(pow(z_j - z_i, 2), loops, 1)"),
        ("softmax", "sum1", "sum(exp(z), loops, 0)"),
    ],
)
def test_products_in_sums_are_contracted(name: str, function: str, result: str) -> None:
    assert body(name, function)[-1] == f"return {result};"


def test_what_a_loop_does_not_reach_is_not_evaluated() -> None:
    assert "const at::Tensor A = only(within1, read(of.A, loops, {{0}, {1}}));" in body("lower", "sum1")
    assert "const at::Tensor t0 = piecewise(" in body("repelled", "sum1")


# The derivatives, against the formulas evaluated one entry after the other.


class Interpreter:
    """Evaluates the nests of a model for one system."""

    def __init__(self, model: CoupledModel, extents: dict[str, int]) -> None:
        self.model = model
        self.first, self.end = len(model.inputs), len(model.inputs) + len(model.unknowns)
        self.extents = [extents[name] for name in model.dimensions]
        plain = [s for s, _ in model.sizes]
        self.compiled = [
            sp.lambdify([*(r.symbol for r in n.reads), *(p.index for p in n.loops), *plain], n.value, "numpy")
            for n in model.nests
        ]
        self.plain = [self.extent(e.dimension, e.offset) for _, e in model.sizes]

    def extent(self, dimension: int, offset: int) -> int:
        return offset + (self.extents[dimension] if dimension >= 0 else 0)

    def shape(self, array: int) -> tuple[int, ...]:
        return tuple(self.extent(e.dimension, e.offset) for e in self.model.arrays[array].core)

    def bound(self, bound: Bound, index: Sequence[int]) -> int:
        return self.extent(bound.dimension, bound.offset) + (index[bound.loop] if bound.loop >= 0 else 0)

    def positions(self, nest: Nest, index: tuple[int, ...] = ()) -> Any:
        if len(index) == len(nest.loops):
            yield index
            return
        loop = nest.loops[len(index)]
        for i in range(self.bound(loop.start, index), self.bound(loop.stop, index)):
            yield from self.positions(nest, (*index, i))

    def entry(self, arrays: dict[int, Array], number: int, at: tuple[int, ...]) -> Any:
        """One entry of an array, also outside its grid."""
        shape = self.shape(number)
        for axis in range(len(shape) - 1, -1, -1):
            if 0 <= at[axis] < shape[axis]:
                continue
            n, low = shape[axis], at[axis] < 0
            side: Side = self.model.boundary[number][axis][0 if low else 1]
            distance = -at[axis] - 1 if low else at[axis] - n
            total: Any = 0.0
            if side.kind != "dirichlet":
                mirrored = distance + (side.kind == "node")
                image = at[axis] % n if side.kind == "periodic" else mirrored if low else n - 1 - mirrored
                total = self.entry(arrays, number, (*at[:axis], image, *at[axis + 1 :]))
            if side.array >= 0:
                others = [np.clip(p, 0, m - 1) for d, (p, m) in enumerate(zip(at, shape, strict=True)) if d != axis]
                total = total + arrays[side.array][(distance, *others)]
            return total
        return arrays[number][at]

    def run(self, x: Fields, y: Fields, stage: str) -> Fields:
        arrays = dict(enumerate([*x, *y]))
        kind = np.result_type(*x, *y)
        for number, nest in enumerate(self.model.nests):
            if nest.stage not in ("boundary", "sum", stage):
                continue
            target = nest.target if nest.stage in ("boundary", "sum") else -1 - nest.target
            arrays[target] = np.zeros(self.shape(nest.target), kind)
            for index in self.positions(nest):
                reads = [
                    self.entry(arrays, r.array, tuple(s + (index[loop] if loop >= 0 else 0) for loop, s in r.axes))
                    for r in nest.reads
                ]
                value = self.compiled[number](*reads, *index, *self.plain)
                arrays[target][index[: nest.rank(self.model.arrays)]] += value
        return [arrays[-1 - n.target] for n in self.model.nests if n.stage == stage]

    def residual(self, x: Fields, y: Fields) -> Fields:
        values = self.run(x, y, "equation")
        return [a - b for a, b in zip(y, values, strict=True)] if self.model.explicit else values

    def problem(self) -> Problem:
        arrays = self.model.arrays
        auxiliary = tuple(len(a.core) for a in arrays if a.role == "auxiliary")
        return Problem(
            self.model.spec.name,
            (
                tuple(len(a.core) for a in arrays[: self.first]),
                tuple(len(a.core) for a in arrays[self.first : self.end]),
                auxiliary,
            ),
            self.residual,
            lambda x, y: self.run(x, y, "auxiliary") if auxiliary else [],
        )


@cache
def library() -> Any:
    return compiled.together({name: source(name) for name in NAMES})


def check(name: str, extents: dict[str, int], alone: int = 0) -> None:
    """Compare the derivatives of two systems that share every second input."""
    interpreter = Interpreter(models()[name], extents)
    problem, rng = interpreter.problem(), np.random.default_rng(len(name))
    n, k = interpreter.first, interpreter.end
    shapes = [interpreter.shape(i) for i in range(k)]
    x = [rng.uniform(0.1, 0.4, ((2,) if i % 2 == alone else ()) + shapes[i]) for i in range(n)]
    leading = (2,) if n > alone else ()
    y = [rng.uniform(0.2, 0.8, leading + shape) for shape in shapes[n:]]
    if interpreter.model.explicit:
        batch = Batch(problem, x, leading, y)
        for index in product(*map(range, leading)):
            values = interpreter.run(batch.system(index, x, problem.cores[0]), [f[index] for f in y], "equation")
            for field, value in zip(y, values, strict=True):
                field[index] = value

    def call(kind: str, batch: Batch, groups: Any, **options: Any) -> Gradients:
        function = getattr(library(), f"{kind}_{name}")
        return systems.call(function, kind, batch, groups, interpreter.extents, **options)

    check_derivatives(call, Batch(problem, x, leading, y))


@pytest.mark.compiler
@pytest.mark.parametrize("alone", [0, 1])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_the_formulas(name: str, alone: int) -> None:
    check(name, EXTENTS, alone)


@pytest.mark.compiler
@pytest.mark.parametrize("name", ["line", "ends", "ring", "faces", "pair", "layer", "lower", "repelled", "held"])
def test_grids_of_one_point(name: str) -> None:
    check(name, dict.fromkeys(EXTENTS, 1))
