"""What generated code computes, as text: nothing of SymPy is left here."""

from __future__ import annotations

from dataclasses import dataclass

from opgen.lower.aten_nests import AtenNests
from opgen.lower.cxx import Code
from opgen.lower.nests import Nests


@dataclass(frozen=True)
class Adjoint:
    """The two halves of the direct adjoint, between which the adjoint system is solved."""

    before: Code  # results: F_y transposed row by row, the right-hand side, F, scale
    after: Code  # results: dJ/dx


@dataclass(frozen=True)
class Tangent:
    """The two halves of the tangent, between which F_y w = -F_x v is solved."""

    before: Code  # results: F_y row by row, then -F_x v
    after: Code  # results: the tangents of the auxiliaries


@dataclass(frozen=True)
class Second:
    """The three parts of the second derivative, between which three systems are solved."""

    first: Code  # results: F_y row by row, then the right-hand sides of u and of w
    middle: Code  # results: the right-hand side of p
    last: Code  # results: the derivative by the inputs


@dataclass(frozen=True)
class Curvature:
    """The three parts of the second derivative along two tangents, between which three systems are solved."""

    first: Code  # results: F_y row by row, then -F_x v and -F_x w
    middle: Code  # results: the right-hand side of z
    last: Code  # results: the second derivatives of the auxiliaries


@dataclass(frozen=True)
class Aten:
    """The residual in ATen C++."""

    residual: Code
    auxiliary: Code


@dataclass(frozen=True)
class Mathematics:
    """The formulas as a reader sees them, and as mpmath computes them."""

    equations: tuple[str, ...]  # plain text, "x**2 - y**3/(x + 1) = 0"
    latex: tuple[str, ...]
    guess: tuple[str, ...]
    bounds: tuple[str, ...]
    mpmath_residual: tuple[str, ...]
    mpmath_exact: tuple[str | None, ...]
    mpmath_auxiliary: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """One operator, ready to be rendered.

    Identifiers are valid in C++ and Python; names are the user's own.
    """

    name: str
    doc: str
    kind: str
    explicit: bool
    linear: bool
    bounded: bool
    curved: bool  # the iteration uses F_yy
    steps: tuple[int, int]  # taken without a look whether they are needed, in single and in double precision
    substituted: bool  # the iteration works in variables that take the unknowns' place
    open: tuple[bool, ...]
    max_iterations: int
    tol: float | None
    adjoint_default: str
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    variables: tuple[str, ...]  # of the iteration: the unknowns, unless they are substituted
    auxiliaries: tuple[str, ...]
    input_names: tuple[str, ...]
    unknown_names: tuple[str, ...]
    auxiliary_names: tuple[str, ...]
    coupled: bool
    dimension_names: tuple[str, ...]  # of core axes
    cores: tuple[tuple[tuple[int, int], ...], ...]  # of inputs, unknowns, auxiliaries: (dimension, offset) each axis
    prologue: Code  # results: names of the values that depend on the inputs alone
    fields: tuple[str, ...]  # the inputs, then these
    guess: Code
    bounds: Code  # results: lower ends, then upper ends
    values: Code  # explicit operators: f(x)
    linearisation: Code  # results: F, F_y row by row, scale, then F_yy if `curved`; by the variables
    variables_of: Code
    unknowns_of: Code
    residual: Code
    auxiliary: Code
    adjoint: Adjoint
    tangent: Tangent
    second: Second
    curvature: Curvature
    residual_pullback: Code  # results: v^T F_x, then v^T F_y
    residual_tangent: Code  # results: F_x v + F_y w
    aten: Aten
    mathematics: Mathematics
    sample: tuple[tuple[float, float], ...]
    sample_given: bool
    digest: str  # of the mathematics: two operators of one digest compute the same
    nests: Nests | None = None  # of a coupled operator, which has none of the code above
    aten_nests: AtenNests | None = None  # the same in ATen
