"""What a coupled operator's ATen file says, as text."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AtenNest:
    """A function that computes one array from others: its statements, and what it returns."""

    name: str
    text: str
    lines: tuple[str, ...]
    result: str


@dataclass(frozen=True)
class AtenNests:
    """The residual of a coupled operator in ATen C++.

    Attributes:
        arrays: Members of the struct that holds the operator's arrays: inputs, unknowns, then those that are computed.
        sizes: Members that hold the sizes, one for each dimension.
        inputs: Statements that extend inputs over the ends of rings, and compute boundary values.
        unknowns: Statements that extend unknowns over their boundaries.
        residual: Statements that compute the sums that equations need.
        auxiliary: The same for the auxiliaries.
        equations: Names of the functions whose results are residuals, or an explicit operator's values.
        auxiliaries: Names of those that compute the auxiliaries.
        nests: All functions.
        cores: Core axes of inputs, unknowns and auxiliaries as initialisers.
    """

    arrays: tuple[str, ...]
    sizes: tuple[str, ...]
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    residual: tuple[str, ...]
    auxiliary: tuple[str, ...]
    equations: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    nests: tuple[AtenNest, ...]
    cores: tuple[str, ...]
