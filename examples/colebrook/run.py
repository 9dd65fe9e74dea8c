"""Choose the diameter of a pipe for a pressure drop, and see what its wall's roughness costs."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import mpmath as mp
import numpy as np
import tensorflow as tf

import opgen

colebrook = opgen.load(Path(__file__).with_name("colebrook.py"))


def reference(Re: float, eps: float) -> mp.mpf:
    """Solve the same equation with many digits, for 1/sqrt(f)."""
    g = mp.findroot(lambda g: g + 2 * mp.log10(eps / 3.7 + 2.51 * g / Re), 8)
    return 1 / g**2


Re = tf.constant([4e3, 1e5, 1e6, 1e8], tf.float64)
eps = tf.constant([0.0, 1e-4, 1e-3, 0.05], tf.float64)
with tf.GradientTape() as tape:
    tape.watch(eps)
    f = colebrook(Re, eps)
slope = tape.gradient(f, eps)
print("       Re     eps  friction factor     by mpmath                df/deps     by mpmath")
for i in range(4):
    a, b = float(Re[i]), float(eps[i])
    with mp.workdps(40):
        value, exact = float(reference(a, b)), float(mp.diff(lambda q, a=a: reference(a, q), b))
    print(f"{a:9.0f}  {b:6.4f}  {f[i]:.16f}  {value:.16f}  {slope[i]:12.8g}  {exact:12.8g}")

# Water at 20 degrees, 50 litres a second through a kilometre of pipe, at most 0.5 bar.
density, viscosity, flow, length, allowed = 998.2, 1.002e-3, 0.05, 1000.0, 0.5e5


def drop(diameter: tf.Tensor, roughness: tf.Tensor) -> tf.Tensor:
    velocity = flow / (np.pi / 4 * diameter**2)
    friction = colebrook(density * velocity * diameter / viscosity, roughness / diameter)
    return friction * length / diameter * density * velocity**2 / 2


diameter = tf.Variable(0.15, dtype=tf.float64)
roughness = tf.Variable(0.15e-3, dtype=tf.float64)
for _ in range(8):  # Newton in the logarithms: the drop is nearly a power of the diameter
    with tf.GradientTape() as tape:
        excess = tf.math.log(drop(diameter, roughness) / allowed)
    diameter.assign(diameter * tf.exp(-excess / (tape.gradient(excess, diameter) * diameter)))
with tf.GradientTape() as tape:
    pressure = drop(diameter, roughness)
per_roughness = tape.gradient(pressure, roughness)
print(f"diameter {1e3 * diameter:.2f} mm for a drop of {pressure:.1f} Pa")
print(f"every 0.1 mm of roughness more costs {per_roughness * 1e-4:.0f} Pa at first")
