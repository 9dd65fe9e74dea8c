"""Roots and derivatives of a residual file with many digits, by mpmath: no code of the kernels is used."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import sympy as sp

from opgen.loading import load_file
from opgen.loading.spec import Spec

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
Matrix = list[list[Any]]


def specs() -> dict[str, Spec]:
    """Load the operators of all examples that act on every point alone, by name."""
    files = (folder / f"{folder.name}.py" for folder in sorted(EXAMPLES.iterdir()))
    loaded = (spec for file in files if file.is_file() for spec in load_file(file).specs)
    return {spec.name: spec for spec in loaded if spec.indexing is None}


def draw(spec: Spec, count: int, seed: int = 0) -> list[np.ndarray]:
    """Draw inputs from the sample: half of them uniformly, half by magnitude where the range spans decades."""
    rng = np.random.default_rng(seed)
    columns = []
    for low, high in (pair or (0.5, 2.0) for pair in spec.sample):
        column = rng.uniform(low, high, count)
        if low > 0 and high / low > 20:
            column[::2] = np.exp(rng.uniform(np.log(low), np.log(high), column[::2].size))
        columns.append(column)
    return columns


class Reference:
    """The operator of a Spec at 50 digits.

    Attributes:
        outputs: Names of the unknowns and auxiliaries.
    """

    def __init__(self, spec: Spec) -> None:
        self.explicit = spec.explicit
        self.outputs = (*(s.name for s in spec.unknowns), *(name for name, _ in spec.auxiliary))
        self.k, self.n = len(spec.unknowns), len(spec.inputs)
        arguments = [*spec.inputs, *spec.unknowns]

        def compiled(expressions: Sequence[sp.Expr], by: Sequence[sp.Symbol] | None = None) -> Any:
            rows = list(expressions) if by is None else [[sp.diff(e, s) for s in by] for e in expressions]
            return sp.lambdify(arguments, rows, "mpmath")

        auxiliary = [e for _, e in spec.auxiliary]
        self.F, self.a = compiled(spec.equations), compiled(auxiliary)
        self.F_x, self.a_x = compiled(spec.equations, spec.inputs), compiled(auxiliary, spec.inputs)
        self.F_y, self.a_y = compiled(spec.equations, spec.unknowns), compiled(auxiliary, spec.unknowns)

    def at(self, inputs: Sequence[float], near: Sequence[float]) -> tuple[list[Any], Matrix]:
        """Return the outputs, and their derivatives by the inputs, at the root next to `near`."""
        with mp.workdps(50):
            x = [mp.mpf(float(v)) for v in inputs]
            if self.explicit:
                y = mp.matrix(self.F(*x, *near))
                dy = mp.matrix(self.F_x(*x, *y))
            else:
                y = mp.matrix([mp.mpf(float(v)) for v in near])
                for _ in range(7):  # from sixteen digits, each step doubles them
                    y -= mp.lu_solve(mp.matrix(self.F_y(*x, *y)), mp.matrix(self.F(*x, *y)))
                F_x, F_y = mp.matrix(self.F_x(*x, *y)), mp.matrix(self.F_y(*x, *y))
                dy = mp.matrix(self.k, self.n)
                for j in range(self.n):
                    dy[:, j] = -mp.lu_solve(F_y, F_x[:, j])
            values, slopes = list(y), dy.tolist()
            if len(self.outputs) > self.k:
                values += self.a(*x, *y)
                slopes += (mp.matrix(self.a_x(*x, *y)) + mp.matrix(self.a_y(*x, *y)) * dy).tolist()
            return values, slopes


def error(found: float, exact: Any) -> float:
    """Return the relative error."""
    difference = abs(mp.mpf(float(found)) - exact)
    return float(difference / abs(exact)) if exact else float("inf" if difference else 0)


def condition(inputs: Sequence[float], value: Any, slopes: Sequence[Any]) -> float:
    """Return by how much a relative error of the inputs is magnified."""
    moved = sum(abs(mp.mpf(float(x)) * slope) for x, slope in zip(inputs, slopes, strict=True))
    return float(moved / abs(value)) if value else 1.0


def gradient_error(inputs: Sequence[float], found: Sequence[float], exact: Sequence[Any]) -> float:
    """Return the largest error of a gradient, each component by its input's size, relative to the largest component."""
    sizes = [abs(mp.mpf(float(x))) for x in inputs]
    largest = max(size * abs(slope) for size, slope in zip(sizes, exact, strict=True))
    worst = max(s * abs(mp.mpf(float(f)) - e) for s, f, e in zip(sizes, found, exact, strict=True))
    return float(worst / largest) if largest else float("inf" if worst else 0)
