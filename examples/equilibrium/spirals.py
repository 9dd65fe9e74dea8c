"""Two spirals that wind into each other: which of them is a point on?"""

import numpy as np

FEATURES, STATES = 2, 24
NORM = 0.95  # of W at most: below one there is one equilibrium, and Newton's method finds it from anywhere


def spirals(count: int = 256, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return points [count, 2], and 0 or 1 for each of them."""
    rng = np.random.default_rng(seed)
    label = np.arange(count) % 2
    turn = 0.5 * np.pi + 1.5 * np.pi * np.sqrt(rng.uniform(0, 1, count))
    radius, angle = turn / (2 * np.pi), turn + np.pi * label
    point = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return 2 * point + rng.normal(0, 0.03, (count, 2)), label.astype(float)


def weights(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the first W, U and b."""
    rng = np.random.default_rng(seed)
    W = rng.normal(0, 0.3 / np.sqrt(STATES), (STATES, STATES))
    return W, rng.normal(0, 2, (STATES, FEATURES)), rng.normal(0, 0.5, STATES)
