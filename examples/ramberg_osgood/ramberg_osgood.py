"""Stress in a metal under a given strain, after Ramberg and Osgood (NACA Technical Note 902, 1943).

The strain is the sum of an elastic and a plastic part, strain = s/E + 0.002 (s/s0)^n, and the stress s follows from it.
"""

import sympy as sp

import opgen

s, strain, E, s0, n = sp.symbols("s strain E s0 n", positive=True)

ramberg_osgood = opgen.Implicit(
    residual=s / E + sp.Rational(2, 1000) * (s / s0) ** n - strain,
    unknown=s,
    inputs=[strain, E, s0, n],  # -, GPa, GPa, -; s in GPa
    guess=s0 * (strain / (sp.Rational(2, 1000) + strain)),
    bounds=(0, E * strain),  # plastic strain only lowers the stress
    sample={strain: (1e-4, 0.02), E: (60, 220), s0: (0.1, 0.6), n: (3, 12)},
    doc="Ramberg-Osgood stress for a given strain.",
)
