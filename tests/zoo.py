"""The zoo: a residual for every structure and every difficulty. Tests iterate over it; a new structure is a new row."""

import sympy as sp

import opgen

x, w = sp.symbols("x w", real=True)
y = sp.Symbol("y", real=True)
pos = sp.Symbol("y", positive=True)


def scalar(F, low, high, unknown=y, **fields):
    """One unknown, one input drawn from [low, high]."""
    return opgen.Implicit(residual=F, unknown=unknown, inputs=[x], sample={x: (low, high)}, **fields)


# Newton from the default start overflows, cycles, stalls at a minimum of |F|, or leaves the domain.
cubic_with_minimum = scalar(y**3 - 2 * y + 2 - x, -5, 5)
quintic = scalar(y**5 + y - x, -1e6, 1e6)
exponential = scalar(sp.exp(y) - x, 1e-3, 1e10)
lambert = scalar(y * sp.exp(y) - x, 1e-3, 1e6)
logarithm_plus = scalar(pos + sp.log(pos) - x, -30, 50, pos)
arctangent = scalar(sp.atan(y) - x, -1.5, 1.5)
hyperbolic = scalar(sp.tanh(y) - x, -0.99, 0.99)
cube = scalar(y**3 - x, 1, 1e9)
reciprocal = scalar(1 / pos - x, 0.01, 100, pos)
wavy = scalar(y + sp.sin(5 * y) / 6 - x, -5, 5)
eighth_root = scalar(pos**8 - x, 1e-3, 1e12, pos)
many_roots = scalar(y + sp.sin(5 * y) - x, -5, 5)
square_root_plus = scalar(sp.sqrt(pos) + pos - x, 0.01, 100, pos)
log_of = scalar(sp.log(pos) - x, -50, 50, pos)
catenary = scalar(sp.cosh(pos) - x, 1.1, 1e5, pos)

# Bounds.
bounded_log = scalar(sp.log(y) - x, -9, -1, bounds=(0, 1))
bounded_gamma = scalar(sp.gamma(y) - x, 2, 1e6, bounds=(2, 15))
bounded_wide = scalar(sp.loggamma(y) - x, 1, 1e4, guess=10, bounds=(2, 1e5))
colebrook = scalar(
    1 / sp.sqrt(pos) + 2 * sp.log(0.01 + 2.51 / (x * sp.sqrt(pos))) / sp.log(10), 4e3, 1e8, pos, bounds=(1e-3, 1)
)
upper_root = scalar(y**2 - 4 * y + x, 0.1, 3.5, bounds=(2, 4))
lower_root = scalar(y**2 - 4 * y + x, 0.1, 3.5, bounds=(0, 2))
moving_bounds = scalar(y - sp.Rational(9, 10) * sp.sin(y) - x, 0, 6, bounds=(x - 1, x + 1))

# Branches.
piecewise = scalar(sp.Piecewise((y - x, y < 1), (y**2 - x, True)), -3, 10)
kink = scalar(y + sp.Max(0, y) - x, -3, 3)
signed_square = scalar(y * sp.Abs(y) - x, 0.1, 9)
safe_branch = scalar(y - sp.Piecewise((sp.sqrt(x), x > 0), (0, True)), -2, 2)
clipped = scalar(y - sp.Min(sp.Max(x, -1), 1), -3, 3)

# Linear in the unknown.
linear = scalar(x * y - 1 - y, 2, 5)
a, b, c, d = sp.symbols("a b c d", real=True)
p, q, r = sp.symbols("p q r", real=True)
linear_pair = opgen.Implicit(
    residual=[a * p + b * q - 1, c * p + d * q - 2],
    unknown=[p, q],
    inputs=[a, b, c, d],
    sample={a: (-0.01, 0.01), b: (1, 2), c: (1, 2), d: (-1, 1)},  # the first pivot is nearly zero
)

# Systems.
pair = opgen.Implicit(
    residual=[p + q - a, p * q - b],
    unknown=[p, q],
    inputs=[a, b],
    guess={p: a, q: 0},
    sample={a: (4, 5), b: (1, 2)},
    auxiliary={"gap": p - q, "scaled": a * p**2},
)
badly_scaled = opgen.Implicit(
    residual=[1e4 * p * q - a, sp.exp(-p) + sp.exp(-q) - 1 - b],
    unknown=[p, q],
    inputs=[a, b],
    guess={p: 1e-4, q: 5},
    sample={a: (0.5, 1.5), b: (1e-4, 2e-4)},
)
circle_and_line = opgen.Implicit(
    residual=[p**2 + q**2 - a**2, p - b * q],
    unknown=[p, q],
    inputs=[a, b],
    guess={p: 1, q: 1},
    sample={a: (0.5, 2), b: (0.2, 3)},
)
a0, b0, c0, k1, k2, k3 = sp.symbols("a0 b0 c0 k1 k2 k3", real=True)
dt = sp.Float("1e-2")
robertson = opgen.Implicit(
    residual=[
        a - a0 + dt * (k1 * a - k3 * b * c),
        b - b0 - dt * (k1 * a - k3 * b * c - k2 * b**2),
        c - c0 - dt * k2 * b**2,
    ],
    unknown=[a, b, c],
    inputs=[a0, b0, c0, k1, k2, k3],
    guess={a: a0, b: b0, c: c0},
    sample={a0: (0.5, 1), b0: (0, 1e-5), c0: (0, 0.5), k1: (0.03, 0.05), k2: (2e7, 4e7), k3: (0.5e4, 2e4)},
)
u = sp.symbols("u1:9", real=True)
broyden = opgen.Implicit(  # eight unknowns: Broyden, Mathematics of Computation 19, 1965
    residual=[(3 - x * u[i]) * u[i] - (u[i - 1] if i else 0) - 2 * (u[i + 1] if i < 7 else 0) + w for i in range(8)],
    unknown=list(u),
    inputs=[x, w],
    guess=dict.fromkeys(u, -1),
    sample={x: (0.5, 1.5), w: (0.8, 1.2)},
)

# Formulas: every function with its derivative.
functions = opgen.Explicit(
    {
        name: f(x)
        for name, f in {
            "f_exp": sp.exp, "f_log": sp.log, "f_sqrt": sp.sqrt, "f_cbrt": sp.cbrt, "f_sin": sp.sin, "f_cos": sp.cos,
            "f_tan": sp.tan, "f_asin": sp.asin, "f_acos": sp.acos, "f_atan": sp.atan, "f_sinh": sp.sinh,
            "f_cosh": sp.cosh, "f_tanh": sp.tanh, "f_asinh": sp.asinh, "f_atanh": sp.atanh, "f_erf": sp.erf,
            "f_erfc": sp.erfc, "f_gamma": sp.gamma, "f_loggamma": sp.loggamma, "f_sec": sp.sec, "f_coth": sp.coth,
            "f_acosh": lambda t: sp.acosh(t + 2), "f_pow": lambda t: t ** sp.Rational(7, 5),
            "f_power": lambda t: (t + 1) ** t, "f_inverse": lambda t: t**-3,
            "f_root": lambda t: t ** sp.Rational(-5, 2),
            "f_atan2": lambda t: sp.atan2(t, 1 - 2 * t), "f_sign": lambda t: t * sp.sign(t - sp.Rational(1, 2)),
            "f_floor": lambda t: t * sp.floor(7 * t), "f_ceil": lambda t: t * sp.ceiling(7 * t),
            "f_max": lambda t: sp.Max(t, t**2 + sp.Rational(1, 5), sp.Rational(1, 3)),
            "f_mod": lambda t: sp.Mod(5 * t, 1), "f_digamma": sp.digamma,
        }.items()
    },
    inputs=[x],
    sample={x: (0.05, 0.95)},
)  # fmt: skip
sagitta = opgen.Explicit(
    {"s": a - sp.sqrt(a**2 - b**2 / 4)},
    inputs=[a, b],
    sample={a: (2, 3), b: (0.5, 3)},
    auxiliary={"ratio": sp.Symbol("s", real=True) / b},
)
