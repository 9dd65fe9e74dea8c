"""The value that the first stage hands on: what the user said about one operator, validated, nothing derived."""

from __future__ import annotations

import keyword
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sympy as sp

from opgen.errors import SpecError, suggest
from opgen.loading.indexed import Index, Indexing, Size

SymbolT = TypeVar("SymbolT", bound=sp.Symbol)
ADJOINTS = ("auto", "direct", "gmres")


@dataclass(frozen=True)
class Source:
    """Where an operator was defined.

    Attributes:
        file: Name of the file without its folder; None for text.
        text: The whole file, or the text given to --expr.
        line: Line of the definition, counted from 1.
        expr: Whether it is the string form.
    """

    file: str | None
    text: str
    line: int | None
    expr: bool


@dataclass(frozen=True)
class Spec:
    """One operator as the user defined it.

    Attributes:
        name: Name of the operator, a Python identifier.
        explicit: Whether `equations` are right-hand sides (y = f(x)) and not residuals (F = 0).
        equations: One expression per unknown, constants folded in.
        unknowns: What is solved for; the outputs of an explicit operator.
        inputs: Positional arguments in order; one that stands in no equation has a zero gradient.
        guess: Start of the iteration per unknown.
        bounds: Interval that holds the root per unknown; sympy.oo where a side is open.
        exact: Closed form per unknown.
        sample: Range per input from which checks draw.
        auxiliary: Further outputs, name and expression of inputs and unknowns.
        tol: Relative tolerance; None for the default of the dtype.
        max_iterations: Limit on Newton's iterations.
        adjoint: "auto", "direct" or "gmres".
        doc: What the operator is.
        source: Where it was defined.
        indexing: What indexed notation says; None if there is none.
        boundary: Boundary conditions as given: unknown, side, condition.

    Raises:
        SpecError: A part contradicts another.
    """

    name: str
    explicit: bool
    equations: tuple[sp.Expr, ...]
    unknowns: tuple[sp.Symbol, ...]
    inputs: tuple[sp.Symbol, ...]
    guess: tuple[sp.Expr | None, ...]
    bounds: tuple[tuple[sp.Expr, sp.Expr] | None, ...]
    exact: tuple[sp.Expr | None, ...]
    sample: tuple[tuple[float, float] | None, ...]
    auxiliary: tuple[tuple[str, sp.Expr], ...]
    tol: float | None
    max_iterations: int
    adjoint: str
    doc: str
    source: Source
    indexing: Indexing | None = None
    boundary: tuple[tuple[sp.Symbol, Any, Any], ...] = ()

    def __post_init__(self) -> None:
        """Check every invariant that later stages rely on."""
        if not is_name(self.name):
            raise SpecError(f"operator name '{self.name}' is not a Python identifier", "choose another name")
        self._check_counts()
        self._check_names()
        self._check_symbols()
        self._check_ranges()
        self._check_options()

    def _check_counts(self) -> None:
        unknowns = len(self.unknowns)
        if not unknowns:
            raise SpecError(f"operator '{self.name}' has no unknown", "give at least one")
        if len(self.equations) != unknowns:
            raise SpecError(
                f"residual has {_count(len(self.equations), 'equation')} for {_count(unknowns, 'unknown')} "
                f"({listed(self.unknowns)})",
                "give as many equations as unknowns",
            )
        for role, values in (("guess", self.guess), ("bounds", self.bounds), ("exact", self.exact)):
            if len(values) != unknowns:
                raise SpecError(f"{role} has {len(values)} entries for {_count(unknowns, 'unknown')}")
        if len(self.sample) != len(self.inputs):
            raise SpecError(f"sample has {len(self.sample)} entries for {_count(len(self.inputs), 'input')}")

    def _check_names(self) -> None:
        roles = [(symbol.name, "an output" if self.explicit else "an unknown") for symbol in self.unknowns]
        roles += [(symbol.name, "an input") for symbol in self.inputs]
        roles += [(name, "an auxiliary output") for name, _ in self.auxiliary]
        seen: dict[str, str] = {}
        for name, role in roles:
            if name in seen:
                again = "twice" if seen[name] == role else f"and as {role}"
                raise SpecError(f"'{name}' is listed as {seen[name]} {again}", "each name can be one thing only")
            seen[name] = role

    def _check_symbols(self) -> None:
        unknowns, inputs = set(self.unknowns), set(self.inputs)
        expressions = [*self.equations, *(expression for _, expression in self.auxiliary)]
        stray = by_name(free(expressions) - unknowns - inputs)
        if stray:
            advice = suggest(stray[0].name, [s.name for s in (*self.inputs, *self.unknowns)])
            raise SpecError(
                f"symbol '{stray[0].name}' is neither unknown nor input", advice or "add it to inputs or to constants"
            )
        if self.explicit:
            used = by_name(free(self.equations) & unknowns)
            if used:
                raise SpecError(
                    f"output '{used[0].name}' stands on the right-hand side of an explicit operator",
                    "use opgen.Implicit to solve for it",
                )
        else:
            self._check_dependence(unknowns)
        if not self.inputs:
            raise SpecError(
                f"operator '{self.name}' has no input", "an operator is a function: give it a symbol as input"
            )
        for unknown, guess, bounds, exact in zip(self.unknowns, self.guess, self.bounds, self.exact, strict=True):
            for role, values in (("guess", (guess,)), ("bounds", bounds or ()), ("exact", (exact,))):
                self._check_of_inputs(f"{role} for '{unknown.name}'", free(v for v in values if v is not None))
        for unknown, _, condition in self.boundary:
            held = free(v for v in vars(condition).values() if isinstance(v, sp.Expr))
            self._check_of_inputs(f"boundary of '{unknown.name}'", held)

    def _check_dependence(self, unknowns: set[sp.Symbol]) -> None:
        which = "residual" if len(self.equations) == 1 else "equation {}"
        for number, equation in enumerate(self.equations, 1):
            if equation == 0:
                raise SpecError(f"{which.format(number)} is identically zero", "any value would solve it")
            if not free([equation]) & unknowns:
                what = "the unknown" if len(unknowns) == 1 else "any of the unknowns"
                raise SpecError(
                    f"{which.format(number)} ({short(equation)}) does not depend on {what} {listed(self.unknowns)}",
                    "name what to solve for with unknown",
                )
        missing = by_name(unknowns - free(self.equations))
        if missing:
            raise SpecError(f"unknown '{missing[0].name}' stands in no equation", "remove it or complete the residual")

    def _check_of_inputs(self, role: str, symbols: set[sp.Symbol]) -> None:
        solved = by_name(symbols & set(self.unknowns))
        if solved:
            raise SpecError(f"{role} contains the unknown '{solved[0].name}'", "it may use inputs only")
        stray = by_name(symbols - set(self.inputs))
        if stray:
            near = suggest(stray[0].name, [s.name for s in self.inputs])
            raise SpecError(
                f"{role} uses '{stray[0].name}', which is not an input", near or f"the inputs are {listed(self.inputs)}"
            )

    def _check_ranges(self) -> None:
        for symbol, pair in zip(self.inputs, self.sample, strict=True):
            if pair is not None and not (math.isfinite(pair[0]) and math.isfinite(pair[1]) and pair[0] <= pair[1]):
                raise SpecError(
                    f"sample range of '{symbol.name}' is ({pair[0]:g}, {pair[1]:g})", "give finite numbers, lower first"
                )
        for symbol, interval in zip(self.unknowns, self.bounds, strict=True):
            # Bounds that are expressions of the inputs are ordered, or not, only where the op is called.
            if interval is not None and (interval[0] >= interval[1]) == sp.true:
                raise SpecError(
                    f"bounds of '{symbol.name}' are ({interval[0]}, {interval[1]})",
                    "give the lower one first, and a wider interval",
                )

    def _check_options(self) -> None:
        if self.tol is not None and not (math.isfinite(self.tol) and self.tol > 0):
            raise SpecError(f"tol is {self.tol:g}", "give a positive number or None")
        if self.max_iterations < 1:
            raise SpecError(f"max_iterations is {self.max_iterations}", "give at least 1")
        if self.adjoint not in ADJOINTS:
            raise SpecError(
                f"adjoint is '{self.adjoint}'", suggest(self.adjoint, ADJOINTS) or f"choose from {', '.join(ADJOINTS)}"
            )


@dataclass(frozen=True)
class Loaded:
    """The operators of one file or text, and the local files that the file imported."""

    specs: tuple[Spec, ...]
    dependencies: tuple[Path, ...]


def is_name(text: str) -> bool:
    """Return whether a text can name a Python function."""
    return text.isidentifier() and not keyword.iskeyword(text)


def by_name(symbols: Iterable[SymbolT]) -> list[SymbolT]:
    """Return symbols sorted by name: SymPy's sets come in another order under each hash seed."""
    return sorted(symbols, key=lambda symbol: symbol.name)


def listed(symbols: Iterable[sp.Symbol]) -> str:
    """Return the names of symbols for a message."""
    return ", ".join(symbol.name for symbol in symbols) or "none"


def short(value: object, limit: int = 60) -> str:
    """Return a value as a message can show it."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def free(expressions: Iterable[Any]) -> set[sp.Symbol]:
    """Return the symbols that stand for data in expressions, in no order: of u[i - 1] the symbol u."""
    found = {symbol for expression in expressions for symbol in expression.free_symbols}
    return {symbol for symbol in found if not isinstance(symbol, (sp.Indexed, sp.IndexedBase, Index, Size))}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
