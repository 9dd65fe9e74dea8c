"""Cut LaTeX into pieces: commands, letters, numbers and signs."""

from __future__ import annotations

import re

from opgen.errors import TextError
from opgen.loading.tokens import PLAIN, SIGNS, Token

GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho varrho sigma "
    "varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega "
    "ell".split()
)
SPACES = frozenset(", ; : ! quad qquad displaystyle textstyle limits".split()) | {" ", ">"}
PRODUCTS = frozenset("cdot times ast".split())
SIZES = frozenset("left right big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr".split())
FRACTIONS = frozenset("frac dfrac tfrac cfrac".split())
TEXTS = frozenset("mathrm text textrm mathit mathsf textit operatorname mathbf mathcal".split())
ACCENTS = frozenset("bar hat tilde dot ddot vec check breve acute grave prime".split())
BARS = {"lvert": "rvert", "vert": "vert", "mid": "mid"}
ROUNDED = {"lfloor": ("rfloor", "floor"), "lceil": ("rceil", "ceil")}
CLOSING = {"(": ")", "[": "]", "{": "}"}
WRAPPED = (("$$", "$$"), ("$", "$"), (r"\[", r"\]"), (r"\(", r"\)"))
PIECE = re.compile(
    r"\\(?P<command>[A-Za-z]+|.)|(?P<number>[0-9]+(?:\.[0-9]+)?|\.[0-9]+)|(?P<power>[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)"
    r"|(?P<sign>[-+*/^_=(),|\[\]{}'·⋅∙×÷∕−])|(?P<letter>[^\W\d_])"
)


def is_latex(text: str) -> bool:
    """Tell LaTeX from the text form, in which none of these signs has a meaning."""
    return any(sign in text for sign in "\\{}$")


def cut(text: str) -> list[Token]:
    """Cut LaTeX into commands, letters, numbers and signs."""
    body, start = text, 0
    for opening, closing in WRAPPED:
        stripped = body.strip()
        if stripped.startswith(opening) and stripped.endswith(closing) and len(stripped) > len(opening + closing):
            start = body.index(opening) + len(opening)
            body = body[: body.rindex(closing)]
            break
    found, at = [], start
    while at < len(body):
        column = at + 1
        match = PIECE.match(body, at)
        if body[at].isspace() or body[at] == "~":
            at += 1
        elif match is None:
            raise TextError(f"unexpected character {body[at]!r} at column {column}", _advice(body[at]))
        else:
            kind = match.lastgroup or ""
            piece = match[kind]
            at = match.end()
            if kind == "command" and piece in SIZES:
                at += body[at : at + 1] == "."  # \right. closes what needs no sign
            elif not (kind == "command" and piece in SPACES):
                normal = piece.translate(PLAIN) if kind == "power" else SIGNS.get(piece, piece)
                found.append(Token(kind, normal, column))
    return [*found, Token("end", "", len(text) + 1)]


def _advice(character: str) -> str:
    if character in "<>":
        return "only equations can be solved"
    return "a formula holds letters, numbers, commands and signs"


class Pieces:
    """The pieces of a formula, and how far they have been read."""

    def __init__(self, pieces: list[Token]) -> None:
        """Start at the first; the last is the end."""
        self.pieces, self.next, self.depth = pieces, 0, 0

    @property
    def here(self) -> Token:
        """The next piece."""
        return self.pieces[self.next]

    def take(self) -> Token:
        """Return the next piece and go on to the one after."""
        token = self.here
        self.next += token.kind != "end"
        return token

    def is_sign(self, text: str) -> bool:
        """Say whether a sign comes next."""
        return self.here.kind == "sign" and self.here.text == text

    def word(self) -> list[Token]:
        """Return the letters that stand together from here on."""
        found: list[Token] = []
        for piece in self.pieces[self.next :]:
            if piece.kind != "letter" or (found and piece.column != found[-1].column + 1):
                break
            found.append(piece)
        return found

    def subscript(self, sign: Token) -> str:
        """Read a subscript, which is part of a name: max, 1, or i_j of i,j.

        Raises:
            TextError: It cannot be.
        """
        pieces = [self.here]
        if self.is_sign("{"):
            end = self.next
            while self.pieces[end].text != "}" and self.pieces[end].kind != "end":
                end += 1
            if any(piece.text in TEXTS for piece in self.pieces[self.next : end]):
                end = min(end + 1, len(self.pieces) - 1)  # \mathrm{…} has braces of its own
            pieces = [piece for piece in self.pieces[self.next : end] if piece.text not in ("{", "}", *TEXTS)]
            self.next = end
            if not self.is_sign("}"):
                raise TextError(f"the subscript at column {sign.column} is not closed", "add }")
        refuse_long(sign, self.here)
        self.take()
        separated = "".join("_" if piece.text == "," else piece.text for piece in pieces)
        if not separated.replace("_", "").isalnum():
            shown = "".join(piece.text for piece in pieces)
            raise TextError(f"the subscript '{shown}' at column {sign.column} is no name", "use letters and digits")
        return separated


def refuse_long(sign: Token, token: Token) -> None:
    """Refuse x^10, of which LaTeX raises the 1 only.

    Raises:
        TextError: With the braces that are missing.
    """
    if token.kind == "number" and len(token.text) > 1:
        one = f"{sign.text}{token.text}"
        raise TextError(f"{one} at column {sign.column} means {sign.text}{token.text[0]} followed by "
                    f"{token.text[1:]} in LaTeX", f"write {sign.text}{{{token.text}}}")  # fmt: skip


def named(token: Token) -> str:
    """Return a piece as a message shows it."""
    return f"\\{token.text}" if token.kind == "command" else str(token)
