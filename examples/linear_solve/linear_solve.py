"""The system A y = x of n linear equations, as an operator: linear in y, so solved once, by LU with pivoting."""

import sympy as sp

import opgen

n = sp.Symbol("n", integer=True)
i, j = sp.symbols("i j", cls=sp.Idx)
A, x, y = map(sp.IndexedBase, ("A", "x", "y"))

linear_solve = opgen.Implicit(
    residual=sp.Sum(A[i, j] * y[j], (j, 0, n - 1)) - x[i],
    unknown=y,
    inputs=[A, x],
    sample={A: (-1, 1), x: (-1, 1)},
    doc="Solution y of A y = x.",
)
