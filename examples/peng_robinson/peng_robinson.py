"""How far a fluid is from an ideal gas: two roots of one Peng-Robinson cubic, chosen by where the search starts."""

import sympy as sp

import opgen

# Temperature and pressure over their critical values, acentric factor, compressibility factor.
Tr, Pr, omega, Z = sp.symbols("Tr Pr omega Z", positive=True)

kappa = 0.37464 + 1.54226 * omega - 0.26992 * omega**2
alpha = (1 + kappa * (1 - sp.sqrt(Tr))) ** 2
A = 0.45724 * alpha * Pr / Tr**2
B = 0.07780 * Pr / Tr

cubic = Z**3 - (1 - B) * Z**2 + (A - 2 * B - 3 * B**2) * Z - (A * B - B**2 - B**3)

# Fugacity coefficient: at equilibrium it is the same in both phases.
s = sp.sqrt(2)
fugacity = sp.exp(Z - 1 - A / (2 * s * B) * sp.log((Z + (1 + s) * B) / (Z + (1 - s) * B))) / (Z - B)

# All roots lie between the volume of the molecules, B, and that of a gas whose molecules only repel, 1 + B. Newton's
# method from above meets the largest root first, from below the smallest.
vapour = opgen.Implicit(
    residual=cubic,
    unknown=Z,
    inputs=[Tr, Pr, omega],
    guess=1 + B,
    bounds=(B, 1 + B),
    sample={Tr: (0.8, 2.0), Pr: (0.01, 0.15), omega: (0, 0.3)},
    auxiliary={"phi": fugacity},
    doc="Compressibility factor Z and fugacity coefficient phi of the vapour (Peng-Robinson).",
)
liquid = opgen.Implicit(
    residual=cubic,
    unknown=Z,
    inputs=[Tr, Pr, omega],
    guess=B,
    bounds=(B, 1 + B),
    sample={Tr: (0.5, 0.8), Pr: (0.05, 2.0), omega: (0, 0.3)},
    auxiliary={"phi": fugacity},
    doc="Compressibility factor Z and fugacity coefficient phi of the liquid (Peng-Robinson).",
)
