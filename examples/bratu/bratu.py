"""A solid that warms itself, after Bratu and Frank-Kamenetskii: u'' + lam exp(u) = 0, and u = 0 on the boundary.

Heat of reaction, which grows with the temperature u, is conducted away through the boundary. If lam, the strength of
the reaction, exceeds a critical value, there is no steady state: the body ignites.
Source: Frank-Kamenetskii, Diffusion and Heat Transfer in Chemical Kinetics, 1969, chapter VI.
"""

import sympy as sp

import opgen

i, j = sp.symbols("i j", cls=sp.Idx)
u, lam = sp.IndexedBase("u"), sp.IndexedBase("lam")
h = sp.Symbol("h", positive=True)

# A slab: N - 1 points between its faces at 0 and 1, h = 1 / N apart. It ignites at lam = 3.513830719.
bratu1d = opgen.Implicit(
    residual=(u[i - 1] - 2 * u[i] + u[i + 1]) / h**2 + lam[i] * sp.exp(u[i]),
    unknown=u,
    inputs=[lam, h],  # both without units, like u
    boundary={u: opgen.Dirichlet(0)},
    sample={lam: (0, 2), h: (0.02, 0.05)},
    doc="Temperature of a slab that reacts with the strength lam at every point, at a distance h.",
)

# A square bar, (N - 1) x (N - 1) points. It ignites at lam = 6.808124.
bratu2d = opgen.Implicit(
    residual=(u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j]) / h**2 + lam[i, j] * sp.exp(u[i, j]),
    unknown=u,
    inputs=[lam, h],
    boundary={u: opgen.Dirichlet(0)},
    sample={lam: (0, 4), h: (0.02, 0.05)},
    doc="Temperature of a square bar that reacts with the strength lam at every point, at a distance h.",
)
