"""Batches of dense systems that share their matrices, or do not, against dense Jacobians of each system."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import coupled_reference as reference
import numpy as np
import pytest
from coupled_kernel import CoupledKernel, KernelError
from coupled_zoo import Fields
from shared_zoo import MATRICES, PROBLEMS, N

pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("shared_zoo")]
Kernels = dict[str, CoupledKernel]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    from opgen.pipeline import build

    root = tmp_path_factory.mktemp("shared")
    built = build(Path(__file__).with_name("shared_zoo.py"), output=root / "shared_packages", targets=("numpy",))
    sys.path.insert(0, str(root))
    return {b.name: CoupledKernel(importlib.import_module(f"shared_packages.{b.name}")) for b in built}


def batch(name: str, count: int, sharing: str = "matrices") -> Fields:
    """Inputs of a batch: all but matrices of their own; matrices too; or two sets of matrices, each for half of it."""
    problem, rng = PROBLEMS[name], np.random.default_rng(3)
    systems = [problem.draw(rng) for _ in range(count)]
    x = [np.stack(operands) for operands in zip(*systems, strict=True)]
    if name == "linear":
        x[0] = x[0][0]  # one Jacobian for all
    for i in MATRICES[name] if sharing != "none" else []:
        x[i] = x[i][0] if sharing == "matrices" else x[i][:2, None]
    if sharing == "halves":
        x = [
            a if i in MATRICES[name] or a.shape[:1] != (count,) else a.reshape(2, count // 2, -1)
            for i, a in enumerate(x)
        ]
    return x


def system(kernel: CoupledKernel, x: Fields, b: int) -> Fields:
    """One system of a batch."""
    shape = np.broadcast_shapes(*(a.shape[: a.ndim - r] for a, r in zip(x, kernel.ranks, strict=False)))
    at = np.unravel_index(b, shape) if shape else ()
    return [np.broadcast_to(a, (*shape, *a.shape[a.ndim - r :]))[at] for a, r in zip(x, kernel.ranks, strict=False)]


def expected(
    name: str, kernel: CoupledKernel, x: Fields, count: int, g: Fields | None = None
) -> tuple[list[Fields], Fields]:
    """Roots of all systems, and gradients of the shapes of x, by dense linear algebra."""
    problem, outputs = PROBLEMS[name], []
    gradients = [np.zeros_like(a) for a in x]
    for b in range(count):
        own = system(kernel, x, b)
        y = reference.root(problem, own)
        outputs.append(reference.outputs(problem, own, y))
        if g is None:
            continue
        cotangent = reference.flat([a.reshape(count, -1)[b] for a in g])
        parts = reference.unflat(reference.derivative(problem, own, y).T @ cotangent, own)
        for total, part, a, r in zip(gradients, parts, x, kernel.ranks, strict=False):
            wide = a.shape[: a.ndim - r]
            shape = np.broadcast_shapes(*(c.shape[: c.ndim - q] for c, q in zip(x, kernel.ranks, strict=False)))
            at = np.unravel_index(b, shape) if shape else ()
            total[tuple(0 if e == 1 else p for e, p in zip(wide, at[len(at) - len(wide) :], strict=True))] += part
    return outputs, gradients


def close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> None:
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(np.abs(wanted).max(initial=0), 1e-30))


def cotangents(outputs: Fields) -> Fields:
    rng = np.random.default_rng(5)
    return [rng.standard_normal(a.shape) for a in outputs]


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("count", "sharing"), [(1, "matrices"), (3, "matrices"), (3, "none"), (6, "halves"), (19, "matrices")]
)
def test_roots_and_gradients(kernels: Kernels, name: str, count: int, sharing: str) -> None:
    kernel, x = kernels[name], batch(name, count, sharing)
    solved = kernel.solve(x)
    assert solved.converged.all()
    g = cotangents(solved.outputs)
    outputs, gradients = expected(name, kernel, x, count, g)
    for o, found in enumerate(solved.outputs):
        wanted = np.stack([own[o] for own in outputs]).reshape(found.shape)
        close(found, wanted, 1e-12)
    found = kernel.adjoint(x, solved.outputs, g)
    for a, wanted in zip(found, gradients, strict=True):
        close(a, wanted, 1e-11)
    single = [a.astype(np.float32) for a in x]
    narrow = kernel.solve(single)
    assert narrow.converged.all()
    for found, wanted in zip(narrow.outputs, solved.outputs, strict=True):
        assert found.dtype == np.float32
        close(found, wanted, 5e-7)
    rough = kernel.adjoint(single, narrow.outputs, [a.astype(np.float32) for a in g])
    for a, wanted in zip(rough, gradients, strict=True):
        close(a, wanted, 1e-5)


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("count", [64, 70])
def test_a_system_s_result_is_its_own(kernels: Kernels, name: str, count: int) -> None:
    """Bit by bit: neither the number of threads nor what becomes of others counts."""
    kernel, x = kernels[name], batch(name, count)
    own = [i for i, a in enumerate(x) if a.shape[:1] == (count,)]
    solved = kernel.solve(x)
    g = cotangents(solved.outputs)
    gradients = kernel.adjoint(x, solved.outputs, g)
    for threads in (2, 5):
        for a, b in zip(kernel.solve(x, threads=threads).outputs, solved.outputs, strict=True):
            np.testing.assert_array_equal(a, b)
        for a, b in zip(kernel.adjoint(x, solved.outputs, g, threads=threads), gradients, strict=True):
            np.testing.assert_array_equal(a, b)
    spoilt = [a.copy() for a in x]
    spoilt[own[-1]][5] = np.nan
    keeps = np.arange(count) != 5
    again = kernel.solve(spoilt, on_failure="nan")
    assert again.converged.tolist() == keeps.tolist()
    for a, b in zip(again.outputs, solved.outputs, strict=True):
        np.testing.assert_array_equal(a[keeps], b[keeps])
        assert np.isnan(a[5]).all()
    back = kernel.adjoint(spoilt, again.outputs, g, on_failure="nan")
    for i in own:
        np.testing.assert_array_equal(back[i][keeps], gradients[i][keeps])
        assert not back[i][5].any()
    without = [np.where(keeps.reshape(-1, *[1] * (a.ndim - 1)), a, 0) for a in g]
    for i, (a, b) in enumerate(zip(back, kernel.adjoint(x, solved.outputs, without), strict=True)):
        if i not in own:
            close(a, b, 1e-12)


def test_a_few_that_are_not_got_together_are_solved_alone(kernels: Kernels) -> None:
    """Far from a contraction: GMRES gives up, and the factorisation does not."""
    kernel, rng = kernels["cubic"], np.random.default_rng(8)
    x = [3 * np.linalg.qr(rng.standard_normal((N, N)))[0], rng.standard_normal((4, N))]
    x[1][2] *= 1e-3
    solved = kernel.solve(x, max_iterations=200)
    assert solved.converged.all()
    z = solved.outputs[0]
    residual = z - z @ x[0].T + z**3 - x[1]
    assert np.abs(residual).max() < 1e-11
    g = rng.standard_normal(z.shape)
    u = np.stack([np.linalg.solve((np.eye(N) - x[0] + np.diag(3 * own**2)).T, c) for own, c in zip(z, g, strict=True)])
    W_bar, b_bar = kernel.adjoint(x, [z], [g])
    close(b_bar, u, 1e-10)
    close(W_bar, u.T @ z, 1e-10)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_singular_system_is_no_finite_gradient(kernels: Kernels, dtype: type) -> None:
    """Even of a cotangent that does not see the direction which is not determined."""
    kernel, rng = kernels["cubic"], np.random.default_rng(9)
    W = 0.3 * rng.standard_normal((N, N)) / np.sqrt(N)
    W[0], W[:, 0] = 0, 0
    W[0, 0] = 1
    x = [W.astype(dtype), np.zeros((3, N), dtype)]
    x[1][1] = rng.uniform(0.1, 1, N)
    x[1][2, 1:] = 0.5  # regular but for z[0]
    solved = kernel.solve(x, on_failure="keep")
    z = solved.outputs[0]
    z[[0, 2], 0] = 0
    g = rng.standard_normal((3, N)).astype(dtype)
    for blind in (False, True):
        if blind:
            g[:, 0] = 0
        with pytest.raises(KernelError, match="cubic: F_y is singular at 2 of 3 systems; first at index \\[0\\]"):
            kernel.adjoint(x, [z], [g])
        W_bar, b_bar = kernel.adjoint(x, [z], [g], on_failure="nan")
        assert not b_bar[[0, 2]].any()
        u = np.linalg.solve((np.eye(N) - W + np.diag(3.0 * z[1] ** 2)).T, g[1])
        close(b_bar[1], u, 1e-11 if dtype is np.float64 else 1e-5)
        close(W_bar, np.outer(u, z[1]), 1e-11 if dtype is np.float64 else 1e-5)


def test_one_factorisation_for_all_right_hand_sides(kernels: Kernels) -> None:
    """And none of a matrix that is singular, for none of them."""
    kernel, rng = kernels["linear"], np.random.default_rng(10)
    A = rng.standard_normal((N, N))
    x = [np.zeros(N), A, rng.standard_normal((40, N))]
    y = kernel.solve(x).outputs[0]
    close(y, np.linalg.solve(A, x[2].T).T, 1e-11)
    A[3] = A[4]
    with pytest.raises(KernelError, match="linear: F_y is singular at 40 of 40 systems"):
        kernel.solve(x)
    x[0] = rng.uniform(1, 2, (40, N))  # Jacobians of their own
    y = kernel.solve(x).outputs[0]
    for b in range(40):
        close(y[b], np.linalg.solve(np.diag(x[0][b]) + A, x[2][b]), 1e-10)


@pytest.mark.parametrize("name", PROBLEMS)
def test_operands_of_any_strides(kernels: Kernels, name: str) -> None:
    kernel, x = kernels[name], batch(name, 4)
    solved = kernel.solve(x)
    g = cotangents(solved.outputs)
    gradients = kernel.adjoint(x, solved.outputs, g)

    def odd(a: np.ndarray) -> np.ndarray:
        wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan, a.dtype)
        wide[..., ::2] = a
        return np.asfortranarray(wide)[..., ::2]

    strange = [odd(a) for a in x]
    for a, b in zip(kernel.solve(strange).outputs, solved.outputs, strict=True):
        close(a, b, 1e-13)
    into = [odd(np.zeros_like(a)) for a in x]
    kernel.adjoint(
        strange, [odd(a) for a in solved.outputs[: kernel.k]], [odd(a) if a.ndim > 1 else a for a in g], into=into
    )
    for a, b in zip(into, gradients, strict=True):
        close(a, b, 1e-12)
    # Matrices that are the same for all, but whose gradients are wanted for each.
    apart = [np.full((4, *x[i].shape[x[i].ndim - kernel.ranks[i] :]), np.nan) for i in range(kernel.n)]
    same = [np.broadcast_to(a, b.shape) for a, b in zip(x, apart, strict=True)]
    kernel.adjoint(same, solved.outputs, g, into=apart)
    for a, b in zip(apart, gradients, strict=True):
        close(a if a.shape == b.shape else a.sum(0), b, 1e-12)


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_that_are_not_wanted(kernels: Kernels, name: str) -> None:
    kernel, x = kernels[name], batch(name, 3)
    y = kernel.solve(x).outputs
    g = cotangents(y)
    everything = kernel.adjoint(x, y, g)
    for i, expected in enumerate(everything):
        alone = kernel.adjoint(x, y, g, wanted=lambda operand, only=i: operand == only)
        np.testing.assert_array_equal(alone[i], expected)


def test_numbers_beyond_single_precision(kernels: Kernels) -> None:
    """Products in single precision know nothing of these; the result is right all the same."""
    kernel, rng = kernels["cubic"], np.random.default_rng(12)
    W = 0.3 * rng.standard_normal((N, N)) / np.sqrt(N)
    for size in (1e-60, 1e60):
        z = size * rng.uniform(0.5, 1, (3, N))
        b = z - z @ W.T + z**3
        solved = kernel.solve([W, b], initial=[z * 1.01], max_iterations=100)
        assert solved.converged.all()
        np.testing.assert_allclose(solved.outputs[0], z, rtol=1e-9)
        g = rng.standard_normal(z.shape)
        found = kernel.adjoint([W, b], [z], [g])[1]
        for own, c, u in zip(z, g, found, strict=True):
            close(u, np.linalg.solve((np.eye(N) - W + np.diag(3 * own**2)).T, c), 1e-10)


def test_second_derivatives_agree(kernels: Kernels) -> None:
    """The derivative of the gradient along v is what second() gives."""
    kernel, x = kernels["layer"], batch("layer", 3)
    rng = np.random.default_rng(6)
    y = kernel.solve(x).outputs
    g, v = cotangents(y), [rng.standard_normal(a.shape) for a in x]
    h = 1e-5
    ends = []
    for sign in (1, -1):
        moved = [a + sign * h * d for a, d in zip(x, v, strict=True)]
        ends.append(kernel.adjoint(moved, kernel.solve(moved).outputs, g))
    for a, up, down in zip(kernel.second(x, y, g, v), *ends, strict=True):
        close(a, (up - down) / (2 * h), 1e-6)
