"""Scalar equations with known brackets and starts.

The first fifteen families are those on which root finders are compared: Alefeld, Potra and Shi, ACM Transactions on
Mathematical Software 21, 1995, Table I. Those after them are equations of practice, and the last have no root. A family
is a formula in y and at most two numbers a and b; a case gives these, a bracket and a start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sympy as sp

y, a, b = sp.symbols("y a b", real=True)


@dataclass(frozen=True)
class Case:
    """Numbers, a bracket at whose ends F has opposite signs, and a start (the middle of the bracket if left out)."""

    a: float
    b: float
    low: float
    high: float
    start: float | None = None


@dataclass(frozen=True)
class Family:
    """A residual and its cases.

    Attributes:
        root: Whether the sign change is a root; at a pole or a jump it is none.
        regular: Whether F_y is not zero at the root.
    """

    name: str
    residual: sp.Expr
    cases: tuple[Case, ...]
    root: bool = True
    regular: bool = True


def _poles() -> sp.Expr:
    return -2 * sp.Add(*((2 * i - 5) ** 2 / (y - i**2) ** 3 for i in range(1, 21)))


def _each(numbers: str, low: float, high: float, second: float = 0.0) -> tuple[Case, ...]:
    return tuple(Case(float(n), second, low, high) for n in numbers.split())


def _published() -> Iterator[Family]:
    yield Family("sine_and_line", sp.sin(y) - y / 2, (Case(0, 0, 1.5707963267948966, 3.141592653589793),))
    between = tuple(Case(n, 0, n**2 + 1e-9, (n + 1) ** 2 - 1e-9) for n in range(1, 11))
    yield Family("between_poles", _poles(), between)
    yield Family("peak", a * y * sp.exp(b * y), tuple(Case(-40.0 * s, -1.0 * s, -9, 31) for s in (1, 2.5, 5)))
    yield Family(
        "power",
        y**a - b,
        (
            *_each("4 6 8 10 12", 0, 5, 0.2),
            *_each("4 6 8 10 12", 0, 5, 1.0),
            *_each("8 10 12 14", -0.95, 4.05, 1.0),
        ),
    )
    yield Family("sine", sp.sin(y) - sp.Rational(1, 2), (Case(0, 0, 0, 1.5),))
    yield Family("exponentials", 2 * y * sp.exp(-a) - 2 * sp.exp(-a * y) + 1, _each("1 2 3 4 5 20 40 60 80 100", 0, 1))
    yield Family("parabola", (1 + (1 - a) ** 2) * y - (1 - a * y) ** 2, _each("5 10 20", 0, 1))
    yield Family("complement", y**2 - (1 - y) ** a, _each("2 5 10 15 20", 0, 1))
    yield Family("quartic", (1 + (1 - a) ** 4) * y - (1 - a * y) ** 4, _each("1 2 4 5 8 15 20", 0, 1))
    yield Family("layer", sp.exp(-a * y) * (y - 1) + y**a, _each("1 5 10 15 20", 0, 1))
    yield Family("hyperbola", (a * y - 1) / ((a - 1) * y), _each("2 5 15 20", 0.01, 1))
    yield Family(
        "roots", sp.Pow(y, 1 / a) - a ** (1 / a), _each(" ".join(map(str, (*range(2, 8), *range(9, 34, 2)))), 1, 100)
    )
    essential = sp.Piecewise((0, sp.Eq(y, 0)), (y * sp.exp(-1 / y**2), True))
    yield Family("flat", essential, (Case(0, 0, -1, 4),), regular=False)
    bent = sp.Piecewise((a / 20 * (y / 1.5 + sp.sin(y) - 1), y >= 0), (-a / 20, True))
    yield Family("plateau", bent, _each(" ".join(map(str, range(1, 41))), -1e4, 1.5707963267948966))
    rise = sp.exp((a + 1) * y / 2 * 1000) - 1.859
    steep = sp.Piecewise((sp.E - 1.859, y > 0.002 / (1 + a)), (rise, y >= 0), (sp.Float(-0.859), True))
    numbers = " ".join(map(str, (*range(20, 41), *range(100, 1001, 100))))
    yield Family("ramp", steep, _each(numbers, -1e4, 1e-4))


def _practice() -> Iterator[Family]:
    kepler = ((0.1, 1), (0.9, 0.1), (0.99, 0.01), (0.999, 1e-3), (0.9999, 3e-4), (0.999999, 1e-5))
    yield Family("kepler", y - a * sp.sin(y) - b, tuple(Case(e, M, M - e, M + e, M) for e, M in kepler))
    lambert = tuple(Case(v, 0, -1, 250, 1.0) for v in (-0.35, 1e-8, 1, 1e3, 1e100))
    yield Family("lambert", y * sp.exp(y) - a, lambert)
    friction = 1 / sp.sqrt(y) + 2 * sp.log(a + 2.51 / (b * sp.sqrt(y))) / sp.log(10)
    yield Family("colebrook", friction, tuple(Case(r, R, 1e-4, 1, 0.02) for r in (0, 1e-5, 0.01) for R in (4e3, 1e8)))
    gas = (a + 3 / y**2) * (3 * y - 1) - 8 * b
    yield Family(
        "van_der_waals", gas, (Case(0.6, 0.9, 0.4, 0.65, 0.5), Case(0.6, 0.9, 2, 9, 3), Case(2, 1.2, 0.35, 9, 1))
    )
    flash = sp.Rational(3, 10) * (a - 1) / (1 + y * (a - 1)) + sp.Rational(7, 10) * (b - 1) / (1 + y * (b - 1))
    yield Family("flash", flash, (Case(2, 0.5, -0.99, 1.99, 0.5), Case(50, 0.9, -0.02, 9.9, 0.5)))
    diode = y - a + 1e-12 * (sp.exp(y / b) - 1)
    yield Family("diode", diode, tuple(Case(V, 0.0259, -1, V + 1, V) for V in (0.3, 5.0, 12.0)))
    yield Family("wien", y / (1 - sp.exp(-y)) - a, (Case(5, 0, 1, 10), Case(1.5, 0, 1e-6, 10), Case(50, 0, 1, 100)))
    yield Family("floating_sphere", y**3 - 3 * y**2 + 4 * a, tuple(Case(d, 0, 0, 2) for d in (0.01, 0.25, 0.5, 0.99)))
    acid = 10**-y - 10 ** (y - 14) - a / (1 + 10 ** (b - y))
    yield Family("acid", acid, tuple(Case(c, pK, 0, 14, 7) for c in (1e-8, 1e-3, 1) for pK in (3.0, 9.0)))
    yield Family("catenary", y * sp.cosh(a / y) - b, (Case(1, 2, 0.9, 5, 2), Case(1, 100, 0.9, 200, 90)))
    yield Family("arctangent", sp.atan(y) - a, tuple(Case(v, 0, -1e6, 1e7, 3) for v in (-1.5, 0.1, 1.57)))
    yield Family("exponential", sp.exp(y) - a, tuple(Case(v, 0, -700, 700, 1) for v in (1e-300, 1e-5, 1, 1e300)))
    yield Family("cycling", y**3 - 2 * y + 2 - a, (Case(0, 0, -3, 3, 0.0), Case(5, 0, -3, 3, 0.0)))
    yield Family("signed_square", y * sp.Abs(y) - a, tuple(Case(v, 0, -1e3, 1e3, 1) for v in (-4, 1e-6, 9e5)))
    yield Family(
        "cube_root", sp.sign(y) * sp.Abs(y) ** sp.Rational(1, 3) - a, (Case(0.5, 0, -8, 20, 1), Case(-2, 0, -90, 9, 1))
    )
    yield Family("logarithm", sp.log(y) - a, tuple(Case(v, 0, 0, 1e300, 1) for v in (-600, -1, 0.5, 600)))
    yield Family("entropy", y * sp.log(y) - a, (Case(0.5, 0, 0.4, 1e9, 1), Case(1e9, 0, 0.4, 1e9, 1)))
    yield Family("polynomial", (y - 1) * (y - 2) * (y - a) + b, (Case(3, 0, 1.5, 2.7, 1.6), Case(7, 1e-3, 5, 9, 9)))
    yield Family(
        "wilkinson", sp.Mul(*(y - k for k in range(1, 11))) - a, (Case(0, 0, 4.3, 5.4), Case(1e-3, 0, 8.6, 9.3))
    )


def _no_roots() -> Iterator[Family]:
    yield Family("pole", 1 / (y - a), (Case(1, 0, 0, 3), Case(0.1, 0, -5, 7)), root=False)
    yield Family("odd_pole", 1 / (y - a) ** 3, (Case(1, 0, 0, 3),), root=False)
    yield Family("jump", sp.Piecewise((y + 1, y > a), (y - 3, True)), (Case(0.3, 0, -2, 1),), root=False)
    yield Family("tangent", sp.tan(y) + a * y, (Case(0, 0, 1, 2),), root=False)


FAMILIES = (*_published(), *_practice(), *_no_roots())
ROWS = tuple((number, family, case) for number, family in enumerate(FAMILIES) for case in family.cases)
