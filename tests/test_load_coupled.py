"""Indexed notation: what shapes are read from it, and the sentence for everything that can be wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from opgen.analyse import analyse
from opgen.analyse.coupled import CoupledModel
from opgen.errors import SpecError, UnsupportedError
from opgen.loading import Spec, load_file
from opgen.lower import lower
from opgen.render.prose import signature

HEAD = """import sympy as sp
import opgen
from opgen import Dirichlet, Explicit, Implicit, Neumann, Periodic
from sympy import Sum
i, j, k = sp.Idx("i"), sp.Idx("j"), sp.Idx("k")
u, v, f, g, a, A, B, w, x, z, u0 = (sp.IndexedBase(t) for t in ("u", "v", "f", "g", "a", "A", "B", "w", "x", "z", "u0"))
c, h, s, y = sp.symbols("c h s y")
n, m = sp.symbols("n m", integer=True)
line = (2 * u[i] - u[i - 1] - u[i + 1]) / h**2
plane = 4 * u[i, j] - u[i - 1, j] - u[i + 1, j] - u[i, j - 1] - u[i, j + 1]
product = Sum(A[i, j] * z[j], (j, 0, n - 1))
"""
LINE = HEAD.count("\n") + 1


def load(folder: Path, body: str) -> Spec:
    (folder / "op.py").write_text(HEAD + body, encoding="utf-8")
    (spec,) = load_file(folder / "op.py").specs
    return spec


def model(folder: Path, body: str) -> CoupledModel:
    found = analyse(load(folder, body))
    assert isinstance(found, CoupledModel)
    return found


# What is read

SHAPES = [
    # fields
    ("p = Implicit(line - f[i], unknown=u, boundary=Dirichlet(0))", "p(h (), f (i)) -> u (i)"),
    ("residual = line - f[i]\nunknown = u\nboundary = Periodic()", "op(h (), f (i)) -> u (i)"),
    ("p = Implicit(sp.Eq(line, f[i]), unknown=u, boundary=0)", "p(h (), f (i)) -> u (i)"),
    ("p = Implicit(line - f[i], unknown=u[i], inputs=[f[i], h], boundary=Periodic())", "p(f (i), h ()) -> u (i)"),
    ("p = Implicit(plane - f[i, j], unknown=u, boundary=Dirichlet(0))", "p(f (i, j)) -> u (i, j)"),
    (
        "p = Implicit([line - v[i], v[i] - f[i]], unknown=[u, v], boundary={u: Neumann})",
        "p(h (), f (i)) -> u (i), v (i)",
    ),
    (
        "p = Implicit(u[i] - u[i - 1] - f[i], unknown=u, boundary={u: {'left': Dirichlet(c)}})",
        "p(c (), f (i)) -> u (i)",
    ),
    # arrays on other places of the grid
    ("p = Implicit(a[i + 1] * u[i + 1] - a[i] * u[i], unknown=u, boundary=Dirichlet(1))", "p(a (i + 1)) -> u (i)"),
    ("p = Implicit(u[i]**3 - f[i + 1] * f[i - 1], unknown=u)", "p(f (i + 2)) -> u (i)"),
    ("p = Implicit(u[i] - u[i - 1] - f[i + 1] * f[i - 1], unknown=u, boundary=Periodic())", "p(f (i)) -> u (i)"),
    ("p = Implicit(u[i] - f[0] * f[1] * g[i], unknown=u)", "p(f (2), g (i)) -> u (i)"),
    (
        "p = Implicit(Sum(w[k] * u[i + k - 1], (k, 0, 2)) - f[i], unknown=u, boundary=Periodic())",
        "p(f (i), w (3)) -> u (i)",
    ),
    # boundary values along the boundary
    (
        "p = Implicit(plane - f[i, j], unknown=u, boundary={u: {i: Dirichlet(g[j]), j: (a[i], Neumann(c, h))}})",
        "p(c (), h (), a (i), f (i, j), g (j)) -> u (i, j)",
    ),
    # dense systems
    ("p = Implicit(product - x[i], unknown=z)", "p(A (n, n), x (n)) -> z (n)"),
    ("p = Implicit(product - x[i], unknown=z, constants={n: 3})", "p(A (3, 3), x (3)) -> z (3)"),
    ("p = Implicit(Sum(A[i, j] * z[j], (j, 0, 99)) - x[i], unknown=z)", "p(A (100, 100), x (100)) -> z (100)"),
    ("p = Implicit(z[i] - Sum(A[i, j] * x[j], (j, 0, m - 1)), unknown=z)", "p(A (i, m), x (m)) -> z (i)"),
    ("p = Implicit(z[i] - Sum(A[i, j] * z[j], (j, 0, i)) - x[i], unknown=z)", "p(A (i, i), x (i)) -> z (i)"),
    ("p = Implicit(z[i] - Sum(A[i, j] * z[j], (j, 0, i - 1)) - x[i], unknown=z)", "p(A (i, i), x (i)) -> z (i)"),
    ("p = Implicit(z[i] - Sum(z[j + 1] - z[j], (j, 0, n - 2)) - x[i], unknown=z)", "p(x (n)) -> z (n)"),
    (
        "p = Implicit(z[i] - Sum(A[i, j] * Sum(B[j, k] * z[k], (k, 0, n - 1)), (j, 0, m - 1)), unknown=z)",
        "p(A (n, m), B (m, n)) -> z (n)",
    ),
    (
        "p = Implicit([line - s * f[i], Sum(u[j], (j, 0, n - 1)) - c], unknown=[u, s], boundary={u: Dirichlet(0)})",
        "p(c (), h (), f (n)) -> u (n), s ()",
    ),
    ("q = sp.Idx('q', n)\np = Implicit(u[q]**2 - x[q], unknown=u)", "p(x (n)) -> u (n)"),
    ("q = sp.Symbol('q', integer=True)\np = Implicit(u[q]**2 - x[q], unknown=u)", "p(x (q)) -> u (q)"),
    # formulas, guesses, auxiliaries
    ("p = Explicit({x[j, i]: f[i] * g[j]})", "p(f (i), g (j)) -> x (j, i)"),
    ("p = Explicit({'x': Sum(f[i] * g[i], (i, 0, n - 1))})", "p(f (n), g (n)) -> x ()"),
    (
        "p = Implicit(line - f[i], unknown=u, inputs=[f, h, u0], boundary=Dirichlet(0), guess={u: u0[i]})",
        "p(f (i), h (), u0 (i)) -> u (i)",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, inputs=[f, h], boundary=Dirichlet(0),"
        " auxiliary={'q': (u[i + 1] - u[i]) / h, 'mean': Sum(u[i], (i, 0, n - 1)) / n})",
        "p(f (n), h ()) -> u (n), q (n), mean ()",
    ),
]


@pytest.mark.parametrize(("body", "shapes"), SHAPES, ids=lambda value: str(value)[:60])
def test_shapes(tmp_path: Path, body: str, shapes: str) -> None:
    assert signature(lower(model(tmp_path, body))) == shapes


@pytest.mark.parametrize(
    ("summand", "found"),
    [
        ("A[i, j] * z[j]", (1, 0, False)),  # reads that depend on the unknown come first
        ("A[j, i] * z[j]", (1, 0, True)),
        ("A[i, j] * x[j]", (0, 1, False)),
        ("2 * A[i, j] * z[j]", (-1, -1, False)),
        ("A[i, j] * z[j]**2", (-1, -1, False)),
        ("A[i, j] * z[i]", (-1, -1, False)),
        ("A[i, j] * (z[j] + x[j])", (-1, -1, False)),
        ("w[j] * z[j]", (-1, -1, False)),
        ("A[i, j + 1] * z[j]", (-1, -1, False)),
    ],
)
def test_products_with_matrices_are_seen(tmp_path: Path, summand: str, found: tuple[int, int, bool]) -> None:
    program = lower(model(tmp_path, f"p = Implicit(z[i] - sp.tanh(Sum({summand}, (j, 0, n - 1)) + x[i]), unknown=z)"))
    assert program.nests is not None
    assert [nest.product for nest in program.nests.nests if nest.stage == "sum"] == [found]


def test_a_sum_over_a_triangle_is_no_product(tmp_path: Path) -> None:
    program = lower(model(tmp_path, "p = Implicit(z[i] - Sum(A[i, j] * z[j], (j, 0, i - 1)) - x[i], unknown=z)"))
    assert program.nests is not None
    assert [nest.product for nest in program.nests.nests] == [(-1, -1, False)] * 2


@pytest.mark.parametrize(
    ("body", "warning"),
    [
        (
            "p = Implicit(line - c, unknown=u, boundary=Dirichlet(0))",
            "no input has the size i: calls need `initial`, whose shape says how large the grid is",
        ),
        (
            "p = Implicit(line - f[i], unknown=u, inputs=[f, h, c], boundary=Dirichlet(0))",
            "input c does not occur in the equations: its gradient is zero",
        ),
        ("p = Implicit(u[i]**2 - f[i], unknown=u, exact=sp.sqrt(f[i]))", "exact for u is not used"),
    ],
)
def test_warnings(tmp_path: Path, body: str, warning: str) -> None:
    (found,) = model(tmp_path, body).warnings
    assert found.startswith(warning)


# What can be wrong

LOADING = [
    (
        "p = Implicit([line, u[i] - f[i]], unknown=u)",
        SpecError,
        "residual has 2 equations for 1 unknown (u) at {}; give as",
    ),
    (
        "p = Implicit(u[i] - f[i])",
        SpecError,
        "residual has no symbol named 'y' and no unknown is named (its symbols: f, u)",
    ),
    (
        "p = Implicit(u[i] - f[i], unknown=v)",
        SpecError,
        "residual (-f[i] + u[i]) does not depend on the unknown v at {}",
    ),
    (
        "p = Implicit(line - f[i], unknown=i)",
        SpecError,
        "unknown names 'i', which is an index at {}; name what it indexes",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, inputs=[f, h, i])",
        SpecError,
        "inputs names 'i', which is an index at {}; name what it indexes",
    ),
    (
        "p = Implicit(product - x[i], unknown=z, inputs=[A, x, n])",
        SpecError,
        "inputs names 'n', which is a size at {}; leave it out: sizes are read off the tensors' shapes",
    ),
    (
        "p = Implicit(u[i] - f[i], unknown=u[0])",
        SpecError,
        "'u[0]' is named with what is no index at {}; name it u, or u[i]",
    ),
    ("p = Explicit({x[2 * i]: f[i]})", SpecError, "'x[2*i]' is named with what is no index at {}; name it x, or x[i]"),
    (
        "p = Implicit(line - f[i], unknown=u, constants={f: 1})",
        SpecError,
        "constants names 'f', which is an array at {}",
    ),
    (
        "p = Implicit(product - sp.Symbol('n') * x[i], unknown=z)",
        SpecError,
        "two different symbols are named 'n', one of them a size at {}; SymPy tells them apart: create the symbol once",
    ),
    ("p = Implicit(s - y, unknown=sp.IndexedBase('y'))", SpecError, "two different symbols are named 'y'"),
    (
        "p = Implicit(u[i] - sp.Product(A[i, j], (j, 0, n - 1)), unknown=u)",
        UnsupportedError,
        "residual holds a product, Product(A[i, j], (j, 0, n - 1)) at {}",
    ),
    (
        "p = Implicit(u[i] - Sum(A[i, j] * u[j], j), unknown=u)",
        SpecError,
        "ValueError: Sum requires values for lower and upper bounds at {}; give the first and the last index: Sum(",
    ),
    ("p = Implicit(u[i] - sp.I, unknown=u)", SpecError, "residual holds the imaginary unit I in u[i] - I at {}"),
    (
        "p = Implicit(u[i] - f[i], unknown=u, boundary=Dirichlet(c), inputs=[f])",
        SpecError,
        "boundary of 'u' uses 'c', which is not an input at {}; the inputs are f",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, boundary=Dirichlet(u[0]))",
        SpecError,
        "boundary of 'u' contains the unknown 'u' at {}; it may use inputs only",
    ),
    (
        "p = Implicit(line, unknown=u, boundary={f: Dirichlet(0)})",
        SpecError,
        "boundary names 'f', which is not an unknown",
    ),
    ("p = Implicit(line, unknown=u, boundary={'uu': 0})", SpecError, "boundary names 'uu', which is no symbol of the"),
    (
        "p = Implicit(line, unknown=u, boundary={u: {(i, 'middle'): 0}})",
        SpecError,
        "boundary of 'u' names the side (i, 'middle') at {}; name an index, or a pair of an index and 'low' or 'high'",
    ),
    (
        "p = Implicit(line, unknown=u, boundary='c')",
        SpecError,
        "boundary of 'u' is c at {}; give opgen.Dirichlet(value)",
    ),
    (
        "p = Implicit(line, unknown=u, boundary=Dirichlet('c'))",
        SpecError,
        "boundary of 'u' is the text 'c' at {}; write it",
    ),
    (
        "p = Implicit(line, unknown=u, boundary=Neumann(0, at='cell'))",
        SpecError,
        "boundary of 'u' has a mirror at cell at {}; choose 'face' or 'node'",
    ),
    (
        "p = Implicit(line, unknown=u, boundary=0, guess=u[i])",
        SpecError,
        "guess for 'u' contains the unknown 'u' at {}",
    ),
    (
        "p = Implicit(line, unknown=u, boundary=0, guess=u0[i])",
        SpecError,
        "guess for 'u' uses 'u0', which is not an input",
    ),
    (
        "p = Explicit({x[i]: x[i] + f[i]})",
        SpecError,
        "output 'x' stands on the right-hand side of an explicit operator",
    ),
]

ANALYSIS = [
    (
        "p = Implicit(line - a[j], unknown=u, boundary=0)",
        SpecError,
        "p: the equation for 'u' runs over i, j, but 'u' has 1 axis; an equation needs one free index for each axis of "
        "its unknown; sum over the others with sympy.Sum",
    ),
    (
        "p = Implicit([f[i] - u[i], v[i, j] - f[i]], unknown=[v, u])",
        SpecError,
        "p: the equation for 'v' runs over i, but 'v' has 2 axes; an equation needs one free index for each axis of "
        "its unknown, and equations are in the order of their unknowns",
    ),
    (
        "p = Implicit(s * i - y, unknown=y)",
        SpecError,
        "p: the equation for 'y' runs over i, but 'y' has no axis",
    ),
    (
        "p = Implicit(Sum(u[j], (j, 0, n - 1)) - c, unknown=u)",
        SpecError,
        "p: the equation for 'u' has no index that is not summed over, but 'u' has 1 axis",
    ),
    (
        "p = Implicit(u * 2 - f[i], unknown=u)",
        SpecError,
        "p: 'u' is an array, but stands without an index in -f[i] + 2*u",
    ),
    (
        "p = Implicit(u[i] - f, unknown=u)",
        SpecError,
        "p: 'f' is an array, but stands without an index in u[i] - f; write f[i]",
    ),
    ("p = Implicit(u[i] - f[i] + f[i, j], unknown=u)", SpecError, "p: 'f' has 2 indices in one place and 1 in another"),
    ("p = Implicit(f[i, j, k, 0, 1] - u[i, j, k], unknown=u)", UnsupportedError, "p: 'f' has 5 indices; at most 4 are"),
    # places
    (
        "p = Implicit(line - f[i], unknown=u)",
        SpecError,
        "p: u[i + 1] is read outside the grid, where 'u' is not defined; say what it is there: boundary={u: "
        "opgen.Dirichlet(0)}, opgen.Neumann(0) or opgen.Periodic()",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, boundary={u: {'left': 0}})",
        SpecError,
        "p: u[i + 1] is read outside the grid",
    ),
    (
        "p = Implicit(plane - f[i, j], unknown=u, boundary={u: {i: 0}})",
        SpecError,
        "p: u[i, j + 1] is read outside the grid",
    ),
    (
        "p = Implicit(u[i] - Sum(A[i, j] * u[j - 1], (j, 0, n - 1)), unknown=u)",
        SpecError,
        "p: u[j - 1] is read outside the",
    ),
    ("p = Implicit(u[i] - Sum(f[j] * u[j], (j, 0, i + 1)), unknown=u)", SpecError, "p: u[j] is read outside the grid"),
    (
        "p = Implicit(u[i] - u[-1] - f[i], unknown=u)",
        SpecError,
        "p: u[-1] is read outside the grid, where 'u' is not defined",
    ),
    (
        "p = Implicit(u[i] - f[-1] * f[i], unknown=u)",
        SpecError,
        "p: f[-1] is read before the first place; places are counted",
    ),
    (
        "p = Implicit(u[i] - u[5] - f[i], unknown=u)",
        UnsupportedError,
        "p: u[5] is read at a fixed place, where an axis whose length the tensors decide may end before; read",
    ),
    ("p = Implicit(u[i] - f[3] * f[i], unknown=u)", UnsupportedError, "p: f[3] is read at a fixed place"),
    (
        "q = sp.Idx('q', 5)\np = Implicit(u[q] - f[q] * f[7], unknown=u)",
        SpecError,
        "p: f[7] is read beyond the 5 entries of its axis",
    ),
    (
        "p = Implicit(u[2 * i] - f[i], unknown=u)",
        UnsupportedError,
        "p: the index of u[2*i] is 2*i; only an index plus or minus",
    ),
    (
        "p = Implicit(u[i] - f[n - 1], unknown=u)",
        UnsupportedError,
        "p: f[n - 1] is read at n - 1, where n is no index; read it",
    ),
    (
        "p = Implicit(u[i] - f[n - 1 - i], unknown=u)",
        UnsupportedError,
        "p: the index of f[-i + n - 1] is -i + n - 1; only an",
    ),
    (
        "p = Implicit(u[i] - g[f[i]], unknown=u)",
        UnsupportedError,
        "p: the index of g[f[i]] is f[i]; only an index plus or",
    ),
    # sums
    (
        "p = Implicit(Sum(A[i, j] * z[j], (j, n, m)) - x[i], unknown=z)",
        UnsupportedError,
        "p: a sum over j starts at n; start",
    ),
    (
        "p = Implicit(Sum(A[i, j] * z[j], (j, 0, 2 * n)) - x[i], unknown=z)",
        UnsupportedError,
        "p: the last j of a sum is 2*n",
    ),
    (
        "p = Implicit(z[i] - Sum(B[i, j] * Sum(A[j, k] * z[k], (k, 0, j)), (j, 0, i)), unknown=z)",
        UnsupportedError,
        "p: the sum Sum(A[j, k]*z[k], (k, 0, j)) stands inside a sum whose range depends on an index; write both",
    ),
    (
        "q = sp.Idx('q', 5)\np = Implicit(Sum(A[q, j] * z[j], (j, 0, 20)) - x[q], unknown=z)",
        SpecError,
        "p: z[j] is read outside the grid",
    ),
    (
        "q = sp.Idx('q', 5)\np = Implicit([z[q] - x[q], v[j] - x[j] - z[j + 1]], unknown=[z, v])",
        SpecError,
        "p: z[j + 1] is read outside the grid",
    ),
    (
        "q = sp.Idx('i', (1, n))\np = Implicit(u[q]**2 - x[q], unknown=u)",
        UnsupportedError,
        "p: the index i starts at 1; start",
    ),
    # boundaries, guesses, options
    (
        "p = Implicit(line - f[i], unknown=u, boundary={u: {'left': Periodic(), 'right': Dirichlet(0)}})",
        SpecError,
        "p: only one end of 'u' along i is periodic; both ends of an axis are, or none",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, boundary={u: {'nowhere': 0}})",
        SpecError,
        "p: boundary of 'u' names the side nowhere",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, boundary={u: {'top': 0}})",
        SpecError,
        "p: boundary of 'u' names the upper side of axis 1, which it does not have; its indices are i",
    ),
    (
        "p = Implicit(plane - f[i, j], unknown=u, boundary={u: {i: Dirichlet(g[i]), j: 0}})",
        SpecError,
        "p: boundary of 'u' reads g[i] along i, across the boundary; an array on a boundary has the indices along",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, inputs=[f, h, u0], boundary=0, guess=u0[j])",
        SpecError,
        "p: u0[j] uses the index j, which runs neither over the unknown nor over a sum",
    ),
    (
        "p = Implicit(line - f[i], unknown=u, inputs=[f, h, u0], boundary=0, guess=u0)",
        SpecError,
        "p: 'u0' is an array, but",
    ),
    (
        "p = Implicit(u[i]**2 - f[i], unknown=u, bounds=(0, 1))",
        UnsupportedError,
        "p: bounds are given for 'u', which is coupled",
    ),
    (
        "p = Explicit({x[i]: f[i] * g[j]})",
        SpecError,
        "p: 'x' depends on the index j, but is not indexed by it; name the output",
    ),
    (
        "p = Implicit([u[i] - f[i], u[i]**2 - v[i] + v[i]], unknown=[u, v])",
        SpecError,
        "unknown 'v' stands in no equation",
    ),
]


@pytest.mark.parametrize(("body", "kind", "message"), LOADING, ids=lambda value: str(value)[:60])
def test_messages_of_loading(tmp_path: Path, body: str, kind: type[SpecError], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, body)
    assert message.replace("{}", f"{tmp_path / 'op.py'}:{LINE}") in str(caught.value), str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("body", "kind", "message"), ANALYSIS, ids=lambda value: str(value)[:60])
def test_messages_of_analysis(tmp_path: Path, body: str, kind: type[SpecError], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        lower(model(tmp_path, body))
    assert message in str(caught.value), str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)


def test_functions_that_cannot_be_generated_are_named(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=r"p: the function zeta \(in zeta\(u\)\) cannot be generated"):
        lower(model(tmp_path, "p = Implicit(sp.zeta(u[i]) - f[i], unknown=u)"))


def test_inspect_says_where(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from opgen.cli import main

    file = tmp_path / "op.py"
    file.write_text(f"{HEAD}p = Implicit(line - f[i], unknown=u)\n")
    assert main(("inspect", str(file))) == 2
    assert (
        f"p: u[i + 1] is read outside the grid, where 'u' is not defined at {file}:{LINE}; say"
        in capfd.readouterr().err
    )
