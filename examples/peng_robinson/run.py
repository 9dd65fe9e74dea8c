"""At which pressure does propane boil? Where vapour and liquid have the same fugacity."""

import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf

import opgen

vapour, liquid = opgen.load(Path(__file__).with_name("peng_robinson.py"))

critical_temperature, critical_pressure, omega = 369.83, 4.248, 0.1523  # K, MPa
kelvin = np.array([230.0, 250, 270, 290, 310])
Tr = tf.constant(kelvin / critical_temperature)

# Wilson's estimate, then Newton on the logarithm of the pressure: d ln(phi_l / phi_v) / d ln P from the two ops.
log_pressure = tf.Variable(5.373 * (1 + omega) * (1 - 1 / Tr))
for _ in range(6):
    with tf.GradientTape() as tape:
        Pr = tf.exp(log_pressure)
        unbalanced = tf.math.log(liquid(Tr, Pr, omega).phi / vapour(Tr, Pr, omega).phi)
    log_pressure.assign_sub(unbalanced / tape.gradient(unbalanced, log_pressure))


def roots(Tr: float, Pr: float) -> tuple[float, float]:
    """Take the largest and the smallest root that NumPy finds by eigenvalues."""
    kappa = 0.37464 + 1.54226 * omega - 0.26992 * omega**2
    A = 0.45724 * (1 + kappa * (1 - np.sqrt(Tr))) ** 2 * Pr / Tr**2
    B = 0.07780 * Pr / Tr
    found = np.roots([1, B - 1, A - 2 * B - 3 * B**2, B**3 + B**2 - A * B])
    real = found[np.abs(found.imag) < 1e-9].real
    return real.max(), real.min()


with tf.GradientTape(persistent=True) as tape:
    tape.watch(Tr)
    Zv, Zl = vapour(Tr, Pr, omega).Z, liquid(Tr, Pr, omega).Z
gradients = [tape.gradient(Z, Tr).numpy() for Z in (Zv, Zl)]
print("  T/K   p/MPa    Z vapour, liquid                     by numpy.roots")
for i, t in enumerate(Tr.numpy()):
    by_roots = "{:.12f} {:.12f}".format(*roots(t, float(Pr[i])))
    print(f"{kelvin[i]:5.0f}  {float(Pr[i]) * critical_pressure:.5f}  {Zv[i]:.12f} {Zl[i]:.12f}        {by_roots}")
print("  T/K            dZ/dTr vapour, liquid                by differences of numpy.roots")
for i, t in enumerate(Tr.numpy()):
    step = 1e-5
    up, down = roots(t + step, float(Pr[i])), roots(t - step, float(Pr[i]))
    vapour_slope, liquid_slope = ((u - d) / (2 * step) for u, d in zip(up, down, strict=True))
    own = f"{gradients[0][i]:14.8f} {gradients[1][i]:14.8f}"
    print(f"{kelvin[i]:5.0f}           {own}        {vapour_slope:14.8f} {liquid_slope:14.8f}")
