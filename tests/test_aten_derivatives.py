"""The derivatives that GMRES makes of an operator's ATen half: adjoints, tangents and second derivatives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp
from gmres import compiled
from gmres.compiled import BRIEF, CUBEROOT, KEEP, NAN, RAISE, Array, Operator, adjoint, second, tangent

compiles = pytest.mark.compiler
OK, FAILED_POINTS, BAD_CALL = range(3)

x, y, z, a, b, c = sp.symbols("x y z a b c", real=True)


# The adjoint.

OPERATORS = (
    Operator("quartic", (x**4, x * a), (x, a), explicit=True),
    Operator("sum_and_product", (y + z - a, y * z - b), (a, b), (y, z), (("r", y * z**2 * a), ("s", sp.exp(-b)))),
    Operator("decoupled", (y**2 - a, z - b), (a, b), (y, z)),
    Operator("triple", (1e6 * (x**3 + y - a), x - y + z * b, sp.exp(z) - c + x / 10), (a, b, c), (x, y, z)),
    Operator("parab", (y**2 + 1 - x,), (x,), (y,)),
    Operator("bent", (sp.Piecewise((y**2 - x, x > 0), (y - x, True)),), (x,), (y,)),
    Operator("linear", (a * y - b,), (a, b), (y,)),
    Operator("coupled", (a * y + b * z - c, b * y + a * z - 1), (a, b, c), (y, z)),
    Operator("kepler", (y - b * sp.sin(y) - a,), (a, b), (y,), (("r", 1 - b * sp.cos(y)),)),
    Operator("branches", (sp.Piecewise((y - a * sp.sqrt(x), x > 0), (y + y**3 - a * x, True)),), (x, a), (y,)),
    Operator("sagitta", (a - sp.sqrt(a**2 - b**2 / 4), a * b), (a, b), explicit=True),
    Operator("special", (y - sp.gamma(x) * sp.erf(a), z * x - sp.digamma(x + a)), (x, a), (y, z)),
)  # fmt: skip


def call(name: str, *arguments: Any, **options: Any) -> compiled.Gradients:
    """Call the adjoint of one of the operators above; all were compiled together."""
    return adjoint(compiled.several(OPERATORS)[f"adjoint_{name}"], *arguments, **options)


@cache
def cuberoot() -> Any:
    return compiled.loaded(compiled.adjoint_library(CUBEROOT)).opgen_aten_adjoint


def cuberoot_of(at: Array) -> Array:
    return np.cbrt(at**2 * (1 + at))


def dense_gradient(op: Operator, inputs: list[Array], roots: list[Array], cotangents: list[Array]) -> list[Array]:
    """Form F_y and F_x by SymPy, solve by NumPy: what the adjoint must agree with."""
    F, symbols = sp.Matrix(op.equations), (*op.inputs, *op.unknowns)
    outputs = sp.Matrix([*op.unknowns, *(expr for _, expr in op.auxiliaries)])
    made = [sp.lambdify(symbols, m, "numpy") for m in (
        F.jacobian(op.unknowns), F.jacobian(op.inputs), outputs.jacobian(op.unknowns), outputs.jacobian(op.inputs)
    )]  # fmt: skip
    points = np.broadcast_arrays(*inputs, *roots)
    result = np.zeros((len(inputs), *points[0].shape))
    for index in np.ndindex(points[0].shape):
        Fy, Fx, Oy, Ox = (np.array(f(*(p[index] for p in points)), float) for f in made)
        g = np.array([0.0 if h is None else np.broadcast_to(h, points[0].shape)[index] for h in cotangents])
        result[(slice(None), *index)] = Ox.T @ g - Fx.T @ np.linalg.solve(Fy.T, Oy.T @ g)
    totals = []
    for i, array in enumerate(inputs):
        axes = tuple(k for k, n in enumerate(array.shape) if n == 1 and points[0].shape[k] != 1)
        totals.append(result[i].sum(axis=axes, keepdims=True).reshape(array.shape))
    return totals


@compiles
def test_the_gradients_of_the_brief() -> None:
    at = np.arange(1.0, 6)
    got = adjoint(cuberoot(), [at], [cuberoot_of(at)], [np.ones(5)])
    assert (got.status, got.failed, got.message) == (OK, 0, "")
    assert np.allclose(got.values[0], BRIEF, rtol=1e-12, atol=0)


@compiles
def test_row_times_jacobian_of_an_explicit_function() -> None:
    at, g = np.array([1.0, -2, 0, 3]), np.array([1.0, 10, 5, -1])
    got = call("quartic", [at, np.full(1, 2.0)], [at**4, at * 2], [g, g])
    assert np.allclose(got.values[0], g * 4 * at**3 + 2 * g, rtol=1e-14, atol=0)
    assert np.allclose(got.values[1], (g * at).sum(), rtol=1e-14, atol=0)
    assert np.allclose(call("quartic", [at, at], [None, None], [g, None]).values[0], g * 4 * at**3)


@compiles
def test_a_system_with_broadcast_inputs_and_auxiliary_outputs() -> None:
    rng = np.random.default_rng(0)
    Y, Z = rng.uniform(1, 2, (4, 3)), rng.uniform(3, 4, (1, 3))
    Y = np.broadcast_to(Y[:, :1], (4, 3)).copy()
    Z = np.broadcast_to(Z, (4, 3)).copy()
    A, B = Y + Z, Y * Z
    op = OPERATORS[1]
    g = [rng.normal(size=(4, 3)) for _ in range(4)]
    for cotangents in (g, [g[0], None, None, None], [None, None, g[2], None], [None, None, None, g[3]]):
        got = call("sum_and_product", [A, B], [Y, Z], cotangents)
        assert got.status == OK
        for ours, theirs in zip(got.values, dense_gradient(op, [A, B], [Y, Z], cotangents), strict=True):
            assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@compiles
def test_three_badly_scaled_equations_with_every_kind_of_broadcasting() -> None:
    rng = np.random.default_rng(1)
    shape = (3, 1, 5)
    X, Y, Z = (rng.uniform(0.5, 1.5, (3, 4, 5)) for _ in range(3))
    # Choose the inputs that make X, Y, Z roots; only the first is broadcast, by making X and Y constant along the axis.
    X, Y = (np.broadcast_to(v[:, :1], (3, 4, 5)).copy() for v in (X, Y))
    A = np.ascontiguousarray((X**3 + Y)[:, :1])
    B, C = (Y - X) / Z, np.exp(Z) + X / 10
    assert A.shape == shape
    g = [rng.normal(size=(3, 4, 5)) for _ in range(3)]
    strided = [np.asfortranarray(v) for v in (B, C)]
    got = call("triple", [A, *strided], [X[..., ::1], Y, np.asfortranarray(Z)], [g[0], g[1][:, :1], g[2]])
    assert got.status == OK
    want = dense_gradient(OPERATORS[3], [A, B, C], [X, Y, Z], [g[0], g[1][:, :1], g[2]])
    for ours, theirs in zip(got.values, want, strict=True):
        assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@compiles
def test_only_what_is_wanted_is_computed() -> None:
    A, B, Y = np.array([2.0, 4]), np.array([6.0, 2]), np.array([3.0, 0.5])
    got = call("linear", [A, B], [Y], [np.ones(2)], wanted=[False, True])
    assert got.values[0].size == 0
    assert np.allclose(got.values[1], 1 / A)
    assert call("linear", [A, B], [Y], [np.ones(2)], wanted=[False, False]).status == OK


@compiles
def test_a_singular_point_is_a_failure_by_the_policy() -> None:
    at = np.array([0.0, 1, 2])
    roots, g = cuberoot_of(at), np.ones(3)
    got = adjoint(cuberoot(), [at], [roots], [g])
    assert got.status == FAILED_POINTS
    assert (got.failed, got.first) == (1, 0)
    assert got.message == (
        "cuberoot: F_y is singular at 1 of 3 points; first at index [0] (x = 0): relative residual 1 after 1 "
        "iterations of GMRES; the root is not isolated there, so it has no gradient; move the input, "
        'or on_failure="nan"'
    )
    for policy in (NAN, KEEP):
        soft = adjoint(cuberoot(), [at], [roots], [g], policy)
        assert soft.status == OK
        assert np.allclose(soft.values[0], [0, *BRIEF[:2]], rtol=1e-12, atol=0)


@compiles
def test_a_singular_system_that_happens_to_be_solvable_is_a_failure_too() -> None:
    A, B = np.array([[4.0, 0.0], [1.0, 9.0]]), np.ones((2, 2))
    got = call("decoupled", [A, B], [np.sqrt(A), B], [None, np.ones((2, 2))])
    assert got.status == FAILED_POINTS
    assert got.first == 1
    assert got.message.startswith("decoupled: F_y is singular at 1 of 4 points; first at index [0, 1] (a = 0, b = 1)")
    zero = call("decoupled", [A, B], [np.sqrt(A), B], [None, None])
    assert zero.status == FAILED_POINTS, "whatever the cotangent, as in the direct adjoint"
    soft = call("decoupled", [A, B], [np.sqrt(A), B], [np.ones((2, 2)), np.ones((2, 2))], NAN)
    assert np.allclose(soft.values[0], [[0.25, 0], [0.5, 1 / 6]])
    assert np.allclose(soft.values[1], [[1, 0], [1, 1]])


@compiles
def test_a_nearly_singular_system_misses_its_tolerance_or_is_right() -> None:
    for gap in (1e-3, 1e-6, 1e-9, 1e-12, 1e-15, 1e-17):
        A, B, C = np.array([1.0 + gap]), np.ones(1), np.array([2.0])
        roots = np.linalg.solve([[A[0], 1], [1, A[0]]], [2, 1]) if gap > 1e-16 else np.ones(2)
        Y, Z = roots[:1].copy(), roots[1:].copy()
        got = call("coupled", [A, B, C], [Y, Z], [np.array([1.0]), np.array([0.3])])
        if got.status == OK:
            want = dense_gradient(OPERATORS[7], [A, B, C], [Y, Z], [np.array([1.0]), np.array([0.3])])
            for ours, theirs in zip(got.values, want, strict=True):
                assert np.allclose(ours, theirs, rtol=max(1e-10, 1e-15 / gap), atol=0), gap
        else:
            assert gap < 1e-6
            assert "missed its tolerance" in got.message or "is singular" in got.message
    assert got.status == FAILED_POINTS


@compiles
@pytest.mark.parametrize("policy", [RAISE, NAN, KEEP])
def test_points_without_a_root_add_nothing(policy: int) -> None:
    at, g = np.array([2.0, -1, 5, np.nan]), np.ones(4)
    roots = np.array([1.0, np.nan, 2, np.nan])
    got = call("parab", [at], [roots], [g], policy)
    assert got.status == OK
    assert np.array_equal(got.values[0], [0.5, 0, 0.25, 0])
    # The same through a broadcast input: nothing leaks into the sum.
    one = call("linear", [np.array([2.0]), np.array([2.0, 4, np.nan])], [np.array([1.0, 2, np.nan])], [g[:3]], policy)
    assert np.allclose(one.values[0], -1 / 2 - 1)
    assert np.allclose(one.values[1], [0.5, 0.5, 0])


@compiles
def test_a_kept_iterate_is_not_a_root() -> None:
    at, iterates = np.array([2.0, -1, 5]), np.array([1.0, 0.3, 2])
    got = call("parab", [at], [iterates], [np.ones(3)], KEEP)
    assert got.status == OK
    assert np.array_equal(got.values[0], [0.5, 0, 0.25])


@compiles
def test_a_cotangent_that_is_not_finite_is_passed_on() -> None:
    at = np.array([2.0, 5])
    got = call("parab", [at], [np.array([1.0, 2])], [np.array([np.nan, 1])])
    assert got.status == OK
    assert np.array_equal(got.values[0], [np.nan, 0.25], equal_nan=True)


@compiles
def test_piecewise_residual() -> None:
    at = np.array([4.0, -3, 0, 9])
    got = call("bent", [at], [np.array([2.0, -3, 0, 3])], [np.ones(4)])
    assert got.status == OK
    assert np.allclose(got.values[0], [0.25, 1, 1, 1 / 6], rtol=1e-14)


@compiles
def test_float32_is_solved_in_float64() -> None:
    at = np.arange(1, 6, dtype=np.float32)
    got = adjoint(cuberoot(), [at], [cuberoot_of(at)], [np.ones(5, np.float32)])
    assert got.values[0].dtype == np.float32
    assert np.allclose(got.values[0], BRIEF, rtol=4e-7, atol=0)
    total = call("linear", [np.full(1, 2, np.float32), at], [at / 2], [np.ones(5, np.float32)])
    assert np.allclose(total.values[0], -at.sum() / 4)


@compiles
def test_empty_and_scalar_points() -> None:
    empty = np.zeros((0, 3))
    got = call("linear", [np.ones((1, 3)), empty], [empty], [empty])
    assert got.status == OK
    assert np.array_equal(got.values[0], np.zeros((1, 3)))
    at = np.array(1.0)
    scalar = adjoint(cuberoot(), [at], [np.array(cuberoot_of(at))], [np.array(1.0)])
    assert scalar.status == OK
    assert scalar.values[0] == pytest.approx(BRIEF[0], rel=1e-12)


@compiles
def test_a_wrong_call_is_told() -> None:
    at = np.ones(2)
    assert adjoint(cuberoot(), [at], [None], [at]).status == BAD_CALL
    assert "unknown 0 is missing" in adjoint(cuberoot(), [at], [None], [at]).message
    assert adjoint(cuberoot(), [at], [at], [at], policy=7).message == "cuberoot: unknown failure policy"


@compiles
def test_many_points_in_many_threads() -> None:
    at = np.linspace(0.5, 50, 200_001)
    roots, g = cuberoot_of(at), np.ones_like(at)
    want = adjoint(cuberoot(), [at], [roots], [g]).values[0]
    assert np.allclose(want, (2 * at + 3 * at**2) / (3 * roots**2), rtol=1e-12, atol=0)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: adjoint(cuberoot(), [at], [roots], [g]), range(8)):
            assert got.status == OK
            assert np.array_equal(got.values[0], want)


@compiles
def test_the_modes_of_the_calling_thread_do_not_matter() -> None:
    torch = pytest.importorskip("torch")
    at = np.arange(1.0, 6)
    for mode in (torch.no_grad(), torch.inference_mode(), torch.autocast("cpu")):
        with mode:
            got = adjoint(cuberoot(), [at], [cuberoot_of(at)], [np.ones(5)])
            before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert got.status == OK
        assert np.allclose(got.values[0], BRIEF, rtol=1e-12, atol=0)
        assert before[0] != isinstance(mode, (torch.no_grad, torch.inference_mode))
    inside = torch.func.vmap(lambda t: t + float(np.sum(adjoint(cuberoot(), [at], [cuberoot_of(at)], [at]).values[0])))
    assert torch.isfinite(inside(torch.zeros(3))).all()
    assert torch.is_grad_enabled()


# Tangents and second derivatives.


def of(kind: str, name: str) -> Any:
    """Return a function of one of the operators above."""
    return compiled.several(OPERATORS)[f"{kind}_{name}"]


@cache
def dense_derivatives(op: Operator) -> Any:
    """Tangents of the outputs and the gradient of g . tangents, from symbols of x, y, g and v; F_y is inverted."""
    g, v = sp.symbols(f"g:{len(op.equations) + len(op.auxiliaries)}"), sp.symbols(f"v:{len(op.inputs)}")
    if op.explicit:
        outputs, unknowns = sp.Matrix(op.equations), ()
        by_input = outputs.jacobian(op.inputs)
        slope = sp.zeros(0, len(op.inputs))
    else:
        F, unknowns = sp.Matrix(op.equations), op.unknowns
        slope = -F.jacobian(unknowns).inv() * F.jacobian(op.inputs)
        outputs = sp.Matrix([*unknowns, *(expr for _, expr in op.auxiliaries)])
        by_input = outputs.jacobian(op.inputs) + outputs.jacobian(unknowns) * slope
    moved = by_input * sp.Matrix(v)
    paired = sp.Matrix([sp.Matrix(g).dot(moved)])
    gradient = paired.jacobian(op.inputs)
    if unknowns:
        gradient += paired.jacobian(unknowns) * slope
    symbols = (*op.inputs, *unknowns, *g, *v)
    return sp.lambdify(symbols, [list(moved), list(gradient)], ["scipy", "numpy"])


def dense_second(
    op: Operator, inputs: list[Array], roots: list[Array], g: list[Array | None], v: list[Array | None]
) -> tuple[list[Array], list[Array]]:
    """Tangents at every point, and second derivatives summed to the inputs' shapes."""
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    given = [np.broadcast_to(0.0 if array is None else array, shape) for array in (*inputs, *roots, *g, *v)]
    with np.errstate(all="ignore"):  # of branches that do not count
        moved, gradient = dense_derivatives(op)(*given)
    totals = []
    for array, part in zip(inputs, gradient, strict=True):
        axes = tuple(k for k, n in enumerate(array.shape) if n == 1 and shape[k] != 1)
        totals.append(np.broadcast_to(part, shape).sum(axis=axes, keepdims=True).reshape(array.shape))
    return [np.broadcast_to(part, shape) for part in moved], totals


def cases() -> dict[str, tuple[Operator, list[Array], list[Array]]]:
    """Operators with inputs, some broadcast, and the roots there."""
    rng = np.random.default_rng(5)
    E, e = rng.uniform(0.3, 5, (4, 3)), np.full((1, 1), 0.6)
    M = E - e * np.sin(E)
    Y = np.broadcast_to(rng.uniform(1, 2, (4, 1)), (4, 3)).copy()
    Z = rng.uniform(3, 4, (4, 3))
    X = np.array([[-2.0, -0.5, 0, 0.25], [1, 4, 9, -7]])
    two = np.full((1, 1), 2.0)
    cubic = np.array([np.roots([1, 0, 1, -2 * t]) for t in X.ravel()])
    real = cubic[np.arange(8), np.abs(cubic.imag).argmin(1)].real.reshape(X.shape)
    R, chord = rng.uniform(2, 3, (5,)), np.array([1.5])
    S, T = np.array([0.3, 1.7, 2.6, 5.2, 6.5]), np.array([0.4])
    special = pytest.importorskip("scipy.special")
    by_name = {op.name: op for op in OPERATORS}
    at = np.arange(1.0, 6)
    triple = [rng.uniform(0.5, 1.5, (2, 3)) for _ in range(3)]
    constants = [triple[0] ** 3 + triple[1], (triple[1] - triple[0]) / triple[2], np.exp(triple[2]) + triple[0] / 10]
    given: dict[str, tuple[list[Array], list[Array]]] = {
        "kepler": ([M, e], [E]),
        "sum_and_product": ([Y + Z, Y * Z], [Y, Z]),
        "triple": (constants, triple),
        "branches": ([X, two], [np.where(X > 0, 2 * np.sqrt(np.abs(X)), real)]),
        "sagitta": ([R, chord], []),
        "special": ([S, T], [special.gamma(S) * special.erf(T), special.digamma(S + T) / S]),
    }
    return {"cuberoot": (CUBEROOT, [at], [cuberoot_of(at)])} | {
        name: (by_name[name], *values) for name, values in given.items()
    }


@compiles
@pytest.mark.parametrize("name", ["cuberoot", "kepler", "sum_and_product", "triple", "branches", "sagitta", "special"])
def test_tangents_and_second_derivatives(name: str) -> None:
    op, inputs, roots = cases()[name]
    rng = np.random.default_rng(6)
    if name == "cuberoot":
        library = compiled.loaded(compiled.adjoint_library(CUBEROOT))
        functions = library.opgen_aten_second, library.opgen_aten_tangent
    else:
        functions = of("second", name), of("tangent", name)
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    outputs = len(op.equations) + len(op.auxiliaries)
    g = [rng.normal(size=shape) for _ in range(outputs)]
    v = [rng.normal(size=x.shape) for x in inputs]
    unknowns = roots or [None] * len(op.equations)
    absent: list[Array | None] = [None]
    for cotangents, tangents in (
        (g, v), (absent * (outputs - 1) + g[-1:], v), (g[:1] + absent * (outputs - 1), v),
        (g, v[:1] + absent * (len(v) - 1)), (absent * outputs, v), (g, absent * len(v)),
    ):  # fmt: skip
        moved, want = dense_second(op, inputs, roots, cotangents, tangents)
        got = second(functions[0], inputs, unknowns, cotangents, tangents)
        assert (got.status, got.failed, got.message) == (OK, 0, "")
        for ours, theirs in zip(got.values, want, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-10)
        along = tangent(functions[1], inputs, unknowns, tangents, outputs)
        assert along.status == OK
        for ours, theirs in zip(along.values, moved, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@compiles
def test_second_derivatives_do_not_depend_on_which_side_they_are_taken_from() -> None:
    """The tangent along v paired with g is the adjoint of g paired with v."""
    (op, inputs, roots), rng = cases()["sum_and_product"], np.random.default_rng(7)
    g = [rng.normal(size=inputs[0].shape) for _ in range(4)]
    v = [rng.normal(size=inputs[0].shape) for _ in range(2)]
    back = adjoint(of("adjoint", op.name), inputs, roots, g).values
    ahead = tangent(of("tangent", op.name), inputs, roots, v, 4).values
    assert sum(np.sum(p * q) for p, q in zip(g, ahead, strict=True)) == pytest.approx(
        sum(np.sum(p * q) for p, q in zip(v, back, strict=True)), rel=1e-12
    )


@compiles
@pytest.mark.parametrize("policy", [RAISE, NAN, KEEP])
def test_second_derivatives_at_points_without_a_root_are_zero(policy: int) -> None:
    at, one = np.array([2.0, -1, 5, np.nan]), np.ones(4)
    roots = np.array([1.0, np.nan, 2, np.nan])
    got = second(of("second", "parab"), [at], [roots], [one], [one], policy)
    assert got.status == OK
    np.testing.assert_allclose(got.values[0], [-0.25, 0, -1 / 32, 0], rtol=1e-14)
    moved = tangent(of("tangent", "parab"), [at], [roots], [one], 1, policy)
    np.testing.assert_allclose(moved.values[0], [0.5, 0, 0.25, 0], rtol=1e-14)
    scale, b3 = np.array([2.0]), np.array([2.0, 4, np.nan])  # y = b / a, and nothing leaks into the sum
    got = second(of("second", "linear"), [scale, b3], [b3 / scale], [np.ones(3)], [np.ones(1), None], policy)
    np.testing.assert_allclose(got.values[0], [2 * 2 / 8 + 2 * 4 / 8], rtol=1e-14)
    np.testing.assert_allclose(got.values[1], [-0.25, -0.25, 0], rtol=1e-14)


@compiles
def test_second_derivatives_at_singular_points_fail_by_the_policy() -> None:
    A, B, one = np.array([[4.0, 0.0], [1.0, 9.0]]), np.ones((2, 2)), np.ones((2, 2))
    arguments = [A, B], [np.sqrt(A), B], [one, one], [one, one]
    got = second(of("second", "decoupled"), *arguments)
    assert got.status == FAILED_POINTS
    assert (got.failed, got.first) == (1, 1)
    assert got.message.startswith("decoupled: F_y is singular at 1 of 4 points; first at index [0, 1] (a = 0, b = 1)")
    for cotangents, tangents in (([None, one], [one, one]), ([None, None], [one, one]), ([one, one], [None, one])):
        got = second(of("second", "decoupled"), [A, B], [np.sqrt(A), B], cotangents, tangents)
        assert (got.status, got.first) == (FAILED_POINTS, 1), "whatever the direction, as in the kernel"
    for policy in (NAN, KEEP):
        got = second(of("second", "decoupled"), *arguments, policy)
        assert got.status == OK
        np.testing.assert_allclose(got.values[0], [[-1 / 32, 0], [-0.25, -1 / 108]], rtol=1e-13)
        np.testing.assert_array_equal(got.values[1], np.zeros((2, 2)))
    moved = tangent(of("tangent", "decoupled"), [A, B], [np.sqrt(A), B], [one, one], 2, NAN)
    np.testing.assert_allclose(moved.values[0], [[0.25, 0], [0.5, 1 / 6]])
    np.testing.assert_allclose(moved.values[1], [[1, 0], [1, 1]])


@compiles
def test_second_derivatives_of_float32_are_solved_in_float64() -> None:
    at, one = np.arange(1, 6, dtype=np.float32), np.ones(5, np.float32)
    got = second(
        of("second", "linear"), [np.full(1, 2, np.float32), at], [at / 2], [one], [np.ones(1, np.float32), None]
    )
    assert got.values[0].dtype == np.float32
    np.testing.assert_allclose(got.values[0], [at.sum() / 4])
    empty = np.zeros((0, 3))
    got = second(of("second", "linear"), [np.ones((1, 3)), empty], [empty], [empty], [np.ones((1, 3)), empty])
    assert (got.status, got.values[0].tolist()) == (OK, [[0, 0, 0]])
    scalar = np.array(2.0)
    got = second(of("second", "parab"), [scalar], [np.array(1.0)], [np.array(1.0)], [np.array(1.0)])
    assert got.values[0] == pytest.approx(-0.25)


@compiles
def test_infinities_of_the_caller_stay_where_they_are() -> None:
    at, y3 = np.array([2.0, 5, 10]), np.array([1.0, 2, 3])
    got = second(of("second", "parab"), [at], [y3], [np.array([np.nan, 1, 1])], [np.array([1.0, 1, np.inf])])
    assert got.status == OK
    np.testing.assert_allclose(got.values[0][1], -1 / 32)
    assert not np.isfinite(got.values[0][[0, 2]]).any()


@compiles
def test_second_derivatives_of_many_points_in_many_threads() -> None:
    at = np.linspace(2, 50, 150_001)
    roots, one = np.sqrt(at - 1), np.ones_like(at)
    with ThreadPoolExecutor(4) as pool:
        for got in pool.map(lambda _: second(of("second", "parab"), [at], [roots], [one], [one]), range(8)):
            assert got.status == OK
            np.testing.assert_allclose(got.values[0], -0.25 * (at - 1) ** -1.5, rtol=1e-12)
