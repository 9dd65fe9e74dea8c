"""Find the eccentricity and period of an orbit from distances measured at a few times."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf

import opgen

kepler = opgen.load(Path(__file__).with_name("kepler.py"))

# The op's derivatives beside those of the inverse function.
mean = tf.constant([0.3, 1.0, 2.0, 4.0], tf.float64)
e = tf.constant(0.6, tf.float64)
with tf.GradientTape(persistent=True) as tape:
    tape.watch([mean, e])
    E, r = kepler(mean, e)
print("E          ", E.numpy())
print("residual   ", kepler.residual(mean, e, E).numpy())
print("dE/dM      ", tape.gradient(E, mean).numpy())
print("1 / r      ", 1 / r.numpy())
print("dr/de, sum ", float(tape.gradient(r, e)))
closed = -tf.cos(E) + e * tf.sin(E) * tf.sin(E) / (1 - e * tf.cos(E))
print("closed form", float(tf.reduce_sum(closed)))

# Halley's comet: e = 0.967, 75.3 years; distances in semi-major axes, with an error of one in a thousand.
years = tf.constant(np.linspace(1, 70, 24))
true = tf.constant([0.967, 75.3], tf.float64)
noise = np.random.default_rng(0).normal(0, 1e-3, 24)
measured = kepler(2 * np.pi * years / true[1], true[0]).r + noise


@tf.function
def improved(guess: tf.Tensor) -> tf.Tensor:
    """Take one step of Gauss and Newton."""
    with tf.GradientTape() as tape:
        tape.watch(guess)
        misfit = kepler(2 * np.pi * years / guess[1], guess[0]).r - measured
    return guess - tf.linalg.lstsq(tape.jacobian(misfit, guess), misfit[:, None])[:, 0]


guess = tf.constant([0.9, 80.0], tf.float64)
for _ in range(12):
    guess = improved(guess)
print(f"fitted eccentricity {guess[0]:.4f} (0.9670), period {guess[1]:.2f} years (75.30)")
