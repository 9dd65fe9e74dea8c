"""The zoo of coupled operators: a problem for every structure that indexed notation can say.

Each problem is said twice: to opgen, and in NumPy, for one system, with boundary values written out. The second takes
complex numbers too: a step into the complex plane differentiates it without rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy as sp

from opgen import Dirichlet, Explicit, Implicit, Neumann, Periodic

Fields = list[np.ndarray]
Formula = Callable[[Fields, Fields], Fields]
Draw = Callable[[np.random.Generator], Fields]

i, j, l = sp.symbols("i j l", cls=sp.Idx)  # noqa: E741  # the third index of a grid
n, m = sp.symbols("n m", integer=True)
u, v, f, g, k, lam, t, z, b, w = map(sp.IndexedBase, "u v f g k lam t z b w".split())
A, B, C, U, V, W, X, H, P, Q, mu, u0, v0 = map(sp.IndexedBase, "A B C U V W X H P Q mu u0 v0".split())
kx, ky, west, east, south, north = map(sp.IndexedBase, "kx ky west east south north".split())
a, c, d, h, p, q, r, s, dt, M = sp.symbols("a c d h p q r s dt M", real=True)


@dataclass(frozen=True)
class Problem:
    """An operator, and what it has to be.

    Attributes:
        draw: Inputs of one system.
        residual: F(x, y); for an explicit operator y - f(x).
        auxiliary: The auxiliary outputs at x and y.
        start: Where Newton's method starts, for given inputs.
        regular: Whether F_y has an inverse.
    """

    operator: Any
    draw: Draw
    residual: Formula
    start: Callable[[Fields], Fields]
    auxiliary: Formula = lambda x, y: []
    regular: bool = True


def zeros(*shapes: tuple[int, ...]) -> Callable[[Fields], Fields]:
    return lambda x: [np.zeros(shape) for shape in shapes]


def scalar(value: float) -> np.ndarray:
    return np.array(float(value))


def ends(u: np.ndarray, low: Any = 0, high: Any = 0) -> np.ndarray:
    """A line with a value before and one behind it, or several."""
    return np.concatenate([np.atleast_1d(low), u, np.atleast_1d(high)])


def laplace(wide: np.ndarray) -> np.ndarray:
    return wide[:-2] - 2 * wide[1:-1] + wide[2:]


# Lines: a band.

broyden = Implicit(  # More, Garbow and Hillstrom, ACM Trans. Math. Softw. 7 (1981), no. 30
    (3 - a * u[i]) * u[i] - u[i - 1] - 2 * u[i + 1] + w[i],
    unknown=u,
    inputs=[a, w],
    boundary={u: Dirichlet(0)},
    guess={u: -1},
)


def broyden_residual(x: Fields, y: Fields) -> Fields:
    (a, w), (u,) = x, y
    wide = ends(u)
    return [(3 - a * u) * u - wide[:-2] - 2 * wide[2:] + w]


broyden_banded = Implicit(  # no. 31
    u[i] * (2 + 5 * u[i] ** 2) + w[i] - sum(u[i + s] * (1 + u[i + s]) for s in (-5, -4, -3, -2, -1, 1)),
    unknown=u,
    inputs=[w],
    boundary={u: Dirichlet(0)},
    guess={u: -1},
)


def banded_residual(x: Fields, y: Fields) -> Fields:
    (w,), (u,) = x, y
    wide = ends(u, np.zeros(5))
    terms = wide * (1 + wide)
    near = sum(terms[5 + s : 5 + s + len(u)] for s in (-5, -4, -3, -2, -1, 1))
    return [u * (2 + 5 * u**2) + w - near]


# No. 28, and in the next section the same roots from an integral equation.
boundary_value = Implicit(
    2 * u[i] - u[i - 1] - u[i + 1] + h**2 * (u[i] + t[i] + c) ** 3 / 2,
    unknown=u,
    inputs=[t, h, c],
    boundary={u: Dirichlet(0)},
)


def boundary_value_residual(x: Fields, y: Fields) -> Fields:
    (t, h, c), (u,) = x, y
    return [-laplace(ends(u)) + h**2 * (u + t + c) ** 3 / 2]


bratu = Implicit(
    u[i - 1] - 2 * u[i] + u[i + 1] + h**2 * lam[i] * sp.exp(u[i]),
    unknown=u,
    inputs=[lam, h],
    boundary={u: Dirichlet(0)},
    auxiliary={"energy": h * sp.Sum(u[j] ** 2, (j, 0, n - 1)), "flux": (u[i + 1] - u[i]) / h},
)


def bratu_residual(x: Fields, y: Fields) -> Fields:
    (lam, h), (u,) = x, y
    return [laplace(ends(u)) + h**2 * lam * np.exp(u)]


def bratu_auxiliary(x: Fields, y: Fields) -> Fields:
    (_, h), (u,) = x, y
    return [h * (u**2).sum(), (ends(u)[2:] - u) / h]


# Coefficients between the points: one more of them than there are points.
darcy = Implicit(
    k[i] * (u[i] - u[i - 1]) - k[i + 1] * (u[i + 1] - u[i]) - h**2 * f[i],
    unknown=u,
    inputs=[k, f, s, q, h],
    boundary={u: {"left": Dirichlet(s), "right": Neumann(q, h)}},
)


def darcy_residual(x: Fields, y: Fields) -> Fields:
    (k, f, s, q, h), (u,) = x, y
    steps = np.diff(ends(u, s, u[-1] + q * h))
    return [k[:-1] * steps[:-1] - k[1:] * steps[1:] - h**2 * f]


# Only differences of u stand in it: singular whatever the numbers are.
floating = Implicit(
    k[i] * (u[i] - u[i - 1]) - k[i + 1] * (u[i + 1] - u[i]) - f[i],
    unknown=u,
    inputs=[k, f],
    boundary={u: Neumann(0)},
)


def floating_residual(x: Fields, y: Fields) -> Fields:
    (k, f), (u,) = x, y
    steps = np.diff(ends(u, u[0], u[-1]))
    return [k[:-1] * steps[:-1] - k[1:] * steps[1:] - f]


mirrors = Implicit(
    (u[i - 1] - 2 * u[i] + u[i + 1]) / h**2 - u[i] ** 3 - u[i] + f[i],
    unknown=u,
    inputs=[f, a, c, h],
    boundary={u: {"left": Neumann(a, h), "right": Neumann(c, h, "node")}},
)


def mirrors_residual(x: Fields, y: Fields) -> Fields:
    (f, a, c, h), (u,) = x, y
    return [laplace(ends(u, u[0] + a * h, u[-2] + 2 * h * c)) / h**2 - u**3 - u + f]


ring = Implicit(
    (k[i] * (u[i - 1] - u[i]) + k[i + 1] * (u[i + 1] - u[i])) / h**2
    - d * (u[i - 2] - 4 * u[i - 1] + 6 * u[i] - 4 * u[i + 1] + u[i + 2])
    - u[i] ** 3
    - u[i]
    + f[i],
    unknown=u,
    inputs=[k, f, d, h],
    boundary={u: Periodic()},
)


def ring_residual(x: Fields, y: Fields) -> Fields:
    (k, f, d, h), (u,) = x, y
    before, behind = np.roll(u, 1), np.roll(u, -1)
    flux = (k * (before - u) + np.roll(k, -1) * (behind - u)) / h**2
    return [flux - d * (np.roll(u, 2) - 4 * before + 6 * u - 4 * behind + np.roll(u, -2)) - u**3 - u + f]


beam = Implicit(
    (u[i - 2] - 4 * u[i - 1] + 6 * u[i] - 4 * u[i + 1] + u[i + 2]) / h**4 - f[i],
    unknown=u,
    inputs=[f, a, h],
    boundary={u: Dirichlet(a * sp.sin(h * (i + 1)))},
)


def beam_residual(x: Fields, y: Fields) -> Fields:
    (f, a, h), (u,) = x, y
    wide = ends(u, a * np.sin(h * np.array([-1, 0])), a * np.sin(h * (np.array([0, 1]) + len(u) + 1)))
    return [(wide[:-4] - 4 * wide[1:-3] + 6 * u - 4 * wide[3:-1] + wide[4:]) / h**4 - f]


# An implicit step in time of two fields.
brusselator = Implicit(
    [
        u[i] - u0[i] - dt * (a + u[i] ** 2 * v[i] - (c + 1) * u[i] + r * (u[i - 1] - 2 * u[i] + u[i + 1])),
        v[i] - v0[i] - dt * (c * u[i] - u[i] ** 2 * v[i] + r / 2 * (v[i - 1] - 2 * v[i] + v[i + 1])),
    ],
    unknown=[u, v],
    inputs=[u0, v0, a, c, r, dt],
    boundary={u: Dirichlet(a), v: Neumann(0)},
    guess={u: u0[i], v: v0[i]},
    auxiliary={"total": sp.Sum(u[i] + v[i], (i, 0, n - 1)), "rate": u[i] ** 2 * v[i]},
)


def brusselator_residual(x: Fields, y: Fields) -> Fields:
    (u0, v0, a, c, r, dt), (u, v) = x, y
    return [
        u - u0 - dt * (a + u**2 * v - (c + 1) * u + r * laplace(ends(u, a, a))),
        v - v0 - dt * (c * u - u**2 * v + r / 2 * laplace(ends(v, v[0], v[-1]))),
    ]


def brusselator_auxiliary(x: Fields, y: Fields) -> Fields:
    u, v = y
    return [(u + v).sum(), u**2 * v]


heat = Implicit(
    u[i] - u0[i] - r * (u[i - 1] - 2 * u[i] + u[i + 1]),
    unknown=u,
    inputs=[u0, r],
    boundary={u: Dirichlet(0)},
    guess={u: u0[i]},
)


def heat_residual(x: Fields, y: Fields) -> Fields:
    (u0, r), (u,) = x, y
    return [u - u0 - r * laplace(ends(u))]


# Every point looks at the first one too: no band.
watched = Implicit(
    u[i - 1] - 2 * u[i] + u[i + 1] - h**2 * u[0] * u[i] + f[i],
    unknown=u,
    inputs=[f, h],
    boundary={u: Dirichlet(0)},
)


def watched_residual(x: Fields, y: Fields) -> Fields:
    (f, h), (u,) = x, y
    return [laplace(ends(u)) - h**2 * u[0] * u + f]


# At the root v is zero: its equations have no size of their own there.
quiet = Implicit(
    [
        u[i - 1] - 2 * u[i] + u[i + 1] - h**2 * u[i] * (1 + v[i]) + f[i],
        v[i - 1] - 2 * v[i] + v[i + 1] - h**2 * v[i] * (2 + v[i] ** 2 + u[i] ** 2),
    ],
    unknown=[u, v],
    inputs=[f, h],
    boundary={u: Dirichlet(0), v: Dirichlet(0)},
    guess={u: 1, v: 1},
)


def quiet_residual(x: Fields, y: Fields) -> Fields:
    (f, h), (u, v) = x, y
    return [
        laplace(ends(u)) - h**2 * u * (1 + v) + f,
        laplace(ends(v)) - h**2 * v * (2 + v**2 + u**2),
    ]


# A flow of 1e-5 under a pressure of 1e6: in the units that engineers use no two numbers are of one size.
pipe = Implicit(
    [Q[i] - Q[i - 1] - f[i], P[i] - P[i + 1] - r * Q[i] ** 3],
    unknown=[P, Q],
    inputs=[f, r, s],
    boundary={P: {"right": Dirichlet(0)}, Q: {"left": Dirichlet(s)}},
    guess={P: 0, Q: s},
)


def pipe_residual(x: Fields, y: Fields) -> Fields:
    (f, r, s), (P, Q) = x, y
    return [np.diff(ends(Q, s)[:-1]) - f, -np.diff(ends(P, 0)[1:]) - r * Q**3]


# Zero, where Newton's method would start, lies outside the domain.
logarithm = Implicit(
    sp.log(u[i]) - r * (u[i - 1] - 2 * u[i] + u[i + 1]) - f[i],
    unknown=u,
    inputs=[f, r],
    boundary={u: Dirichlet(1)},
)


def logarithm_residual(x: Fields, y: Fields) -> Fields:
    (f, r), (u,) = x, y
    return [np.log(u) - r * laplace(ends(u, 1, 1)) - f]


# Sums: dense.

tt = (i + 1) / (n + 1)
integral = Implicit(  # no. 29
    u[i]
    + 1 / (2 * (n + 1)) * (1 - tt) * sp.Sum((j + 1) / (n + 1) * (u[j] + (j + 1) / (n + 1) + w[j]) ** 3, (j, 0, i))
    + 1
    / (2 * (n + 1))
    * tt
    * sp.Sum((1 - (j + 1) / (n + 1)) * (u[j] + (j + 1) / (n + 1) + w[j]) ** 3, (j, i + 1, n - 1)),
    unknown=u,
    inputs=[w],
)


def integral_residual(x: Fields, y: Fields) -> Fields:
    (w,), (u,) = x, y
    h = 1 / (len(u) + 1)
    t = h * np.arange(1, len(u) + 1)
    kernel = np.where(t[:, None] >= t, (1 - t[:, None]) * t, t[:, None] * (1 - t))
    return [u + h / 2 * kernel @ (u + t + w) ** 3]


chandrasekhar = Implicit(
    H[i] - 1 - c / 2 * H[i] * mu[i] * sp.Sum(w[j] * H[j] / (mu[i] + mu[j]), (j, 0, n - 1)),
    unknown=H,
    inputs=[c, mu, w],
    guess={H: 1},
)


def chandrasekhar_residual(x: Fields, y: Fields) -> Fields:
    (c, mu, w), (H,) = x, y
    return [H - 1 - c / 2 * H * mu * ((w * H) / (mu[:, None] + mu)).sum(axis=1)]


# A field and a number that keeps its mean.
mass = Implicit(
    [(u[i - 1] - 2 * u[i] + u[i + 1]) / h**2 - c * u[i] ** 3 + p + f[i], h * sp.Sum(u[j], (j, 0, n - 1)) - M],
    unknown=[u, p],
    inputs=[f, c, h, M],
    boundary={u: Neumann(0)},
)


def mass_residual(x: Fields, y: Fields) -> Fields:
    (f, c, h, M), (u, p) = x, y
    return [laplace(ends(u, u[0], u[-1])) / h**2 - c * u**3 + p + f, h * u.sum() - M]


kirchhoff = Implicit(
    (1 + a * sp.Sum((u[j + 1] - u[j]) ** 2, (j, 0, n - 1))) * (u[i - 1] - 2 * u[i] + u[i + 1]) + f[i],
    unknown=u,
    inputs=[f, a, s],
    boundary={u: {"left": Dirichlet(0), "right": Dirichlet(s)}},
)


def kirchhoff_residual(x: Fields, y: Fields) -> Fields:
    (f, a, s), (u,) = x, y
    wide = ends(u, 0, s)
    return [(1 + a * ((wide[2:] - u) ** 2).sum()) * laplace(wide) + f]


linear = Implicit(sp.Sum(A[i, j] * z[j], (j, 0, n - 1)) - b[i], unknown=z, inputs=[A, b])


def linear_residual(x: Fields, y: Fields) -> Fields:
    return [x[0] @ y[0] - x[1]]


sylvester = Implicit(
    sp.Sum(A[i, l] * X[l, j], (l, 0, n - 1)) + sp.Sum(X[i, l] * B[l, j], (l, 0, m - 1)) - C[i, j],
    unknown=X,
    inputs=[A, B, C],
)


def sylvester_residual(x: Fields, y: Fields) -> Fields:
    (A, B, C), (X,) = x, y
    return [A @ X + X @ B - C]


layer = Implicit(
    z[i] - sp.tanh(sp.Sum(W[i, j] * z[j], (j, 0, n - 1)) + sp.Sum(U[i, j] * g[j], (j, 0, m - 1)) + b[i]),
    unknown=z,
    inputs=[g, W, U, b],
    auxiliary={"energy": sp.Sum(z[i] ** 2, (i, 0, n - 1)), "seen": sp.Sum(U[i, j] * z[i], (i, 0, n - 1))},
)


def layer_residual(x: Fields, y: Fields) -> Fields:
    (g, W, U, b), (z,) = x, y
    return [z - np.tanh(W @ z + U @ g + b)]


def layer_auxiliary(x: Fields, y: Fields) -> Fields:
    (_, _, U, _), (z,) = x, y
    return [(z**2).sum(), U.T @ z]


# A sum of functions of sums.
nested = Implicit(
    z[i] + sp.Sum(V[i, j] * sp.tanh(sp.Sum(W[j, l] * z[l], (l, 0, n - 1))), (j, 0, m - 1)) - b[i],
    unknown=z,
    inputs=[V, W, b],
)


def nested_residual(x: Fields, y: Fields) -> Fields:
    (V, W, b), (z,) = x, y
    return [z + V @ np.tanh(W @ z) - b]


product = Explicit({"z": sp.Sum(A[i, j] * b[j], (j, 0, m - 1))}, inputs=[A, b])


def product_residual(x: Fields, y: Fields) -> Fields:
    return [y[0] - x[0] @ x[1]]


squash = Explicit(
    {z[i]: sp.tanh(sp.Sum(A[i, j] * b[j] ** 2, (j, 0, m - 1)) + c)},
    inputs=[A, b, c],
    auxiliary={"power": sp.Sum(z[i] ** 2 * b[0], (i, 0, n - 1))},
)


def squash_residual(x: Fields, y: Fields) -> Fields:
    A, b, c = x
    return [y[0] - np.tanh(A @ b**2 + c)]


def squash_auxiliary(x: Fields, y: Fields) -> Fields:
    return [(y[0] ** 2).sum() * x[1][0]]


# Planes and a space.

cross = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
poisson = Implicit(
    cross - 4 * u[i, j] + h**2 * f[i, j],
    unknown=u,
    inputs=[f, west, east, south, north, h],
    boundary={
        u: {
            "left": Dirichlet(west[j]), "right": Dirichlet(east[j]),
            "bottom": Dirichlet(south[i]), "top": Dirichlet(north[i]),
        }
    },
)  # fmt: skip


def around(u: np.ndarray, low: Any, high: Any, left: Any, right: Any) -> np.ndarray:
    """A plane with a line on each side, and corners that nobody reads."""
    wide = np.zeros((u.shape[0] + 2, u.shape[1] + 2), np.result_type(u, low, high, left, right))
    wide[1:-1, 1:-1] = u
    wide[0, 1:-1], wide[-1, 1:-1], wide[1:-1, 0], wide[1:-1, -1] = low, high, left, right
    return wide


def star(wide: np.ndarray) -> np.ndarray:
    return wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] - 4 * wide[1:-1, 1:-1]


def poisson_residual(x: Fields, y: Fields) -> Fields:
    (f, west, east, south, north, h), (u,) = x, y
    return [star(around(u, west, east, south, north)) + h**2 * f]


nine = Implicit(
    4 * cross
    + u[i - 1, j - 1]
    + u[i - 1, j + 1]
    + u[i + 1, j - 1]
    + u[i + 1, j + 1]
    - 20 * u[i, j]
    + 6 * h**2 * f[i, j],
    unknown=u,
    inputs=[f, a, h],
    boundary={u: Dirichlet(sp.exp(a * h * (i + 1)) * sp.sin(a * h * (j + 1)))},
)


def nine_residual(x: Fields, y: Fields) -> Fields:
    (f, a, h), (u,) = x, y
    rows, columns = (np.arange(extent + 2) * h * a for extent in u.shape)
    wide = np.exp(rows)[:, None] * np.sin(columns) + 0 * u[0, 0]
    wide[1:-1, 1:-1] = u
    corners = wide[:-2, :-2] + wide[:-2, 2:] + wide[2:, :-2] + wide[2:, 2:]
    return [4 * star(wide) - 4 * u + corners + 6 * h**2 * f]


plane = Implicit(
    (cross - 4 * u[i, j]) / h**2 - u[i, j] ** 3 - c * u[i, j] + f[i, j],
    unknown=u,
    inputs=[f, g, s, c, h],
    boundary={u: {i: Periodic(), "bottom": Neumann(g[i], h), "top": Neumann(s * sp.cos(2 * sp.pi * h * i), h, "node")}},
)


def plane_residual(x: Fields, y: Fields) -> Fields:
    (f, g, s, c, h), (u,) = x, y
    right = u[:, -2] + 2 * h * s * np.cos(2 * np.pi * h * np.arange(len(u)))
    wide = around(u, u[-1], u[0], u[:, 0] + h * g, right)
    return [star(wide) / h**2 - u**3 - c * u + f]


# Two fields with conditions of their own, coupled across the corners too.
waves = Implicit(
    [
        cross - 5 * u[i, j] + c * v[i, j] ** 2 + f[i, j],
        v[i - 1, j] + v[i + 1, j] + v[i, j - 1] + v[i, j + 1] - 5 * v[i, j] + c * u[i + 1, j + 1] * v[i, j] + 1,
    ],
    unknown=[u, v],
    inputs=[f, c],
    boundary={
        u: {i: Dirichlet(c), j: Neumann(0, 1, "node")},
        v: {"i_low": Neumann(c), "i_high": Dirichlet(0), j: Neumann(0)},
    },
)


def waves_residual(x: Fields, y: Fields) -> Fields:
    (f, c), (u, v) = x, y
    wide = around(u, c, c, u[:, 1], u[:, -2])
    wide[0, :], wide[-1, :] = c, c
    diagonal = wide[2:, 2:]
    return [
        star(wide) - u + c * v**2 + f,
        star(around(v, v[0] + c, 0, v[:, 0], v[:, -1])) - v + c * diagonal * v + 1,
    ]


# Coefficients on the faces, for which tensors are longer along one axis each.
seepage = Implicit(
    kx[i, j] * (u[i, j] - u[i - 1, j]) - kx[i + 1, j] * (u[i + 1, j] - u[i, j])
    + ky[i, j] * (u[i, j] - u[i, j - 1]) - ky[i, j + 1] * (u[i, j + 1] - u[i, j])
    - f[i, j],
    unknown=u,
    inputs=[kx, ky, f, s],
    boundary={u: {"left": Dirichlet(s), "right": Neumann(0), j: Neumann(0)}},
)  # fmt: skip


def seepage_residual(x: Fields, y: Fields) -> Fields:
    (kx, ky, f, s), (u,) = x, y
    along = kx * np.diff(np.concatenate([0 * u[:1] + s, u, u[-1:]]), axis=0)
    across = ky * np.diff(np.concatenate([u[:, :1], u, u[:, -1:]], axis=1), axis=1)
    return [-np.diff(along, axis=0) - np.diff(across, axis=1) - f]


space = Implicit(
    u[i - 1, j, l] + u[i + 1, j, l] + u[i, j - 1, l] + u[i, j + 1, l] + u[i, j, l - 1] + u[i, j, l + 1]
    - 6 * u[i, j, l]
    + h**2 * (c * sp.exp(u[i, j, l]) + f[i, j, l]),
    unknown=u,
    inputs=[f, c, h],
    boundary={u: {i: Dirichlet(0), j: Periodic(), l: Neumann(0)}},
)  # fmt: skip


def space_residual(x: Fields, y: Fields) -> Fields:
    (f, c, h), (u,) = x, y
    first = np.concatenate([0 * u[:1], u, 0 * u[:1]])
    last = np.concatenate([u[:, :, :1], u, u[:, :, -1:]], axis=2)
    near = first[:-2] + first[2:] + np.roll(u, 1, axis=1) + np.roll(u, -1, axis=1) + last[:, :, :-2] + last[:, :, 2:]
    return [near - 6 * u + h**2 * (c * np.exp(u) + f)]


# The inputs, small enough for all derivatives by every input.


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.uniform(0.5, 2, shape)


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape)


def matrix(rng: np.random.Generator, size: int) -> np.ndarray:
    return normal(rng, size, size) + 2 * np.sqrt(size) * np.eye(size)


PROBLEMS = {
    "broyden": Problem(
        broyden,
        lambda rng: [rng.uniform(1, 2, ()), rng.uniform(0.9, 1.1, 11)],
        broyden_residual,
        lambda x: [-np.ones(11)],
    ),
    "broyden_banded": Problem(
        broyden_banded, lambda rng: [rng.uniform(0.9, 1.1, 12)], banded_residual, lambda x: [-np.ones(12)]
    ),
    "boundary_value": Problem(
        boundary_value,
        lambda rng: [np.arange(1, 11) / 11, scalar(1 / 11), rng.uniform(0.9, 1.1, ())],
        boundary_value_residual,
        zeros((10,)),
    ),
    "bratu": Problem(
        bratu, lambda rng: [positive(rng, 9), scalar(0.1)], bratu_residual, zeros((9,)), bratu_auxiliary
    ),
    "darcy": Problem(
        darcy,
        lambda rng: [positive(rng, 10), normal(rng, 9), normal(rng), normal(rng), scalar(0.1)],
        darcy_residual,
        zeros((9,)),
    ),
    "floating": Problem(
        floating, lambda rng: [positive(rng, 10), normal(rng, 9)], floating_residual, zeros((9,)), regular=False
    ),
    "mirrors": Problem(
        mirrors, lambda rng: [normal(rng, 8), normal(rng), normal(rng), scalar(0.15)], mirrors_residual, zeros((8,))
    ),
    "ring": Problem(
        ring,
        lambda rng: [positive(rng, 9), normal(rng, 9), positive(rng), scalar(0.3)],
        ring_residual,
        zeros((9,)),
    ),
    "beam": Problem(
        beam, lambda rng: [normal(rng, 10), positive(rng), scalar(0.1)], beam_residual, zeros((10,))
    ),
    "brusselator": Problem(
        brusselator,
        lambda rng: [positive(rng, 7), positive(rng, 7), scalar(1), scalar(1.7), positive(rng), scalar(0.2)],
        brusselator_residual,
        lambda x: x[:2],
        brusselator_auxiliary,
    ),
    "heat": Problem(heat, lambda rng: [normal(rng, 10), positive(rng)], heat_residual, zeros((10,))),
    "watched": Problem(watched, lambda rng: [positive(rng, 10), scalar(0.3)], watched_residual, zeros((10,))),
    "quiet": Problem(
        quiet, lambda rng: [normal(rng, 8), scalar(0.4)], quiet_residual, lambda x: [np.ones(8), np.ones(8)]
    ),
    "pipe": Problem(
        pipe,
        lambda rng: [1e-6 * normal(rng, 7), scalar(1e20), 1e-5 * positive(rng)],
        pipe_residual,
        lambda x: [np.zeros(7), np.full(7, x[2])],
    ),
    "logarithm": Problem(
        logarithm, lambda rng: [normal(rng, 9), positive(rng)], logarithm_residual, lambda x: [np.ones(9)]
    ),
    "integral": Problem(integral, lambda rng: [rng.uniform(0.9, 1.1, 10)], integral_residual, zeros((10,))),
    "chandrasekhar": Problem(
        chandrasekhar,
        lambda rng: [rng.uniform(0.3, 0.9, ()), np.sort(rng.uniform(0, 1, 9)), rng.uniform(0.05, 0.15, 9)],
        chandrasekhar_residual,
        lambda x: [np.ones(9)],
    ),
    "mass": Problem(
        mass,
        lambda rng: [normal(rng, 8), positive(rng), scalar(0.125), positive(rng)],
        mass_residual,
        lambda x: [np.zeros(8), np.zeros(())],
    ),
    "kirchhoff": Problem(
        kirchhoff, lambda rng: [normal(rng, 8) / 8, positive(rng), normal(rng)], kirchhoff_residual, zeros((8,))
    ),
    "linear": Problem(linear, lambda rng: [matrix(rng, 9), normal(rng, 9)], linear_residual, zeros((9,))),
    "sylvester": Problem(
        sylvester, lambda rng: [matrix(rng, 4), matrix(rng, 3), normal(rng, 4, 3)], sylvester_residual, zeros((4, 3))
    ),
    "layer": Problem(
        layer,
        lambda rng: [normal(rng, 3), normal(rng, 6, 6) / 4, normal(rng, 6, 3), normal(rng, 6)],
        layer_residual,
        zeros((6,)),
        layer_auxiliary,
    ),
    "nested": Problem(
        nested, lambda rng: [normal(rng, 7, 5) / 4, normal(rng, 5, 7) / 4, normal(rng, 7)], nested_residual, zeros((7,))
    ),
    "product": Problem(product, lambda rng: [normal(rng, 5, 9), normal(rng, 9)], product_residual, zeros((5,))),
    "squash": Problem(
        squash,
        lambda rng: [normal(rng, 5, 9) / 9, normal(rng, 9), normal(rng)],
        squash_residual,
        zeros((5,)),
        squash_auxiliary,
    ),
    "poisson": Problem(
        poisson,
        lambda rng: [normal(rng, 5, 4), *(normal(rng, extent) for extent in (4, 4, 5, 5)), scalar(0.2)],
        poisson_residual,
        zeros((5, 4)),
    ),
    "nine": Problem(
        nine, lambda rng: [normal(rng, 4, 5), positive(rng), scalar(0.2)], nine_residual, zeros((4, 5))
    ),
    "plane": Problem(
        plane,
        lambda rng: [normal(rng, 5, 4), normal(rng, 5), normal(rng), positive(rng), scalar(0.2)],
        plane_residual,
        zeros((5, 4)),
    ),
    "waves": Problem(
        waves, lambda rng: [normal(rng, 4, 3), scalar(0.1)], waves_residual, zeros((4, 3), (4, 3))
    ),
    "seepage": Problem(
        seepage,
        lambda rng: [positive(rng, 5, 4), positive(rng, 4, 5), normal(rng, 4, 4), normal(rng)],
        seepage_residual,
        zeros((4, 4)),
    ),
    "space": Problem(
        space, lambda rng: [normal(rng, 3, 2, 4), positive(rng), scalar(0.25)], space_residual, zeros((3, 2, 4))
    ),
}  # fmt: skip
