"""Coupled operators of every structure that is written in ATen."""

import sympy as sp

from opgen import Dirichlet, Explicit, Implicit, Neumann, Periodic

i, j, k = (sp.Idx(name) for name in "ijk")
n, m = sp.symbols("n m", integer=True)
A, B, D, T, U, W, X, b, c, f, p, q, u, v, x, z = map(sp.IndexedBase, "A B D T U W X b c f p q u v x z".split())
a, h, s, mu, total = sp.symbols("a h s mu total", real=True)

# Fields on a line.
line = Implicit(u[i - 1] - 2 * u[i] + u[i + 1] + h**2 * c[i] * sp.exp(u[i]), u, [c, h], boundary={u: Dirichlet(0)})
ends = Implicit(
    (u[i - 1] - 2 * u[i] + u[i + 1]) / h**2 - u[i] ** 3 + f[i], u, [f, h, s],
    boundary={u: {"left": Dirichlet(s * sp.exp(h)), "right": Neumann(2 * s, h)}},
    auxiliary={"flux": (u[i + 1] - u[i]) / h},
)  # fmt: skip
wide = Implicit(
    u[i - 2] - 4 * u[i - 1] + 7 * u[i] - 4 * u[i + 1] + u[i + 2] - f[i], u, [f, s],
    boundary={u: {"left": Neumann(s, 1, "node"), "right": Neumann(s)}},
)  # fmt: skip
ring = Implicit(u[i - 2] + u[i - 1] - 4 * u[i] + u[i + 1] - c[i + 1] * u[i] ** 3 - f[i], u, [c, f], boundary=Periodic())
faces = Implicit(
    c[i] * (u[i] - u[i - 1]) - c[i + 1] * (u[i + 1] - u[i]) + u[i] ** 3 - f[i], u, [c, f], boundary={u: Dirichlet(1)}
)
placed = Implicit(
    sp.Piecewise((u[i] - s, sp.Eq(i, 0)), (u[i] - u[i - 1] / 2 - sp.sin(s * i) + u[0] / 5, True)), u, [s, c],
    boundary={u: Dirichlet(0)}, auxiliary={"w": c[i] * u[i]},
)  # fmt: skip

# Several fields, grids of two and three axes.
pair = Implicit(
    [u[i - 1] - 3 * u[i] + u[i + 1] + u[i] ** 2 * v[i] - c[i], v[i - 1] - 3 * v[i] + v[i + 1] - a * u[i] ** 2 * v[i]],
    [u, v], [c, a], boundary={u: Periodic(), v: Neumann(a)},
)  # fmt: skip
plane = Implicit(
    u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - 4 * u[i, j] + h**2 * (sp.exp(u[i, j]) + f[i, j]),
    u, [f, h, b], boundary={u: {"left": 0, "right": Neumann(h, h), "bottom": Neumann(0, 1, "node"), "top": b[i]}},
)  # fmt: skip
corners = Implicit(
    u[i - 1, j - 1] + u[i + 1, j + 1] + 2 * u[i - 1, j + 1] - 5 * u[i, j] - f[i, j], u, [f, b, c],
    boundary={u: {"left": Dirichlet(b[j]), "right": Neumann(c[j]), "bottom": Dirichlet(2), "top": Neumann(b[i] ** 2)}},
)  # fmt: skip
tube = Implicit(
    u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1] - (4 + a) * u[i, j] - f[i, j], u, [f, a],
    boundary={u: {i: Periodic(), j: Dirichlet(sp.cos(i))}},
)  # fmt: skip
brick = Implicit(
    u[i - 1, j, k] + u[i + 1, j, k] + u[i, j - 1, k] + u[i, j + 1, k] + u[i, j, k - 1] + u[i, j, k + 1]
    - 6 * u[i, j, k] - a * u[i, j, k] ** 3 - f[i, j, k],
    u, [f, a], boundary={u: Neumann(a, 1, "node")},
)  # fmt: skip

# Sums.
layer = Implicit(
    z[i] - sp.tanh(sp.Sum(W[i, j] * z[j], (j, 0, n - 1)) + sp.Sum(U[i, j] * X[j], (j, 0, m - 1)) + b[i]),
    z, [X, W, U, b], auxiliary={"e": sp.Sum(z[i] ** 2, (i, 0, n - 1)), "y": sp.Sum(U[i, j] * z[i], (i, 0, n - 1))},
)  # fmt: skip
linear = Implicit(2 * z[i] + sp.Sum(A[i, j] * z[j], (j, 0, n - 1)) - x[i], z, [A, x])
product = Explicit({"y": sp.Sum(A[i, j] * x[j], (j, 0, n - 1))}, [A, x], auxiliary={"s": sp.Sum(x[j], (j, 0, n - 1))})
cubic = Implicit(
    z[i] - x[i] - sp.Sum(T[i, j, k] * z[j] * sp.sin(z[k]), (j, 0, n - 1), (k, 0, n - 1)) - A[i, i] * z[i] ** 2,
    z,
    [T, A, x],
)
chained = Implicit(z[i] - x[i] - sp.Sum(A[i, j] * B[j, k] * z[k], (j, 0, m - 1), (k, 0, n - 1)) / 9, z, [A, B, x])
both = Implicit(z[i] - sp.Sum(A[i, j] * z[j] - 2 * a * B[i, j] * z[j] ** 2, (j, 0, n - 1)) / 9 - x[i], z, [A, B, x, a])
kernel = Implicit(z[i] - s * sp.Sum(sp.exp(-sp.Abs(i - j) / n) * z[j] ** 2, (j, 0, n - 1)) / 9 - x[i], z, [x, s])
lower = Implicit(z[i] + z[i] ** 3 - sp.Sum(A[i, j] * z[j], (j, 0, i - 1)) - x[i], z, [A, x])
upper = Implicit(z[i] - sp.Sum(z[j] * x[j], (j, i, n - 1)) / 9 - x[i], z, [x])
repelled = Implicit(z[i] - x[i] - a * sp.Sum(z[j] ** 2 * x[i] / (i - j), (j, 0, i - 1)), z, [x, a])
softmax = Implicit(z[i] - x[i] + sp.exp(z[i]) / sp.Sum(sp.exp(z[j]), (j, 0, n - 1)), z, [x])
apart = Implicit(z[i] - sp.Sum((z[j] - z[i]) ** 2, (j, 0, n - 1)) / 9 - x[i], z, [x])
held = Implicit([u[i] + u[i] ** 3 - mu - f[i], sp.Sum(u[i], (i, 0, n - 1)) - total], [u, mu], [f, total])
