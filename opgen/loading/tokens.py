"""Cut a formula into tokens; many ways to type one sign become one sign here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from opgen.errors import TextError

TEXT_LIMIT = 10_000

SIGNS = {"·": "*", "⋅": "*", "∙": "*", "×": "*", "÷": "/", "∕": "/", "−": "-", "**": "^"}
_NUMBER = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SIGN = re.compile(r"\*\*|[-+*/^=(),|√∛·⋅∙×÷∕−]")
_SUPERSCRIPT = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
PLAIN = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")


@dataclass(frozen=True)
class Token:
    """A piece of a formula.

    Attributes:
        kind: "number", "name", "pi", "power" (a superscript), "sign" or "end".
        text: Its text, normalised.
        column: Where it starts, counted from 1.
    """

    kind: str
    text: str
    column: int

    def __str__(self) -> str:
        """Return the token as a message shows it."""
        return "the end" if self.kind == "end" else f"'{self.text}'"


def tokens(text: str) -> list[Token]:
    """Cut a formula into tokens, the last of which is its end.

    Raises:
        TextError: A character has no meaning, or the formula is empty or too long.
    """
    if len(text) > TEXT_LIMIT:
        raise TextError(f"the formula has {len(text)} characters, more than {TEXT_LIMIT}", "write a residual file")
    if not text.strip():
        raise TextError("the formula is empty", "give one, such as 'x² - y³/(1+x)'")
    return list(_cut(text))


def _cut(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        column = at + 1
        if text[at].isspace():
            at += 1
        elif text[at] == "π":
            yield Token("pi", "π", column)
            at += 1
        elif _is_letter(text[at]):
            end = at + 1
            while end < len(text) and _continues_name(text[end]):
                end += 1
            yield _name(text[at:end], column)
            at = end
        elif match := _NUMBER.match(text, at):
            yield Token("number", match[0], column)
            at = match.end()
        elif match := _SUPERSCRIPT.match(text, at):
            yield Token("power", match[0].translate(PLAIN), column)
            at = match.end()
        elif match := _SIGN.match(text, at):
            yield Token("sign", SIGNS.get(match[0], match[0]), column)
            at = match.end()
        else:
            raise TextError(f"unexpected character {text[at]!r} at column {column}", _advice(text[at]))
    yield Token("end", "", len(text) + 1)


def _name(text: str, column: int) -> Token:
    name = unicodedata.normalize("NFKC", text)
    if not name.isidentifier():
        raise TextError(f"'{text}' at column {column} is not a name", "use letters, digits and _")
    return Token("pi", "π", column) if name == "pi" else Token("name", name, column)


def _is_letter(character: str) -> bool:
    """Return whether a name may start so: raised letters such as ⁿ mean powers, not names."""
    return character.isalpha() and not unicodedata.decomposition(character).startswith("<super>")


def _continues_name(character: str) -> bool:
    is_digit = character in "0123456789₀₁₂₃₄₅₆₇₈₉_" or unicodedata.combining(character) > 0
    return is_digit or (character != "π" and _is_letter(character))


def _advice(character: str) -> str:
    if unicodedata.decomposition(character).startswith("<super>"):
        return "write powers as x^n"
    if character in "[]{}":
        return "group with ( and )"
    if character in "<>≤≥≠":
        return "only equations can be solved"
    if character == "_":
        return "names start with a letter"
    return "a formula holds names, numbers, + - * / ^ = | ( ) and functions"
