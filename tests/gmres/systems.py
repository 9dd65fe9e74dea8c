"""Derivatives of batches of systems, from dense matrices that NumPy makes and solves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gmres import compiled
from gmres.compiled import Array, Gradients

OK = 0

Fields = list[Array]


@dataclass(frozen=True)
class Problem:
    """A residual, and auxiliaries, of one system, for complex numbers too.

    `cores` counts the core axes of inputs, unknowns and auxiliaries.
    """

    name: str
    cores: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    residual: Callable[[Fields, Fields], Fields]
    auxiliary: Callable[[Fields, Fields], Fields]

    def outputs(self, x: Fields, y: Fields) -> Fields:
        return [*y, *self.auxiliary(x, y)]


def flat(fields: Fields) -> Array:
    return np.concatenate([np.ravel(f) for f in fields] or [np.zeros(0)])


def unflat(vector: Array, like: Fields) -> Fields:
    parts = np.split(vector, np.cumsum([np.size(f) for f in like])[:-1])
    return [p.reshape(np.shape(f)) for p, f in zip(parts, like, strict=True)]


def jacobian(f: Callable[[Fields], Fields], at: Fields) -> Array:
    """Differentiate by steps into the complex plane, which have no rounding."""
    point, columns = flat(at).astype(complex), []
    for i in range(point.size):
        moved = point.copy()
        moved[i] += 1e-30j
        columns.append(flat(f(unflat(moved, at))).imag / 1e-30)
    return np.array(columns).T


def root(problem: Problem, x: Fields, start: Fields, right: Array | float = 0.0) -> Fields:
    """Solve F(x, y) = right."""
    y = start
    for _ in range(20):
        Fy = jacobian(lambda at: problem.residual(x, at), y)
        step = np.linalg.solve(Fy, flat(problem.residual(x, y)) - right)
        y = unflat(flat(y) - step, y)
        if np.abs(step).max(initial=0) < 1e-13 * (1 + np.abs(flat(y)).max(initial=0)):
            return y
    assert np.abs(step).max() < 1e-10 * (1 + np.abs(flat(y)).max())
    return y


def gradient(problem: Problem, x: Fields, y: Fields, g: Fields) -> Fields:
    Fy, Fx = jacobian(lambda at: problem.residual(x, at), y), jacobian(lambda at: problem.residual(at, y), x)
    Oy, Ox = jacobian(lambda at: problem.outputs(x, at), y), jacobian(lambda at: problem.outputs(at, y), x)
    return unflat(Ox.T @ flat(g) - Fx.T @ np.linalg.solve(Fy.T, Oy.T @ flat(g)), x)


def moved(problem: Problem, x: Fields, y: Fields, v: Fields) -> Fields:
    Fy, Fx = jacobian(lambda at: problem.residual(x, at), y), jacobian(lambda at: problem.residual(at, y), x)
    Oy, Ox = jacobian(lambda at: problem.outputs(x, at), y), jacobian(lambda at: problem.outputs(at, y), x)
    return unflat(Ox @ flat(v) - Oy @ np.linalg.solve(Fy, Fx @ flat(v)), problem.outputs(x, y))


def curved(problem: Problem, x: Fields, y: Fields, g: Fields, v: Fields) -> Fields:
    """Differentiate the gradient along v, by differences of fourth order; F need not be zero at y."""
    total, here = np.zeros(flat(x).size), flat(problem.residual(x, y))
    for steps, weight in ((1, 8), (-1, -8), (2, -1), (-2, 1)):
        ahead = [a + steps * 2e-4 * b for a, b in zip(x, v, strict=True)]
        total += weight / 24e-4 * flat(gradient(problem, ahead, root(problem, ahead, y, here), g))
    return unflat(total, x)


@dataclass(frozen=True)
class Batch:
    """Operands with batch axes, which broadcast."""

    problem: Problem
    x: Fields
    shape: tuple[int, ...]
    y: Fields  # of the full batch

    def system(self, index: tuple[int, ...], operands: Sequence[Array], cores: Sequence[int]) -> Fields:
        full = (np.broadcast_to(a, (*self.shape, *a.shape[a.ndim - r :])) for a, r in zip(operands, cores, strict=True))
        return [np.array(a[index]) for a in full]

    def summed(self, systems: dict[tuple[int, ...], Fields], like: Fields, cores: Sequence[int]) -> Fields:
        """Add up what the systems gave, to the shapes of operands."""
        totals = []
        for i, (array, core) in enumerate(zip(like, cores, strict=True)):
            full = np.zeros((*self.shape, *array.shape[array.ndim - core :]))
            for index, parts in systems.items():
                full[index] = parts[i]
            lead = full.ndim - array.ndim
            full = full.sum(axis=tuple(range(lead)))
            axes = tuple(d for d in range(array.ndim - core) if array.shape[d] == 1 and full.shape[d] != 1)
            totals.append(full.sum(axis=axes, keepdims=True))
        return totals


def call(
    function: Any,
    kind: str,
    batch: Batch,
    groups: Sequence[Sequence[Array | None]],
    sizes: Sequence[int],
    **options: Any,
) -> Gradients:
    """Call the adjoint (with cotangents), tangent (tangents) or second derivative (both) of a batch."""
    inputs, unknowns, auxiliaries = batch.problem.cores
    outputs = (*unknowns, *auxiliaries)
    given = {"adjoint": (outputs,), "tangent": (inputs,), "second": (outputs, inputs)}[kind]
    if kind == "tangent":
        first = (
            batch.system((0,) * len(batch.shape), batch.x, inputs),
            batch.system((0,) * len(batch.shape), batch.y, unknowns),
        )
        shapes = [(*batch.shape, *np.shape(f)) for f in batch.problem.outputs(*first)]
        results = outputs
    else:
        shapes, results = [a.shape for a in batch.x], inputs
    return compiled.run(
        function, (batch.x, batch.y, *groups), shapes,
        cores=(inputs, unknowns, *given, results), sizes=sizes, **options,
    )  # fmt: skip


def cotangents(batch: Batch, rng: np.random.Generator) -> Fields:
    index = (0,) * len(batch.shape)
    inputs, unknowns, _ = batch.problem.cores
    like = batch.problem.outputs(batch.system(index, batch.x, inputs), batch.system(index, batch.y, unknowns))
    return [rng.normal(size=(*batch.shape, *np.shape(f))) for f in like]


def each(
    batch: Batch, f: Callable[..., Fields], *groups: tuple[Fields, Sequence[int]]
) -> dict[tuple[int, ...], Fields]:
    inputs, unknowns, _ = batch.problem.cores
    return {
        index: f(
            batch.problem, batch.system(index, batch.x, inputs), batch.system(index, batch.y, unknowns),
            *(batch.system(index, *group) for group in groups),
        )
        for index in np.ndindex(batch.shape)
    }  # fmt: skip


def check_derivatives(call: Callable[..., Gradients], batch: Batch) -> None:
    """Compare all three derivatives, call(kind, batch, groups), with what dense matrices give."""
    rng = np.random.default_rng(4)
    inputs, unknowns, auxiliaries = batch.problem.cores
    outputs = (*unknowns, *auxiliaries)
    g, v = cotangents(batch, rng), [rng.normal(size=a.shape) for a in batch.x]

    got = call("adjoint", batch, [g])
    assert (got.status, got.failed, got.message) == (OK, 0, "")
    for ours, want in zip(got.values, batch.summed(each(batch, gradient, (g, outputs)), batch.x, inputs), strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-10, atol=1e-11)

    got = call("tangent", batch, [v])
    assert (got.status, got.failed, got.message) == (OK, 0, "")
    for ours, want in zip(got.values, batch.summed(each(batch, moved, (v, inputs)), g, outputs), strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-10, atol=1e-11)

    got = call("second", batch, [g, v])
    assert (got.status, got.failed, got.message) == (OK, 0, "")
    systems = each(batch, curved, (g, outputs), (v, inputs))
    for ours, want in zip(got.values, batch.summed(systems, batch.x, inputs), strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-6, atol=1e-7)
