"""The mathematics of an operator, as SymPy expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import sympy as sp

from opgen.analyse.iteration import Iteration
from opgen.loading.spec import Spec

Vector = tuple[sp.Expr, ...]
Matrix = tuple[Vector, ...]
Kind = Literal["explicit", "pointwise"]


@dataclass(frozen=True)
class Model:
    """An operator's formulas and what was found about them.

    For an implicit operator with n inputs x, k unknowns y and m auxiliaries a:

    Shapes:
        residuals: k, F(x, y); for an explicit operator the k values f(x).
        by_unknown: k x k, F_y (empty for an explicit operator).
        by_input: k x n, F_x; for an explicit operator f_x.
        auxiliary: m, a(x, y), with auxiliary_by_unknown m x k and auxiliary_by_input m x n.
        guess, lower, upper: k, functions of x alone; open says which ends may not be reached.
        iteration: F as the solver sees it; None for an explicit operator.
        steps: that nearly every point needs before its last, in single and in double precision.
    """

    spec: Spec
    kind: Kind
    linear: bool
    inputs: tuple[sp.Symbol, ...]
    unknowns: tuple[sp.Symbol, ...]
    residuals: Vector
    by_unknown: Matrix
    by_input: Matrix
    auxiliary: Vector
    auxiliary_by_unknown: Matrix
    auxiliary_by_input: Matrix
    guess: Vector
    lower: Vector
    upper: Vector
    open: tuple[bool, ...]
    iteration: Iteration | None
    steps: tuple[int, int]
    exact: tuple[sp.Expr | None, ...]
    sample: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]

    def __post_init__(self) -> None:
        k, n, m = len(self.unknowns), len(self.inputs), len(self.auxiliary)
        square = 0 if self.kind == "explicit" else k
        for name, matrix, rows, columns in (
            ("by_unknown", self.by_unknown, square, k),
            ("by_input", self.by_input, k, n),
            ("auxiliary_by_unknown", self.auxiliary_by_unknown, m, k),
            ("auxiliary_by_input", self.auxiliary_by_input, m, n),
        ):
            if len(matrix) != rows or any(len(row) != columns for row in matrix):
                raise ValueError(f"{name} is not {rows} x {columns}")
        for name, vector in (("guess", self.guess), ("lower", self.lower), ("upper", self.upper), ("open", self.open)):
            if len(vector) != k:
                raise ValueError(f"{name} does not have {k} entries")

    @property
    def explicit(self) -> bool:
        """Whether y is a formula of x, so that nothing is solved."""
        return self.kind == "explicit"

    @property
    def bounded(self) -> bool:
        """Whether any unknown has a finite end."""
        return any(e is not sp.oo and e is not -sp.oo for e in (*self.lower, *self.upper))
