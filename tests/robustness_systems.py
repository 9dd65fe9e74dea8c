"""The classical systems of equations, with their starts and what is known of their roots.

Source: More, Garbow and Hillstrom, ACM Transactions on Mathematical Software 7, 1981; Boggs, SIAM Journal on Numerical
Analysis 8, 1971. Gradients stand for problems of minimisation (Wood, Watson).
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy as sp

a = sp.Symbol("a", real=True)  # 1 in the published problem; roots move with it, and so there is a gradient


@dataclass(frozen=True)
class System:
    """A system F(a, x) = 0 at a = 1.

    Attributes:
        roots: Known roots, to the digits published; empty where none are and the residual tells.
        regular: Whether F_y has an inverse at the root.
        solvable: Whether there is a root that Newton's method may be asked to find from the start.
    """

    name: str
    unknowns: tuple[sp.Symbol, ...]
    residual: tuple[sp.Expr, ...]
    start: tuple[float | sp.Expr, ...]
    roots: tuple[tuple[float, ...], ...] = ()
    regular: bool = True
    solvable: bool = True
    parameter: sp.Symbol = a


def _symbols(count: int) -> tuple[sp.Symbol, ...]:
    return sp.symbols(f"x1:{count + 1}", real=True)


x1, x2, x3, x4 = _symbols(4)


def _helical_valley() -> System:
    # The angle of (x1, x2) in turns, its cut on the negative axis of x2 where x1 = 0.
    turn = sp.atan(x2 / x1) / (2 * sp.pi) + sp.Piecewise((0, x1 > 0), (sp.Rational(1, 2), True))
    residual = (10 * (x3 - 10 * turn), 10 * (sp.sqrt(x1**2 + x2**2) - a), x3)
    return System("helical_valley", (x1, x2, x3), residual, (-1.0, 0.0, 0.0), ((1.0, 0.0, 0.0),))


def _wood() -> System:
    f = (
        100 * (x2 - a * x1**2) ** 2
        + (1 - x1) ** 2
        + 90 * (x4 - x3**2) ** 2
        + (1 - x3) ** 2
        + sp.Rational(101, 10) * ((x2 - 1) ** 2 + (x4 - 1) ** 2)
        + sp.Rational(198, 10) * (x2 - 1) * (x4 - 1)
    )
    unknowns = (x1, x2, x3, x4)
    return System("wood", unknowns, tuple(sp.diff(f, x) for x in unknowns), (-3.0, -1.0, -3.0, -1.0))


def _watson(n: int) -> System:
    x = _symbols(n)
    parts = [x[0], x[1] - x[0] ** 2 - a]
    for i in range(1, 30):
        t = sp.Rational(i, 29)
        slope = sp.Add(*(j * x[j] * t ** (j - 1) for j in range(1, n)))
        parts.append(slope - sp.Add(*(x[j] * t**j for j in range(n))) ** 2 - 1)
    residual = tuple(sp.expand(2 * sp.Add(*(p * sp.diff(p, s) for p in parts))).evalf(20) for s in x)
    return System(f"watson{n}", x, residual, (0.0,) * n)


def _brown(n: int) -> System:
    x = _symbols(n)
    sums = [x[i] + sp.Add(*x) - (n + 1) * a for i in range(n - 1)]
    return System(f"brown{n}", x, (*sums, sp.Mul(*x) - 1), (0.5,) * n)


def _chebyquad(n: int) -> System:
    x = _symbols(n)
    residual = []
    for i in range(1, n + 1):
        integral = sp.Rational(1, i**2 - 1) if i % 2 == 0 else 0
        residual.append(sp.Add(*(sp.chebyshevt(i, 2 * s - 1) for s in x)) / n + a * integral)
    start = tuple(sp.Rational(j, n + 1) for j in range(1, n + 1))
    return System(f"chebyquad{n}", x, tuple(residual), start, solvable=n != 8)


_freudenstein = (-13 * a + x1 + ((5 - x2) * x2 - 2) * x2, -29 + x1 + ((x2 + 1) * x2 - 14) * x2)

SYSTEMS = (
    System("rosenbrock", (x1, x2), (10 * (x2 - x1**2), a - x1), (-1.2, 1.0), ((1.0, 1.0),)),
    System("rosenbrock_far", (x1, x2), (10 * (x2 - x1**2), a - x1), (-120.0, 1e3), ((1.0, 1.0),)),
    System(
        "powell_badly_scaled",
        (x1, x2),
        (10**4 * x1 * x2 - a, sp.exp(-x1) + sp.exp(-x2) - sp.Rational(10001, 10000)),
        (0.0, 1.0),
        ((1.0981593296999e-5, 9.106146739867),),
    ),
    System(
        "powell_singular",
        (x1, x2, x3, x4),
        (x1 + 10 * x2, sp.sqrt(5) * (x3 - x4), (x2 - 2 * x3) ** 2, sp.sqrt(10) * (a * x1 - x4) ** 2),
        (3.0, -1.0, 0.0, 1.0),
        ((0.0,) * 4,),
        regular=False,
    ),
    _helical_valley(),
    _wood(),
    _watson(3),
    _brown(5),
    _brown(10),
    System("freudenstein_roth", (x1, x2), _freudenstein, (15.0, 3.0), ((5.0, 4.0),)),
    System("freudenstein_roth_basin", (x1, x2), _freudenstein, (0.5, -2.0), solvable=False),
    System(
        "boggs",
        (x1, x2),
        (x1**2 - x2 + a, x1 - sp.cos(sp.pi * x2 / 2)),
        (1.0, 0.0),
        ((0.0, 1.0), (-1.0, 2.0), (-0.7071067811865476, 1.5)),
    ),
    *(_chebyquad(n) for n in range(1, 10)),
    System("double_root", (x1,), (x1 * (x1 - 5) ** 2 + 1 - a,), (4.0,), regular=False),
)
