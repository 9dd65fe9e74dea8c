"""Find the voltage at which a solar cell gives most power, under a thousand levels of light at once."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf
from scipy.special import lambertw

import opgen

solar_cell = opgen.load(Path(__file__).with_name("solar_cell.py"))

I0, nVt, Rs, Rsh = 3e-10, 0.0265, 4e-3, 60.0
light = tf.constant(np.linspace(0.1, 1.0, 1000))  # of full sun, which drives 8.5 A
photo = 8.5 * light


def slope(voltage: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(voltage)
        power = solar_cell(voltage, photo, I0, nVt, Rs, Rsh).P
    return tape.gradient(power, voltage)


# The power rises, then falls: halve the interval in which its slope changes sign.
low, high = tf.zeros_like(light), tf.fill(light.shape, tf.constant(0.7, tf.float64))
for _ in range(50):
    middle = (low + high) / 2
    rises = slope(middle) > 0
    low, high = tf.where(rises, middle, low), tf.where(rises, high, middle)
best = (low + high) / 2
current, power = solar_cell(best, photo, I0, nVt, Rs, Rsh)

# The same current by Lambert's W, and its derivative by the diode's equation.
V, Iph = best.numpy(), photo.numpy()
w = lambertw(Rs * Rsh * I0 / (nVt * (Rs + Rsh)) * np.exp(Rsh * (Rs * (Iph + I0) + V) / (nVt * (Rs + Rsh)))).real
exact = (Rsh * (Iph + I0) - V) / (Rs + Rsh) - nVt / Rs * w
conductance = I0 / nVt * np.exp((V + exact * Rs) / nVt) + 1 / Rsh
print("light  best voltage  current by op       by Lambert's W      dP/dV by op, by formula")
for i in (0, 499, 999):
    by_formula = exact[i] - V[i] * conductance[i] / (1 + Rs * conductance[i])
    values = f"{current[i]:.15f}  {exact[i]:.15f}  {slope(best)[i]:.1e}  {by_formula:.1e}"
    print(f"{light[i]:5.2f}  {V[i]:.9f}   {values}")
print(f"largest relative difference of the currents: {np.abs(current / exact - 1).max():.1e}")
print(f"power at full sun: {power[-1]:.4f} W")
