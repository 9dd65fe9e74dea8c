"""One step of implicit Euler through Robertson's stiff reaction a -> b, 2b -> b + c, b + c -> a + c."""

import sympy as sp

import opgen

a, b, c = sp.symbols("a b c", nonnegative=True)
a0, b0, c0 = sp.symbols("a0 b0 c0", nonnegative=True)
k1, k2, k3, dt = sp.symbols("k1 k2 k3 dt", positive=True)

decay = k1 * a
pairing = k2 * b**2
recovery = k3 * b * c

# Where b settles within the step if a and c stay as they are; this form of the quadratic formula loses no digits.
made = b0 + dt * k1 * a0
lost = 1 + dt * k3 * c0
settled = 2 * made / (lost + sp.sqrt(lost**2 + 4 * dt * k2 * made))

robertson = opgen.Implicit(
    residual=[
        # The sum of the three balances in place of a's own: nothing is lost. With a's own, in which decay and recovery
        # nearly cancel, the gradient would lose three digits more.
        a + b + c - (a0 + b0 + c0),
        b - b0 - dt * (decay - recovery - pairing),
        c - c0 - dt * pairing,
    ],
    unknown=[a, b, c],
    inputs=[a0, b0, c0, k1, k2, k3, dt],
    guess={a: a0, b: settled, c: c0},
    sample={
        a0: (0.1, 1),
        b0: (0, 5e-5),
        c0: (0, 1),
        k1: (0.01, 0.1),
        k2: (1e7, 1e8),
        k3: (1e3, 1e5),
        dt: (1e-3, 10),
    },
    doc="Concentrations a, b, c one implicit Euler step of length dt after a0, b0, c0.",
)
