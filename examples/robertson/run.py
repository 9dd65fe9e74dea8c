"""Integrate Robertson's stiff reaction, and differentiate the outcome through every step with respect to the rates."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf
from scipy.integrate import solve_ivp

import opgen

robertson = opgen.load(Path(__file__).with_name("robertson.py"))

times = np.concatenate([[0.0], np.geomspace(1e-4, 40.0, 2000)])
steps = tf.constant(np.diff(times))


@tf.function
def integrate(rates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    k1, k2, k3 = tf.unstack(rates)
    state = (tf.ones([], tf.float64), tf.zeros([], tf.float64), tf.zeros([], tf.float64))
    for dt in steps:
        state = tuple(robertson(*state, k1, k2, k3, dt))
    return state


def by_scipy(rates: np.ndarray) -> np.ndarray:
    k1, k2, k3 = rates

    def speed(t: float, y: np.ndarray) -> list[float]:
        a, b, c = y
        return [-k1 * a + k3 * b * c, k1 * a - k3 * b * c - k2 * b**2, k2 * b**2]

    return solve_ivp(speed, (0, 40), [1, 0, 0], method="Radau", rtol=1e-10, atol=1e-14).y[:, -1]


rates = tf.constant([0.04, 3e7, 1e4], tf.float64)
with tf.GradientTape() as tape:
    tape.watch(rates)
    a, b, c = integrate(rates)
gradient = tape.gradient(c, rates).numpy()

exact = by_scipy(rates.numpy())
print(f"after 40 s, {len(steps)} steps of implicit Euler:  a {a:.6f}  b {b:.6e}  c {c:.6f}")
print(f"scipy's Radau:                           a {exact[0]:.6f}  b {exact[1]:.6e}  c {exact[2]:.6f}")
print("rate        dc/dk through the steps   by differences of these steps   by differences of Radau")
for i, name in enumerate(("k1", "k2", "k3")):
    h = rates.numpy()[i] * 1e-4 * np.eye(3)[i]
    own = (integrate(rates + h)[2] - integrate(rates - h)[2]) / (2 * h[i])
    radau = (by_scipy(rates.numpy() + h)[2] - by_scipy(rates.numpy() - h)[2]) / (2 * h[i])
    print(f"{name}          {gradient[i]:16.9e}          {own:16.9e}                {radau:16.9e}")
