"""Steady conduction of heat in a bar whose conductivity varies along it and with temperature.

The conductivity is k(x) (1 + beta u), and the temperature u obeys -(k (1 + beta u) u')' = q. The bar is cut into n + 1
pieces of length h; u is known at both ends and asked for at the n points between the pieces.
"""

import sympy as sp

import opgen

n = sp.Symbol("n", integer=True)
i = sp.Idx("i", n)
u, k, q = map(sp.IndexedBase, ("u", "k", "q"))
left, right, beta, h = sp.symbols("left right beta h", real=True)


def flux(piece: sp.Expr, before: sp.Expr, behind: sp.Expr) -> sp.Expr:
    """Heat that flows through a piece, W / m^2: with the mean of both temperatures it is exact for a uniform piece."""
    return -piece * (1 + beta * (before + behind) / 2) * (behind - before) / h


heat_inverse = opgen.Implicit(
    # What leaves a point to the right less what comes from the left is made there: conservative, so no heat is lost.
    residual=flux(k[i + 1], u[i], u[i + 1]) - flux(k[i], u[i - 1], u[i]) - h * q[i],
    unknown=u,  # K above the temperature at which k is given
    inputs=[k, q, left, right, beta, h],  # W / (m K) of n + 1 pieces, W / m^3 at n points, K, K, 1 / K, m
    boundary={u: {"left": opgen.Dirichlet(left), "right": opgen.Dirichlet(right)}},
    guess={u: left + (right - left) * (i + 1) / (n + 1)},  # the temperature of a uniform bar without sources
    sample={k: (5, 40), q: (0, 2e4), left: (0, 40), right: (0, 40), beta: (0, 5e-3), h: (0.01, 0.02)},
    auxiliary={"outflow": -flux(k[0], left, u[0])},  # heat that leaves at the left end, W / m^2
    doc="Temperatures in a bar of conductivity k (1 + beta u) with sources q and ends at given temperatures.",
)
