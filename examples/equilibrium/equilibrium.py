"""A layer in equilibrium: its n states z feed back on themselves, z = tanh(W z + U x + b), and settle.

It is as deep as a network of infinitely many layers of the same weights, and has a gradient all the same.
Source: Bai, Kolter, Koltun, Deep Equilibrium Models, Advances in Neural Information Processing Systems 32 (2019).
"""

import sympy as sp

import opgen

n, m = sp.symbols("n m", integer=True)
i, j = sp.symbols("i j", cls=sp.Idx)
z, x, W, U, b = map(sp.IndexedBase, ("z", "x", "W", "U", "b"))

equilibrium = opgen.Implicit(
    residual=z[i] - sp.tanh(sp.Sum(W[i, j] * z[j], (j, 0, n - 1)) + sp.Sum(U[i, j] * x[j], (j, 0, m - 1)) + b[i]),
    unknown=z,
    inputs=[x, W, U, b],  # m features, n x n, n x m and n weights
    sample={x: (-1, 1), W: (-0.2, 0.2), U: (-1, 1), b: (-0.5, 0.5)},
    doc="States z of a layer that feeds back on itself, for features x.",
)
