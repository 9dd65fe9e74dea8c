"""Friction in a pipe with turbulent flow: the Colebrook-White equation for Darcy's friction factor f."""

import sympy as sp

import opgen

Re, eps, f = sp.symbols("Re eps f", positive=True)


def log10(z: sp.Expr) -> sp.Expr:
    return sp.log(z, 10)


colebrook = opgen.Implicit(
    residual=1 / sp.sqrt(f) + 2 * log10(eps / 3.7 + 2.51 / (Re * sp.sqrt(f))),
    unknown=f,
    inputs=[Re, eps],
    # Haaland's explicit approximation, good to two per cent.
    guess=(1.8 * log10((eps / 3.7) ** 1.11 + 6.9 / Re)) ** -2,
    bounds=(0.004, 0.2),
    sample={Re: (4e3, 1e8), eps: (0, 0.05)},
    doc="Darcy's friction factor f from the Reynolds number and the relative roughness eps of the wall.",
)
