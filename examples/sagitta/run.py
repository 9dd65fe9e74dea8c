"""Read a lens's radius off a spherometer, and say how well."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf

import opgen

sagitta = opgen.load(Path(__file__).with_name("sagitta.py"))

R = tf.constant([0.1, 0.5, 2.0, 100.0], tf.float64)
c = tf.constant(0.06, tf.float64)  # the feet stand on a chord of 60 mm
with tf.GradientTape() as tape:
    tape.watch(R)
    s = sagitta(R, c)
slope = tape.gradient(s, R).numpy()
angle = np.arcsin(0.03 / R.numpy())  # half the arc seen from the centre
print("radius    height               2 R sin(angle/2)^2   dheight/dR         1 - 1/cos(angle)")
for i in range(4):
    other = 2 * float(R[i]) * np.sin(angle[i] / 2) ** 2
    closed = -2 * np.sin(angle[i] / 2) ** 2 / np.cos(angle[i])
    print(f"{R[i]:6.1f}    {s[i]:.15e}  {other:.15e}  {slope[i]:.10e}  {closed:.10e}")

# A micrometer reads to 2 um: what does that leave of the radius?
for radius, error in zip(R.numpy(), 2e-6 / np.abs(slope), strict=True):
    print(f"radius {radius:5.1f} m is known to {100 * error / radius:.2g} %")
