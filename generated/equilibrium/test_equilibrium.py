"""Check equilibrium; it runs alone: python -m pytest test_equilibrium.py.

On a small grid the operator is compared with Newton's method in NumPy, which knows nothing but its residual, its derivatives
with differences, and all of it with itself: under the other adjoint, dtype, framework and batch. Then with what it promises
when a system fails.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
from collections.abc import Iterator
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from . import equilibrium as op
from . import interface

SAMPLE = ((-1.0, 1.0), (-0.2, 0.2), (-1.0, 1.0), (-0.5, 0.5))
SAMPLE_GIVEN = True
SIZES = (5, 6)  # of the dimensions m, n
N, K, OUTPUTS = len(interface.INPUTS), len(interface.UNKNOWNS), len(interface.OUTPUTS)
HAS_TF = (interface.SOURCES / "tf_op.py").exists() and importlib.util.find_spec("tensorflow") is not None
HAS_TORCH = (interface.SOURCES / "torch_op.py").exists() and importlib.util.find_spec("torch") is not None
HAS_JAX = (interface.SOURCES / "jax_op.py").exists() and importlib.util.find_spec("jax") is not None
HAS_ATEN = (interface.SOURCES / "lib" / f"lib{interface.NAME}_aten.so").exists()
with_tf = pytest.mark.skipif(not HAS_TF, reason="not built for TensorFlow, or TensorFlow is not installed")
with_torch = pytest.mark.skipif(not HAS_TORCH, reason="not built for PyTorch, or PyTorch is not installed")
with_jax = pytest.mark.skipif(not HAS_JAX, reason="not built for JAX, or JAX is not installed")
aten = pytest.mark.skipif(not HAS_ATEN, reason="the ATen adjoint was built without PyTorch")
implicit = pytest.mark.skipif(interface.EXPLICIT, reason="nothing is solved")


def listed(value: Any) -> list[Any]:
    """List the outputs of a call."""
    return list(value) if isinstance(value, (tuple, list)) else [value]


def single(values: list[Any]) -> Any:
    """Give one unknown as it is, several as a tuple."""
    return values[0] if len(values) == 1 else tuple(values)


def core(number: int) -> tuple[int, ...]:
    """Give the shape of an operand of one system."""
    return interface.core(number, SIZES)


def start(make: Any = np.asarray, dtype: Any = np.float64, near: list[np.ndarray] | None = None) -> dict[str, Any]:
    """Say where the iteration starts: near a root, or at zeros where no input tells the grid's size."""
    if near is None and not interface.FREE:
        return {}
    begin = near[:K] if near is not None else [np.zeros(core(N + u), dtype) for u in range(K)]
    return {"initial": single([make(b) for b in begin])}


def residual(x: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """F of one system, all unknowns in one vector."""
    return np.concatenate([np.ravel(F) for F in listed(op.residual(*x, single(parted(y))))])


def parted(y: np.ndarray) -> list[np.ndarray]:
    """Part a vector into the unknowns of a system."""
    ends = np.cumsum([np.prod(core(N + u), dtype=int) for u in range(K)])
    return [part.reshape(core(N + u)) for u, part in enumerate(np.split(y, ends[:-1]))]


def vector(y: list[np.ndarray]) -> np.ndarray:
    """Join the unknowns of a system."""
    return np.concatenate([np.ravel(part) for part in y[:K]])


def jacobian(x: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """F_y of one system by differences."""
    columns = []
    for i, size in enumerate(np.abs(y) + np.abs(y).max(initial=0) + 1e-3):
        step = np.zeros_like(y)
        step[i] = 5e-6 * size
        columns.append((residual(x, y + step) - residual(x, y - step)) / (2 * step[i]))
    return np.array(columns).T


@functools.cache
def systems(count: int) -> list[list[np.ndarray]]:
    """Draw systems that have a root which is found; of many the ones whose F_y is farthest from singular."""
    rng = np.random.default_rng(20240229)
    found: list[tuple[float, list[np.ndarray]]] = []
    for _ in range(40 * count):
        x = [np.asarray(rng.uniform(low, high, core(i))) for i, (low, high) in enumerate(SAMPLE)]
        solution = op.solve(*x, **start())
        if solution.converged:
            y = vector(listed(solution.value))
            found.append((1.0 if interface.EXPLICIT or not y.size else float(np.linalg.cond(jacobian(x, y))), x))
        if len(found) == 8 * count:
            break
    if not found:
        advice = "check its sample, or give it a guess" if SAMPLE_GIVEN else "give the residual a sample"
        pytest.skip(f"none of {40 * count} systems drawn at random has a root that is found; {advice}")
    best = sorted(found, key=lambda pair: pair[0])
    return [best[i % len(best)][1] for i in range(count)]


def draw(*batch: int, dtype: Any = np.float64) -> list[np.ndarray]:
    """Draw the inputs of a batch of systems."""
    alone = systems(int(np.prod(batch)))
    return [np.stack([x[i] for x in alone]).reshape(*batch, *core(i)).astype(dtype) for i in range(N)]


def used() -> int:
    """Find an input on which the residual depends."""
    x = systems(1)[0]
    y = vector(listed(op.solve(*x, **start()).value))
    for i in range(N):
        moved = [a * 1.5 + 0.25 if j == i else a for j, a in enumerate(x)]
        if not np.array_equal(residual(moved, y), residual(x, y)):
            return i
    pytest.skip("the residual depends on no input")
    return 0


def weights(*batch: int) -> list[np.ndarray]:
    """Draw what every entry of the outputs counts in the objective J."""
    rng = np.random.default_rng(7)
    return [rng.uniform(0.5, 1.5, (*batch, *core(N + o))) for o in range(OUTPUTS)]


def objective(x: list[np.ndarray], near: list[np.ndarray]) -> float:
    """J = the weighted sum of the outputs at the root near the given one."""
    solution = op.solve(*x, **start(near=near))
    assert np.all(solution.converged)
    values = listed(solution.value)
    batch = values[0].shape[: values[0].ndim - interface.RANKS[N]]
    return float(sum(np.sum(w * o) for w, o in zip(weights(*batch), values, strict=True)))


def directions(x: list[np.ndarray], seed: int = 3) -> list[np.ndarray]:
    """Draw a direction in the space of the inputs, an eighth of the sample's extent long."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, a.shape) * (high - low) / 8 for a, (low, high) in zip(x, SAMPLE, strict=True)]


def moved(x: list[np.ndarray], h: float, v: list[np.ndarray]) -> list[np.ndarray]:
    """Return x + h v."""
    return [a + h * b for a, b in zip(x, v, strict=True)]


def dot(a: list[np.ndarray], b: list[np.ndarray]) -> float:
    """The sum of all products of entries."""
    return float(sum(np.sum(p * q) for p, q in zip(a, b, strict=True)))


def assert_near(got: list[np.ndarray], want: list[np.ndarray], tolerance: float) -> None:
    """Compare to a tolerance relative to the largest entry of all."""
    size = max((np.abs(b).max(initial=0) for b in want), default=0.0)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * size + 1e-300)


def test_residual_is_zero_at_the_result() -> None:
    """F(x, y) is rounding beside F(x, y + 1e-3)."""
    for x in systems(3):
        y = vector(listed(op(*x, **start())))
        nearby = y + 1e-3 * (np.abs(y) + np.abs(y).max(initial=0) + 1e-3)
        assert np.abs(residual(x, y)).max(initial=0) <= 1e-6 * np.abs(residual(x, nearby)).max(initial=0)


@implicit
def test_newton_in_numpy_finds_the_same_root() -> None:
    """Start beside the result; know only the residual."""
    rng = np.random.default_rng(1)
    for x in systems(3):
        want = vector(listed(op(*x, **start())))
        size = np.abs(want).max(initial=0) + 1e-300
        y = want + 1e-4 * size * rng.uniform(-1, 1, want.shape)
        for _ in range(8):
            y = y - np.linalg.solve(jacobian(x, y), residual(x, y))
        np.testing.assert_allclose(y, want, rtol=0, atol=1e-9 * size)


def test_solution_reports_every_system() -> None:
    """Iterations, residual norm and convergence have the batch's shape, values the core axes behind it."""
    x = draw(2, 3)
    solution = op.solve(*x, **start())
    for o, value in enumerate(listed(solution.value)):
        assert value.shape == (2, 3, *core(N + o))
    for field in solution[1:]:
        assert np.shape(field) == (2, 3)
    assert solution.converged.all()
    for a, b in zip(listed(op(*x, **start())), listed(solution.value), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_is_its_systems() -> None:
    """Each system of a batch has the result that it has alone; operands without batch axes are shared."""
    x = draw(4)
    together = listed(op(*x, **start()))
    for b in range(4):
        alone = listed(op(*(a[b] for a in x), **start()))
        for whole, one in zip(together, alone, strict=True):
            np.testing.assert_array_equal(whole[b], one)
    for shared in range(N):
        mixed = [a[0] if i == shared else a for i, a in enumerate(x)]
        spread = [np.broadcast_to(a[0], a.shape) if i == shared else a for i, a in enumerate(x)]
        one, all_of_them = (listed(op.solve(*given, **start()).value) for given in (mixed, spread))
        for a, b in zip(one, all_of_them, strict=True):
            assert a.shape == b.shape or N == 1
            np.testing.assert_array_equal(*np.broadcast_arrays(a, b))


@pytest.mark.skipif(N == 1, reason="a single input has nothing to broadcast against")
def test_batch_axes_broadcast() -> None:
    """A row of systems against a column gives the table of all pairs."""
    x = draw(3)
    for one, other in itertools.combinations(range(N), 2):
        table = [a[0] for a in x]
        table[one], table[other] = x[one][:, None], x[other][None, :]
        for o, got in enumerate(listed(op.solve(*table, **start()).value)):
            assert got.shape == (3, 3, *core(N + o))


def test_empty_batches() -> None:
    """No system gives no result."""
    x = [np.zeros((0, 2, *core(i))) for i in range(N)]
    for o, got in enumerate(listed(op(*x, **start()))):
        assert got.shape == (0, 2, *core(N + o))


def test_float32_is_float64_rounded() -> None:
    """float32 inputs give the float64 result to float32's precision."""
    x = draw(3, dtype=np.float32)
    one = listed(op(*x, **start(dtype=np.float32)))
    two = listed(op(*(a.astype(np.float64) for a in x), **start()))
    assert all(a.dtype == np.float32 for a in one)
    assert_near([a.astype(np.float64) for a in one], two, 1e-6)


@implicit
def test_a_warm_start_stays() -> None:
    """From its root the iteration has next to nothing to do."""
    x = draw(3)
    first = op.solve(*x, **start())
    again = op.solve(*x, **start(near=listed(first.value)))
    assert (again.iterations <= np.maximum(first.iterations, 2)).all()
    assert_near(listed(again.value), listed(first.value), 1e-9)


def test_a_system_that_fails_is_reported_and_harms_no_other() -> None:
    """NaN in one input of one system."""
    x = draw(3)
    want = listed(op(*x, **start()))
    bad = [a.copy() for a in x]
    bad[used()][2, ...] = np.nan
    blamed = rf"^{interface.NAME}: 1 of 3 systems failed; first at index \[2\].*finite"
    with pytest.raises(interface.SolveError, match=blamed):
        op(*bad, **start())
    for got, right in zip(listed(op(*bad, on_failure="nan", **start())), want, strict=True):
        assert np.isnan(got[2]).all()
        np.testing.assert_array_equal(got[:2], right[:2])
    assert listed(op(*bad, on_failure="keep", **start()))[0].shape == want[0].shape
    assert op.solve(*bad, **start()).converged.tolist() == [True, True, False]


def test_wrong_arguments_are_refused() -> None:
    """Other dtypes, texts, counts, shapes and options get a sentence."""
    x = draw(2)
    for wrong in (np.zeros(core(0), np.int64), np.zeros(core(0), np.float16), "text", None, True):
        with pytest.raises(TypeError, match=interface.NAME):
            op(wrong, *x[1:], **start())
    with pytest.raises(TypeError, match="takes"):
        op(*x, *x, **start())
    if N > 1:
        with pytest.raises(TypeError, match="single dtype"):
            op(x[0].astype(np.float32), *x[1:], **start())
        with pytest.raises(ValueError, match=f"{interface.NAME}: .* do not broadcast"):
            op(np.stack([x[0][0]] * 3), *x[1:], **start())
    for i in range(N):
        if interface.RANKS[i]:
            with pytest.raises(ValueError, match=f"{interface.NAME}: {interface.INPUTS[i]} has shape .* but needs"):
                op(*x[:i], np.asarray(0.5), *x[i + 1 :], **start())
    for option in ({"on_failure": "shrug"}, {"adjoint": "magic"}, {"tol": -1.0}, {"max_iterations": 0}):
        with pytest.raises(ValueError, match=f"{interface.NAME}: {next(iter(option))}"):
            op(*x, **start(), **option)


class TensorFlow:
    """What TensorFlow makes of the operator, in NumPy's arrays."""

    error = "InvalidArgumentError"

    @staticmethod
    def call(x: list[np.ndarray], **options: Any) -> list[np.ndarray]:
        """Solve."""
        import tensorflow as tf

        begin = start(tf.constant, x[0].dtype)
        return [t.numpy() for t in listed(op(*map(tf.constant, x), **begin, **options))]

    @staticmethod
    def compiled(x: list[np.ndarray]) -> list[np.ndarray]:
        """Solve in a graph, or compiled."""
        import tensorflow as tf

        begin = start(tf.constant, x[0].dtype)
        return [t.numpy() for t in listed(tf.function(lambda *a: op(*a, **begin))(*map(tf.constant, x)))]

    @staticmethod
    def mapped(x: list[np.ndarray]) -> list[np.ndarray]:
        """Solve as a map over the first batch axis."""
        import tensorflow as tf

        begin = start(tf.constant, x[0].dtype)
        return [t.numpy() for t in listed(tf.vectorized_map(lambda a: op(*a, **begin), tuple(map(tf.constant, x))))]

    @staticmethod
    def gradient(x: list[np.ndarray], w: list[np.ndarray], near: Any = None, **options: Any) -> list[np.ndarray]:
        """dJ/dx for cotangents w of the outputs."""
        import tensorflow as tf

        tensors = [tf.constant(a) for a in x]
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = listed(op(*tensors, **start(tf.constant, x[0].dtype, near), **options))
        found = tape.gradient(outputs, tensors, [tf.constant(b) for b in w], unconnected_gradients="zero")
        return [g.numpy() for g in found]

    @staticmethod
    def tangent(x: list[np.ndarray], v: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs' tangents for tangents v of the inputs."""
        import tensorflow as tf

        tensors = [tf.constant(a) for a in x]
        with tf.autodiff.ForwardAccumulator(tensors, [tf.constant(b) for b in v]) as accumulator:
            outputs = listed(op(*tensors, **start(tf.constant)))
        return [t.numpy() for t in accumulator.jvp(outputs, unconnected_gradients="zero")]

    @staticmethod
    def curvature(x: list[np.ndarray], w: list[np.ndarray], v: list[np.ndarray], **options: Any) -> list[np.ndarray]:
        """The derivative of dJ/dx along v."""
        import tensorflow as tf

        tensors = [tf.constant(a) for a in x]
        with tf.GradientTape() as outer:
            outer.watch(tensors)
            with tf.GradientTape() as inner:
                inner.watch(tensors)
                outputs = listed(op(*tensors, **start(tf.constant), **options))
            first = inner.gradient(outputs, tensors, [tf.constant(b) for b in w], unconnected_gradients="zero")
            slope = tf.add_n([tf.reduce_sum(g * b) for g, b in zip(first, v, strict=True)])
        return [g.numpy() for g in outer.gradient(slope, tensors, unconnected_gradients="zero")]


class PyTorch:
    """What PyTorch makes of the operator, in NumPy's arrays."""

    error = "RuntimeError"

    @staticmethod
    def tensors(x: list[np.ndarray]) -> list[Any]:
        """Make tensors that gradients are asked of."""
        import torch

        return [torch.tensor(a, requires_grad=True) for a in x]

    @staticmethod
    def call(x: list[np.ndarray], **options: Any) -> list[np.ndarray]:
        """Solve."""
        import torch

        found = op(*map(torch.tensor, x), **start(torch.tensor, x[0].dtype), **options)
        return [t.numpy() for t in listed(found)]

    @staticmethod
    def compiled(x: list[np.ndarray]) -> list[np.ndarray]:
        """Solve in a graph, or compiled."""
        import torch

        begin = start(torch.tensor, x[0].dtype)
        function = torch.compile(lambda *a: op(*a, **begin), fullgraph=True, dynamic=True, backend="aot_eager")
        return [t.numpy() for t in listed(function(*map(torch.tensor, x)))]

    @staticmethod
    def mapped(x: list[np.ndarray]) -> list[np.ndarray]:
        """Solve as a map over the first batch axis."""
        import torch

        begin = start(torch.tensor, x[0].dtype)
        return [t.numpy() for t in listed(torch.func.vmap(lambda *a: op(*a, **begin))(*map(torch.tensor, x)))]

    @classmethod
    def gradient(cls, x: list[np.ndarray], w: list[np.ndarray], near: Any = None, **options: Any) -> list[np.ndarray]:
        """dJ/dx for cotangents w of the outputs."""
        import torch

        tensors = cls.tensors(x)
        outputs = listed(op(*tensors, **start(torch.tensor, x[0].dtype, near), **options))
        found = torch.autograd.grad(outputs, tensors, [torch.tensor(b) for b in w], allow_unused=True)
        return [np.zeros_like(a) if g is None else g.numpy() for g, a in zip(found, x, strict=True)]

    @staticmethod
    def tangent(x: list[np.ndarray], v: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs' tangents for tangents v of the inputs."""
        import torch

        begin = start(torch.tensor)
        _, found = torch.func.jvp(
            lambda *a: tuple(listed(op(*a, **begin))), tuple(map(torch.tensor, x)), tuple(map(torch.tensor, v))
        )
        return [t.numpy() for t in found]

    @classmethod
    def curvature(
        cls, x: list[np.ndarray], w: list[np.ndarray], v: list[np.ndarray], **options: Any
    ) -> list[np.ndarray]:
        """The derivative of dJ/dx along v."""
        import torch

        tensors = cls.tensors(x)
        outputs = listed(op(*tensors, **start(torch.tensor), **options))
        bars = [torch.tensor(b) for b in w]
        first = torch.autograd.grad(outputs, tensors, bars, create_graph=True, allow_unused=True)
        slope = sum((g * torch.tensor(b)).sum() for g, b in zip(first, v, strict=True) if g is not None)
        found = torch.autograd.grad(slope, tensors, allow_unused=True)
        return [np.zeros_like(a) if g is None else g.numpy() for g, a in zip(found, x, strict=True)]


class Jax:
    """What JAX makes of the operator, in NumPy's arrays."""

    error = "XlaRuntimeError|JaxRuntimeError|ValueError"

    @staticmethod
    def function(dtype: Any = np.float64, near: Any = None, **options: Any) -> Any:
        """Give the operator as a function of arrays, with a list of results."""
        import jax

        begin = start(jax.numpy.asarray, dtype, near)
        return lambda *a: listed(op(*a, **begin, **options))

    @classmethod
    def call(cls, x: list[np.ndarray], **options: Any) -> list[np.ndarray]:
        """Solve."""
        import jax

        return [np.asarray(t) for t in cls.function(x[0].dtype, **options)(*map(jax.numpy.asarray, x))]

    @classmethod
    def compiled(cls, x: list[np.ndarray]) -> list[np.ndarray]:
        """Solve in a graph, or compiled."""
        import jax

        return [np.asarray(t) for t in jax.jit(cls.function(x[0].dtype))(*map(jax.numpy.asarray, x))]

    @classmethod
    def mapped(cls, x: list[np.ndarray]) -> list[np.ndarray]:
        """Solve as a map over the first batch axis."""
        import jax

        return [np.asarray(t) for t in jax.vmap(cls.function(x[0].dtype))(*map(jax.numpy.asarray, x))]

    @classmethod
    def gradient(cls, x: list[np.ndarray], w: list[np.ndarray], near: Any = None, **options: Any) -> list[np.ndarray]:
        """dJ/dx for cotangents w of the outputs."""
        import jax

        _, pull = jax.vjp(cls.function(x[0].dtype, near, **options), *map(jax.numpy.asarray, x))
        return [np.asarray(g) for g in pull([jax.numpy.asarray(b) for b in w])]

    @classmethod
    def tangent(cls, x: list[np.ndarray], v: list[np.ndarray]) -> list[np.ndarray]:
        """The outputs' tangents for tangents v of the inputs."""
        import jax

        _, found = jax.jvp(cls.function(), tuple(map(jax.numpy.asarray, x)), tuple(map(jax.numpy.asarray, v)))
        return [np.asarray(t) for t in found]

    @classmethod
    def curvature(
        cls, x: list[np.ndarray], w: list[np.ndarray], v: list[np.ndarray], **options: Any
    ) -> list[np.ndarray]:
        """The derivative of dJ/dx along v."""
        import jax

        function, bars = cls.function(**options), [jax.numpy.asarray(b) for b in w]

        def slope(*a: Any) -> Any:
            first = jax.vjp(function, *a)[1](bars)
            return sum(jax.numpy.sum(g * b) for g, b in zip(first, v, strict=True))

        return [np.asarray(g) for g in jax.grad(slope, tuple(range(N)))(*map(jax.numpy.asarray, x))]


@pytest.fixture(
    params=[
        pytest.param(TensorFlow, marks=with_tf),
        pytest.param(PyTorch, marks=with_torch),
        pytest.param(Jax, marks=with_jax),
    ],
    ids=lambda framework: framework.__name__,
)
def framework(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each framework there is; JAX with 64 bits enabled."""
    if request.param is not Jax:
        yield request.param
        return
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield Jax
    jax.config.update("jax_enable_x64", before)


def test_frameworks_equal_numpy(framework: Any) -> None:
    """One kernel, one result: at once, compiled, and as a batch of systems."""
    for dtype in (np.float64, np.float32):
        x = draw(3, dtype=dtype)
        want = listed(op(*x, **start(dtype=dtype)))
        for found in (framework.call(x), framework.compiled(x), framework.mapped(x)):
            for a, b in zip(found, want, strict=True):
                assert a.dtype == dtype
                np.testing.assert_array_equal(a, b)


def test_gradients_are_those_of_the_root(framework: Any) -> None:
    """Compare reverse mode, entry by entry, and forward mode with differences of fourth order."""
    for x in systems(2):
        y = listed(op(*x, **start()))
        found = framework.gradient(x, weights())
        want = [np.zeros_like(a) for a in x]
        for i, a in enumerate(x):
            low, high = SAMPLE[i]
            for place in np.ndindex(a.shape):
                h = 1e-4 * ((high - low) or 1.0)
                unit = [np.zeros_like(b) for b in x]
                unit[i][place] = h
                near, far = ([objective(moved(x, s * t, unit), y) for s in (1, -1)] for t in (1, 2))
                want[i][place] = (8 * (near[0] - near[1]) - (far[0] - far[1])) / (12 * h)
        assert_near(found, want, 1e-6)
        v = directions(x)
        forward, terms = dot(framework.tangent(x, v), weights()), [g * b for g, b in zip(found, v, strict=True)]
        assert abs(forward - sum(np.sum(t) for t in terms)) <= 1e-10 * sum(np.abs(t).sum() for t in terms) + 1e-300


def test_taylor_remainders_fall_as_they_should(framework: Any) -> None:
    """J(x + h v) minus its Taylor polynomial of degree 0, 1 and 2 falls with h, h^2 and h^3."""
    x = draw(2)
    y, v, w = listed(op(*x, **start())), directions(x), weights(2)
    first, second = dot(framework.gradient(x, w), v), dot(framework.curvature(x, w, v), v)
    here, steps = objective(x, y), [2e-2 / 2**i for i in range(7)]
    floor = 1e-13 * sum(np.abs(b * a).sum() for a, b in zip(y, w, strict=True)) + 1e-300
    changes = np.array([objective(moved(x, h, v), y) - here for h in steps])
    h = np.array(steps)
    for order, remainder in enumerate((changes, changes - h * first, changes - h * first - h**2 / 2 * second), 1):
        size = np.abs(remainder)
        rates = np.log2(size[:-1] / np.maximum(size[1:], 1e-300))[size[1:] > 100 * floor]
        assert rates.size == 0 or np.median(rates) > order - 0.25, f"order {order}: remainders {remainder}"


def test_second_derivatives_are_those_of_the_gradient(framework: Any) -> None:
    """Compare reverse over reverse with differences of gradients."""
    x = draw(2)
    y, v, w = listed(op(*x, **start())), directions(x), weights(2)
    found = framework.curvature(x, w, v)
    h = 1e-4
    ends = [framework.gradient(moved(x, s * h, v), w, y) for s in (1, -1, 2, -2)]
    want = [(8 * (a - b) - (c - d)) / (12 * h) for a, b, c, d in zip(*ends, strict=True)]
    first, second = (max(np.abs(g).max(initial=0) for g in given) for given in (framework.gradient(x, w), want))
    for got, right in zip(found, want, strict=True):
        np.testing.assert_allclose(got, right, rtol=0, atol=1e-6 * second + 1e-9 * first)


@aten
@with_torch
@implicit
def test_gmres_and_direct_adjoint_agree(framework: Any) -> None:
    """Two implementations of the same gradient, and of its derivative."""
    x = draw(3)
    w, v = weights(3), directions(x)
    assert_near(framework.gradient(x, w, adjoint="gmres"), framework.gradient(x, w, adjoint="direct"), 1e-8)
    direct, gmres = (framework.curvature(x, w, v, adjoint=adjoint) for adjoint in ("direct", "gmres"))
    assert_near(gmres, direct, 1e-7)


def test_the_gradient_of_a_shared_input_is_its_sum(framework: Any) -> None:
    """An input without batch axes collects what its copies get."""
    x, w = draw(3), weights(3)
    for i in range(N if N > 1 else 0):
        shared = [np.broadcast_to(a[0], a.shape).copy() if j == i else a for j, a in enumerate(x)]
        if not np.all(op.solve(*shared, **start()).converged):
            continue
        alone = [a[0] if j == i else a for j, a in enumerate(shared)]
        apart, together = framework.gradient(shared, w), framework.gradient(alone, w)
        assert_near([together[i]], [apart[i].sum(axis=0)], 1e-10)


def test_a_failing_system_adds_nothing_to_gradients(framework: Any) -> None:
    """on_failure="nan": the others' gradients are as without it; "raise": the kernel's words."""
    x, w = draw(3), weights(3)
    bad = [a.copy() for a in x]
    bad[used()][2, ...] = np.nan
    with pytest.raises(Exception, match=rf"{interface.NAME}: 1 of 3 systems failed; first at index \[2\]") as caught:
        framework.call(bad)
    assert type(caught.value).__name__ in framework.error.split("|")
    want, got = framework.gradient(x, w), framework.gradient(bad, w, on_failure="nan")
    for a, b in zip(want, got, strict=True):
        np.testing.assert_array_equal(a[:2], b[:2])
        assert (b[2] == 0).all()


@with_tf
def test_shapes_are_inferred_in_graphs() -> None:
    """Batch axes may be known or not; core axes may be unknown too."""
    import tensorflow as tf

    graph = tf.function(lambda *a: op(*a, **start(tf.constant)))
    for batch in ([3], [None, 2]):
        traced = graph.get_concrete_function(*(tf.TensorSpec([*batch, *core(i)], tf.float64) for i in range(N)))
        for o, output in enumerate(listed(traced.structured_outputs)):
            assert output.shape.as_list() == [*batch, *core(N + o)]
    unknown = [tf.TensorSpec([None] * (1 + interface.RANKS[i]), tf.float64) for i in range(N)]
    traced = graph.get_concrete_function(*unknown)
    x = draw(2)
    for a, b in zip(listed(traced(*map(tf.constant, x))), listed(op(*x, **start())), strict=True):
        np.testing.assert_array_equal(a.numpy(), b)


@with_tf
def test_saved_model_keeps_value_and_gradient(tmp_path: Any) -> None:
    """Save a function with a gradient inside, load it, compare."""
    import tensorflow as tf

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, *core(i)], tf.float64) for i in range(N)])
        def value_and_gradient(self, *inputs: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = listed(op(*inputs, **start(tf.constant)))[0]
            return y, tape.gradient(y, inputs, unconnected_gradients="zero")

    module, x = Module(), [tf.constant(a) for a in draw(4)]
    want = module.value_and_gradient(*x)
    tf.saved_model.save(module, str(tmp_path / "model"))
    got = tf.saved_model.load(str(tmp_path / "model")).value_and_gradient(*x)
    tf.nest.map_structure(lambda a, b: np.testing.assert_array_equal(a.numpy(), b.numpy()), want, got)


@with_torch
def test_torch_compiles_to_one_graph() -> None:
    """Value and gradient of a compiled function are those of the function, for any number of systems."""
    import torch

    begin = start(torch.tensor)

    def function(*inputs: Any) -> Any:
        """Give the operator as a function of arrays, with a list of results."""
        return sum((t**2).sum() for t in listed(op(*inputs, **begin)))

    compiled = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for count in (2, 3):
        found = []
        for f in (compiled, function):
            tensors = PyTorch.tensors(draw(count))
            value = f(*tensors)
            found.append([value.detach(), *torch.autograd.grad(value, tensors, allow_unused=True)])
        for a, b in zip(*found, strict=True):
            torch.testing.assert_close(a, b)


@with_torch
def test_torch_operators_are_registered_as_they_should_be() -> None:
    """Schema, fake tensors, autograd and tracing, by PyTorch's own checks."""
    import torch

    from .torch_autograd import Adjoint, Forward, Residual, Tangent

    x = PyTorch.tensors(draw(2))
    begin = start(torch.tensor)
    y = [t.detach() for t in listed(op(*x, **begin))]
    bars = [torch.ones_like(t) for t in y]
    torch.library.opcheck(Forward.op, (*x, *listed(begin["initial"])) if begin else tuple(x))
    torch.library.opcheck(Residual.op, (*x, *y[:K]))
    torch.library.opcheck(Adjoint.op, (*x, *y[:K], *bars, list(range(N))))
    torch.library.opcheck(Tangent.op, (*x, *y[:K], *(torch.ones_like(t) for t in x)))
