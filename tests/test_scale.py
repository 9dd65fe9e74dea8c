"""Long formulas: the chain rule is right, and what is generated grows as the formula does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import sympy as sp

import opgen
from opgen.analyse import analyse
from opgen.analyse.calculus import derivative
from opgen.analyse.chain import Chain, is_long
from opgen.analyse.model import Model
from opgen.analyse.prospect import prospect
from opgen.loading import load_file
from opgen.loading.convert import to_spec
from opgen.loading.spec import Source, Spec
from opgen.lower import lower
from opgen.lower.cxx import Code

x, w = sp.symbols("x w", real=True)
y = sp.Symbol("y", positive=True)
FORMULAS = [
    y**3 * x + sp.sqrt(y) / (x + y) - y**-2, y**x + x**y + 2**y, sp.exp(x * y) * sp.sin(y) / sp.log(y + 2),
    sp.Max(y, x, y**2 / 2) + sp.Min(y * x, 1), sp.Abs(y - x) * y, sp.atan2(y, x), sp.tanh(y) * sp.erf(x * y),
    sp.Piecewise((sp.log(y) * x, y > 1), (y**2, y > sp.Rational(1, 2)), (x, True)),
    sp.sign(y - 1) * y + sp.floor(y) * y,
    sp.gamma(y) + sp.loggamma(y + 1) + sp.digamma(y), sp.acosh(y + 2) * sp.asin(y / 9) + sp.cot(y), sp.Mod(y, x) * y,
    sp.LambertW(y) + sp.cbrt(y),
]  # fmt: skip


@pytest.mark.parametrize("formula", FORMULAS, ids=str)
def test_the_chain_rule_is_sympys(formula: sp.Expr) -> None:
    """Once and twice, at points on every branch."""
    once, expected = Chain(y)(formula), derivative(formula, y)
    for a, b in ((once, expected), (Chain(x)(once), derivative(expected, x))):
        for at in ((0.3, 0.7), (1.4, 1.1), (2.6, 0.4)):
            values = {y: sp.Float(at[0], 30), x: sp.Float(at[1], 30)}
            assert abs(sp.N(a.subs(values)) - sp.N(b.subs(values))) < 1e-12


def test_an_inactive_branch_is_not_multiplied_by_zero() -> None:
    formula = sp.Piecewise((sp.sqrt(y - 1), y > 1), (y, True))
    assert Chain(y)(formula).subs(y, sp.Rational(1, 2)) == 1


def terms(count: int) -> opgen.Implicit:
    """A sum of saturating terms that share their powers."""
    draw = random.Random(0)
    parts = [
        draw.random() * y ** draw.choice((1, 2, 3)) * sp.exp(-draw.random() * x) / (1 + draw.random() * y * x + y**2)
        for _ in range(count)
    ]
    return opgen.Implicit(residual=y - x + w * sp.Add(*parts), unknown=y, inputs=[x, w])


def spec_of(definition: opgen.Implicit) -> Spec:
    return to_spec(definition, "long", Source(None, "", 1, False))


def length(code: Code) -> int:
    return sum(map(len, (*code.lines, *code.results)))


def lengths(definition: opgen.Implicit) -> list[int]:
    p = lower(analyse(spec_of(definition)))
    parts = [p.linearisation, p.adjoint.before, p.adjoint.after, p.second.middle, p.second.last, p.curvature.middle]
    return [length(code) for code in (*parts, p.residual_pullback)]


def test_generated_code_grows_with_the_formula() -> None:
    """Twice the terms, twice the code: of F, of its derivatives, and of their derivatives."""
    small, large = lengths(terms(55)), lengths(terms(110))
    assert is_long(terms(55).residual)
    for one, two in zip(small, large, strict=True):
        assert two <= 2.3 * one + 200


def test_a_long_formula_is_not_printed_in_full() -> None:
    model = analyse(spec_of(terms(120)))
    (equation,) = lower(model).mathematics.equations
    assert "operations in w, x, y" in equation
    assert isinstance(model, Model)
    assert prospect(model).roots == ""


PROSPECTS = """
from sympy import *
import opgen
x, p, q = symbols("x p q", real=True)
y = Symbol("y", real=True)
parab = opgen.Implicit(residual=y**2 - x, unknown=y, inputs=[x])
cubic = opgen.Implicit(residual=y**3 - y - x, unknown=y, inputs=[x], sample={x: (-0.3, 0.3)})
lambert = opgen.Implicit(residual=y * exp(y) - x, unknown=y, inputs=[x])
pole = opgen.Implicit(residual=1 / (y - x) + y, unknown=y, inputs=[x], sample={x: (-1, 1)})
dependent = opgen.Implicit(residual=[p + q - x, (p + q) ** 2 - x - 1], unknown=[p, q], inputs=[x])
branch = opgen.Implicit(residual=y**3 - y - x, unknown=y, inputs=[x], bounds=(1, 3), sample={x: (0, 0.3)})
"""


def test_what_inspect_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opgen.analyse.prospect.PATIENCE", 60.0)  # on a busy machine
    (tmp_path / "seen.py").write_text(PROSPECTS)
    seen = {}
    for spec in load_file(tmp_path / "seen.py").specs:
        model = analyse(spec)
        assert isinstance(model, Model)
        seen[spec.name] = prospect(model)
    assert seen["parab"].roots.startswith("up to 2")
    assert seen["parab"].exact == "sqrt(x)"
    assert any("y = 0 where x = 0" in w for w in seen["parab"].warnings)
    assert seen["cubic"].roots.startswith("up to 3")
    assert seen["lambert"].roots == "1 at every sampled point"
    assert seen["lambert"].exact == "LambertW(x)"
    assert seen["pole"].roots.startswith("none")
    assert seen["branch"].roots == "1 at every sampled point"
    assert any("depend on each other" in w for w in seen["dependent"].warnings)
