"""Every exception that opgen raises: one class per cause, each with the exit code of the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar, Self


class OpgenError(Exception):
    """Say in one sentence what is wrong, where, and what to do.

    Attributes:
        what: What is wrong, with the value that is wrong.
        advice: What to do about it; may be empty.
        file: File that holds the mistake, as the user named it; None where there is none.
        line: Line in that file, counted from 1; None where it is not known.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, advice: str = "") -> None:
        """Keep the two halves of the sentence apart, so that the location can stand between them."""
        super().__init__(what, advice)
        self.what = what.rstrip(" .")
        self.advice = advice.rstrip(" .")
        self.file: str | None = None
        self.line: int | None = None

    def at(self, file: str | None, line: int | None = None) -> Self:
        """Add the location and return the error; an inner stage that already gave one knew better."""
        if self.file is None and file is not None:
            self.file, self.line = file, line
        return self

    def __str__(self) -> str:
        """Return 'what at file:line; advice'."""
        where = ""
        if self.file is not None:
            where = f" in {self.file}" if self.line is None else f" at {self.file}:{self.line}"
        return f"{self.what}{where}" + (f"; {self.advice}" if self.advice else "")


class SpecError(OpgenError):
    """The residual is not one that defines an operator."""

    exit_code = 2


class UnsupportedError(SpecError):
    """The residual is sound, but opgen cannot generate it."""


class TextError(SpecError):
    """The text given to --expr is not a formula."""


class UsageError(OpgenError):
    """The command line, or the call of a function, asks for something impossible."""

    exit_code = 2


class ToolchainError(OpgenError):
    """A compiler, a framework or a header is missing or unfit."""

    exit_code = 3


class CompileError(OpgenError):
    """The compiler refused generated code; its output is in `log`."""

    exit_code = 4

    def __init__(self, what: str, advice: str = "", log: str = "") -> None:
        """Keep the compiler's own words for those who ask to see them."""
        super().__init__(what, advice)
        self.args = (what, advice, log)
        self.log = log


class InternalError(OpgenError):
    """A fault of opgen itself."""

    exit_code = 1


def suggest(name: str, options: Iterable[str]) -> str:
    """Return "did you mean 'K'?" for the option nearest to a misspelt name, or an empty string."""
    by_folded: dict[str, str] = {}
    for option in options:
        by_folded.setdefault(option.casefold(), option)
    near = difflib.get_close_matches(name.casefold(), list(by_folded), n=1, cutoff=0.6)
    return f"did you mean '{by_folded[near[0]]}'?" if near else ""
