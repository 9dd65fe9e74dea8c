"""One step of implicit Euler through the equation of Allen and Cahn, u_t = eps^2 u_xx + u - u^3, on a ring.

A mixture parts into the phases u = -1 and u = 1, with interfaces between them that are about eps wide.
Source: Allen and Cahn, Acta Metallurgica 27 (1979) 1085-1095.
"""

import sympy as sp

import opgen

i = sp.Idx("i")
u, u0 = sp.IndexedBase("u"), sp.IndexedBase("u0")
eps, h, dt = sp.symbols("eps h dt", positive=True)

allen_cahn = opgen.Implicit(
    residual=u[i] - u0[i] - dt * (eps**2 * (u[i - 1] - 2 * u[i] + u[i + 1]) / h**2 + u[i] - u[i] ** 3),
    unknown=u,
    inputs=[u0, eps, h, dt],  # u and time have no units; eps and h are lengths
    boundary={u: opgen.Periodic()},
    sample={u0: (-1, 1), eps: (0.02, 0.1), h: (0.01, 0.02), dt: (0.05, 0.5)},  # dt < 1: there is one root only
    doc="Phase field u a time step dt after u0.",
)
