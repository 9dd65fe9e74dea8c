r"""Read a formula in LaTeX as the tokens of the text form, whose grammar then means the same for both.

Not by SymPy's parser: that reads \exp(-y) e^{y} as exp(-e y)^y without a word, \tanh in three ways, and neither \pi
nor 10^{-3} x (docs/design/latex.md). What LaTeX leaves open is refused here with a sentence.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import NoReturn

from opgen.errors import TextError, suggest
from opgen.loading.functions import FUNCTIONS
from opgen.loading.latex_pieces import (
    ACCENTS,
    BARS,
    CLOSING,
    FRACTIONS,
    GREEK,
    PRODUCTS,
    ROUNDED,
    TEXTS,
    Pieces,
    cut,
    named,
    refuse_long,
)
from opgen.loading.tokens import TEXT_LIMIT, Token

_DEPTH_LIMIT = 60
# Those that have a command of their own, or a sign, or are letters first, left out.
_FUNCTIONS = {name for name in FUNCTIONS if name not in ("gamma", "abs", "sqrt", "cbrt", "floor", "ceil", "sign")}


def latex_tokens(text: str) -> list[Token]:
    """Cut a formula in LaTeX into the tokens of the text form, the last of which is its end.

    Raises:
        TextError: It holds what is no formula, or what can be read in two ways.
    """
    if len(text) > TEXT_LIMIT:
        raise TextError(f"the formula has {len(text)} characters, more than {TEXT_LIMIT}", "write a residual file")
    reader = _Reader(cut(text))
    made = reader.sequence(lambda token: token.kind == "end")
    return [*made, Token("end", "", len(text) + 1)]


class _Reader(Pieces):
    """Read LaTeX from left to right; each method returns the tokens of the text form."""

    def sequence(self, ends: Callable[[Token], bool]) -> list[Token]:
        """Read up to what ends it, and put in the product signs that LaTeX leaves out."""
        self.depth += 1
        if self.depth > _DEPTH_LIMIT:
            raise TextError(f"the formula is nested too deeply at column {self.here.column}", "write a residual file")
        made: list[Token] = []
        after_operand = divided = False
        while not ends(self.here):
            token = self.here
            if token.kind == "end":
                raise TextError("the formula ends too early", "close what was opened in it")
            if operator := self.operator():
                made.append(operator)
                divided = operator.text == "/" or (divided and operator.kind == "power")
                after_operand = operator.kind == "power"
                continue
            if token.kind == "sign" and token.text == "^":
                if not after_operand:
                    raise TextError(f"nothing stands before ^ at column {token.column}", "write what it raises")
                made += self.exponent()
                continue
            if after_operand:
                if divided:
                    raise TextError(f"it is unclear whether {named(token)} at column {token.column} is divided by",
                                    r"write \frac{…}{…} or ( )")  # fmt: skip
                made.append(Token("sign", "*", token.column))
            made += self.operand(made)
            after_operand = True
        self.depth -= 1
        return made

    def operator(self) -> Token | None:
        token = self.here
        if token.kind == "command" and token.text in PRODUCTS:
            return Token("sign", "*", self.take().column)
        if token.kind == "command" and token.text == "div":
            return Token("sign", "/", self.take().column)
        if token.kind == "power" or (token.kind == "sign" and token.text in ("+", "-", "*", "/", "=", ",")):
            return self.take()
        return None

    def exponent(self) -> list[Token]:
        sign = self.take()
        return [Token("sign", "^", sign.column), *self.grouped(self.script(sign), sign)]

    def script(self, sign: Token) -> list[Token]:
        """Read what is raised, lowered or the argument of a command: one sign, or what stands in braces."""
        token = self.here
        if self.is_sign("{"):
            return self.enclosed()
        refuse_long(sign, token)
        if token.kind in ("end", "sign", "power"):
            raise TextError(f"nothing follows {sign.text} at column {sign.column}", f"write {sign.text}{{…}}")
        return self.operand([], scripted=False)

    def enclosed(self) -> list[Token]:
        """Read what stands between a bracket and the one that closes it."""
        opening = self.take()
        closing = CLOSING[opening.text]
        return self.closed(opening, lambda token: token.kind == "sign" and token.text == closing, closing)

    def closed(self, opening: Token, ends: Callable[[Token], bool], closing: str) -> list[Token]:
        if ends(self.here):
            raise TextError(f"nothing stands in {named(opening)} at column {opening.column}", "write a formula there")
        try:
            inner = self.sequence(ends)
        except TextError as error:
            if error.what == "the formula ends too early":
                raise TextError(
                    f"{named(opening)} at column {opening.column} is not closed", f"add {closing}"
                ) from None
            raise
        self.take()
        return inner

    def grouped(self, inner: Sequence[Token], at: Token) -> list[Token]:
        return [Token("sign", "(", at.column), *inner, Token("sign", ")", at.column)]

    def called(self, function: str, inner: Sequence[Token], at: Token) -> list[Token]:
        return self.grouped([Token("name", function, at.column), *self.grouped(inner, at)], at)

    def operand(self, before: Sequence[Token], *, scripted: bool = True) -> list[Token]:
        """Read one factor without its power; `scripted` says whether a subscript may follow."""
        token = self.here
        if token.kind == "number":
            return [self.take()]
        if token.kind == "letter":
            return self.letter(scripted)
        if token.kind == "sign" and token.text in CLOSING:
            self.refuse_call(before)
            return self.grouped(self.enclosed(), token)
        if token.kind == "sign" and token.text == "|":
            self.take()
            return self.called("abs", self.closed(token, lambda t: t.kind == "sign" and t.text == "|", "|"), token)
        if token.kind == "command":
            return self.command(scripted)
        if token.text == "'":
            raise TextError(f"the prime at column {token.column} is no derivative here", "name it, such as \\dot{y}")
        raise TextError(
            f"unexpected {named(token)} at column {token.column}", "expected a number, a letter or a command"
        )

    def refuse_call(self, before: Sequence[Token]) -> None:
        """Refuse y(x), in which only a product can be meant, but hardly is."""
        is_call = len(before) > 1 and before[-1].text == "*" and before[-2].kind == "name" and self.is_sign("(")
        inside = self.pieces[self.next + 1 : self.next + 3]
        if is_call and len(inside) == 2 and inside[0].kind == "letter" and inside[1].text in (")", ","):
            name = f"{before[-2].text}({inside[0].text}…)"
            raise TextError(f"it is unclear whether {name} at column {before[-2].column} is a product",
                            rf"write {before[-2].text} \cdot {inside[0].text}")  # fmt: skip

    def letter(self, scripted: bool) -> list[Token]:
        word = "".join(piece.text for piece in self.word())
        for name in sorted(_FUNCTIONS, key=len, reverse=True):
            if len(name) > 2 and word.startswith(name):
                raise TextError(f"'{name}' at column {self.here.column} is a product of letters in LaTeX",
                                f"write \\{name}")  # fmt: skip
        token = self.take()
        return self.named(token.text, token, scripted)

    def named(self, name: str, token: Token, scripted: bool = True) -> list[Token]:
        """Make a name of a letter and its subscript."""
        if scripted and self.is_sign("_"):
            name += f"_{self.subscript(self.take())}"
        name = unicodedata.normalize("NFKC", name)
        return [Token("name", name, token.column)]

    def command(self, scripted: bool) -> list[Token]:
        token = self.take()
        name = token.text
        if name in GREEK:
            return self.named(name, token, scripted)
        if name == "pi":
            return [Token("pi", "π", token.column)]
        if name in FRACTIONS:
            return self.fraction(token)
        if name == "sqrt":
            return self.root(token)
        if name in _FUNCTIONS:
            return self.function(name, token)
        if name in TEXTS:
            return self.text(token, scripted)
        if name in ACCENTS:
            (base, *more) = self.script(token)
            if more or base.kind != "name":
                raise TextError(f"\\{name} at column {token.column} is not over one letter", "put it over one letter")
            return self.named(base.text + name, token, scripted)
        if name in BARS:
            closing = BARS[name]
            return self.called("abs", self.closed(token, lambda t: t.text == closing, f"\\{closing}"), token)
        if name in ROUNDED:
            closing, function = ROUNDED[name]
            return self.called(function, self.closed(token, lambda t: t.text == closing, f"\\{closing}"), token)
        known = (*GREEK, *_FUNCTIONS, *FRACTIONS, *PRODUCTS, *TEXTS, "sqrt", "pi", "left", "right")
        near = suggest(name, known)
        advice = near.replace("'", "'\\", 1) if near else "write a residual file for what it means"
        raise TextError(f"\\{name} at column {token.column} has no meaning here", advice)

    def fraction(self, token: Token) -> list[Token]:
        upper, lower = self.part(token), self.part(token)
        if upper[0].text == lower[0].text == "d" and len(lower) > 1:
            raise TextError(f"the derivative at column {token.column} is not one that opgen solves",
                            "name it, such as \\dot{y}")  # fmt: skip
        halves = [*self.grouped(upper, token), Token("sign", "/", token.column), *self.grouped(lower, token)]
        return self.grouped(halves, token)

    def part(self, token: Token) -> list[Token]:
        r"""Read one half of a fraction: \frac12 takes one digit for each."""
        here = self.here
        if here.kind == "number" and len(here.text) > 1 and here.text.isdigit():
            self.pieces[self.next] = Token("number", here.text[1:], here.column + 1)
            return [Token("number", here.text[0], here.column)]
        return self.script(Token("command", f"\\{token.text}", token.column))

    def root(self, token: Token) -> list[Token]:
        degree = self.enclosed() if self.is_sign("[") else None
        inner = self.script(Token("command", "\\sqrt", token.column))
        if degree is None or [piece.text for piece in degree] == ["2"]:
            return self.called("sqrt", inner, token)
        if [piece.text for piece in degree] == ["3"]:
            return self.called("cbrt", inner, token)
        one = [Token("number", "1", token.column), Token("sign", "/", token.column), *self.grouped(degree, token)]
        return self.grouped(
            [*self.grouped(inner, token), Token("sign", "^", token.column), *self.grouped(one, token)], token
        )

    def function(self, name: str, token: Token) -> list[Token]:
        base: list[Token] = []
        power: list[Token] = []
        if name == "log" and self.is_sign("_"):
            base = self.script(self.take())
        if self.is_sign("^"):
            power = self.exponent()
            if [piece.text for piece in power if piece.text not in "()^"] == ["-", "1"]:
                raise TextError(f"\\{name}^{{-1}} at column {token.column} can be read in two ways",
                                f"write \\arc{name} or 1/\\{name}")  # fmt: skip
        if self.is_sign("(") or self.is_sign("{") or self.is_sign("["):
            invisible = self.is_sign("{")
            inner = self.enclosed()
            if invisible and self.is_sign("^"):
                self.refuse_end(token)
        else:
            inner = self.bare_argument(token)
        if [piece.text for piece in base] in (["2"], ["10"]):
            made = self.called(name + base[0].text, inner, token)
        else:
            made = self.called(name, inner, token)
            if base:
                below = self.called(name, base, token)
                made = self.grouped([*made, Token("sign", "/", token.column), *below], token)
        return self.grouped([*made, *power], token) if power else made

    def bare_argument(self, token: Token) -> list[Token]:
        r"""Read the x of \sin x: one letter, number, root or fraction, after which nothing may seem to belong to it."""
        if self.here.kind not in ("letter", "number", "command"):
            raise TextError(f"\\{token.text} at column {token.column} has no argument", f"write \\{token.text}(…)")
        inner = self.operand([])
        after = self.here
        goes_on = after.kind in ("letter", "number", "power") or (after.kind == "sign" and after.text in "^({[")
        if goes_on or (after.kind == "command" and after.text in GREEK | FRACTIONS | TEXTS | {"sqrt", "pi"}):
            self.refuse_end(token)
        return inner

    def refuse_end(self, token: Token) -> NoReturn:
        what = f"it is unclear where the argument of \\{token.text} at column {token.column} ends"
        raise TextError(what, f"write \\{token.text}(…)")

    def text(self, token: Token, scripted: bool) -> list[Token]:
        if not self.is_sign("{"):
            raise TextError(f"nothing follows \\{token.text} at column {token.column}", f"write \\{token.text}{{…}}")
        self.take()
        letters: list[str] = []
        while self.here.kind in ("letter", "number") or self.is_sign("_"):
            letters.append(self.take().text)
        word = "".join(letters)
        if not self.is_sign("}") or not word or not (word[0].isalpha()):
            raise TextError(f"\\{token.text} at column {token.column} holds no name", "use letters and digits")
        self.take()
        if token.text in ("mathrm", "operatorname", "text"):
            if word in FUNCTIONS and word != "gamma":
                return self.function(word, token)
            if word == "e":
                power = self.exponent()[1:] if self.is_sign("^") else [Token("number", "1", token.column)]
                return self.called("exp", power, token)
        return self.named(word, token, scripted)
