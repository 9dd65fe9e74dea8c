"""Made-up measurements: a bar whose yield stress varies along it, strained in steps."""

import numpy as np

POINTS, STEPS = 24, 40
E, N = 70.0, 6.0  # an aluminium alloy
POSITION = np.linspace(0, 1, POINTS)
YIELD = 0.25 + 0.08 * np.sin(2 * np.pi * POSITION)  # the field to be found, in GPa


def strains(seed: int = 0) -> np.ndarray:
    """Strains of every point in every step."""
    return np.random.default_rng(seed).uniform(0.002, 0.015, (STEPS, POINTS))
