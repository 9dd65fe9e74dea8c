"""Stress in a metal that yields: radial return for von Mises plasticity with Voce hardening, in three dimensions."""

import sympy as sp

import opgen

# Elastic trial strain (total strain less the plastic strain so far), accumulated plastic strain p so far.
exx, eyy, ezz, exy, eyz, ezx = strain = sp.symbols("exx eyy ezz exy eyz ezx", real=True)
p = sp.Symbol("p", nonnegative=True)
# Yield stress at first, how much it grows (MPa), and how fast.
sigma0, Q, b = sp.symbols("sigma0 Q b", positive=True)
K, G = sp.symbols("K G", positive=True)
dp = sp.Symbol("dp", nonnegative=True)

volume = exx + eyy + ezz
sxx, syy, szz = (2 * G * (e - volume / 3) for e in (exx, eyy, ezz))
sxy, syz, szx = (2 * G * e for e in (exy, eyz, ezx))
q = sp.sqrt(sp.Rational(3, 2) * (sxx**2 + syy**2 + szz**2) + 3 * (sxy**2 + syz**2 + szx**2))


def yield_stress(plastic_strain: sp.Expr) -> sp.Expr:
    return sigma0 + Q * (1 - sp.exp(-b * plastic_strain))


yields = q > yield_stress(p)
# What is left of the trial deviator. The elastic branch does not divide by q: it may be zero.
left = sp.Piecewise((1 - 3 * G * dp / q, yields), (1, True))
pressure = K * volume

von_mises = opgen.Implicit(
    residual=sp.Piecewise((q - 3 * G * dp - yield_stress(p + dp), yields), (dp, True)),
    unknown=dp,
    inputs=[*strain, p, sigma0, Q, b],
    guess=0,
    constants={K: 175e3, G: 80.8e3},  # steel, MPa
    sample={
        **dict.fromkeys(strain, (-0.005, 0.005)),
        p: (0, 0.05),
        sigma0: (200, 300),
        Q: (50, 150),
        b: (5, 50),
    },
    auxiliary={
        "xx": left * sxx + pressure,
        "yy": left * syy + pressure,
        "zz": left * szz + pressure,
        "xy": left * sxy,
        "yz": left * syz,
        "zx": left * szx,
    },
    doc="Plastic strain increment dp and stress (MPa) from the elastic trial strain.",
)
