"""Find the conductivity along a bar from noisy temperatures of three experiments, with TensorFlow.

The heat equation is solved inside the loss, and one adjoint solve gives the gradient for all pieces of the bar. L-BFGS
works on the logarithm of the conductivity, and a penalty on its slope says that it is smooth.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import numpy as np
import tensorflow as tf
from scipy.optimize import minimize

import opgen

heat_inverse = opgen.load(Path(__file__).with_name("heat_inverse.py"))

LENGTH, POINTS, BETA = 1.0, 99, 2e-3  # m, -, 1/K
H = LENGTH / (POINTS + 1)
POSITION = H * np.arange(1, POINTS + 1)
MIDDLES = H * (np.arange(POINTS + 1) + 0.5)  # of the pieces
TRUE = 15 + 8 * np.sin(2 * np.pi * MIDDLES) * np.exp(-MIDDLES) - 5 * np.exp(-(((MIDDLES - 0.7) / 0.1) ** 2))  # W/(m K)
NOISE, SMOOTH = 0.5, 30.0  # K, m

# Heaters at three places, one after the other: a bar tells of its conductivity only where heat flows.
HEATERS = 2e5 * np.exp(-(((POSITION - np.array([[0.2], [0.5], [0.8]])) / 0.05) ** 2))  # W/m^3
ENDS = np.array([20.0, 0.0, 0.0]), np.array([0.0, 0.0, 20.0])  # K


def temperatures(k: tf.Tensor) -> tf.Tensor:
    """Solve the three experiments: a batch of systems that share k."""
    return heat_inverse(k, HEATERS, *ENDS, BETA, H).u


def main() -> float:
    rng = np.random.default_rng(0)
    exact = temperatures(tf.constant(TRUE)).numpy()
    data = tf.constant(exact + rng.normal(0, NOISE, exact.shape))

    @tf.function
    def loss_and_gradient(log_k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(log_k)
            misfit = tf.reduce_sum(((temperatures(tf.exp(log_k)) - data) / NOISE) ** 2)
            roughness = tf.reduce_sum((log_k[1:] - log_k[:-1]) ** 2) / H
            loss = misfit / 2 + SMOOTH * roughness / 2
        return loss, tape.gradient(loss, log_k)

    losses = []

    def by_numpy(log_k: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = loss_and_gradient(tf.constant(log_k))
        losses.append(float(loss))
        return losses[-1], gradient.numpy()

    found = minimize(by_numpy, np.full(POINTS + 1, np.log(10.0)), jac=True, method="L-BFGS-B", options={"maxiter": 400})
    k = np.exp(found.x)
    fitted = temperatures(tf.constant(k)).numpy()
    error = float(np.sqrt(np.mean((k / TRUE - 1) ** 2)))
    print(f"loss {losses[0]:.2e} -> {losses[-1]:.2e} in {len(losses)} evaluations")
    worst = 100 * np.abs(k / TRUE - 1).max()
    print(f"conductivity found to {100 * error:.2f} % (root mean square), to {worst:.1f} % at worst")
    off, fit = np.std(data - exact), np.std(fitted - exact)
    print(f"temperatures up to {exact.max():.0f} K: data off by {off:.2f} K, the fit by {fit:.2f} K")
    draw(k, data.numpy(), fitted)
    return error


def draw(k: np.ndarray, data: np.ndarray, fitted: np.ndarray) -> None:
    """Draw truth, data and recovery."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    figure = Figure((10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (measured, fit) in enumerate(zip(data, fitted, strict=True)):
        left.plot(POSITION, measured, ".", color=f"C{number}", markersize=3)
        left.plot(POSITION, fit, color=f"C{number}", label=f"experiment {number + 1}")
    left.set(xlabel="position in m", ylabel="temperature in K", title="data (dots) and fit")
    left.legend()
    right.plot(MIDDLES, TRUE, "k--", label="truth")
    right.plot(MIDDLES, k, label="found")
    right.set(xlabel="position in m", ylabel="conductivity in W / (m K)", title="conductivity")
    right.legend()
    figure.savefig("heat_inverse.png", dpi=120)
    print("truth, data and recovery: heat_inverse.png")


if __name__ == "__main__":
    sys.exit(main() > 0.02)
