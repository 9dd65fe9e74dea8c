"""The y that makes x**2 - y**3 / (1 + x) vanish: a residual simple enough to know the answer."""

from sympy import Rational, symbols

x, y = symbols("x y", positive=True)
residual = x**2 - y**3 / (1 + x)

exact = (x**2 * (1 + x)) ** Rational(1, 3)
sample = {x: (0.1, 10)}
