"""Every coupled operator of the zoo: roots, derivatives of first and second order, batches, failures, against NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import coupled_reference as reference
import numpy as np
import pytest
from coupled_kernel import CoupledKernel, KernelError
from coupled_reference import flat, unflat
from coupled_zoo import PROBLEMS, Fields, Problem

pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("coupled_zoo")]
ROOTS = [name for name, problem in PROBLEMS.items() if problem.regular]
SOLVED = [name for name in ROOTS if not name.startswith(("product", "squash"))]


@dataclass(frozen=True)
class Species:
    """A problem, its kernel, and one system of it at its root."""

    name: str
    problem: Problem
    kernel: CoupledKernel
    x: Fields
    outputs: Fields

    @property
    def y(self) -> Fields:
        return self.outputs[: self.kernel.k]


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def species(request: pytest.FixtureRequest, coupled_kernels: dict[str, CoupledKernel]) -> Species:
    """A problem by its name, at the root that the reference finds."""
    name = request.param
    problem = PROBLEMS[name]
    x = problem.draw(rng(1))
    y = reference.root(problem, x) if problem.regular else problem.start(x)
    return Species(name, problem, coupled_kernels[name], x, reference.outputs(problem, x, y))


def every(names: list[str]) -> Any:
    return pytest.mark.parametrize("species", names, indirect=True)


def like(fields: Fields, seed: int) -> Fields:
    """Draw directions of the fields' shapes."""
    return [rng(seed + i).standard_normal(np.shape(f)) for i, f in enumerate(fields)]


def relative(fields: Fields, seed: int) -> Fields:
    """Draw directions of the fields' shapes and sizes."""
    return [d * max(np.abs(f).max(), 1e-300) for d, f in zip(like(fields, seed), fields, strict=True)]


def close(found: Any, expected: Any, tolerance: float) -> None:
    """Compare in units of the largest number expected."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        size = max(np.abs(b).max(initial=0), 1e-300)
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * size)


def stacked(problem: Problem, count: int, seed: int = 11) -> list[Fields]:
    return [problem.draw(rng(seed + b)) for b in range(count)]


def batch(systems: list[Fields]) -> Fields:
    return [np.stack(operands) for operands in zip(*systems, strict=True)]


# One system.


@every(ROOTS)
def test_roots_are_the_reference_s(species: Species) -> None:
    solved = species.kernel.solve(species.x)
    assert solved.converged
    assert solved.message == ""
    assert solved.iterations <= 15
    close(solved.outputs, species.outputs, 1e-11)
    assert solved.norm == pytest.approx(
        0
        if species.kernel.interface.EXPLICIT
        else np.linalg.norm(flat(species.problem.residual(species.x, solved.outputs[: species.kernel.k]))),
        abs=1e-10,
    )


@every(list(PROBLEMS))
def test_residual_anywhere(species: Species) -> None:
    y = like(species.y, 3)
    if species.name == "logarithm":
        y = [np.abs(y[0])]
    close(species.kernel.residual(species.x, y), species.problem.residual(species.x, y), 1e-13)


@every(list(PROBLEMS))
def test_residual_products_anywhere(species: Species) -> None:
    """c^T F' and F' t, with and without some of the arguments."""
    kernel, problem, x = species.kernel, species.problem, species.x
    y = like(species.y, 3)
    if species.name == "logarithm":
        y = [np.abs(y[0])]
    slopes = np.hstack([reference.by_inputs(problem, x, y), reference.by_unknowns(problem, x, y)])
    at = [*x, *y]
    t, c = like(at, 4), like(y, 5)
    close(kernel.residual_tangent(x, y, t), unflat(slopes @ flat(t), y), 1e-12)
    close(kernel.residual_pullback(x, y, c), unflat(flat(c) @ slopes, at), 1e-12)
    for only in range(len(at)):
        alone = [a if i == only else None for i, a in enumerate(t)]
        filled = [a if i == only else 0 * a for i, a in enumerate(t)]
        close(kernel.residual_tangent(x, y, alone), unflat(slopes @ flat(filled), y), 1e-12)
        found = kernel.residual_pullback(x, y, c, wanted=lambda i, only=only: i == only)
        close([found[only]], [unflat(flat(c) @ slopes, at)[only]], 1e-12)
    missing = [None, *c[1:]]
    expected = unflat(flat([0 * c[0], *c[1:]]) @ slopes, at)
    close(kernel.residual_pullback(x, y, missing), expected, 1e-12)


@every(ROOTS)
def test_first_derivatives(species: Species) -> None:
    """Adjoint and tangent against the dense matrix, and each argument absent in turn."""
    kernel, x, y, outputs = species.kernel, species.x, species.y, species.outputs
    D = reference.derivative(species.problem, x, y)
    v, g = like(x, 6), like(outputs, 7)
    tangents, gradients = kernel.tangent(x, y, v), kernel.adjoint(x, y, g)
    close(tangents, unflat(D @ flat(v), outputs), 1e-9)
    close(gradients, unflat(flat(g) @ D, x), 1e-9)
    forward, backward = flat(g) @ flat(tangents), flat(gradients) @ flat(v)
    assert forward == pytest.approx(backward, rel=1e-10, abs=1e-11 * np.abs(flat(gradients)) @ np.abs(flat(v)))
    for only in range(len(x)):
        alone = [a if i == only else None for i, a in enumerate(v)]
        filled = [a if i == only else 0 * a for i, a in enumerate(v)]
        close(kernel.tangent(x, y, alone), unflat(D @ flat(filled), outputs), 1e-9)
        found = kernel.adjoint(x, y, g, wanted=lambda i, only=only: i == only)
        assert [a is None for a in found] == [i != only for i in range(len(x))]
        np.testing.assert_array_equal(found[only], gradients[only])
    for only in range(len(outputs)):
        alone = [a if i == only else None for i, a in enumerate(g)]
        filled = [a if i == only else 0 * a for i, a in enumerate(g)]
        close(kernel.adjoint(x, y, alone), unflat(flat(filled) @ D, x), 1e-9)


@every(ROOTS)
def test_second_derivatives(species: Species) -> None:
    """Against differences of the reference; symmetric; and the same product from both sides."""
    kernel, problem, x, y = species.kernel, species.problem, species.x, species.y
    y = species.kernel.solve(x).outputs[: kernel.k]
    g, v, w = like(species.outputs, 7), relative(x, 8), relative(x, 9)
    along_v, along_w = kernel.second(x, y, g, v), kernel.second(x, y, g, w)
    for only, own in enumerate(w):
        direction = [own if i == only else 0 * a for i, a in enumerate(x)]
        expected = reference.second(problem, x, y, g, v, direction)
        size = np.abs(along_v[only]).ravel() @ np.abs(own).ravel()
        assert np.vdot(along_v[only], own) == pytest.approx(
            expected, rel=1e-7, abs=1e-8 * size + 1e-9 * np.abs(flat(g) @ flat(species.outputs))
        )
    one, other = flat(along_v) @ flat(w), flat(along_w) @ flat(v)
    scale = np.abs(flat(along_v)) @ np.abs(flat(w)) + 1e-300
    assert one == pytest.approx(other, abs=1e-10 * scale)
    curved = kernel.curvature(x, y, v, w)
    assert flat(g) @ flat(curved) == pytest.approx(one, abs=1e-10 * scale)
    close(kernel.curvature(x, y, w, v), curved, 1e-10)
    if len(x) > 1:  # arguments that are absent are zeros
        some, zero = [v[0], *(None for _ in x[1:])], [v[0], *(0 * a for a in v[1:])]
        close(kernel.second(x, y, g, some), kernel.second(x, y, g, zero), 1e-13)
        close(kernel.curvature(x, y, some, w), kernel.curvature(x, y, zero, w), 1e-13)
    first = [g[0], *(None for _ in g[1:])]
    close(kernel.second(x, y, first, v), kernel.second(x, y, [g[0], *(0 * a for a in g[1:])], v), 1e-13)


@every(SOLVED)
def test_the_preconditioner_is_near_the_inverse(species: Species) -> None:
    kernel, x, y = species.kernel, species.x, species.y
    J = reference.by_unknowns(species.problem, x, y)
    r = rng(3).standard_normal((2, len(J)))
    with kernel.preconditioner([np.stack([a, a]) for a in x], [np.stack([b, b]) for b in y]) as apply:
        z, transposed = apply(r), apply(r, True)
    assert np.linalg.norm(z @ J.T - r) <= 0.5 * np.linalg.norm(r)
    assert np.linalg.norm(transposed @ J - r) <= 0.5 * np.linalg.norm(r)
    # Both are of one matrix.
    assert z[0] @ r[1] == pytest.approx(r[0] @ transposed[1], rel=1e-9, abs=1e-9 * np.abs(z[0]) @ np.abs(r[1]))


@every(SOLVED)
def test_roots_are_isolated(species: Species) -> None:
    kernel, x, y = species.kernel, species.x, species.y
    assert kernel.isolated(x, y)
    elsewhere = [b + 1 for b in y]
    assert not kernel.isolated(x, elsewhere)
    # Where there is no root there is no derivative: no gradient, no tangent.
    for gradient in kernel.adjoint(x, elsewhere, like(species.outputs, 3)):
        assert not gradient.any()
    for tangent in kernel.tangent(x, elsewhere, like(x, 3)):
        assert not tangent.any()


@every(ROOTS)
def test_warm_starts(species: Species) -> None:
    """From the root nothing is left to do; from nearby the same root is found."""
    kernel, x = species.kernel, species.x
    if kernel.interface.EXPLICIT:
        return
    again = kernel.solve(x, initial=species.y)
    assert again.iterations <= 2
    close(again.outputs, species.outputs, 1e-11)
    near = kernel.solve(x, initial=[b * 1.01 + 1e-3 for b in species.y])
    close(near.outputs, species.outputs, 1e-11)
    assert near.iterations <= kernel.solve(x).iterations + 2


# Batches.


@every(ROOTS)
def test_a_batch_is_its_systems(species: Species) -> None:
    """Every result of a batch is bitwise that of its systems one by one, whatever threads, memory order and strides."""
    kernel, problem = species.kernel, species.problem
    systems = stacked(problem, 5)
    x = batch(systems)
    solved = kernel.solve(x)
    assert solved.converged.all()
    y = solved.outputs[: kernel.k]
    v, w, g, t, c = like(x, 1), like(x, 2), like(solved.outputs, 3), like([*x, *y], 4), like(y, 5)

    def results(x: Fields, y: Fields, pick: Any, **options: Any) -> list[Any]:
        v_, w_, g_, t_, c_ = ([a[pick] for a in group] for group in (v, w, g, t, c))
        return [
            *kernel.solve(x, **options).outputs,
            *kernel.residual(x, y, **options),
            *kernel.adjoint(x, y, g_, **options),
            *kernel.tangent(x, y, v_, **options),
            *kernel.second(x, y, g_, v_, **options),
            *kernel.curvature(x, y, v_, w_, **options),
            *kernel.residual_tangent(x, y, t_, **options),
            *kernel.residual_pullback(x, y, c_, **options),
        ]

    everything = slice(None)
    whole = results(x, y, everything)
    for b, alone in enumerate(systems):
        single = results(alone, [a[b] for a in y], b)
        for one, all_of_them in zip(single, whole, strict=True):
            np.testing.assert_array_equal(one, all_of_them[b])
    for again in (
        results(x, y, everything, threads=2),
        results([np.asfortranarray(a) for a in x], [np.asfortranarray(a) for a in y], everything),
        results([spread(a) for a in x], [spread(a) for a in y], everything),
    ):
        for one, other in zip(whole, again, strict=True):
            np.testing.assert_array_equal(one, other)


def spread(a: np.ndarray) -> np.ndarray:
    """The same numbers, backwards in memory and with gaps."""
    wide = np.full([2 * extent for extent in np.shape(a)], np.nan)
    view = wide[(..., *(slice(None, None, -2),) * wide.ndim)]
    view[...] = a
    return view


@every(ROOTS)
def test_results_go_where_they_are_wanted(species: Species) -> None:
    """Outputs and gradients of any strides."""
    kernel, x, y = species.kernel, species.x, species.y
    g, v = like(species.outputs, 3), like(x, 4)
    into = [spread(np.full(np.shape(o), np.nan)) for o in species.outputs]
    solved = kernel.solve(x, into=into)
    close(into, kernel.solve(x).outputs, 0)
    assert solved.converged
    into = [spread(np.full(np.shape(o), np.nan)) for o in species.outputs]
    kernel.tangent(x, y, v, into=into)
    close(into, kernel.tangent(x, y, v), 0)
    gradients = [spread(np.full(np.shape(a), np.nan)) for a in x]
    kernel.adjoint(x, y, g, into=gradients)
    close(gradients, kernel.adjoint(x, y, g), 0)


@every(ROOTS)
def test_gradients_of_shared_operands_are_sums(species: Species) -> None:
    """Operand by operand: one for all 2 x 3 systems, and one for each row of them."""
    kernel, problem = species.kernel, species.problem
    if len(species.x) == 1:
        return
    systems = stacked(problem, 6)
    full = [a.reshape(2, 3, *a.shape[1:]) for a in batch(systems)]
    for shared in range(len(full)):
        for axes in ((0, 1), (1,), (0,)):
            one = full[shared][tuple(slice(0, 1) if d in axes else slice(None) for d in (0, 1))]
            x = [*full]
            x[shared] = one
            same = [*full]
            same[shared] = np.broadcast_to(one, full[shared].shape).copy()
            solved = kernel.solve(x)
            close(solved.outputs, kernel.solve(same).outputs, 0)
            y, g, v = solved.outputs[: kernel.k], like(solved.outputs, 3), like(x, 4)
            spread_v = [np.broadcast_to(b, a.shape).copy() for a, b in zip(same, v, strict=True)]
            c = like(y, 5)
            for found, expected in (
                (kernel.adjoint(x, y, g), kernel.adjoint(same, y, g)),
                (kernel.second(x, y, g, v), kernel.second(same, y, g, spread_v)),
                (kernel.residual_pullback(x, y, c), kernel.residual_pullback(same, y, c)),
            ):
                expected[shared] = expected[shared].sum(axis=axes, keepdims=True)
                close(found, expected, 1e-12)
            for threads in (1, 2):
                close(kernel.adjoint(x, y, g, threads=threads), kernel.adjoint(x, y, g), 0)


@every(ROOTS)
def test_single_precision(species: Species) -> None:
    """Solved in double inside: the result is the double one, rounded."""
    kernel = species.kernel
    x = [a.astype(np.float32) for a in species.x]
    wide = [a.astype(np.float64) for a in x]
    solved, double = kernel.solve(x), kernel.solve(wide)
    assert solved.converged
    assert all(a.dtype == np.float32 for a in solved.outputs)
    close(solved.outputs, [a.astype(np.float32) for a in double.outputs], 1e-7)
    y, g, v = solved.outputs[: kernel.k], like(species.outputs, 3), like(x, 4)
    narrow_g, narrow_v = [a.astype(np.float32) for a in g], [a.astype(np.float32) for a in v]
    close(kernel.adjoint(x, y, narrow_g), kernel.adjoint(wide, double.outputs, g), 1e-4)
    close(kernel.tangent(x, y, narrow_v), kernel.tangent(wide, double.outputs, v), 1e-4)


@every(ROOTS)
def test_no_systems(species: Species) -> None:
    """Empty results, and zero gradients of what all systems would share."""
    kernel = species.kernel
    x = [np.zeros((0, *np.shape(a))) for a in species.x]
    if len(x) > 1:
        x[-1] = np.asarray(species.x[-1])
    solved = kernel.solve(x)
    assert [a.shape for a in solved.outputs] == [(0, *np.shape(o)) for o in species.outputs]
    y = solved.outputs[: kernel.k]
    gradients = kernel.adjoint(x, y, solved.outputs)
    assert [a.shape for a in gradients] == [a.shape for a in x]
    if len(x) > 1:
        assert not gradients[-1].any()
    assert kernel.isolated(x, y).shape == (0,)


# Failures.


@every(ROOTS)
def test_a_bad_input_fails_alone(species: Species) -> None:
    """NaN in one of three systems: it is blamed, becomes NaN, adds nothing to gradients, and leaves others alone."""
    kernel, problem = species.kernel, species.problem
    x = batch(stacked(problem, 3))
    good = kernel.solve(x)
    for operand in range(len(x)):
        bad = [a.copy() for a in x]
        bad[operand].reshape(3, -1)[1, -1] = np.nan
        with pytest.raises(
            KernelError, match=r"1 of 3 systems failed; first at index \[1\].*an input is not finite"
        ) as info:
            kernel.solve(bad)
        assert (info.value.status, info.value.failed, info.value.first) == (1, 1, 1)
        solved = kernel.solve(bad, on_failure="nan")
        assert solved.converged.tolist() == [True, False, True]
        for found, expected in zip(solved.outputs, good.outputs, strict=True):
            np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
            assert np.isnan(found[1]).all()
        if kernel.interface.EXPLICIT:
            continue
        g = like(good.outputs, 3)
        gradients = kernel.adjoint(bad, solved.outputs, g, on_failure="nan")
        for found, expected in zip(gradients, kernel.adjoint(x, good.outputs, g), strict=True):
            np.testing.assert_array_equal(found[[0, 2]], expected[[0, 2]])
            assert not found[1].any()
