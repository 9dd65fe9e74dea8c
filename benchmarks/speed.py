"""Forward and backward passes against what a TensorFlow user would write instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from reference import EXAMPLES
from timing import in_turn, ratios, table

import opgen

Function = Callable[..., Any]


def load(name: str, output: str) -> Any:
    """Build an example."""
    return opgen.load(EXAMPLES / name / f"{name}.py", output=output)


def both_ways(function: Function, inputs: list[tf.Tensor]) -> Callable[[], object]:
    """Make a call of the function and of its gradient for all inputs, the sum of the outputs being differentiated."""

    def call() -> object:
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.nest.flatten(function(*inputs))
        gradients = tape.gradient(outputs, inputs)
        return [g.numpy() for g in gradients]

    return call


def iterated(step: Function, y: tf.Tensor) -> tf.Tensor:
    """Iterate until the largest relative change is below 1e-9: the next one would be below rounding."""
    start = (y, tf.constant(1.0, y.dtype))
    return tf.while_loop(lambda y, change: change > 1e-9, step, start, maximum_iterations=50)[0]


def newton(F: Function, slope: Function, start: Function, by_input: list[Function]) -> Function:
    """Write a scalar solve in TensorFlow: a loop until all points have converged, and an implicit gradient."""

    @tf.function
    @tf.custom_gradient
    def solve(*x: tf.Tensor) -> Any:
        def step(y: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            change = F(y, *x) / slope(y, *x)
            return y - change, tf.reduce_max(tf.abs(change / y))

        y = iterated(step, start(*x))

        def gradient(g: tf.Tensor) -> list[tf.Tensor]:
            u = -g / slope(y, *x)
            all_points = [u * d(y, *x) for d in by_input]
            return [d if v.shape.rank else tf.reduce_sum(d) for d, v in zip(all_points, x, strict=True)]

        return y, gradient

    return solve


def cuberoot(output: str, large: bool) -> list[list[object]]:
    """x**2 = y**3 / (1 + x) against its closed form."""
    op = load("cuberoot", output)
    closed = lambda x: (x * x * (1 + x)) ** (1 / 3)  # noqa: E731
    compiled = tf.function(closed, jit_compile=True)
    rows: list[list[object]] = []
    for dtype in ("float64", "float32"):
        for n in (1_000, 1_000_000, *((10_000_000,) if large else ())):
            x = [tf.constant(np.random.default_rng(0).uniform(0.5, 1.5, n), dtype)]
            contestants = {
                "opgen, direct": both_ways(op, x),
                "TensorFlow closed form": both_ways(closed, x),
                "TensorFlow closed form, XLA": both_ways(compiled, x),
            }
            if n <= 1_000_000 and dtype == "float64":
                contestants["opgen, gmres"] = both_ways(lambda x, op=op: op(x, adjoint="gmres"), x)
            rows += ratios(f"cuberoot, {n:.0e} {dtype}", in_turn(contestants), "opgen, direct")
    return rows


def kepler(output: str) -> list[list[object]]:
    """Mean anomalies with one eccentricity, whose gradient is a sum."""
    op = load("kepler", output)
    rng = np.random.default_rng(0)
    x = [tf.constant(rng.uniform(0.01, 6.27, 1_000_000)), tf.constant(0.6, tf.float64)]
    other = newton(
        lambda E, M, e: E - e * tf.sin(E) - M,
        lambda E, M, e: 1 - e * tf.cos(E),
        lambda M, e: M + e * tf.sin(M),
        [lambda E, M, e: -tf.ones_like(E), lambda E, M, e: -tf.sin(E)],
    )
    times = in_turn({"opgen, direct": both_ways(lambda *z: op(*z).E, x), "TensorFlow Newton": both_ways(other, x)})
    return ratios("kepler, 1e+06 float64", times, "opgen, direct")


def colebrook(output: str) -> list[list[object]]:
    """Friction factors of a million pipes."""
    op = load("colebrook", output)
    rng = np.random.default_rng(0)
    Re, eps = np.exp(rng.uniform(np.log(4e3), np.log(1e8), 1_000_000)), rng.uniform(0, 0.05, 1_000_000)
    x = [tf.constant(Re), tf.constant(eps)]
    c = 2 / np.log(10)

    def inside(f: tf.Tensor, Re: tf.Tensor, eps: tf.Tensor) -> tf.Tensor:
        return eps / 3.7 + 2.51 / (Re * tf.sqrt(f))

    other = newton(
        lambda f, Re, eps: 1 / tf.sqrt(f) + c * tf.math.log(inside(f, Re, eps)),
        lambda f, Re, eps: -0.5 * f**-1.5 * (1 + c * 2.51 / (Re * inside(f, Re, eps))),
        lambda Re, eps: (0.5 * 1.8 * c * tf.math.log((eps / 3.7) ** 1.11 + 6.9 / Re)) ** -2,
        [
            lambda f, Re, eps: -c * 2.51 / (Re**2 * tf.sqrt(f) * inside(f, Re, eps)),
            lambda f, Re, eps: c / (3.7 * inside(f, Re, eps)),
        ],
    )
    times = in_turn({"opgen, direct": both_ways(op, x), "TensorFlow Newton": both_ways(other, x)})
    return ratios("colebrook, 1e+06 float64", times, "opgen, direct")


def robertson(output: str) -> list[list[object]]:
    """Implicit Euler steps of 1e5 cells; three rates and a step for all of them."""
    op = load("robertson", output)
    rng = np.random.default_rng(0)
    a = rng.uniform(0.5, 1, 100_000)
    scalars = [tf.constant(v, tf.float64) for v in (0.04, 3e7, 1e4, 1e-2)]
    x = [tf.constant(a), tf.constant(1e-5 * rng.uniform(0, 1, a.size)), tf.constant(1 - a), *scalars]

    @tf.function
    def other(a0: Any, b0: Any, c0: Any, k1: Any, k2: Any, k3: Any, dt: Any) -> Any:
        # Two equations are solved for a and c by hand, Newton is left with b; its last step carries the gradient.
        def residual(b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            c = c0 + dt * k2 * b**2
            a = a0 + b0 + c0 - b - c
            F = b - b0 - dt * (k1 * a - k3 * b * c - k2 * b**2)
            c_b = 2 * dt * k2 * b
            return F, 1 + dt * (k1 * (1 + c_b) + k3 * (c + b * c_b) + 2 * k2 * b)

        def step(b: tf.Tensor, _: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            F, slope = residual(b)
            return b - F / slope, tf.reduce_max(tf.abs(F / slope / b))

        made, lost = b0 + dt * k1 * a0, 1 + dt * k3 * c0
        b = 2 * made / (lost + tf.sqrt(lost**2 + 4 * dt * k2 * made))
        b = tf.stop_gradient(iterated(step, b))
        F, slope = residual(b)
        b = b - F / tf.stop_gradient(slope)
        c = c0 + dt * k2 * b**2
        return a0 + b0 + c0 - b - c, b, c

    weighted = lambda f: lambda *z: sum(w * v for w, v in zip((1.0, 2.0, 3.0), f(*z), strict=True))  # noqa: E731
    times = in_turn({"opgen, direct": both_ways(weighted(op), x), "TensorFlow Newton": both_ways(weighted(other), x)})
    return ratios("robertson, 1e+05 float64", times, "opgen, direct")


def report(output: str, large: bool) -> str:
    """Return the table."""
    rows = [*cuberoot(output, large), *kepler(output), *colebrook(output), *robertson(output)]
    return table(("case", "contestant", "forward + backward, ms: median (least - most)", "ratio"), rows)
