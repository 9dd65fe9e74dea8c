"""Pull a thousand points of a steel part to and fro, and ask how the last stress depends on the hardening."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import mpmath as mp
import numpy as np
import tensorflow as tf

import opgen

von_mises = opgen.load(Path(__file__).with_name("von_mises.py"))
G, shear = 80.8e3, tf.constant(np.linspace(0.0, 0.01, 1000))  # largest shear strain of each point
zero = tf.zeros_like(shear)


def pull(path: list[float], material: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Shear the points along fractions of their largest strain; return stress and accumulated plastic strain."""
    plastic, accumulated, stress = zero, zero, zero
    for fraction in path:
        state = von_mises(zero, zero, zero, fraction * shear - plastic, zero, zero, accumulated, *tf.unstack(material))
        stress = state.xy
        plastic = fraction * shear - stress / (2 * G)  # strain that is not elastic
        accumulated = accumulated + state.dp
    return stress, accumulated


def reference(strain: float, sigma0: mp.mpf, Q: mp.mpf, b: mp.mpf) -> mp.mpf:
    """Stress after loading in one direction: there the steps do not matter, so one equation for all of them."""
    trial = 2 * mp.sqrt(3) * G * strain
    if trial <= sigma0:
        return 2 * G * mp.mpf(strain)
    p = mp.findroot(lambda p: trial - 3 * G * p - sigma0 - Q * (1 - mp.exp(-b * p)), (trial - sigma0) / (3 * G))
    return (sigma0 + Q * (1 - mp.exp(-b * p))) / mp.sqrt(3)


material = tf.constant([250.0, 120.0, 15.0], tf.float64)  # sigma0, Q in MPa, b
with tf.GradientTape() as tape:
    tape.watch(material)
    stress, _ = pull([0.25, 0.5, 0.75, 1.0], material)
    last = stress[-1]
gradient = tape.gradient(last, material).numpy()
exact = [mp.mpf(v) for v in material.numpy()]
print("shear strain   stress/MPa            in one step, by mpmath")
for i in (50, 100, 500, 999):
    print(f"{shear[i]:12.6f}   {stress[i]:18.14f}    {mp.nstr(reference(float(shear[i]), *exact), 16)}")
print("d stress/d sigma0, Q, b through four steps:", *(f"{v:.12g}" for v in gradient))
for_each = [tuple(int(i == j) for j in range(3)) for i in range(3)]
by_mpmath = [mp.diff(lambda *m: reference(float(shear[-1]), *m), exact, order) for order in for_each]
print("                                 by mpmath:", *(f"{float(v):.12g}" for v in by_mpmath))

stress, accumulated = pull([0.5, 1.0, 0.5, 0.0, -0.5, -1.0, -0.5, 0.0], material)
print(f"after one cycle: residual stress {stress[-1]:.2f} MPa, accumulated plastic strain {accumulated[-1]:.5f}")
