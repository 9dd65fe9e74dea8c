"""Solve a million points with NumPy, then fit a scale through the op with TensorFlow."""

import os
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf

import opgen

cuberoot = opgen.load(Path(__file__).with_name("cuberoot.py"))

x = np.linspace(0.1, 10, 1_000_000)
cuberoot(x)  # the first call starts the threads
start = time.perf_counter()
y = cuberoot(x)
seconds = time.perf_counter() - start
error = np.abs(y / np.cbrt(x**2 * (1 + x)) - 1).max()
print(f"NumPy: {x.size} roots in {1e3 * seconds:.1f} ms, largest relative difference from the closed form {error:.1e}")

# Which scale s makes y(s x) pass through what was measured? Gauss-Newton on the op's own derivative.
points = tf.constant([0.5, 1.0, 2.0, 4.0], tf.float64)
measured = cuberoot(1.7 * points)
scale = tf.constant(1.0, tf.float64)
for _ in range(6):
    arguments = scale * points
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        y = cuberoot(arguments)
    slope = tape.gradient(y, arguments) * points
    scale -= tf.reduce_sum(slope * (y - measured)) / tf.reduce_sum(slope**2)

z = scale * points
exact = points * (2 * z + 3 * z**2) / (3 * (z**2 * (1 + z)) ** (2 / 3))
print(f"TensorFlow: scale {float(scale):.15f}, expected 1.7")
print("d y(s x)/d s by the op      ", slope.numpy())
print("             by the formula ", exact.numpy())
