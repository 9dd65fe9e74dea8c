"""Parse a formula given as text: a grammar and functions of our own, so that no text is ever executed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sympy as sp

from opgen.errors import TextError, UsageError, suggest
from opgen.loading.convert import to_spec
from opgen.loading.define import Implicit
from opgen.loading.functions import FUNCTIONS
from opgen.loading.latex import latex_tokens
from opgen.loading.latex_pieces import is_latex
from opgen.loading.spec import Loaded, Source, is_name
from opgen.loading.terms import Term, call, number, power, product, total
from opgen.loading.tokens import Token, tokens

# The grammar:
#
#   equation := sum ["=" sum]
#   sum      := product {("+" | "-") product}
#   product  := unary {("*" | "/") unary | power}         the last is implicit: 2x, x²y, (1+x)(1-x)
#   unary    := {"+" | "-"} power
#   power    := raised ["^" unary]                        -x^2 is -(x^2), and 2^3^2 is 2^(3^2)
#   raised   := primary {superscript}
#   primary  := number | name | "π" | name "(" sum {"," sum} ")" | "(" sum ")" | "|" sum "|" | ("√" | "∛") primary

_DEPTH_LIMIT = 100
# SymPy compares the arguments of Max and Min pair by pair.
_EXTREMA_LIMIT = 32


def load_text(text: str, name: str, unknown: str | None = None) -> Loaded:
    """Load the operator that a formula defines.

    Args:
        text: The formula; an equation, or a residual that shall be zero.
        name: Name of the operator.
        unknown: Name of the symbol to solve for; y where it is left out.

    Raises:
        TextError: The text is not a formula, or does not hold the unknown.
        SpecError: The formula does not define an operator.
        UsageError: The operator's name is none.
    """
    if not is_name(name):
        raise UsageError(f"name '{name}' is not a Python identifier", "choose another with --name")
    residual, symbols = parse(text)
    names = [symbol.name for symbol in symbols]
    wanted = "y" if unknown is None else unknown
    if wanted not in names:
        near = suggest(wanted, names) if unknown is not None else ""
        held = f"its names are {', '.join(names)}: choose one with --unknown" if names else "write one with names"
        raise TextError(f"the formula holds no '{wanted}' to solve for", near or held)
    inputs = [symbol for symbol in symbols if symbol.name != wanted]
    definition = Implicit(residual, unknown=sp.Symbol(wanted, real=True), inputs=inputs)
    return Loaded((to_spec(definition, name, Source(None, text, None, expr=True)),), ())


def parse(text: str) -> tuple[sp.Expr, tuple[sp.Symbol, ...]]:
    """Return the residual that a formula, in the text form or in LaTeX, means, and its symbols in order of appearance.

    Raises:
        TextError: The text is not a formula; the message says at which column and what was expected.
    """
    try:
        parser = _Parser(latex_tokens(text) if is_latex(text) else tokens(text))
        return parser.equation(), tuple(parser.symbols.values())
    except RecursionError:
        raise TextError("the formula is nested too deeply", "write a residual file") from None


class _Parser:
    """Read tokens from left to right; each method reads one rule of the grammar."""

    def __init__(self, stream: Sequence[Token]) -> None:
        self.stream = stream
        self.next = 0
        self.depth = 0
        self.extrema = 0
        self.symbols: dict[str, sp.Symbol] = {}

    @property
    def token(self) -> Token:
        return self.stream[self.next]

    def equation(self) -> sp.Expr:
        result = self.sum()
        equals = self.token
        if self.accept("="):
            if self.token.text == "=":
                raise TextError(f"'==' at column {equals.column}", "write a single =")
            right = self.sum()
            result = total([result, product([number("-1", equals), right], equals)], equals)
        if self.token.kind != "end":
            raise self.unexpected("an operator")
        return result.value

    def sum(self) -> Term:
        with self.nested():
            first = self.token
            terms = [self.product()]
            while self.token.text in ("+", "-"):
                sign = self.take()
                term = self.product()
                terms.append(term if sign.text == "+" else product([number("-1", sign), term], sign))
            return total(terms, first)

    def product(self) -> Term:
        first = self.token
        factors = [self.unary()]
        divided = False
        while True:
            sign = self.token
            if self.accept("*"):
                factors.append(self.unary())
                divided = False
            elif self.accept("/"):
                factors.append(power(self.unary(), number("-1", sign), sign))
                divided = True
            elif self.is_factor():
                if divided or factors[-1].is_open:
                    raise TextError(f"it is unclear what {sign} at column {sign.column} multiplies", "write * or ( )")
                factors.append(self.power())
            else:
                return product(factors, first)

    def is_factor(self) -> bool:
        """Return whether a product sign is left out here: between 2 and x, or ) and (, but never between names."""
        before, here = self.stream[self.next - 1], self.token
        if before.text == "0":  # 0x10 is a number elsewhere, and nothing is multiplied by zero on purpose
            return False
        closed = before.kind in ("number", "pi", "power") or before.text == ")"
        return closed and (here.kind in ("name", "pi") or here.text in ("(", "√", "∛"))

    def unary(self) -> Term:
        first = self.token
        negative = False
        while self.token.text in ("+", "-"):
            negative ^= self.take().text == "-"
        operand = self.power()
        return product([number("-1", first), operand], first, is_open=operand.is_open) if negative else operand

    def power(self) -> Term:
        base = self.raised()
        sign = self.token
        if not self.accept("^"):
            return base
        if base.is_open:
            raise TextError(f"it is unclear what ^ at column {sign.column} raises", "write the root with ( )")
        with self.nested():
            return power(base, self.unary(), sign, is_open=True)

    def raised(self) -> Term:
        base = self.primary()
        while self.token.kind == "power":
            if base.is_open:
                raise TextError(
                    f"it is unclear what the power at column {self.token.column} raises", "write the root with ( )"
                )
            sign = self.take()
            base = power(base, number(sign.text, sign), sign)
        return base

    def primary(self) -> Term:
        token = self.take()
        if token.kind == "number":
            return number(token.text, token)
        if token.kind == "pi":
            return Term(sp.pi, float(sp.pi))
        if token.kind == "name":
            return self.call(token) if self.token.text == "(" else self.symbol(token)
        if token.text == "(":
            inner = self.sum()
            self.expect(")", token)
            return Term(inner.value, inner.number)
        if token.text == "|":
            inner = self.sum()
            self.expect("|", token)
            return call("abs", [inner], token)
        if token.text in ("√", "∛"):
            with self.nested():
                root = call("sqrt" if token.text == "√" else "cbrt", [self.primary()], token)
                return Term(root.value, root.number, is_open=True)
        self.next -= token.kind != "end"
        raise self.unexpected("a number, a name or '('")

    def symbol(self, token: Token) -> Term:
        # gamma and the like are letters of physics first; most functions without ( are mistakes.
        if token.text in FUNCTIONS and token.text != "gamma":
            raise TextError(
                f"the function '{token.text}' at column {token.column} has no argument", f"write {token.text}(…)"
            )
        return Term(self.symbols.setdefault(token.text, sp.Symbol(token.text, real=True)), None)

    def call(self, token: Token) -> Term:
        if token.text not in FUNCTIONS:
            advice = suggest(token.text, FUNCTIONS) or f"for a product write {token.text}*(…)"
            raise TextError(f"unknown function '{token.text}' at column {token.column}", advice)
        opening = self.take()
        arguments = [self.sum()]
        while self.accept(","):
            arguments.append(self.sum())
        self.expect(")", opening)
        if token.text in ("max", "min"):
            self.extrema += len(arguments)
            if self.extrema > _EXTREMA_LIMIT:
                raise TextError(
                    f"max and min at column {token.column} have more than {_EXTREMA_LIMIT} arguments in all",
                    "write a residual file",
                )
        return call(token.text, arguments, token)

    def take(self) -> Token:
        token = self.token
        self.next += token.kind != "end"
        return token

    def accept(self, text: str) -> bool:
        found = self.token.kind == "sign" and self.token.text == text
        self.next += found
        return found

    def expect(self, text: str, opening: Token) -> None:
        if not self.accept(text):
            raise self.unexpected(f"'{text}' for the {opening} at column {opening.column}")

    def unexpected(self, expected: str) -> TextError:
        return TextError(f"unexpected {self.token} at column {self.token.column}", f"expected {expected}")

    @contextmanager
    def nested(self) -> Iterator[None]:
        self.depth += 1
        if self.depth > _DEPTH_LIMIT:
            raise TextError(
                f"the formula is nested more than {_DEPTH_LIMIT} deep at column {self.token.column}",
                "write a residual file",
            )
        yield
        self.depth -= 1
