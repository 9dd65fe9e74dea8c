"""The height of an arc over its chord: an operator that is a formula and needs no solve."""

import sympy as sp

import opgen

R, c = sp.symbols("R c", positive=True)
half = c / 2

# R - sqrt(R**2 - half**2), written so that a flat arc does not lose its digits in the difference of two large numbers.
sagitta = opgen.Explicit(
    {"s": half**2 / (R + sp.sqrt(R**2 - half**2))},
    inputs=[R, c],
    sample={R: (1, 10), c: (0.01, 1.9)},
    doc="Height s of a circular arc of radius R over a chord of length c.",
)
