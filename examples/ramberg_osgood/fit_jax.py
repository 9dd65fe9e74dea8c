"""Fit three parameters of the law to one noisy tensile test, with JAX and Newton's method on the exact Hessian."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import opgen

jax.config.update("jax_enable_x64", True)
ramberg_osgood = opgen.load(Path(__file__).with_name("ramberg_osgood.py"))
TRUE = np.array([70.0, 0.25, 6.0])  # E, s0, n


def main() -> float:
    rng = np.random.default_rng(1)
    strain = jnp.linspace(0.0005, 0.02, 60)
    stress = ramberg_osgood(strain, *TRUE) * (1 + 1e-3 * rng.standard_normal(60))

    @jax.jit
    def loss(logs):
        return jnp.sum((ramberg_osgood(strain, *jnp.exp(logs)) / stress - 1) ** 2)

    gradient, hessian = jax.jit(jax.grad(loss)), jax.jit(jax.hessian(loss))
    logs = jnp.log(jnp.array([60.0, 0.3, 5.0]))
    values = [float(loss(logs))]
    for _ in range(30):
        g, H = gradient(logs), hessian(logs)
        damping = max(0.0, 1e-3 * float(jnp.trace(H)) - float(jnp.linalg.eigvalsh(H)[0]))
        step = -jnp.linalg.solve(H + damping * jnp.eye(3), g)
        while float(loss(logs + step)) > values[-1] and float(jnp.abs(step).max()) > 1e-12:
            step = step / 2
        logs = logs + step
        values.append(float(loss(logs)))
        if float(jnp.abs(step).max()) < 1e-10:
            break
    found = np.exp(np.asarray(logs))
    error = float(np.abs(found / TRUE - 1).max())
    print(f"loss {values[0]:.2e} -> {values[-1]:.2e} in {len(values) - 1} Newton steps; parameters {found.round(4)}")
    return error


if __name__ == "__main__":
    sys.exit(main() > 0.02)
