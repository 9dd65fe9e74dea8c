"""Compare the slab with its closed form, differentiate its hottest temperature, and go beyond ignition."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf

import opgen

bratu1d, bratu2d = opgen.load(Path(__file__).with_name("bratu.py"))


def closed_form(lam: float, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Return u = 2 ln(cosh(t / 4) / cosh((x - 1/2) t / 2)), where t = sqrt(2 lam) cosh(t / 4), and d max(u) / d lam."""
    t = 0.0
    for _ in range(200):  # from below it converges to the smaller of the two t, the stable state
        t = np.sqrt(2 * lam) * np.cosh(t / 4)
    slope = np.cosh(t / 4) / np.sqrt(2 * lam) / (1 - np.sqrt(2 * lam) * np.sinh(t / 4) / 4)  # dt / d lam
    return 2 * np.log(np.cosh(t / 4) / np.cosh((x - 0.5) * t / 2)), np.tanh(t / 4) / 2 * slope


def slab(lam: float, N: int) -> tuple[np.ndarray, float]:
    """Solve on N - 1 points; return u, and how much its maximum changes with lam."""
    strength = tf.constant(lam, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(strength)
        u = bratu1d(tf.fill([N - 1], strength), 1 / N)
        hottest = tf.reduce_max(u)
    return u.numpy(), float(tape.gradient(hottest, strength))


good = True
print("lambda = 1    max(u)        error     order   d max(u)/d lambda   error     order")
before = None
for N in (50, 100, 200):
    u, slope = slab(1.0, N)
    exact, exact_slope = closed_form(1.0, np.arange(1, N) / N)
    errors = np.array([np.abs(u - exact).max(), abs(slope - exact_slope)])
    if before is None:
        orders = ["     ", ""]
    else:
        order = np.log2(before / errors)
        orders = [f"{o:.3f}" for o in order]
        good &= bool(np.all(np.abs(order - 2) < 0.02))
    before = errors
    value, derivative = (f"{x:.9f}" for x in (u.max(), slope))
    print(f"N = {N:<4}      {value}   {errors[0]:.2e}  {orders[0]}   {derivative}         {errors[1]:.2e}  {orders[1]}")
print(f"closed form   {exact.max():.9f}                     {exact_slope:.9f}")

# Near ignition, at lambda = 3.5138, the steady state changes the faster the nearer.
for lam in (3.0, 3.5, 3.51):
    exact, exact_slope = closed_form(lam, np.array([0.5]))
    u, slope = slab(lam, 400)
    print(f"lambda = {lam:4}: max(u) {u.max():.5f} ({exact[0]:.5f}), d max(u)/d lambda {slope:.4f} ({exact_slope:.4f})")

# Beyond it there is no steady state; a square bar bears more.
try:
    slab(3.6, 100)
    good = False
except tf.errors.InvalidArgumentError as error:
    print("lambda = 3.6:", error.message.partition("}} ")[2].partition(" [Op:")[0])
bar = bratu2d(tf.fill([99, 99], tf.constant(3.6, tf.float64)), 1 / 100)
print(f"a square bar at lambda = 3.6: max(u) {float(tf.reduce_max(bar)):.5f}")
sys.exit(not good)
