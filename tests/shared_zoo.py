"""Dense operators whose systems may share their matrices, at sizes at which they are solved together."""

from __future__ import annotations

import numpy as np
import sympy as sp
from coupled_zoo import Fields, Problem, zeros

from opgen import Implicit

i, j, l = sp.symbols("i j l", cls=sp.Idx)  # noqa: E741
n, m = sp.symbols("n m", integer=True)
A, B, U, W, b, c, d, x, y, z = map(sp.IndexedBase, "A B U W b c d x y z".split())

layer = Implicit(
    z[i] - sp.tanh(sp.Sum(W[i, j] * z[j], (j, 0, n - 1)) + sp.Sum(U[i, j] * x[j], (j, 0, m - 1)) + b[i]),
    unknown=z,
    inputs=[x, W, U, b],
    auxiliary={"energy": sp.Sum(z[i] ** 2, (i, 0, n - 1))},
)


def layer_residual(given: Fields, at: Fields) -> Fields:
    (x, W, U, b), (z,) = given, at
    return [z - np.tanh(W @ z + U @ x + b)]


# Two unknowns of different lengths; one matrix is read in both orders.
pair = Implicit(
    [
        y[i] + y[i] ** 3 / 10 - sp.Sum(A[j, i] * z[j], (j, 0, m - 1)) - b[i],
        z[i] - sp.tanh(sp.Sum(A[i, j] * y[j], (j, 0, n - 1)) - sp.Sum(B[i, j] * z[j], (j, 0, m - 1))) * c[i],
    ],
    unknown=[y, z],
    inputs=[A, B, b, c],
)


def pair_residual(given: Fields, at: Fields) -> Fields:
    (A, B, b, c), (y, z) = given, at
    return [y + y**3 / 10 - A.T @ z - b, z - np.tanh(A @ y - B @ z) * c]


# At z = b = 0 F_y is I - W.
cubic = Implicit(z[i] - sp.Sum(W[i, j] * z[j], (j, 0, n - 1)) + z[i] ** 3 - b[i], unknown=z, inputs=[W, b])


def cubic_residual(given: Fields, at: Fields) -> Fields:
    (W, b), (z,) = given, at
    return [z - W @ z + z**3 - b]


linear = Implicit(d[i] * y[i] + sp.Sum(A[i, j] * y[j], (j, 0, n - 1)) - b[i], unknown=y, inputs=[d, A, b])


def linear_residual(given: Fields, at: Fields) -> Fields:
    (d, A, b), (y,) = given, at
    return [d * y + A @ y - b]


N, M = 56, 31


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) / np.sqrt(shape[-1] if len(shape) > 1 else 1)


PROBLEMS = {
    "layer": Problem(
        layer,
        lambda rng: [normal(rng, M), 0.4 * normal(rng, N, N), normal(rng, N, M), normal(rng, N)],
        layer_residual,
        zeros((N,)),
        auxiliary=lambda x, y: [(y[0] ** 2).sum()],
    ),
    "pair": Problem(
        pair,
        lambda rng: [0.5 * normal(rng, M, N), 0.5 * normal(rng, M, M), normal(rng, N), rng.uniform(0.5, 1, M)],
        pair_residual,
        zeros((N,), (M,)),
    ),
    "cubic": Problem(cubic, lambda rng: [0.4 * normal(rng, N, N), normal(rng, N)], cubic_residual, zeros((N,))),
    "linear": Problem(
        linear, lambda rng: [rng.uniform(1, 2, N), normal(rng, N, N), normal(rng, N)], linear_residual, zeros((N,))
    ),
}
MATRICES = {"layer": [1, 2], "pair": [0, 1], "cubic": [0], "linear": [1]}
