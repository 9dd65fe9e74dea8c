"""Where a report looks: inputs drawn from the sample domain, and grids that are fit for it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from opgen.report.operator import Operator, Vector, Vectors

Ranges = Sequence[tuple[float, float]]
SEED = 20240229


def draw(operator: Operator, ranges: Ranges, count: int, seed: int = SEED) -> Vectors:
    """Draw inputs: numbers for points and matrices, smooth fields for what lies on a grid.

    Shapes:
        [count, core axes] each.
    """
    rng = np.random.default_rng(seed)
    smooth = operator.coupled and _is_grid(operator)
    drawn = []
    for i, (low, high) in enumerate(ranges):
        core = operator.core(i)
        unit = _waves(rng, count, core) if smooth and core else rng.uniform(0, 1, (count, *core))
        drawn.append(low + (high - low) * unit)
    return drawn


def constant(operator: Operator, levels: Vectors) -> Vectors:
    """Make inputs that are the same everywhere on the grid, one system for each level.

    Args:
        operator: For which operator.
        levels: Of each input, [systems].
    """
    return [
        np.ascontiguousarray(np.broadcast_to(level.reshape(-1, *[1] * len(core)), (len(level), *core)))
        for level, core in zip(levels, (operator.core(i) for i in range(len(levels))), strict=True)
    ]


def fit(operator: Operator, ranges: Ranges) -> Operator:
    """Choose the largest of a few grids on which every system drawn converges: a grid has to suit its sample."""
    if not operator.coupled:
        return operator
    count = len(operator.interface.DIMENSIONS)
    choices = {1: (128, 64, 32, 16, 7), 2: (48, 32, 24, 16, 8, 5)}.get(count, (16, 12, 8, 5, 3))
    for extent in choices:
        sized = replace(operator, sizes=(extent,) * count)
        if np.all(sized.solve(draw(sized, ranges, 8)).converged):
            return sized
    return sized


def _is_grid(operator: Operator) -> bool:
    """Say whether inputs lie on the unknown's grid: matrices and vectors of dense systems are not smooth."""
    cores = operator.interface.CORES
    n = len(operator.inputs)
    grid = {dimension for dimension, _ in cores[n]}
    return all(
        len(core) <= len(cores[n]) and len({d for d, _ in core}) == len(core) and {d for d, _ in core} <= grid
        for core in cores[:n]
    )


def _waves(rng: np.random.Generator, count: int, core: tuple[int, ...]) -> Vector:
    """Draw smooth fields between 0 and 1: a few cosines along each axis, of random size and phase."""
    total: Vector = np.zeros((count, *core))
    for waves in itertools.product(range(3), repeat=len(core)):
        part = rng.normal(size=(count, *[1] * len(core))) / (1 + sum(waves))
        for axis, wave in enumerate(waves):
            shape = [1] * (len(core) + 1)
            shape[axis + 1] = core[axis]
            phase = rng.uniform(0, 2 * np.pi, (count, *[1] * len(core)))
            part = part * np.cos(np.pi * wave * np.linspace(0, 1, core[axis]).reshape(shape) + phase)
        total = total + part
    axes = tuple(range(1, len(core) + 1))
    low, high = total.min(axes, keepdims=True), total.max(axes, keepdims=True)
    level = rng.uniform(0, 1, (count, *[1] * len(core)))
    span = rng.uniform(0.3, 1, level.shape) * np.where(high > low, 1, 0)
    made: Vector = level * (1 - span) + span * (total - low) / np.where(high > low, high - low, 1)
    return made
