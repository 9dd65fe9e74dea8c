"""The current of a solar cell at a given voltage: the single-diode equation, with the current on both sides."""

import sympy as sp

import opgen

V, Iph, I0, nVt, Rs, Rsh = sp.symbols("V Iph I0 nVt Rs Rsh", positive=True)
current = sp.Symbol("I", real=True)

diode_voltage = V + current * Rs

solar_cell = opgen.Implicit(
    residual=Iph - I0 * (sp.exp(diode_voltage / nVt) - 1) - diode_voltage / Rsh - current,
    unknown=current,
    inputs=[V, Iph, I0, nVt, Rs, Rsh],
    # Above the short-circuit current the diode would have to feed the cell.
    guess=Iph,
    sample={V: (0, 0.5), Iph: (5, 9), I0: (1e-10, 1e-9), nVt: (0.025, 0.03), Rs: (1e-3, 1e-2), Rsh: (10, 1e3)},
    auxiliary={"P": V * current},
    doc="Current I (A) and power P (W) of a solar cell at the voltage V, from its photo current Iph, saturation "
    "current I0, thermal voltage nVt (V), series and shunt resistance Rs and Rsh (ohm).",
)
