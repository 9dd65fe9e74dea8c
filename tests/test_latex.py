"""Formulas in LaTeX: what is read, against SymPy's own parser where that reads the same, and what is refused."""

from __future__ import annotations

import contextlib
import importlib.util
import random

import pytest
import sympy as sp

from opgen.errors import TextError
from opgen.loading import load_text
from opgen.loading.text import parse

READ = {
    r"x^2 - \frac{y^3}{1+x}": "x**2 - y**3/(1 + x)",
    r"\sqrt{x} + \sqrt[3]{y} + \sqrt[5]{y}": "sqrt(x) + cbrt(y) + y**(1/5)",
    r"\sin x + \sin(2x) \cos^2 x": "sin(x) + sin(2*x)*cos(x)**2",
    r"\ln(y) - \log x": "log(y) - log(x)",
    r"\log_2 y + \log_{10}(y) + \log_{b}(y)": "log(y)/log(2) + log(y)/log(10) + log(y)/log(b)",
    r"a \cdot b \times c": "a*b*c",
    r"\alpha_1 + \beta_{max} x_{i} x_0": "alpha_1 + beta_max*x_i*x_0",
    r"x_{\mathrm{max}} + x_{i,j}": "x_max + x_i_j",
    r"M = E - e \sin E": "M - E + e*sin(E)",
    r"2\,x y": "2*x*y",
    r"\exp(-y) e^{y}": "exp(-y)*e**y",
    r"\mathrm{e}^{-y} x + \mathrm{e}": "exp(-y)*x + exp(1)",
    r"\left( x + 1 \right) y": "(x + 1)*y",
    r"k\left(T_1 - T_2\right)": "k*(T_1 - T_2)",
    r"\frac12 x + \tfrac34": "x/2 + 3/4",
    r"10^{-3} y": "y/1000",
    r"\pi\,x": "pi*x",
    r"\left|x-y\right|^{3} + \lvert y \rvert": "abs(x - y)**3 + abs(y)",
    r"x^{y^{2}}": "x**(y**2)",
    r"-y^2 + \sqrt{y}": "-(y**2) + sqrt(y)",
    r"y^{-\frac{1}{2}}": "y**(-1/2)",
    r"\tanh(w y) + \operatorname{erf}(y) + \arctan y": "tanh(w*y) + erf(y) + atan(y)",
    r"\lfloor x \rfloor + \max\left(x, y\right)": "floor(x) + max(x, y)",
    r"\exp\left(-\frac{E_a}{R T}\right) y": "exp(-E_a/(R*T))*y",
    r"\text{Re}\, y - \dot{x} \bar{\alpha}_1": "Re*y - xdot*alphabar_1",
    r"$$ x²\cdot y = 3 $$": "x**2*y - 3",
    r"\(x \div y\)": "x/y",
    r"y = \frac{1}{\sqrt{f}} + 2\log_{10}\left(\frac{k}{3.7}\right)": "y - 1/sqrt(f) - 2*log10(k/3.7)",
    r"\varphi \phi \lambda \varepsilon \epsilon": "varphi*phi*lambda*varepsilon*epsilon",
    r"x/y\cdot z": "x/y*z",
    r"\frac{x}{y}z": "x/y*z",
    r"\gamma (x+1)": "gamma*(x + 1)",
}


@pytest.mark.parametrize("text", READ)
def test_latex_means_what_the_text_form_means(text: str) -> None:
    names: dict[str, sp.Symbol] = {}

    def same(found: sp.Expr) -> sp.Expr:
        return found.xreplace({s: names.setdefault(s.name, sp.Symbol(s.name, real=True)) for s in found.free_symbols})

    (wanted, _), (found, _) = parse(READ[text]), parse(text)
    assert sp.simplify(same(found) - same(wanted)) == 0, found


def test_lowercase_e_is_a_symbol_as_everywhere() -> None:
    residual, symbols = parse(r"e^{x} - \mathrm{e}^{x}")
    assert {s.name for s in symbols} == {"e", "x"}
    assert residual.has(sp.exp)


REFUSED = {
    r"\foo{x}": r"\foo at column 1 has no meaning here",
    r"\sinn(x)": r"did you mean '\sin'?",
    r"\int x": r"\int at column 1 has no meaning here",
    r"\sin^{-1} y": r"can be read in two ways; write \arcsin or 1/\sin",
    r"\sin 2 x": r"it is unclear where the argument of \sin at column 1 ends; write \sin(…)",
    r"\sin x^2": "it is unclear where the argument",
    r"\sin{x}^2": "it is unclear where the argument",
    r"\sin": r"\sin at column 1 has no argument",
    r"sin(x)\,y": r"'sin' at column 1 is a product of letters in LaTeX; write \sin",
    r"x^10 \cdot y": "^10 at column 2 means ^1 followed by 0 in LaTeX; write ^{10}",
    r"x_12 \cdot y": "_12 at column 2 means _1 followed by 2 in LaTeX; write _{12}",
    r"\alpha y(x)": r"it is unclear whether y(x…) at column 8 is a product; write y \cdot x",
    r"\frac{dy}{dx} - x": r"the derivative at column 1 is not one that opgen solves; name it, such as \dot{y}",
    r"{x' - y}": "the prime at column 3",
    r"\frac{1}{2": "'{' at column 9 is not closed; add }",
    r"\left(x + y": "'(' at column 6 is not closed; add )",
    r"}": "unexpected '}' at column 1",
    r"\frac{}{x}": "nothing stands in '{' at column 6",
    r"{^2}": "nothing stands before ^ at column 2",
    r"\frac": r"nothing follows \frac at column 1",
    r"{x/y z}": "it is unclear whether 'z' at column 6 is divided by",
    r"{x < y}": "unexpected character '<' at column 4; only equations can be solved",
    r"x_{a+b} \cdot y": "the subscript 'a+b' at column 2 is no name",
    r"x_{\mathrm": "is not closed",
    r"\mathrm{a+b}": r"\mathrm at column 1 holds no name",
    r"\bar{x+y}": r"\bar at column 1 is not over one letter",
    r"\begin{pmatrix}x\end{pmatrix}": r"\begin at column 1 has no meaning here",
    "{" * 99 + "x" + "}" * 99: "nested too deeply",
    "\\" + "x" * 20000: "characters, more than",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_unclear_is_refused(text: str) -> None:
    with pytest.raises(TextError) as caught:
        parse(text)
    assert REFUSED[text] in str(caught.value)


def test_no_text_does_anything_else() -> None:
    pieces = [
        *r"\frac \sqrt \sin \log \left( \right) \mathrm \text \alpha \bar \lvert \rvert \lfloor | [ ] { } ( )".split()
    ]
    pieces += [*r"x y 1 23 .5 ^ _ = + - * / , ' \, \cdot ² \\ $ & % # \e".split(), "e", "d", " "]
    chosen = random.Random(7)
    read = 0
    for _ in range(4000):
        text = "{" + "".join(chosen.choices(pieces, k=chosen.randint(1, 12))) + chosen.choice(["}", ""])
        with contextlib.suppress(TextError):
            parse(text)
            read += 1
    assert read > 20


# What SymPy's own parser reads in one way only, and rightly.
AGREED = (
    r"x^2 - \frac{y^3}{1+x}",
    r"\sqrt{x} + \sqrt[5]{y}",
    r"M = E - e \sin(E)",
    r"a \cdot b \times c - \frac12 x",
    r"\alpha_1 + \beta_{max} x_{i}",
    r"y^{\frac{1}{3}} - \arctan(y)",
    r"2\log_{10}\left(\frac{k}{3}\right)",
    r"\left(x + 1\right) y - \lfloor x \rfloor",
    r"\max(x, y) + \ln(y)",
)


@pytest.mark.skipif(importlib.util.find_spec("lark") is None, reason="lark is not installed")
@pytest.mark.parametrize("text", AGREED)
def test_sympys_parser_agrees_where_it_is_sure(text: str) -> None:
    from sympy.parsing.latex import parse_latex

    theirs = parse_latex(text, backend="lark")
    assert isinstance(theirs, sp.Basic)
    theirs = theirs.lhs - theirs.rhs if isinstance(theirs, sp.Equality) else theirs
    ours, symbols = parse(text)
    plain = {s: sp.Symbol(str(s.name).replace("{", "").replace("}", ""), real=True) for s in theirs.free_symbols}
    assert sp.simplify(theirs.xreplace(plain) - ours) == 0
    assert {s.name for s in plain.values()} == {s.name for s in symbols}


def test_an_operator_of_latex() -> None:
    (spec,) = load_text(r"x^2 = \frac{y^3}{1+x}", "cuberoot").specs
    x, y = (sp.Symbol(name, real=True) for name in "xy")
    assert sp.simplify(spec.equations[0] - (x**2 - y**3 / (1 + x))) == 0
    (spec,) = load_text(r"M = E - e\sin E", "kepler", "E").specs
    assert [s.name for s in spec.inputs] == ["M", "e"]
