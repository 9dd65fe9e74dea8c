"""Solve for a batch of right-hand sides that share a matrix, in JAX, and compare the gradients with closed forms."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import opgen

jax.config.update("jax_enable_x64", True)
linear_solve = opgen.load(Path(__file__).with_name("linear_solve.py"))

rng = np.random.default_rng(0)
n, count = 6, 4
A = jnp.asarray(rng.normal(size=(n, n)) + 3 * np.eye(n))
x = jnp.asarray(rng.normal(size=(count, n)))  # each row is a right-hand side of its own
weight = jnp.asarray(rng.normal(size=(count, n)))


@jax.jit
def loss(A: jax.Array, x: jax.Array) -> jax.Array:
    """Weigh the solutions: J = sum of weight * y, so that dJ/dy = weight."""
    return jnp.sum(weight * linear_solve(A, x))


def by_jax(A: jax.Array, x: jax.Array) -> jax.Array:
    """Do the same with JAX's own solver."""
    return jnp.sum(weight * jnp.linalg.solve(A, x.T).T)


def curvature(J, A: jax.Array, x: jax.Array) -> jax.Array:
    """Return how dJ/dA changes if every entry of A grows."""
    return jax.jvp(lambda A: jax.grad(J)(A, x), (A,), (jnp.ones_like(A),))[1]


y = linear_solve(A, x)
by_A, by_x = jax.grad(loss, (0, 1))(A, x)

# With A^T u = dJ/dy for each right-hand side: dJ/dx = u, and dJ/dA = -(sum over them of u y^T).
u = jnp.linalg.solve(A.T, weight.T).T
rows = {
    "y": (y, jnp.linalg.solve(A, x.T).T),
    "dJ/dx": (by_x, u),
    "dJ/dA": (by_A, -jnp.einsum("bi,bj->ij", u, y)),
    "second derivative": (curvature(loss, A, x), curvature(by_jax, A, x)),
}
worst = 0.0
for name, (found, exact) in rows.items():
    error = float(jnp.abs(found - exact).max() / jnp.abs(exact).max())
    worst = max(worst, error)
    print(f"{name:18} largest difference from the closed form {error:.1e}")

# A matrix without an inverse is said to be one.
try:
    linear_solve(jnp.ones((3, 3)), jnp.ones(3)).block_until_ready()
    worst = np.inf
except RuntimeError as error:
    print(str(error).partition("linear_solve: ")[2])
sys.exit(worst > 1e-12)
