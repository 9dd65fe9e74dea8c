"""The text form: what formulas mean, what is refused, and that no text hangs or runs."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable

import pytest
import sympy as sp

from opgen.errors import SpecError, TextError, UsageError
from opgen.loading import load_text
from opgen.loading.text import parse

x, y, z, r, e = sp.symbols("x y z r e", real=True)

MEANINGS: list[tuple[str, sp.Expr]] = [
    ("x²-y³/(1+x)", x**2 - y**3 / (1 + x)),
    ("x**2 - y**3/(1+x)", x**2 - y**3 / (1 + x)),
    ("x^2 = y^3/(1+x)", x**2 - y**3 / (1 + x)),
    ("-x²", -(x**2)),
    ("-x**2", -(x**2)),
    ("x^-y^-2", x ** (-(y ** (-2)))),
    ("2**-1", sp.Rational(1, 2)),
    ("2^3^2", sp.Integer(512)),
    ("x³²", x**32),
    ("x⁻¹⁰ + x⁺²", x**-10 + x**2),
    ("x²^3", (x**2) ** 3),
    ("--x - -y + +z", x + y + z),
    ("x - y - z", x - y - z),
    ("x/y/z", x / (y * z)),
    ("x − y · z × 2 ÷ r", x - 2 * y * z / r),
    ("2x", 2 * x),
    ("-2x²y³", -2 * x**2 * y**3),
    ("2(x+1)²", 2 * (x + 1) ** 2),
    ("(1+x)(1-x)", (1 + x) * (1 - x)),
    ("(1+x)y", (1 + x) * y),
    ("2πr²", 2 * sp.pi * r**2),
    ("2 pi r", 2 * sp.pi * r),
    ("2exp(-x)", 2 * sp.exp(-x)),
    ("x/y·2z", 2 * x * z / y),
    ("√x + √(x·y) + ∛y", sp.sqrt(x) + sp.sqrt(x * y) + sp.cbrt(y)),
    ("√√x", x ** sp.Rational(1, 4)),
    ("∛(-8)", sp.Integer(-2)),
    ("|x - |y||", abs(x - abs(y))),
    ("0.1", sp.Rational(1, 10)),
    ("x + 1e-3 + .5 + 3.", x + sp.Rational(3501, 1000)),
    ("2E", 2 * sp.Symbol("E", real=True)),
    ("e^x", e**x),
    ("atan2(y, x) + max(x, y, 1) + min(x)", sp.atan2(y, x) + sp.Max(x, y, 1) + x),
    ("log10(x) + log2(x) + ln(x)", sp.log(x, 10) + sp.log(x, 2) + sp.log(x)),
    ("arcsin(x) - asin(x)", sp.Integer(0)),
    ("abs(x) + sign(y) + floor(x) + ceil(y)", abs(x) + sp.sign(y) + sp.floor(x) + sp.ceiling(y)),
    ("loggamma(x) - lgamma(x) + erf(x) + erfc(x)", sp.erf(x) + sp.erfc(x)),
    ("sqrt(0.3 - 0.1 - 0.2)", sp.Integer(0)),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS)
def test_meaning(text: str, meaning: sp.Expr) -> None:
    assert parse(text)[0] == meaning


def test_names_are_plain_symbols() -> None:
    value, symbols = parse("E*I*S*N*beta*gamma*lambda*x₁*θ + gamma(3)")
    assert [s.name for s in symbols] == ["E", "I", "S", "N", "beta", "gamma", "lambda", "x1", "θ"]
    assert all(type(s) is sp.Symbol and s.is_real and not s.is_positive for s in symbols)
    assert value == sp.prod(symbols) + 2


def test_every_superscript_digit() -> None:
    for digit, character in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹"):
        assert parse(f"x{character}")[0] == x**digit


REFUSED: list[tuple[str, str]] = [
    ("", "the formula is empty; give one"),
    ("  \n", "the formula is empty"),
    ("x" * 10_001, r"the formula has 10001 characters, more than 10000; write a residual file"),
    ('__import__("os").system("true")', r"unexpected character '_' at column 1; names start with a letter"),
    ("().__class__", r"unexpected '\)' at column 2|unexpected character '\.' at column 3"),
    ("x.__class__", r"unexpected character '\.' at column 2"),
    ("import os", "unexpected 'os' at column 8; expected an operator"),
    ("x + ", r"unexpected the end at column 5; expected a number, a name or '\('"),
    ("lambda: 0", "unexpected character ':' at column 7"),
    ("'x'", r"unexpected character \"'\" at column 1"),
    ("x; y", "unexpected character ';' at column 2; a formula holds"),
    ("x[0]", r"unexpected character '\[' at column 2; group with \( and \)"),
    ("x < y", "unexpected character '<' at column 3; only equations can be solved"),
    ("x @ y", "unexpected character '@' at column 3"),
    ("xⁿ", "unexpected character 'ⁿ' at column 2; write powers as"),
    ("foo(x)", r"unknown function 'foo' at column 1; did you mean 'floor'\?"),
    ("1 + flor(x)", r"unknown function 'flor' at column 5; did you mean 'floor'\?"),
    ("y(1+x)", r"unknown function 'y' at column 1; for a product write y\*\(…\)"),
    ("eval(x)", "unknown function 'eval' at column 1"),
    ("sin x", r"the function 'sin' at column 1 has no argument; write sin\(…\)"),
    ("sin²(x)", r"the function 'sin' at column 1 has no argument"),
    ("atan2(x)", "the function 'atan2' at column 1 takes 2 and not 1 arguments"),
    ("exp(x, y)", "the function 'exp' at column 1 takes 1 and not 2 arguments"),
    ("max()", r"unexpected '\)' at column 5; expected a number"),
    ("max(" + "x," * 40 + "y)", "max and min at column 1 have more than 32 arguments in all"),
    ("(x + y", r"unexpected the end at column 7; expected '\)' for the '\(' at column 1"),
    ("|x", r"unexpected the end at column 3; expected '\|' for the '\|' at column 1"),
    ("x)", r"unexpected '\)' at column 2; expected an operator"),
    ("x == y", "'==' at column 3; write a single ="),
    ("x = y = z", "unexpected '=' at column 7; expected an operator"),
    ("= x", "unexpected '=' at column 1"),
    ("x y", "unexpected 'y' at column 3; expected an operator"),
    ("x 2", "unexpected '2' at column 3; expected an operator"),
    ("|x||y|", r"unexpected '\|' at column 4; expected an operator"),
    ("0x10", "unexpected 'x10' at column 2"),
    ("1.2.3", r"unexpected '\.3' at column 4"),
    ("1_000", "unexpected character '_' at column 2"),
    ("1/2x", r"it is unclear what 'x' at column 4 multiplies; write \* or \( \)"),
    ("x^2y", "it is unclear what 'y' at column 4 multiplies"),
    ("√2x", "it is unclear what 'x' at column 3 multiplies"),
    ("√x²", r"it is unclear what the power at column 3 raises; write the root with \( \)"),
    ("√x^2", r"it is unclear what \^ at column 3 raises"),
    ("9**9**9**9", "the constant at column 5 is too large; keep it below 1e308"),
    ("exp(1000)", "the constant at column 1 is too large"),
    ("gamma(1e9)", "the constant at column 1 is too large"),
    ("loggamma(1e9)", "the constant at column 1 is too large"),
    ("x^1001", "the power at column 2 is too large; keep exponents below 1000"),
    ("((2x)^900)^900", "the power at column 11 is too large"),
    ("floor(exp(400))", "the constant at column 1 is too large"),
    ("1e999", "the number 1e999 at column 1 is too large"),
    ("1e-999", "the number 1e-999 at column 1 is too small; write 0"),
    ("x/0", "the constant at column 2 is not a real number; is it a division by zero"),
    ("log(0)", "the constant at column 1 is not a real number"),
    ("√-1", "unexpected '-' at column 2"),
    ("√(-1)", "the constant at column 1 is not a real number"),
    ("(-8)^(1/3)", "the constant at column 5 is not a real number"),
    ("log(1 - 0.9 - 0.1)", "the constant at column 1 is not a real number"),
    ("(" * 200 + "x" + ")" * 200, "the formula is nested more than 100 deep at column 101"),
    ("√" * 200 + "x", "the formula is nested more than 100 deep"),
    ("x^" * 200 + "x", "the formula is nested more than 100 deep"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[text[:20] for text, _ in REFUSED])
def test_refused(text: str, message: str) -> None:
    with pytest.raises(TextError) as caught:
        parse(text)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_load_text() -> None:
    (spec,) = load_text("x²-y³/(1+x) + a", "cuberoot").specs
    a = sp.Symbol("a", real=True)
    assert (spec.name, spec.unknowns, spec.inputs) == ("cuberoot", (y,), (x, a))
    assert (spec.source.file, spec.source.text, spec.source.line, spec.source.expr) == (
        None,
        "x²-y³/(1+x) + a",
        None,
        True,
    )
    assert load_text("M = E - e*sin(E)", "kepler", "E").specs[0].unknowns == (sp.Symbol("E", real=True),)


@pytest.mark.parametrize(
    ("text", "name", "unknown", "kind", "message"),
    [
        ("x + z", "f", None, TextError, "holds no 'y' to solve for; its names are x, z: choose one with --unknown"),
        ("x + yy", "f", "yyy", TextError, "holds no 'yyy' to solve for; did you mean 'yy'?"),
        ("1 + 2", "f", None, TextError, "holds no 'y' to solve for; write one with names"),
        ("x + y", "a-b", None, UsageError, "name 'a-b' is not a Python identifier; choose another with --name"),
        ("x + y - y", "f", None, SpecError, "residual (x) does not depend on the unknown y"),
        ("x(1+y)", "f", None, TextError, "unknown function 'x' at column 1"),
        ("y² = 2", "f", None, SpecError, "operator 'f' has no input"),
        ("(9x)^300*(9x)^300 - y", "f", None, SpecError, "residual holds a number that is too large"),
    ],
)
def test_load_text_refuses(text: str, name: str, unknown: str | None, kind: type[SpecError], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        load_text(text, name, unknown)


PIECES = [
    *"xyzπθ₁²³⁻¹0123456789.eE+-*/^=()|,√∛·×÷−_ '\"\\;:[]{}<>@#$%&~`!?\n\tⁿªßǅ𝐱٣\u0301\u200b\ud800",
    *("**", "sin(", "exp(", "max(", "gamma(", "floor(", "log(", "atan2(", "loggamma(", "cbrt(", "sign("),
    *("1e308", "1e-308", "99999999", "0.1", "9^9", "pi", "gamma", "lambda", "__", "import ", "(x+1)", "(2y)"),
]


def refusal(read: Callable[[str], object], text: str, kind: type[SpecError] = TextError) -> str | None:
    """Return what a text is refused with; None if it is read."""
    try:
        read(text)
    except kind as error:
        return str(error)
    return None


@pytest.mark.parametrize("seed", range(6))
def test_random_text_parses_or_is_refused(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(400):
        text = "".join(source.choice(PIECES) for _ in range(source.randint(1, 24)))
        start = time.monotonic()
        assert refusal(lambda given: load_text(given, "f"), text, SpecError) != ""
        assert time.monotonic() - start < 5, text


def _formula(source: random.Random, depth: int) -> str:
    if depth == 0:
        return source.choice(["x", "y", "2", "0.3", "7", "π", "1e5", "z₂", "1000"])
    left, right = _formula(source, depth - 1), _formula(source, source.randint(0, depth - 1))
    return source.choice(
        [
            f"{left} + {right}",
            f"({left}) - {right}",
            f"({left})*({right})",
            f"({left})/({right})",
            f"({left})^({right})",
            f"({left})²",
            f"√({left})",
            f"|{left}|",
            f"sin({left})",
            f"exp({left})",
            f"log({left})",
            f"gamma({left})",
            f"floor({left})",
            f"atan2({left}, {right})",
            f"max({left}, {right})",
        ]
    )


@pytest.mark.parametrize("seed", range(6))
def test_random_formulas_parse_or_are_refused(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(60):
        text = _formula(source, source.randint(1, 5))
        start = time.monotonic()
        said = refusal(parse, text)
        assert said is None or re.search(r"at column \d+|nested", said), text
        assert time.monotonic() - start < 5, text


@pytest.mark.parametrize(
    "text",
    [
        "+".join(f"x{i}" for i in range(1500)),
        "*".join(f"x{i}" for i in range(1500)),
        "+".join(f"1/{i}" for i in range(1, 1500)),
        "*".join("1.001^999" for _ in range(1000)),
        "*".join(f"x/{i}" for i in range(1, 1500)),
        "-" * 9_000 + "x",
        "sin(" * 99 + "x" + ")" * 99,
        "|" * 99 + "x" + "|" * 99,
        "exp(x + " * 99 + "y" + ")" * 99,
        "max(x, 1 + " * 15 + "y" + ")" * 15,
        "9" * 300,
        "√" * 99 + "9" + "9" * 300,
        "x" * 9_000,
        "x²" * 4_000,
    ],
    ids=lambda text: str(text)[:12],
)
def test_long_text_does_not_hang(text: str) -> None:
    start = time.monotonic()
    assert refusal(parse, text) != ""
    assert time.monotonic() - start < 10
