"""What an iteration starts from, the variable that it works in, and how many steps it is foretold to take."""

from __future__ import annotations

from pathlib import Path

import pytest
import sympy as sp

from opgen.analyse.analyse import analyse
from opgen.analyse.calculus import Start
from opgen.analyse.iteration import Iteration
from opgen.analyse.model import Model
from opgen.analyse.start import isolate
from opgen.loading.file import load_file

x, y, a = sp.symbols("x y a", positive=True)
z, r = sp.symbols("z r", real=True)


@pytest.mark.parametrize(
    ("residual", "unknown", "root", "single"),
    [
        (x**2 - y**3 / (1 + x), y, (x**2 * (1 + x)) ** sp.Rational(1, 3), True),
        (z**2 - x, z, sp.sqrt(x), False),
        (sp.exp(z) - x, z, sp.log(x), True),
        (sp.tanh(2 * z + 1) - r / 9, z, (sp.atanh(r / 9) - 1) / 2, True),
        (y**2 * (x + 3) + y**2 * a - x, y, sp.sqrt(x / (x + 3 + a)), True),
        (y / (1 + y) - x / 9, y, x / 9 / (1 - x / 9), True),
        (2**z - x, z, sp.log(x) / sp.log(2), True),
        (1 / y - x, y, 1 / x, True),
    ],
)
def test_an_unknown_that_occurs_once_is_isolated(
    residual: sp.Expr, unknown: sp.Symbol, root: sp.Expr, single: bool
) -> None:
    found = isolate(residual, unknown)
    assert found is not None
    assert found.single is single
    for value in (0.3, 1.7, 5.0):
        point = {x: value, a: 2 * value, r: value}
        assert sp.N(found.right.subs(point)) == pytest.approx(float(root.subs(point)), rel=1e-12)
        assert abs(sp.N(residual.subs({unknown: found.right}).subs(point))) < 1e-12


@pytest.mark.parametrize("value", [-3.0, -0.1, 0.0, 2.0])
def test_an_odd_power_keeps_the_sign(value: float) -> None:
    found = isolate(z**3 - r, z)
    assert found is not None
    assert float(found.right.subs(r, value)) ** 3 == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "residual", [z + sp.exp(z) - r, sp.sin(z) - r, (z - 3) ** 2 - r, sp.Abs(z) - r, z * sp.exp(z) - r]
)
def test_what_has_no_one_inverse_is_left_alone(residual: sp.Expr) -> None:
    assert isolate(residual, z) is None


def analysed(folder: Path, text: str) -> tuple[Model, Iteration]:
    (folder / "op.py").write_text("import sympy as sp\nimport opgen\n" + text)
    model = analyse(load_file(folder / "op.py").specs[0])
    assert isinstance(model, Model)
    assert model.iteration is not None
    return model, model.iteration


def test_a_guess_and_bounds_are_the_users(tmp_path: Path) -> None:
    """A closed form takes the place of neither; of two roots bounds may exclude the one that it gives."""
    real = "y, x = sp.symbols('y x', real=True)\n"
    model, _ = analysed(tmp_path, real + "op = opgen.Implicit(residual=y**2 - x, unknown=y, inputs=[x], guess=-1.0)")
    assert model.guess == (-1.0,)
    model, _ = analysed(
        tmp_path, real + "op = opgen.Implicit(residual=y**2 - x, unknown=y, inputs=[x], bounds=(-9, -1))"
    )
    assert not model.guess[0].has(Start)
    model, _ = analysed(
        tmp_path, real + "op = opgen.Implicit(residual=y**3 - x, unknown=y, inputs=[x], bounds=(-9, 9))"
    )
    assert model.guess[0].has(Start)


def test_a_power_takes_the_place_of_an_unknown_under_roots(tmp_path: Path) -> None:
    """Guess and bounds follow it, in the other order for a reciprocal."""
    text = (
        "f, q = sp.symbols('f q', positive=True)\n"
        "op = opgen.Implicit(residual=1/sp.sqrt(f) + 2*sp.log(q + 2/sp.sqrt(f), 10), unknown=f, inputs=[q],"
        " guess=0.04, bounds=(0.01, 1), sample={q: (1e-6, 1e-2)})"
    )
    model, it = analysed(tmp_path, text)
    (v,) = it.variables
    assert it.substituted
    assert it.of_unknowns[0] == model.unknowns[0] ** sp.Rational(-1, 2)
    assert it.unknowns[0] == v**-2
    assert [float(e) for e in (it.guess[0], it.lower[0], it.upper[0])] == pytest.approx([5, 1, 10])
    at = {v: sp.Rational(7), model.inputs[0]: sp.Rational(1, 1000)}
    there = {model.unknowns[0]: sp.Rational(1, 49), model.inputs[0]: sp.Rational(1, 1000)}
    assert sp.N(it.residuals[0].subs(at)) == pytest.approx(float(model.residuals[0].subs(there)))
    assert it.jacobian[0][0].equals(sp.diff(it.residuals[0], v))
    assert it.curvature is not None
    assert it.curvature.equals(sp.diff(it.residuals[0], v, 2))


@pytest.mark.parametrize("sign", ["real", "nonnegative"])
def test_an_unknown_that_may_be_zero_or_negative_stays(tmp_path: Path, sign: str) -> None:
    text = f"y = sp.Symbol('y', {sign}=True)\nx = sp.Symbol('x')\n"
    _, it = analysed(tmp_path, text + "op = opgen.Implicit(residual=1/y + sp.exp(1/y) - x, unknown=y, inputs=[x])")
    assert not it.substituted


def test_kinks_have_no_second_order(tmp_path: Path) -> None:
    text = "y, x = sp.symbols('y x', real=True)\n"
    _, it = analysed(
        tmp_path, text + "op = opgen.Implicit(residual=y + sp.Abs(y) + sp.exp(y) - x, unknown=y, inputs=[x])"
    )
    assert it.curvature is None
    _, it = analysed(tmp_path, text + "op = opgen.Implicit(residual=y + sp.exp(y) - x, unknown=y, inputs=[x])")
    assert it.curvature == sp.exp(it.variables[0])


def test_steps_are_rehearsed(tmp_path: Path) -> None:
    """None from a closed form; as many as Kepler's equation takes from its usual guess; none where nothing is known."""
    text = "y, x = sp.symbols('y x', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"
    assert analysed(tmp_path, text)[0].steps == (0, 0)
    kepler = (
        "M, e, E = sp.symbols('M e E', real=True)\n"
        "op = opgen.Implicit(residual=E - e*sp.sin(E) - M, unknown=E, inputs=[M, e], guess=M + e*sp.sin(M),"
        " sample={M: (0.1, 6), e: (0, 0.6)})"
    )
    single, double = analysed(tmp_path, kepler)[0].steps
    assert 1 <= single <= double <= 3
    lost = "y, x = sp.symbols('y x', real=True)\nop = opgen.Implicit(residual=y**2 + 1 + x**2, unknown=y, inputs=[x])"
    assert analysed(tmp_path, lost)[0].steps == (0, 0)
