"""The ATen half of an operator: what is printed, what it evaluates to, and the gradients that GMRES makes of it."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from gmres import compiled
from gmres.compiled import KEEP, NAN, RAISE, Array, Operator, adjoint, second, tangent

from opgen.errors import UnsupportedError
from opgen.lower.aten import aten_lines

compiles = pytest.mark.compiler
OK, FAILED_POINTS, BAD_CALL = range(3)

x, y, z, a, b, c = sp.symbols("x y z a b c", real=True)
third = sp.Rational(1, 3)


# The text.


def test_text_reads_like_the_formula() -> None:
    code = aten_lines([x**2 - y**3 / (1 + x)], {x: "x", y: "y"})
    assert code.lines == ()
    assert code.results == ("at::pow(x, 2) - at::pow(y, 3) / (x + 1)",)
    assert code.headers == ("pow",)


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (-x / 3 + y, "y - x / 3"),
        (-3 * x * y / (2 * z**2), "-3 * x * y / (2 * at::pow(z, 2))"),
        (1 / sp.sqrt(x), "1 / at::sqrt(x)"),
        (x**third, "at::pow(x, 0.3333333333333333)"),
        (sp.pi * x, "3.141592653589793 * x"),
        (sp.Integer(3), "opgen::constant(3)"),
        (x * 10**30, "1e+30 * x"),
        (sp.Max(0, x), "at::maximum(opgen::constant(0), x)"),
        (-sp.sin(x) * y, "-y * at::sin(x)"),
        (2**x, "at::pow(2, x)"),
    ],
)
def test_text_of_small_expressions(expr: sp.Expr, text: str) -> None:
    assert aten_lines([expr], {s: s.name for s in (x, y, z)}).results == (text,)


def test_common_subexpressions_are_shared_but_never_moved_out_of_a_branch() -> None:
    code = aten_lines([sp.exp(x * y) + sp.sin(x * y), sp.exp(x * y)], {x: "x", y: "t0"})
    assert code.lines[0] == "const at::Tensor t1 = x * t0;", "a temporary must not take an input's name"
    inside = aten_lines([sp.Piecewise((sp.sqrt(x) + sp.log(sp.sqrt(x)), x > 0), (sp.sqrt(-x), True)), sp.sqrt(x)],
                        {x: "x"})  # fmt: skip
    assert inside.lines[0].endswith("= opgen::piecewise(")
    assert "const at::Tensor t0 = at::sqrt(x);" in [line.strip() for line in inside.lines]


@pytest.mark.parametrize(
    "expr", [sp.Function("f")(x), sp.zeta(x), sp.I * x, sp.besselj(0, x), x + c, sp.Integer(10) ** 400 * x]
)
def test_what_cannot_be_printed_is_refused(expr: sp.Expr) -> None:
    with pytest.raises(UnsupportedError):
        aten_lines([expr], {x: "x"})


def test_text_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "import sympy as sp; from opgen.lower.aten import aten_lines; x, y, z = sp.symbols('x y z');"
        "e = sp.exp(x * y) + sp.sin(x * y) * z + sp.Piecewise((sp.Max(sp.sqrt(x), y), x > z), (z, y < 2), (1, True));"
        "print(aten_lines([e, e.diff(x), sp.Min(x / y, z, sp.log(x))], {x: 'x', y: 'y', z: 'z'}))"
    )
    root = Path(__file__).parents[1]
    runs = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]


# The functions, each against SymPy's own value in many digits.

FUNCTIONS: tuple[sp.Expr, ...] = (
    *(f(x) for f in (sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.asin, sp.acos, sp.atan, sp.sinh, sp.cosh, sp.tanh)),
    *(f(x) for f in (sp.asinh, sp.acosh, sp.atanh, sp.erf, sp.erfc, sp.erfinv, sp.gamma, sp.digamma)),
    *(f(x) for f in (sp.Abs, sp.sign, sp.floor, sp.ceiling, sp.frac, sp.Heaviside, sp.sinc)),
    *(f(x) for f in (sp.sec, sp.csc, sp.cot, sp.sech, sp.csch, sp.coth, sp.asec, sp.acsc, sp.acot)),
    *(f(x) for f in (sp.asech, sp.acsch, sp.acoth)),
    sp.sqrt(x), x**third, 1 / x, x**-2, x**7, x ** sp.Rational(5, 2), x**-third, x**1.5, (x + 3) ** y, 2**x,
    sp.loggamma(x + 3), sp.polygamma(2, x), sp.polygamma(1, x), sp.atan2(x, y), sp.atan2(x, 1), sp.Mod(x, y),
    sp.Heaviside(x - y, 0),
    x * y / 3 - 2 * y / (7 * x) + sp.pi * x - sp.E, -(x - y) ** 2, sp.Integer(2), sp.sqrt(2) * sp.pi, 1e-30 * x,
    sp.Max(x, y), sp.Min(x, y, 1), sp.Max(0, x), sp.Max(1, sp.sqrt(x + 1.25), y), sp.Min(1 / x, y),
    sp.Piecewise((sp.sqrt(x), x > 0), (sp.log(-x) * y, x < -sp.Rational(1, 2)), (y, True)),
    sp.Piecewise((x**2, sp.And(x > 0, y > 0)), (x, sp.Or(x < -1, sp.Not(y < 1))), (3, True)),
    sp.Piecewise((x, sp.ITE(x > 0, x > y, y > 0)), (y, True)), sp.Piecewise((x * y, (x > 0) ^ (y > 0)), (y, True)),
    sp.Piecewise((sp.Piecewise((x, y > 0), (1 / x, True)), x > 0), (sp.sin(x) * sp.sin(x) ** 2, True)),
    sp.Piecewise((x, sp.Eq(x, y)), (2 * y, sp.Ne(x, 1))), sp.Piecewise((x, x > 0)),
    sp.Piecewise((y, sp.Max(sp.sqrt(x + 3), y) > 1), (x, True)), sp.exp(sp.Piecewise((x, x > 0), (-x, True))) + x,
)  # fmt: skip

POINTS = np.array([[0.3, 0.7], [2.6, -1.2], [-0.4, 0.9], [-2.3, 2.2], [-1.6, -0.3], [0.95, 3.0], [5.2, 0.45]])


@cache
def evaluate(exprs: tuple[sp.Expr, ...]) -> Callable[[Array], tuple[Array, Array]]:
    """Compile functions of x and y; return values [f, n] and slopes [f, 2, n] at points [n, 2]."""
    source = compiled.written("functions.cc", Operator("functions", exprs, (x, y), explicit=True).source())
    flags = [f'-DVALUES_OPERATOR="{source}"', "-Wno-unused-function"]
    obj = compiled.compiled(compiled.HERE / "values.cc", *flags, texts=[source.read_text()])
    library = compiled.loaded(compiled.linked("functions", obj, compiled.runtime()))

    def call(points: Array) -> tuple[Array, Array]:
        at, n = np.ascontiguousarray(points.T), len(points)
        values, slopes = np.zeros((len(exprs), n)), np.zeros((len(exprs), 2, n))
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (at, values, slopes)]
        assert library.evaluate(pointers[0], ctypes.c_int64(2), ctypes.c_int64(n), *pointers[1:]) == 0
        return values, slopes

    return call


def exact(expr: sp.Expr, px: sp.Expr, py: sp.Expr) -> sp.Expr:
    try:
        return sp.N(expr.subs({x: px, y: py}), 50)
    except ValueError:  # mpmath's word for a point outside the domain
        return sp.nan


@compiles
def test_functions_have_their_values_and_slopes() -> None:
    values, slopes = evaluate(FUNCTIONS)(POINTS)
    h = sp.Float("1e-15", 60)
    for i, expr in enumerate(FUNCTIONS):
        seen = 0
        for j, point in enumerate(POINTS):
            px, py = (sp.Float(float(v), 60) for v in point)
            value = exact(expr, px, py)
            if not value.is_real or not value.is_finite:
                assert not np.isfinite(values[i, j]), f"{expr} at {point} is {value}"
                continue
            seen += 1
            assert values[i, j] == pytest.approx(float(value), rel=4e-13, abs=1e-14), f"{expr} at {point}"
            for k, (dx, dy) in enumerate(((h, 0), (0, h))):
                ahead, behind = exact(expr, px + dx, py + dy), exact(expr, px - dx, py - dy)
                slope = float((ahead - behind) / (2 * h))
                assert slopes[i, k, j] == pytest.approx(slope, rel=4e-12, abs=1e-13), (
                    f"d {expr} / d {'xy'[k]} at {point}"
                )
        assert seen >= 1, f"{expr} was never real"


@compiles
def test_an_inactive_branch_never_poisons_a_gradient() -> None:
    exprs = (
        sp.Piecewise((sp.sqrt(x), x > 0), (0, True)),
        sp.Piecewise((sp.sin(x) / x, sp.Ne(x, 0)), (1, True)),
        sp.Max(1, sp.sqrt(x + 1)),
        sp.Min(2, 1 / x),
        sp.Abs(x),
        sp.Piecewise((sp.Piecewise((sp.log(x), x > 0), (7 * x, True)), x < 2), (sp.log(2 - x), x < 1), (x * y, True)),
        sp.Piecewise((x**third, x >= 1), ((2 - x) ** y, True)),
    )  # fmt: skip
    points = np.array([[0.0, 1], [-1, 2], [4, 3], [2, 1]])
    values, slopes = evaluate(exprs)(points)
    expected = np.array([
        [0, 0, 0.25, 1 / np.sqrt(8)],
        [0, np.sin(1) - np.cos(1), (4 * np.cos(4) - np.sin(4)) / 16, (2 * np.cos(2) - np.sin(2)) / 4],
        [0, 0, 1 / np.sqrt(20), 1 / np.sqrt(12)],
        [0, -1, -1 / 16, -0.25],
        [0, -1, 1, 1],
        [7, 7, 3, 1],
        [-1, -6, 4 ** (-2 / 3) / 3, 2 ** (-2 / 3) / 3],
    ])  # fmt: skip
    assert np.isfinite(slopes[:, 0]).all()
    assert np.isfinite(values).all()
    assert np.allclose(slopes[:, 0], expected, rtol=1e-14, atol=1e-15)


# The adjoint.

CUBEROOT = Operator("cuberoot", (x**2 - y**3 / (1 + x),), (x,), (y,))
BRIEF = (1.0499342082457277, 1.0175237711585172, 1.008922214940025, 1.0054028553482124, 1.0036219820057994)

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


# The loader.


@cache
def adapter() -> Path:
    source = compiled.HERE / "loader.cc"
    command = [compiled.compiler(), "-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
               "-shared", f"-I{compiled.INCLUDE}", str(source)]  # fmt: skip
    return compiled.made("loader.so", command, source.read_text(), compiled.headers())


def installed(folder: Path, version: str | None = None, torch: Path | None = None) -> Path:
    """Lay out an operator's lib folder; return the adapter in it."""
    folder.mkdir()
    if version is None:
        text = (compiled.torch_folder() / "version.py").read_text()
        version = next(line.split("'")[1] for line in text.splitlines() if line.startswith("__version__"))
    shutil.copy(adapter(), folder / "adapter.so")
    shutil.copy(compiled.adjoint_library(CUBEROOT), folder / "libcuberoot_aten.so")
    (folder / "libcuberoot_aten.txt").write_text(f"{version}\n{torch or compiled.torch_folder()}\n")
    return folder / "adapter.so"


def slope(library: ctypes.CDLL) -> tuple[int, float, str]:
    result, message = ctypes.c_double(), ctypes.create_string_buffer(compiled.MESSAGE_SIZE)
    at, root = ctypes.c_double(1), ctypes.c_double(2.0 ** (1 / 3))
    status = library.slope(at, root, ctypes.byref(result), message)
    return status, result.value, message.value.decode()


@compiles
def test_loader_explains_what_is_missing(tmp_path: Path) -> None:
    other = ctypes.CDLL(str(installed(tmp_path / "other", version="2.9.1+cpu")))
    status, _, message = slope(other)
    assert status == 1
    assert message.startswith("cuberoot: its ATen adjoint was built against torch 2.9.1+cpu, but torch 2.")
    assert message.endswith('is installed; run opgen build again, or use adjoint="direct"')

    moved = ctypes.CDLL(str(installed(tmp_path / "moved", torch=tmp_path / "nowhere")))
    status, _, message = slope(moved)
    assert status == 1
    assert f"there is none in {tmp_path / 'nowhere'}" in message
    moved.use_torch(str(compiled.torch_folder()).encode())
    status, value, message = slope(moved)
    assert (status, message) == (0, "")
    assert value == pytest.approx(BRIEF[0], rel=1e-12)

    bare = installed(tmp_path / "bare")
    (tmp_path / "bare" / "libcuberoot_aten.txt").unlink()
    assert "its ATen adjoint is missing" in slope(ctypes.CDLL(str(bare)))[2]

    torn = installed(tmp_path / "torn")
    (tmp_path / "torn" / "libcuberoot_aten.so").write_text("not a library")
    assert "cannot be loaded" in slope(ctypes.CDLL(str(torn)))[2]


@compiles
@pytest.mark.parametrize(
    "imports",
    ["", "import tensorflow; import torch", "import torch; import tensorflow"],
    ids=["none", "tf+pt", "pt+tf"],
)
def test_loader_works_in_every_import_order(imports: str, tmp_path: Path) -> None:
    for module in ("torch", "tensorflow") if imports else ():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    adapter_path = installed(tmp_path / "lib")
    program = f"""
import ctypes, sys, threading
{imports}
library = ctypes.CDLL({str(adapter_path)!r})
def run(_=None):
    result, message = ctypes.c_double(), ctypes.create_string_buffer(1024)
    status = library.slope(ctypes.c_double(1), ctypes.c_double(2.0 ** (1 / 3)), ctypes.byref(result), message)
    assert status == 0, message.value
    assert abs(result.value - {BRIEF[0]!r}) < 1e-12
threads = [threading.Thread(target=run) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
run()
if "torch" in sys.modules:
    x = sys.modules["torch"].ones(3, requires_grad=True)
    (x ** 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
if "tensorflow" in sys.modules:
    assert float(sys.modules["tensorflow"].reduce_sum(sys.modules["tensorflow"].ones(3))) == 3
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "fine" in done.stdout
