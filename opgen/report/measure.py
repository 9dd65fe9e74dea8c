"""Measure an operator: curves, Taylor remainders, iterations, and where it fails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opgen.report.operator import Operator, Vector, Vectors
from opgen.report.sample import Ranges, constant, draw

EPS = float(np.finfo(np.float64).eps)
BEYOND = 0.5  # of the sample's width: how far the map of failures looks beyond it


@dataclass(frozen=True)
class Curve:
    """One output along one input, the others held at three places of their ranges.

    Shapes:
        x: [points]; y: [places, points], NaN where the operator fails.
    """

    output: str
    input: str
    x: Vector
    y: Vector


@dataclass(frozen=True)
class Taylor:
    """Remainders of Taylor's series of J, a weighted sum of the outputs at a point or of a system, along a direction v.

    Shapes:
        h: [steps]; remainders: [3, steps], after the value, the gradient and the second derivative: their sizes
            at all points or systems together, beside that of J.

    Attributes:
        rates: Fitted slopes, which should be 1, 2 and 3; None where a remainder is no more than rounding.
    """

    h: Vector
    remainders: Vector
    rates: tuple[float | None, ...]


@dataclass(frozen=True)
class Iterations:
    """How the sample was solved.

    Shapes:
        count: [iterations + 1], how many points took so many.
        quantiles: [3, limits], the residual norm that half, nine of ten, and all points are below after 1, 2, ...

    Attributes:
        points: How many were drawn.
        failed: How many of them did not converge.
    """

    count: Vector
    quantiles: Vector
    points: int
    failed: int

    @property
    def median(self) -> int:
        """How many iterations half of the points need at most."""
        return int(np.searchsorted(np.cumsum(self.count), self.count.sum() / 2))


@dataclass(frozen=True)
class Map:
    """Iterations over a plane of inputs that reaches beyond the sample domain.

    Shapes:
        x: [columns]; y: [rows], empty for one input alone; iterations: [rows, columns], NaN where it fails.

    Attributes:
        names: Of the inputs.
        box: The sample's range along each.
        failed: The share that fails.
    """

    names: tuple[str, ...]
    x: Vector
    y: Vector
    iterations: Vector
    box: Ranges
    failed: float


def curves(operator: Operator, ranges: Ranges, most: int = 12) -> tuple[list[Curve], int]:
    """Follow outputs along inputs; returns the first of them, and how many are left out."""
    found: list[Curve] = []
    varied = [i for i, (low, high) in enumerate(ranges) if high > low]
    places = (0.5,) if len(varied) < 2 else (0.25, 0.5, 0.75)
    for i in varied:
        along = np.linspace(*ranges[i], 201)
        rows: list[Vectors] = []
        for place in places:
            x = [np.full(along.shape, low + place * (high - low)) for low, high in ranges]
            x[i] = along
            rows.append(operator.values(x))
        found += [
            Curve(name, operator.inputs[i], along, np.stack([row[o] for row in rows]))
            for o, name in enumerate(operator.outputs)
        ]
    found.sort(key=lambda curve: operator.outputs.index(curve.output))
    return found[:most], max(len(found) - most, 0)


def plane(
    operator: Operator, ranges: Ranges, points: int = 121
) -> tuple[tuple[int, int], Vector, Vector, Vector] | None:
    """Evaluate the first output over the first two inputs that vary, the others in the middle of their ranges."""
    varied = [i for i, (low, high) in enumerate(ranges) if high > low][:2]
    if len(varied) < 2:
        return None
    across, up = (np.linspace(*ranges[i], points) for i in varied)
    x = [np.full(points * points, (low + high) / 2) for low, high in ranges]
    x[varied[0]], x[varied[1]] = (grid.ravel() for grid in np.meshgrid(across, up))
    return (varied[0], varied[1]), across, up, operator.values(x)[0].reshape(points, points)


def taylor(operator: Operator, ranges: Ranges) -> Taylor | None:
    """Walk away from points of the sample along a direction, and compare J with its Taylor series.

    The gradient is that of the direct adjoint, the second derivative the kernel's own.
    """
    rng = np.random.default_rng(5)
    inner = [(low + 0.25 * (high - low), high - 0.25 * (high - low)) for low, high in ranges]
    x = draw(operator, inner, 4 if operator.coupled else 100)
    width = [(high - low) / 4 for low, high in ranges]
    v = [w * (2 * u - 1) for w, u in zip(width, draw(operator, [(0, 1)] * len(ranges), len(x[0]), seed=9), strict=True)]
    at = operator.solve(x)
    keep = np.asarray(at.converged)
    steps: Vector = np.exp2(-np.arange(1.0, 19.0))
    moved = [operator.solve([a + h * b for a, b in zip(x, v, strict=True)]) for h in steps]
    for solution in moved:
        keep = keep & solution.converged
    if not keep.any():
        return None
    y = _outputs(at.value)
    weights = [rng.uniform(0.5, 1.5, a.shape) * keep.reshape(-1, *[1] * (a.ndim - 1)) / a.size for a in y]
    gradient = operator.adjoint(x, y, weights)
    second = operator.second(x, y, weights, v)
    slope, bend = (_sum(g, v) for g in (gradient, second))
    change = np.array([_sum(weights, [a - b for a, b in zip(_outputs(m.value), y, strict=True)]) for m in moved])
    h = steps[:, None]
    rest = np.stack([change, change - h * slope, change - h * slope - h**2 / 2 * bend])
    # Points and systems one by one, so that what is left of one does not cancel that of another.
    remainders: Vector = np.abs(rest).sum(axis=-1)
    remainders /= max(float(np.abs(_sum(weights, y)).sum()), float(np.abs(change).max()), 1e-300)
    return Taylor(steps, remainders, tuple(_rate(steps, row) for row in remainders))


def _outputs(value: object) -> Vectors:
    return list(value) if isinstance(value, tuple) else [value]  # type: ignore[list-item]


def _sum(a: Vectors, b: Vectors) -> Vector:
    """Add up products of entries for each point or system; what failed counts nothing."""
    total: Vector = np.zeros(len(a[0]))
    for one, other in zip(a, b, strict=True):
        total += np.nan_to_num(one * other).reshape(len(one), -1).sum(axis=1)
    return total


def _rate(h: Vector, remainder: Vector) -> float | None:
    """Fit a slope where the remainder is neither rounding nor bent by what the series leaves out."""
    good = remainder > 1e4 * EPS
    good[:2] &= good.sum() < 5
    if good.sum() < 3:
        return None
    return float(np.polyfit(np.log(h[good]), np.log(remainder[good]), 1)[0])


def iterations(operator: Operator, ranges: Ranges) -> Iterations:
    """Solve the sample, then again with every smaller limit on the iterations."""
    x = draw(operator, ranges, 16 if operator.coupled else 20000)
    solution = operator.solve(x)
    taken = np.where(solution.converged, solution.iterations, 0)
    count = np.bincount(taken[np.asarray(solution.converged)]).astype(float)
    last = max(min(len(count) - 1, 24), 1)
    norms = [operator.solve(x, max_iterations=limit).residual_norm for limit in range(1, last + 1)]
    quantiles = np.array([np.nanquantile(norm, (0.5, 0.9, 1.0)) for norm in norms]).T
    points = int(np.size(solution.converged))
    return Iterations(count, quantiles, points, points - int(np.sum(solution.converged)))


def failures(operator: Operator, ranges: Ranges) -> Map | None:
    """Solve over the first two inputs that vary, the others in the middle, in and beyond their sample."""
    varied = [i for i, (low, high) in enumerate(ranges) if high > low][:2]
    if not varied:
        return None
    points = (24 if operator.coupled else 120) if len(varied) == 2 else (48 if operator.coupled else 400)
    axes = [_beyond(ranges[i], points) for i in varied]
    grids = np.meshgrid(*axes)
    levels = [np.full(grids[0].size, (low + high) / 2) for low, high in ranges]
    for i, grid in zip(varied, grids, strict=True):
        levels[i] = grid.ravel()
    solution = operator.solve(constant(operator, levels))
    taken = np.where(solution.converged, np.asarray(solution.iterations, float), np.nan).reshape(-1, points)
    names = tuple(operator.inputs[i] for i in varied)
    y = axes[1] if len(axes) == 2 else np.empty(0)
    box = tuple(ranges[i] for i in varied)
    return Map(names, axes[0], y, taken, box, float(np.isnan(taken).mean()))


def spread(operator: Operator, ranges: Ranges) -> Map:
    """Solve dense systems drawn at random whose entries spread about the sample's middle less, as much, or more."""
    middle = [(low + high) / 2 for low, high in ranges]
    factors = np.linspace(0.05, 1 + 2 * BEYOND, 40)
    count = 16
    drawn = draw(operator, ranges, count)
    rows = []
    for factor in factors:
        x = [m + factor * (a - m) for m, a in zip(middle, drawn, strict=True)]
        solution = operator.solve(x)
        rows.append(np.where(solution.converged, np.asarray(solution.iterations, float), np.nan))
    taken = np.array(rows).T
    names = ("spread of the entries, 1 is the sample's", "system drawn")
    box = ((factors[0], 1.0), (0.5, count + 0.5))
    return Map(names, factors, np.arange(1.0, count + 1), taken, box, float(np.isnan(taken).mean()))


def _beyond(interval: tuple[float, float], points: int) -> Vector:
    low, high = interval
    more = BEYOND * (high - low)
    return np.linspace(low - more, high + more, points)
