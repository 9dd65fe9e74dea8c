"""Check ramberg_osgood; it runs alone: python -m pytest test_ramberg_osgood.py.

The operator is compared with roots and derivatives that mpmath finds at 40 digits, with itself under the other adjoint,
dtype and framework, and with what it promises when a point fails.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import mpmath
import numpy as np
import pytest

from . import ramberg_osgood as op
from . import interface

SAMPLE = ((0.0001, 0.02), (60.0, 220.0), (0.1, 0.6), (3.0, 12.0))
SAMPLE_GIVEN = True
N, K = len(interface.INPUTS), len(interface.UNKNOWNS)
HAS_TF = (interface.SOURCES / "tf_op.py").exists() and importlib.util.find_spec("tensorflow") is not None
HAS_TORCH = (interface.SOURCES / "torch_op.py").exists() and importlib.util.find_spec("torch") is not None
HAS_JAX = (interface.SOURCES / "jax_op.py").exists() and importlib.util.find_spec("jax") is not None
HAS_ATEN = (interface.SOURCES / "lib" / f"lib{interface.NAME}_aten.so").exists()
tensorflow = pytest.mark.skipif(not HAS_TF, reason="not built for TensorFlow, or TensorFlow is not installed")
with_torch = pytest.mark.skipif(not HAS_TORCH, reason="not built for PyTorch, or PyTorch is not installed")
with_jax = pytest.mark.skipif(not HAS_JAX, reason="not built for JAX, or JAX is not installed")
aten = pytest.mark.skipif(not HAS_ATEN, reason="the ATen adjoint was built without PyTorch")


def residual(strain: Any, E: Any, s0: Any, n: Any, s: Any) -> tuple[Any, ...]:
    """F(x, y) at mpmath's precision."""
    return (
        -strain + (mpmath.mpf(1)/mpmath.mpf(500))*(s/s0)**n + s/E,
    )


def exact(strain: Any, E: Any, s0: Any, n: Any) -> tuple[Any, ...]:
    """The closed form of each unknown; None where there is none."""
    return (
        None,
    )


def auxiliary(strain: Any, E: Any, s0: Any, n: Any, s: Any) -> tuple[Any, ...]:
    """The auxiliary outputs."""
    return (
    )


def draw(count: int, dtype: Any = np.float64) -> list[np.ndarray]:
    """Draw inputs at which the operator has a root."""
    rng = np.random.default_rng(20240229)
    x = [rng.uniform(low, high, 4 * count).astype(dtype) for low, high in SAMPLE]
    good = np.asarray(op.solve(*x).converged)
    if SAMPLE_GIVEN:
        assert good.all(), f"{(~good).sum()} of {good.size} points of the sample have no root that is found"
    elif not good.any():
        pytest.skip("no root at the inputs drawn by default; give the residual a sample")
    return [a[good][:count] for a in x]


def listed(value: Any) -> list[Any]:
    """List the outputs of a call."""
    return list(value) if isinstance(value, tuple) else [value]


def root(x: list[Any], start: list[Any]) -> list[Any]:
    """Find the root near `start` with mpmath."""
    if False:
        zero = [mpmath.mpf(0)] * K
        return [-f for f in residual(*x, *zero)]
    if K == 1:
        near = (start[0], start[0] + abs(start[0]) * mpmath.mpf(10) ** -10 + mpmath.mpf(10) ** -30)
        return [mpmath.findroot(lambda y: residual(*x, y)[0], near)]
    return list(mpmath.findroot(lambda *y: residual(*x, *y), start))


def high_precision(x: list[np.ndarray], y: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Give outputs [output, point] and derivatives [output, input, point] from mpmath."""
    values, slopes = [], []
    with mpmath.workdps(40):
        h = mpmath.mpf(10) ** -12
        for point in range(x[0].size):
            at = [mpmath.mpf(float(a[point])) for a in x]
            near = root(at, [mpmath.mpf(float(b[point])) for b in y[:K]])

            def outputs(moved: list[Any], near: list[Any] = near) -> list[Any]:
                found = root(moved, near)
                return [*found, *auxiliary(*moved, *found)]

            values.append([float(v) for v in outputs(at)])
            rows = []
            for i in range(N):
                step = h * max(abs(at[i]), mpmath.mpf(10) ** -3)
                up, down = list(at), list(at)
                up[i] += step
                down[i] -= step
                rows.append([float((a - b) / (2 * step)) for a, b in zip(outputs(up), outputs(down), strict=True)])
            slopes.append(rows)
    return np.array(values).T, np.array(slopes).transpose(2, 1, 0)


def tolerance(values: np.ndarray, slopes: np.ndarray, x: list[np.ndarray], eps: float) -> np.ndarray:
    """Allow for rounding of the result, of every input, and a factor for what cancels in between."""
    moved = sum(np.abs(slopes[:, i] * a) for i, a in enumerate(x))
    return 1024 * eps * (np.abs(values) + moved) + np.finfo(np.float32).tiny


def test_values_are_the_roots_that_mpmath_finds() -> None:
    """Compare with high precision, and with the closed form where there is one."""
    x = draw(12)
    y = listed(op(*x))
    values, slopes = high_precision(x, y)
    limit = tolerance(values, slopes, x, np.finfo(np.float64).eps)
    for i, name in enumerate(interface.OUTPUTS):
        error = np.abs(y[i] - values[i])
        assert (error <= limit[i]).all(), f"{name} is off by {error.max():.2g} at most"
    with mpmath.workdps(40):
        for point in range(x[0].size):
            for i, closed in enumerate(exact(*(mpmath.mpf(float(a[point])) for a in x))):
                assert closed is None or abs(closed - y[i][point]) <= limit[i][point]


def test_residual_is_zero_at_the_result() -> None:
    """F(x, y) is rounding beside F(x, y + 1e-3)."""
    x = draw(200)
    y = listed(op(*x))[:K]
    at_root = listed(op.residual(*x, y[0] if K == 1 else tuple(y)))
    moved = [b + 1e-3 * (np.abs(b) + 1e-3) for b in y]
    nearby = listed(op.residual(*x, moved[0] if K == 1 else tuple(moved)))
    assert sum(np.abs(F).max() for F in at_root) <= 1e-6 * sum(np.abs(F).max() for F in nearby)


def test_solution_reports_every_point() -> None:
    """Value, iterations, residual norm and convergence have the points' shape."""
    x = draw(6)
    solution = op.solve(*x)
    for field in solution[1:]:
        assert np.shape(field) == x[0].shape
    assert solution.converged.all()
    for a, b in zip(listed(solution.value), listed(op(*x)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_float32_is_float64_rounded() -> None:
    """float32 inputs give the float64 result to float32's precision."""
    x = draw(100, np.float32)
    single, double = listed(op(*x)), listed(op(*(a.astype(np.float64) for a in x)))
    for a, b in zip(single, double, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-37)


def test_inputs_broadcast() -> None:
    """A row against a column gives the table of all pairs; scalars follow."""
    x = draw(3)
    single = [a[0] for a in x]
    for moved, other in itertools.combinations(range(N), 2):
        table = [np.asarray(a) for a in single]
        table[moved], table[other] = x[moved][:, None], x[other][None, :]
        for got in listed(op.solve(*table).value):
            assert got.shape == (x[moved].size, x[other].size)
    repeated = [np.broadcast_to(a[:1], (4,)) for a in x]
    for a, b in zip(listed(op(*repeated)), listed(op(*single)), strict=True):
        np.testing.assert_array_equal(a, np.full(4, b))


def test_empty_and_scalar_inputs() -> None:
    """Empty tensors give empty results, numbers give a number."""
    x = draw(1)
    for got in listed(op(*(np.zeros((0, 2)) for _ in x))):
        assert got.shape == (0, 2)
    for got, want in zip(listed(op(*(float(a[0]) for a in x))), listed(op(*x)), strict=True):
        assert np.ndim(got) == 0
        assert got == want[0]


def test_a_point_that_fails_is_reported_and_harms_no_other() -> None:
    """NaN in one input of one point."""
    x = draw(3)
    size = x[0].size
    want = listed(op(*x))
    bad = [a.copy() for a in x]
    bad[0][size - 1] = np.nan
    with pytest.raises(interface.SolveError, match=rf"{interface.NAME}: 1 of {size} points failed; first at index"):
        op(*bad)
    for got, right in zip(listed(op(*bad, on_failure="nan")), want, strict=True):
        assert np.isnan(got[size - 1])
        np.testing.assert_array_equal(got[: size - 1], right[: size - 1])
    solution = op.solve(*bad)
    assert solution.converged.tolist() == [True] * (size - 1) + [False]


def test_wrong_arguments_are_refused() -> None:
    """Other dtypes, texts, counts and options get a sentence."""
    x = draw(1)
    for wrong in (np.array([1]), np.array([1.0], np.float16), "text", None, True):
        with pytest.raises(TypeError, match=interface.NAME):
            op(wrong, *x[1:])
    with pytest.raises(TypeError, match="takes"):
        op(*x, *x)
    if N > 1:
        with pytest.raises(TypeError, match="single dtype"):
            op(x[0].astype(np.float32), *x[1:])
    for option in ({"on_failure": "shrug"}, {"adjoint": "magic"}, {"tol": -1.0}, {"max_iterations": 0}):
        with pytest.raises(ValueError, match=f"{interface.NAME}: {next(iter(option))}"):
            op(*x, **option)


def tf_gradients(x: list[np.ndarray], output: int, **options: Any) -> list[np.ndarray]:
    """Differentiate the sum of one output with TensorFlow."""
    import tensorflow as tf

    tensors = [tf.constant(a) for a in x]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        total = tf.reduce_sum(listed(op(*tensors, **options))[output])
    return [g.numpy() for g in tape.gradient(total, tensors, unconnected_gradients="zero")]


@tensorflow
def test_gradients_are_those_of_the_root() -> None:
    """Compare with derivatives of mpmath's roots."""
    x = draw(6)
    _, slopes = high_precision(x, listed(op(*x)))
    for output in range(len(interface.OUTPUTS)):
        found = tf_gradients(x, output)
        size = np.abs(slopes[output]).max()
        for i in range(N):
            np.testing.assert_allclose(found[i], slopes[output, i], rtol=1e-8, atol=1e-10 * size)


@tensorflow
def test_taylor_remainder_falls_with_the_square_of_the_step() -> None:
    """J(x + h v) - J(x) - h g.v = O(h^2)."""
    x = draw(4)
    rng = np.random.default_rng(3)
    v = [rng.standard_normal(a.shape) * (high - low) / 8 for a, (low, high) in zip(x, SAMPLE, strict=True)]
    for output in range(len(interface.OUTPUTS)):

        def J(h: float, output: int = output) -> float:
            return float(listed(op.solve(*(a + h * b for a, b in zip(x, v, strict=True))).value)[output].sum())

        slope = sum(float((g * b).sum()) for g, b in zip(tf_gradients(x, output), v, strict=True))
        steps = [1e-2 / 2**i for i in range(6)]
        remainders = np.array([abs(J(h) - J(0) - h * slope) for h in steps])
        floor = 1e-13 * abs(J(0)) + 1e-15
        rates = np.log2(remainders[:-1] / np.maximum(remainders[1:], 1e-300))[remainders[1:] > 100 * floor]
        assert rates.size == 0 or np.median(rates) > 1.8, f"remainders {remainders}"


@tensorflow
@aten
def test_gmres_and_direct_adjoint_agree() -> None:
    """Two implementations of the same gradient."""
    x = draw(20)
    for output in range(len(interface.OUTPUTS)):
        direct, gmres = (tf_gradients(x, output, adjoint=kind) for kind in ("direct", "gmres"))
        for a, b in zip(direct, gmres, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12 * max(np.abs(c).max() for c in direct))


@tensorflow
def test_tensorflow_equals_numpy() -> None:
    """One kernel, one result."""
    import tensorflow as tf

    x = draw(50)
    graph = tf.function(op)
    for dtype in (np.float64, np.float32):
        cast = [a.astype(dtype) for a in x]
        want = op.solve(*cast).value
        for got in (op.solve(*map(tf.constant, cast)).value, graph(*map(tf.constant, cast), on_failure="keep")):
            for a, b in zip(listed(got), listed(want), strict=True):
                np.testing.assert_array_equal(a.numpy(), b)


@tensorflow
@pytest.mark.skipif(N == 1, reason="a single input has nothing to broadcast against")
def test_gradient_of_a_broadcast_input_is_its_sum() -> None:
    """A scalar input collects what its copies get."""
    x = draw(40)
    for i in range(N):
        shared = [np.broadcast_to(a[:1], a.shape).copy() if j == i else a for j, a in enumerate(x)]
        if not op.solve(*shared).converged.all():
            continue
        scalar = [a[0] if j == i else a for j, a in enumerate(shared)]
        for output in range(len(interface.OUTPUTS)):
            apart, together = tf_gradients(shared, output), tf_gradients(scalar, output)
            assert together[i].shape == ()
            np.testing.assert_allclose(together[i], apart[i].sum(), rtol=1e-12, atol=1e-14 * np.abs(apart[i]).sum())


@tensorflow
def test_shapes_are_inferred_in_graphs() -> None:
    """Static, partly known and unknown shapes."""
    import tensorflow as tf

    graph = tf.function(op)
    for shape in ([3], [None, 2], None):
        traced = graph.get_concrete_function(*(tf.TensorSpec(shape, tf.float64) for _ in range(N)))
        for output in listed(traced.structured_outputs):
            assert output.shape.as_list() == shape if shape is not None else output.shape.rank is None


@tensorflow
def test_a_failing_point_adds_nothing_to_gradients() -> None:
    """on_failure="nan": the others' gradients are as without it."""
    x = draw(3)
    size = x[0].size
    bad = [a.copy() for a in x]
    bad[0][size - 1] = np.nan
    for output in range(len(interface.OUTPUTS)):
        want, got = tf_gradients(x, output), tf_gradients(bad, output, on_failure="nan")
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a[: size - 1], b[: size - 1])
            assert b[size - 1] == 0


@tensorflow
def test_saved_model_keeps_value_and_gradient(tmp_path: Any) -> None:
    """Save a function with a gradient inside, load it, compare."""
    import tensorflow as tf

    x = [tf.constant(a) for a in draw(4)]

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float64)] * N)
        def value_and_gradient(self, *inputs: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = listed(op(*inputs))[0]
            return y, tape.gradient(y, inputs, unconnected_gradients="zero")

    module = Module()
    want = module.value_and_gradient(*x)
    tf.saved_model.save(module, str(tmp_path / "model"))
    got = tf.saved_model.load(str(tmp_path / "model")).value_and_gradient(*x)
    tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a.numpy(), b.numpy()), want, got)


@pytest.fixture
def jax() -> Iterator[Any]:
    """JAX with 64 bits enabled."""
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@with_jax
def test_jax_equals_numpy(jax: Any) -> None:
    """One kernel, one result: at once, compiled, and as a batch of points."""
    x = draw(50)
    for dtype in (np.float64, np.float32):
        cast = [a.astype(dtype) for a in x]
        arrays = [jax.numpy.asarray(a) for a in cast]
        want = listed(op.solve(*cast).value)
        for f in (op.solve, jax.jit(op.solve), jax.vmap(op.solve)):
            for a, b in zip(listed(f(*arrays).value), want, strict=True):
                assert a.dtype == dtype
                np.testing.assert_array_equal(a, b)


@with_jax
def test_jax_gradients_are_those_of_the_root(jax: Any) -> None:
    """Compare reverse and forward mode with derivatives of mpmath's roots."""
    x = draw(6)
    _, slopes = high_precision(x, listed(op(*x)))
    arrays, every = [jax.numpy.asarray(a) for a in x], tuple(range(N))
    for mode in (jax.jacrev, jax.jacfwd):
        found = jax.jit(jax.vmap(mode(lambda *z: listed(op(*z)), every)))(*arrays)
        for output, of_inputs in enumerate(found):
            size = np.abs(slopes[output]).max()
            for i in range(N):
                np.testing.assert_allclose(of_inputs[i], slopes[output, i], rtol=1e-8, atol=1e-10 * size)


@with_jax
def test_jax_first_and_second_derivatives_in_both_modes(jax: Any) -> None:
    """Compare with differences, in units of the sample's extent and of the result's size."""
    from jax.test_util import check_grads

    x = draw(3)
    y = [np.abs(b) + 1e-300 for b in listed(op(*x))]
    steps = [(high - low) / 64 for low, high in SAMPLE]

    def scaled(*t: Any) -> list[Any]:
        outputs = listed(op(*(a + h * s for a, h, s in zip(x, steps, t, strict=True))))
        return [b / size for b, size in zip(outputs, y, strict=True)]

    origin = tuple(jax.numpy.zeros_like(a) for a in x)
    check_grads(jax.jit(scaled), origin, order=2, modes=["fwd", "rev"], atol=1e-5, rtol=1e-5)


def torch_tensors(x: list[np.ndarray]) -> list[Any]:
    """Make tensors that gradients are asked of."""
    import torch

    return [torch.tensor(a, requires_grad=True) for a in x]


def torch_gradients(x: list[np.ndarray], output: int, **options: Any) -> list[np.ndarray]:
    """Differentiate the sum of one output with PyTorch."""
    import torch

    tensors = torch_tensors(x)
    return [g.numpy() for g in torch.autograd.grad(listed(op(*tensors, **options))[output].sum(), tensors)]


@with_torch
def test_torch_equals_numpy() -> None:
    """One kernel, one result, however the tensors lie in memory, and as a batch of points."""
    import torch

    x = draw(50)
    for dtype in (np.float64, np.float32):
        cast = [a.astype(dtype) for a in x]
        want = op.solve(*cast).value
        plain = [torch.tensor(a) for a in cast]
        strided = [torch.stack([t, t], dim=1)[:, 1] for t in plain]
        for f, tensors in ((op.solve, plain), (op.solve, strided), (torch.func.vmap(op.solve), plain)):
            for a, b in zip(listed(f(*tensors).value), listed(want), strict=True):
                np.testing.assert_array_equal(a.numpy(), b)


@with_torch
def test_torch_gradients_are_those_of_the_root() -> None:
    """Compare reverse and forward mode with derivatives of mpmath's roots."""
    import torch

    x = draw(6)
    _, slopes = high_precision(x, listed(op(*x)))
    tensors = [torch.tensor(a) for a in x]
    for mode in (torch.func.jacrev, torch.func.jacfwd):
        found = torch.func.vmap(mode(lambda *z: tuple(listed(op(*z))), tuple(range(N))))(*tensors)
        for output, of_inputs in enumerate(found):
            size = np.abs(slopes[output]).max()
            for i in range(N):
                np.testing.assert_allclose(of_inputs[i], slopes[output, i], rtol=1e-8, atol=1e-10 * size)


@with_torch
def test_torch_first_and_second_derivatives_in_both_modes() -> None:
    """Compare with differences, in units of the sample's extent and of the result's size."""
    import torch

    x = [torch.tensor(a) for a in draw(3)]
    sizes = [b.abs() + 1e-300 for b in listed(op(*x))]
    steps = [(high - low) / 64 for low, high in SAMPLE]

    def scaled(*t: Any) -> tuple[Any, ...]:
        outputs = listed(op(*(a + h * s for a, h, s in zip(x, steps, t, strict=True))))
        return tuple(b / size for b, size in zip(outputs, sizes, strict=True))

    origin = tuple(torch.zeros_like(a).requires_grad_() for a in x)
    assert torch.autograd.gradcheck(scaled, origin, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(scaled, origin, check_fwd_over_rev=True)


@with_torch
def test_torch_operators_are_registered_as_they_should_be() -> None:
    """Schema, fake tensors, autograd and tracing, by PyTorch's own checks."""
    import torch

    from .torch_autograd import Adjoint, Forward, Residual, Tangent

    x = torch_tensors(draw(4))
    y = [t.detach() for t in listed(op(*x))]
    bars = [torch.ones_like(t) for t in y]
    torch.library.opcheck(Forward.op, tuple(x))
    torch.library.opcheck(Residual.op, (*x, *y[:K]))
    torch.library.opcheck(Adjoint.op, (*x, *y[:K], *bars, list(range(N))))
    torch.library.opcheck(Tangent.op, (*x, *y[:K], *(torch.ones_like(t) for t in x)))


@with_torch
def test_torch_compiles_to_one_graph() -> None:
    """Value and gradient of a compiled function are those of the function, for any number of points."""
    import torch

    def function(*inputs: Any) -> Any:
        return sum((t**2).sum() for t in listed(op(*inputs)))

    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (4, 7):
        found = []
        for f in (compiled, function):
            tensors = torch_tensors(draw(count))
            value = f(*tensors)
            found.append([value.detach(), *torch.autograd.grad(value, tensors)])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)


@with_torch
@aten
def test_torch_gmres_and_direct_adjoint_agree() -> None:
    """Two implementations of the same gradient, and of its derivative."""
    import torch

    x = draw(10)
    for output in range(len(interface.OUTPUTS)):
        found = []
        for adjoint in ("direct", "gmres"):
            tensors = torch_tensors(x)
            first = torch.autograd.grad(listed(op(*tensors, adjoint=adjoint))[output].sum(), tensors, create_graph=True)
            second = torch.autograd.grad(sum(g.sum() for g in first), tensors)
            found.append([g.detach().numpy() for g in (*first, *second)])
        size = max(np.abs(g).max() for g in found[0])
        for a, b in zip(*found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11 * size)


@with_torch
def test_torch_a_failing_point_adds_nothing_to_gradients() -> None:
    """on_failure="nan": the others' gradients are as without it; "raise": the kernel's words."""
    x = draw(3)
    size = x[0].size
    bad = [a.copy() for a in x]
    bad[0][size - 1] = np.nan
    with pytest.raises(RuntimeError, match=rf"^{interface.NAME}: 1 of {size} points failed; first at index"):
        op(*torch_tensors(bad))
    for output in range(len(interface.OUTPUTS)):
        want, got = torch_gradients(x, output), torch_gradients(bad, output, on_failure="nan")
        for a, b in zip(want, got, strict=True):
            np.testing.assert_array_equal(a[: size - 1], b[: size - 1])
            assert b[size - 1] == 0
