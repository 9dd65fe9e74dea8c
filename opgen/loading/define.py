"""The classes with which a residual file defines operators: they keep what was said and where, and check nothing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Dirichlet:
    """Give a field a value outside its grid.

    Attributes:
        value: A number, or an expression of inputs and indices; an index along the side's own axis is -1 just below the
            grid and its extent just above it.
    """

    value: Any = 0


@dataclass(frozen=True)
class Neumann:
    """Fix a field's outward slope on the boundary: outside, it is its mirror image plus slope times distance.

    Attributes:
        slope: A number, or an expression of inputs and of indices along the boundary.
        spacing: Distance of neighbouring grid points, in which the slope is measured.
        at: Where the mirror stands: "face", half a spacing outside the last point, so that
            u[-1] = u[0] + slope * spacing, or "node", on the last point, so that u[-1] = u[1] + 2 * slope * spacing.
    """

    slope: Any = 0
    spacing: Any = 1
    at: str = "face"


@dataclass(frozen=True)
class Periodic:
    """Join opposite sides of a field's grid."""


@dataclass(frozen=True)
class Place:
    """The file and the line of a definition."""

    file: str
    line: int


def _caller() -> Place:
    """Return where the user's file called the constructor, below the frames of the dataclass itself."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in (__file__, "<string>"):
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno)


@dataclass(frozen=True, eq=False)
class Implicit:
    """Define the operator that solves residual = 0 for the unknowns.

    Attributes:
        residual: An expression, a sympy.Eq, or a list of them, as many as there are unknowns.
        unknown: A symbol or a list of symbols; the symbol named y where it is left out.
        inputs: The other symbols in the order of the positional arguments.
        guess: Start of the iteration, an expression of the inputs; a dict by unknown for systems.
        bounds: Pair of numbers or expressions between which the root lies; a dict by unknown for systems.
        exact: Closed form, used by checks only; a dict by unknown for systems.
        sample: Range of each input, from which checks, plots and benchmarks draw.
        constants: Symbols that are folded in as numbers.
        auxiliary: Further outputs, expressions of inputs and unknowns.
        boundary: Boundary condition of each field.
        tol: Relative tolerance of the solve; None for the default of the dtype.
        max_iterations: Limit on Newton's iterations.
        adjoint: "auto", "direct" or "gmres".
        doc: What the operator is, for its docstring.
        name: Name of the operator; the variable's name where it is left out.
    """

    residual: Any
    unknown: Any = None
    inputs: Any = None
    guess: Any = None
    bounds: Any = None
    exact: Any = None
    sample: Any = None
    constants: Any = None
    auxiliary: Any = None
    boundary: Any = None
    tol: Any = None
    max_iterations: Any = 50
    adjoint: Any = "auto"
    doc: Any = ""
    name: Any = None
    place: Place = field(default_factory=_caller, init=False, repr=False)


@dataclass(frozen=True, eq=False)
class Explicit:
    """Define the operator outputs = f(inputs), which needs no solve.

    Attributes:
        outputs: Expression of each output, by name or symbol.
        inputs: The symbols in the order of the positional arguments.
        sample: Range of each input, from which checks, plots and benchmarks draw.
        constants: Symbols that are folded in as numbers.
        auxiliary: Further outputs, expressions of inputs and outputs.
        doc: What the operator is, for its docstring.
        name: Name of the operator; the variable's name where it is left out.
    """

    outputs: Mapping[Any, Any]
    inputs: Any = None
    sample: Any = None
    constants: Any = None
    auxiliary: Any = None
    doc: Any = ""
    name: Any = None
    place: Place = field(default_factory=_caller, init=False, repr=False)
