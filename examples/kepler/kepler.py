"""Where a body is on its ellipse: eccentric anomaly E from mean anomaly M, and the distance r from the focus."""

import sympy as sp

import opgen

M, e, E = sp.symbols("M e E", real=True)

kepler = opgen.Implicit(
    residual=E - e * sp.sin(E) - M,
    unknown=E,
    inputs=[M, e],
    guess=M + e * sp.sin(M),
    bounds=(M - e, M + e),
    sample={M: (0, 2 * sp.pi), e: (0, 0.9)},
    auxiliary={"r": 1 - e * sp.cos(E)},
    doc="Kepler's equation: eccentric anomaly E and distance r, in semi-major axes, from the mean anomaly M and e.",
)
