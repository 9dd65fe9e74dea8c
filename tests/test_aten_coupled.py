"""The derivatives of coupled operators through ATen: systems of many unknowns, batches of them, preconditioners."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gmres import compiled, systems
from gmres.compiled import KEEP, NAN, RAISE, Array, Gradients, Preconditioner
from gmres.systems import Batch, Fields, Problem, check_derivatives, cotangents, each, jacobian, root

pytestmark = pytest.mark.compiler
OK, FAILED_POINTS, BAD_CALL = range(3)

# The operators of coupled.cc once more, for one system, in NumPy and for complex numbers too.


def bratu(x: Fields, y: Fields) -> Fields:
    (k, h), (u,) = x, y
    wide = np.pad(u, 1)
    return [wide[:-2] - 2 * u + wide[2:] + h**2 * k * np.exp(u)]


def darcy(x: Fields, y: Fields) -> Fields:
    (k, f, c), (p, q) = x, y
    wide = np.pad(p, 1)
    return [q[1:] - q[:-1] + c * p**3 - f, q - k * (wide[:-1] - wide[1:])]


BRATU = Problem("bratu", ((1, 0), (1,), ()), bratu, lambda x, y: [])
LAYER = Problem(
    "layer", ((2, 1), (1,), (0,)), lambda x, y: [y[0] - np.tanh(x[0] @ y[0] + x[1])], lambda x, y: [(y[0] ** 2).sum()]
)
DARCY = Problem("darcy", ((1, 1, 0), (1, 1), (1,)), darcy, lambda x, y: [y[1] ** 2 / x[0]])
PRODUCT = Problem("product", ((2, 1), (1,), ()), lambda x, y: [y[0] - x[0] @ x[1]], lambda x, y: [])


def solved(problem: Problem, x: Fields, start: Callable[[Fields], Fields]) -> Batch:
    cores = problem.cores[0]
    shape = np.broadcast_shapes(*(a.shape[: a.ndim - r] for a, r in zip(x, cores, strict=True)))
    empty = Batch(problem, x, shape, [])
    roots = {}
    for index in np.ndindex(shape):
        own = empty.system(index, x, cores)
        roots[index] = root(problem, own, start(own))
    fields = [
        np.array([roots[index][i] for index in np.ndindex(shape)]).reshape(
            *shape, *np.shape(roots[(0,) * len(shape)][i])
        )
        for i in range(len(problem.cores[1]))
    ]
    return Batch(problem, x, shape, fields)


def batches() -> dict[str, Batch]:
    """Every problem, with operands that have all, some or none of the batch axes."""
    rng = np.random.default_rng(3)
    n = 6

    def zeros(own: Fields) -> Fields:
        return [np.zeros(n)]

    def still(own: Fields) -> Fields:
        return [np.zeros(n), np.zeros(n + 1)]

    W = rng.normal(size=(n, n)) / 4
    return {
        "single": solved(BRATU, [rng.uniform(0.5, 1, n), np.array(0.2)], zeros),
        "batch": solved(BRATU, [rng.uniform(0.5, 1, (2, 3, n)), rng.uniform(0.1, 0.3, (2, 3))], zeros),
        "shared field": solved(BRATU, [rng.uniform(0.5, 1, n), rng.uniform(0.1, 0.3, (3, 1))], zeros),
        "partly shared": solved(BRATU, [rng.uniform(0.5, 1, (2, 1, n)), rng.uniform(0.1, 0.3, (1, 3))], zeros),
        "shared scalar": solved(BRATU, [rng.uniform(0.5, 1, (4, n)), np.full(1, 0.2)], zeros),
        "shared weights": solved(LAYER, [W, rng.normal(size=(5, n))], zeros),
        "all weights": solved(LAYER, [W + rng.normal(size=(5, n, n)) / 9, rng.normal(size=(1, n))], zeros),
        "two fields": solved(
            DARCY, [rng.uniform(1, 2, (2, 1, n + 1)), rng.normal(size=(3, n)), rng.uniform(0.5, 1, (1, 1))], still
        ),
        "explicit": solved(PRODUCT, [rng.normal(size=(n, n)), rng.normal(size=(4, n))], zeros),
    }


@cache
def library() -> ctypes.CDLL:
    return compiled.loaded(
        compiled.linked("coupled", compiled.compiled(compiled.HERE / "coupled.cc"), compiled.runtime())
    )


def call(kind: str, batch: Batch, groups: Sequence[Sequence[Array | None]], **options: Any) -> Gradients:
    sizes = [batch.x[0].shape[-1] - (batch.problem is DARCY)]
    return systems.call(getattr(library(), f"{kind}_{batch.problem.name}"), kind, batch, groups, sizes, **options)


@pytest.mark.parametrize("name", batches())
def test_derivatives_are_those_of_dense_matrices(name: str) -> None:
    check_derivatives(call, batches()[name])


@pytest.mark.parametrize("name", ["batch", "shared weights", "two fields"])
def test_absent_operands_are_zeros(name: str) -> None:
    batch, rng = batches()[name], np.random.default_rng(5)
    g, v = cotangents(batch, rng), [rng.normal(size=a.shape) for a in batch.x]
    for i in range(len(g)):
        some = [a if j == i else None for j, a in enumerate(g)]
        full = [a if j == i else 0 * a for j, a in enumerate(g)]
        for ours, want in zip(
            call("adjoint", batch, [some]).values, call("adjoint", batch, [full]).values, strict=True
        ):
            np.testing.assert_array_equal(ours, want)
    for i in range(len(v)):
        some = [a if j == i else None for j, a in enumerate(v)]
        full = [a if j == i else 0 * a for j, a in enumerate(v)]
        for kind, groups in (("tangent", ([some], [full])), ("second", ([g, some], [g, full]))):
            for ours, want in zip(
                call(kind, batch, groups[0]).values, call(kind, batch, groups[1]).values, strict=True
            ):
                np.testing.assert_allclose(ours, want, rtol=1e-12, atol=1e-13)
    assert not any(a.any() for a in call("adjoint", batch, [[None] * len(g)]).values)
    assert not any(a.any() for a in call("tangent", batch, [[None] * len(v)]).values)


def test_tangents_and_gradients_may_be_those_of_each_system_though_the_input_is_shared() -> None:
    batch, rng = batches()["shared weights"], np.random.default_rng(6)
    (W, b), (g, h) = batch.x, cotangents(batch, rng)
    function, cores, n = library().adjoint_layer, ((2, 1), (1,), (1, 0), (2, 1)), W.shape[0]
    got = compiled.run(function, (batch.x, batch.y, (g, h)), [(5, n, n), b.shape], cores=cores, sizes=[n])
    np.testing.assert_allclose(got.values[0].sum(axis=0), call("adjoint", batch, [[g, h]]).values[0], rtol=1e-13)
    V = rng.normal(size=(5, n, n))
    whole = Batch(LAYER, [np.broadcast_to(W, V.shape).copy(), b], batch.shape, batch.y)
    for kind, before in (("tangent", []), ("second", [[g, h]])):
        ours, want = call(kind, batch, [*before, [V, None]]), call(kind, whole, [*before, [V, None]])
        assert ours.status == OK
        np.testing.assert_allclose(ours.values[1], want.values[1], rtol=1e-11, atol=1e-12)


def test_float32_is_solved_in_float64() -> None:
    batch = batches()["two fields"]
    g = cotangents(batch, np.random.default_rng(7))
    single = Batch(
        DARCY, *([a.astype(np.float32) for a in batch.x], batch.shape, [a.astype(np.float32) for a in batch.y])
    )
    rounded = Batch(DARCY, *([a.astype(float) for a in single.x], batch.shape, [a.astype(float) for a in single.y]))
    g = [a.astype(np.float32) for a in g]
    got, want = call("adjoint", single, [g]), call("adjoint", rounded, [[a.astype(float) for a in g]])
    for ours, theirs in zip(got.values, want.values, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, rtol=3e-7, atol=1e-7)


# Preconditioners, sizes and failures.


def preconditioner(apply: Callable[[bool, Array], Array], shape: tuple[int, int]) -> tuple[Preconditioner, list[bool]]:
    """Give a function of [systems, N] to C, and list for each of its calls whether it was a transposed one."""
    seen: list[bool] = []

    def called(_: Any, transposed: int, r: Any, z: Any) -> int:
        seen.append(bool(transposed))
        given, out = (np.ctypeslib.as_array(p, shape=shape) for p in (r, z))
        out[...] = apply(bool(transposed), given)
        return OK

    return Preconditioner(None, compiled.Apply(called)), seen


def of_matrices(matrices: list[Array]) -> tuple[Preconditioner, list[bool]]:
    """Solve with dense matrices, those of the unknowns side by side."""

    def apply(transposed: bool, r: Array) -> Array:
        return np.array([np.linalg.solve(A.T if transposed else A, b) for A, b in zip(matrices, r, strict=True)])

    return preconditioner(apply, (len(matrices), len(matrices[0])))


def jacobians(batch: Batch) -> list[Array]:
    def of(problem: Problem, x: Fields, y: Fields) -> Fields:
        return [jacobian(lambda at: problem.residual(x, at), y)]

    return [parts[0] for parts in each(batch, of).values()]


@pytest.mark.parametrize("name", ["partly shared", "shared weights", "two fields"])
def test_preconditioners_speed_up_and_change_nothing(name: str) -> None:
    batch, rng = batches()[name], np.random.default_rng(8)
    g, v = cotangents(batch, rng), [rng.normal(size=a.shape) for a in batch.x]
    exact = jacobians(batch)
    rough = [A + rng.normal(size=A.shape) / 50 for A in exact]
    for matrices, limit in ((exact, 2), (rough, 12)):
        for kind, groups, ways in (
            ("adjoint", [g], {True}), ("tangent", [v], {False}), ("second", [g, v], {True, False})
        ):  # fmt: skip
            made, seen = of_matrices(matrices)
            got, want = call(kind, batch, groups, preconditioner=made), call(kind, batch, groups)
            assert (got.status, got.message) == (OK, "")
            for ours, theirs in zip(got.values, want.values, strict=True):
                np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-11)
            assert set(seen) == ways
            # One a column and one a cycle, at most two cycles for each of the solves.
            assert len(seen) <= (limit + 2) * (3 if kind == "second" else 1)


def long_bratu(n: int, systems: int = 1) -> tuple[Batch, Array, Array]:
    """Approximate roots of Bratu's problem on a fine grid, and the diagonals of F_y."""
    h, t = 1 / (n + 1), np.arange(1, n + 1) / (n + 1)
    k = np.ones((systems, n)) + np.arange(systems)[:, None] / 10
    u = 0.14 * 4 * t * (1 - t) * np.ones((systems, 1))
    return Batch(BRATU, [k, np.full((systems, 1), h)[:, 0]], (systems,), [u]), -2 + h**2 * k * np.exp(u), np.ones(n)


def tridiagonal(main: Array, off: Array) -> tuple[Preconditioner, list[bool]]:
    linalg = pytest.importorskip("scipy.linalg")

    def apply(transposed: bool, r: Array) -> Array:
        return np.array([linalg.solve_banded((1, 1), np.array([off, d, off]), b) for d, b in zip(main, r, strict=True)])

    return preconditioner(apply, main.shape)


@pytest.mark.parametrize("n", [100_000, 1_000_000])
def test_a_fine_grid_takes_a_few_products(n: int) -> None:
    batch, main, off = long_bratu(n)
    made, seen = tridiagonal(main, off)
    g = np.random.default_rng(9).normal(size=(1, n)) if n < 1e6 else np.ones((1, n))
    got = call("adjoint", batch, [[g]], preconditioner=made)
    assert (got.status, got.message) == (OK, "")
    assert len(seen) - 1 <= 3, "iterations, and one for the solution"
    linalg = pytest.importorskip("scipy.linalg")
    u = linalg.solve_banded((1, 1), np.array([off, main[0], off]), g[0])
    h, k, e = batch.x[1][0], batch.x[0][0], np.exp(batch.y[0][0])
    np.testing.assert_allclose(got.values[0][0], -(h**2) * e * u, rtol=0, atol=1e-5 * np.abs(h**2 * e * u).max())
    np.testing.assert_allclose(got.values[1][0], -2 * h * (k * e) @ u, rtol=1e-5)


def test_a_preconditioner_of_another_point_converges_too() -> None:
    batch, main, off = long_bratu(100_000, 2)
    made, seen = tridiagonal(0 * main - 2, off)  # that of the Laplacian
    g = np.ones((2, 100_000))
    got = call("adjoint", batch, [[g]], preconditioner=made)
    assert (got.status, got.message) == (OK, "")
    assert 4 <= len(seen) <= 16
    exact, _ = tridiagonal(main, off)
    want = call("adjoint", batch, [[g]], preconditioner=exact)
    for ours, theirs in zip(got.values, want.values, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_a_missed_tolerance_is_a_failure_by_the_policy() -> None:
    n = 400
    batch, main, off = long_bratu(n, 2)
    g = np.random.default_rng(10).normal(size=(2, n))

    def exact_for_the_first(transposed: bool, r: Array) -> Array:
        z = r * (np.arange(n) % 2)
        linalg = pytest.importorskip("scipy.linalg")
        z[0] = linalg.solve_banded((1, 1), np.array([off, main[0], off]), r[0])
        return z

    made, _ = preconditioner(exact_for_the_first, (2, n))
    got = call("adjoint", batch, [[g]], preconditioner=made)
    assert (got.status, got.failed, got.first) == (FAILED_POINTS, 1, 1)
    assert got.message.startswith(
        "bratu: the adjoint solve missed its tolerance at 1 of 2 systems; first at index [1] (h = 0.00249377): "
        "relative residual "
    )
    assert got.message.endswith(
        " iterations of GMRES; F_y is close to singular there, or GMRES lacks a good preconditioner; "
        'use adjoint="direct", move the input, or on_failure="nan"'
    )
    for policy in (NAN, KEEP):
        for kind, groups in (("adjoint", [[g]]), ("tangent", [batch.x]), ("second", [[g], batch.x])):
            made, _ = preconditioner(exact_for_the_first, (2, n))
            soft = call(kind, batch, groups, policy=policy, preconditioner=made)
            assert (soft.status, soft.failed, soft.first) == (OK, 1, 1)
            one = Batch(BRATU, [a[:1] for a in batch.x], (1,), [batch.y[0][:1]])
            alone, _ = tridiagonal(main[:1], off)
            want = call(kind, one, [[a[:1] for a in group] for group in groups], preconditioner=alone)
            for ours, theirs in zip(soft.values, want.values, strict=True):
                np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
                assert not np.any(ours[1]), "a system that failed adds nothing"


@pytest.mark.parametrize("policy", [RAISE, NAN, KEEP])
def test_systems_without_a_root_add_nothing_to_what_is_shared(policy: int) -> None:
    batch, rng = batches()["shared field"], np.random.default_rng(11)
    g, v = cotangents(batch, rng), [rng.normal(size=a.shape) for a in batch.x]
    lost = [a.copy() for a in batch.y]
    lost[0][1, 0, 2] = np.nan
    rest = Batch(BRATU, [batch.x[0], batch.x[1][[0, 2]]], (2, 1), [batch.y[0][[0, 2]]])
    some = Batch(BRATU, batch.x, batch.shape, lost)
    got, want = call("adjoint", some, [g], policy=policy), call("adjoint", rest, [[g[0][[0, 2]]]])
    assert got.status == OK
    np.testing.assert_allclose(got.values[0], want.values[0], rtol=1e-12)
    np.testing.assert_allclose(got.values[1], np.insert(want.values[1], 1, 0, axis=0), rtol=1e-12)
    got = call("second", some, [g, v], policy=policy)
    want = call("second", rest, [[g[0][[0, 2]]], [v[0], v[1][[0, 2]]]])
    np.testing.assert_allclose(got.values[0], want.values[0], rtol=1e-12)
    made, _ = of_matrices(jacobians(batch))
    got = call("adjoint", some, [g], policy=policy, preconditioner=made)
    assert got.status == OK
    np.testing.assert_allclose(got.values[0], call("adjoint", rest, [[g[0][[0, 2]]]]).values[0], rtol=1e-10)


def test_a_singular_system_has_no_gradient() -> None:
    n = 5
    W = np.stack([np.eye(n), np.diag([1.0, 0.5, 0, 0, 0]), np.zeros((n, n))])
    zero = np.zeros((3, n))
    batch = Batch(LAYER, [W, zero], (3,), [zero])  # F_y = 1 - W
    got = call("adjoint", batch, [[zero + 1, None]])
    assert (got.status, got.failed, got.first) == (FAILED_POINTS, 2, 0)
    assert got.message.startswith(
        "layer: the adjoint solve missed its tolerance at 2 of 3 systems; first at index [0]: "
    )
    soft = call("adjoint", batch, [[zero + 1, None]], policy=NAN)
    np.testing.assert_array_equal(soft.values[1], [np.zeros(n), np.zeros(n), np.ones(n)])


def test_a_cotangent_that_is_not_finite_is_passed_on() -> None:
    batch = batches()["batch"]
    g = np.ones((2, 3, 6))
    want = call("adjoint", batch, [[g]]).values[0]
    g[1, 1, 4] = np.inf
    got = call("adjoint", batch, [[g]])
    assert got.status == OK
    assert np.isnan(got.values[0][1, 1]).all()
    keep = np.ones((2, 3), bool)
    keep[1, 1] = False
    np.testing.assert_allclose(got.values[0][keep], want[keep], rtol=1e-12)


def test_empty_batches_and_empty_systems() -> None:
    got = call("adjoint", Batch(BRATU, [np.ones(4), np.ones(0)], (0,), [np.ones((0, 4))]), [[np.ones((0, 4))]])
    assert got.status == OK
    assert got.values[0].tolist() == [0] * 4
    empty = np.ones((2, 0))
    got = call("adjoint", Batch(LAYER, [np.ones((0, 0)), empty], (2,), [empty]), [[empty, np.ones(2)]])
    assert (got.status, got.message) == (OK, "")
    assert got.values[1].shape == (2, 0)


def test_a_wrong_call_is_told() -> None:
    batch = batches()["single"]
    function, cores = library().adjoint_bratu, ((1, 0), (1,), (1,), (1, 0))
    got = compiled.run(function, (batch.x, [None], batch.y), [(6,), ()], cores=cores, sizes=[6])
    assert (got.status, got.message) == (BAD_CALL, "bratu: unknown 0 is missing")

    def fails(*_: Any) -> int:
        return FAILED_POINTS

    broken = Preconditioner(None, compiled.Apply(fails))
    got = call("adjoint", batch, [[np.ones(6)]], preconditioner=broken)
    assert (got.status, got.message) == (BAD_CALL, "bratu: the preconditioner of its adjoint solve failed")


# As the adapters of frameworks call it.


def installed(folder: Path, *flags: str) -> ctypes.CDLL:
    """Lay out an operator's lib folder with the adapter of stub.cc; return that."""
    folder.mkdir()
    text = (compiled.torch_folder() / "version.py").read_text()
    version = next(line.split("'")[1] for line in text.splitlines() if line.startswith("__version__"))
    (folder / "libbratu_aten.txt").write_text(f"{version}\n{compiled.torch_folder()}\n")
    library()
    shutil.copy(str(library()._name), folder / "libbratu_aten.so")
    source = compiled.HERE / "stub.cc"
    command = [
        compiled.compiler(), "-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
        "-shared", "-Wl,-Bsymbolic-functions", "-Wl,-z,defs", f"-I{compiled.INCLUDE}", *flags, str(source),
    ]  # fmt: skip
    headers = [path.read_text() for path in sorted((compiled.INCLUDE / "opgen").glob("*.h"))]
    shutil.copy(compiled.made("stub.so", command, source.read_text(), *headers), folder / "adapter.so")
    return ctypes.CDLL(str(folder / "adapter.so"))


def by_adapter(adapter: ctypes.CDLL, batch: Batch, g: Array, policy: int = RAISE) -> tuple[Gradients, list[int]]:
    counts = (ctypes.c_int * 3)()

    def function(*arguments: Any) -> int:
        *rest, _, report = arguments
        status: int = adapter.adjoint(*rest, counts, report)
        return status

    got = compiled.run(
        function, (batch.x, batch.y, [g]), [a.shape for a in batch.x], policy,
        cores=((1, 0), (1,), (1,), (1, 0)), sizes=[batch.x[0].shape[-1]],
    )  # fmt: skip
    return got, list(counts)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_adapters_mark_what_is_no_root_and_own_the_preconditioner(tmp_path: Path, dtype: Any) -> None:
    batch = batches()["shared scalar"]
    x, y = [a.astype(dtype) for a in batch.x], [a.astype(dtype) for a in batch.y]
    y[0][2] += 100
    g = np.ones(y[0].shape, dtype)
    rest = [0, 1, 3]
    want = call("adjoint", Batch(BRATU, [x[0][rest], x[1]], (3,), [y[0][rest]]), [[g[rest]]])
    for flags, expected in ((["-DWITH_PRECONDITIONER"], 1), ([], 0)):
        adapter = installed(tmp_path / f"lib{expected}", *flags)
        got, (made, applied, deleted) = by_adapter(adapter, Batch(BRATU, x, (4,), y), g)
        assert (got.status, got.message) == (OK, "")
        np.testing.assert_allclose(got.values[0][rest], want.values[0], rtol=1e-6 if dtype == np.float32 else 1e-11)
        np.testing.assert_allclose(got.values[1], want.values[1], rtol=1e-6 if dtype == np.float32 else 1e-11)
        assert not got.values[0][2].any()
        assert (made, deleted, applied > 0) == (expected, expected, bool(expected))


def test_adapters_pass_on_what_the_kernel_says(tmp_path: Path) -> None:
    adapter = installed(tmp_path / "lib", "-DWITH_PRECONDITIONER")
    batch, _, _ = long_bratu(2000)
    got, (made, applied, deleted) = by_adapter(adapter, batch, np.ones((1, 2000)))
    assert (got.status, got.message, made, applied, deleted) == (FAILED_POINTS, "bratu: too large", 0, 0, 0)
