"""What can be known of an operator before it is compiled: how many roots there are, and where they meet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import sympy as sp

from opgen.analyse.calculus import Start
from opgen.analyse.chain import is_long
from opgen.analyse.model import Model

T = TypeVar("T")

PATIENCE = 3.0  # seconds that SymPy gets for one question
SAMPLES = 48
HALVINGS = 80


@dataclass(frozen=True)
class Prospect:
    """What was found.

    Attributes:
        roots: How many roots were seen in the sample domain, in words; empty if nobody could look.
        exact: A closed form of the root that SymPy found, as text; empty if it found none.
        warnings: What the user may want to mend.
    """

    roots: str = ""
    exact: str = ""
    warnings: tuple[str, ...] = ()


def prospect(model: Model) -> Prospect:
    """Look at an implicit operator from outside: scan F, and ask SymPy for folds and for a closed form."""
    if model.explicit or is_long(sp.Tuple(*model.residuals)):
        return Prospect()
    inputs = _draw(model)
    warnings = [*_singular(model, inputs)]
    if len(model.unknowns) > 1:
        return Prospect(warnings=tuple(warnings))
    found = _count(model, inputs)
    warnings += _folds(model, inputs)
    exact = "" if any(e is not None for e in model.exact) else _exact(model, inputs)
    if found is None:
        return Prospect("", exact, tuple(warnings))
    finite, counts = found
    if not finite.all():
        warnings.append(
            f"F has no finite value at {int((~finite).sum())} of {SAMPLES} sampled inputs: check the sample"
        )
    return Prospect(_told(counts[finite], model.linear), exact, tuple(warnings))


def _told(counts: np.ndarray, linear: bool) -> str:
    if linear or not counts.size:
        return ""
    least, most = int(counts.min()), int(counts.max())
    if most == 0:
        return "none: F does not change its sign at any sampled point"
    if most > 1:
        return f"up to {most} at one point: guess or bounds choose which"
    if least == 1:
        return "1 at every sampled point"
    return f"1 at {int((counts == 1).sum())} of {counts.size} sampled points, elsewhere none that changes the sign of F"


def _draw(model: Model) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        np.exp(rng.uniform(np.log(low), np.log(high), SAMPLES))
        if low > 0 and high / low > 1e3
        else rng.uniform(low, high, SAMPLES)
        for low, high in model.sample
    ]


def _function(model: Model, expressions: Any, *, unknown: bool = True) -> Callable[..., Any] | None:
    """Make a NumPy function of inputs and unknowns; None if NumPy lacks a function."""
    symbols = [*model.inputs, *(model.unknowns if unknown else ())]
    try:
        made = sp.lambdify(symbols, expressions, ["numpy", "scipy"] if _has_scipy() else ["numpy"], cse=True)
        with np.errstate(all="ignore"):
            made(*([np.ones(2)] * len(symbols)))
    except Exception:  # whatever a printer or a function of NumPy raises: then nobody can look
        return None
    return made


def _has_scipy() -> bool:
    import importlib.util

    return importlib.util.find_spec("scipy") is not None


def _grid(model: Model, inputs: list[np.ndarray]) -> np.ndarray | None:
    """Give values of the unknown, [grid, samples], over all that its bounds allow."""
    lower, upper = model.lower[0], model.upper[0]
    ends = _function(model, [lower if lower.is_finite else 0, upper if upper.is_finite else 0], unknown=False)
    if ends is None:
        return None
    lo, hi = (np.broadcast_to(np.asarray(e, float), (SAMPLES,)) for e in ends(*inputs))
    far = np.concatenate([np.geomspace(1e-8, 1e8, 257), np.linspace(0.037, 12.3, 97)])
    far.sort()
    if lower.is_finite and upper.is_finite:
        inner = np.concatenate([np.linspace(0, 1, 301), np.geomspace(1e-9, 1e-3, 40), 1 - np.geomspace(1e-9, 1e-3, 40)])
        return lo + np.sort(inner)[:, None] * (hi - lo)
    if lower.is_finite:
        return lo + far[:, None]
    if upper.is_finite:
        return hi - far[::-1, None]
    return np.broadcast_to(np.concatenate([-far[::-1], [0.0], far])[:, None], (2 * far.size + 1, SAMPLES))


def _count(model: Model, inputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """Say for every sample whether F has values, and how often it crosses zero."""
    F, grid = _function(model, model.residuals[0]), _grid(model, inputs)
    if F is None or grid is None:
        return None

    def at(y: np.ndarray, columns: Any = slice(None)) -> np.ndarray:
        with np.errstate(all="ignore"):
            value = F(*(x[columns] for x in inputs), y)
        return np.broadcast_to(np.where(np.isreal(value), np.real(value), np.nan), y.shape)

    values = at(grid)
    counts = (values[1:-1] == 0).sum(axis=0)
    row, column = np.nonzero(np.sign(values[:-1]) * np.sign(values[1:]) < 0)
    a, b, sign = grid[row, column], grid[row + 1, column], np.sign(values[row, column])
    size = np.minimum(np.abs(values[row, column]), np.abs(values[row + 1, column]))
    for _ in range(HALVINGS):
        middle = 0.5 * (a + b)
        same = np.sign(at(middle, column)) == sign
        a, b = np.where(same, middle, a), np.where(same, b, middle)
    # Towards a pole |F| grows, across a jump it stays.
    left, right = np.abs(at(a, column)), np.abs(at(b, column))
    crosses = np.minimum(left, right) <= 1e-6 * size
    np.add.at(counts, column[crosses], 1)
    return np.isfinite(values).any(axis=0), counts


def _singular(model: Model, inputs: list[np.ndarray]) -> list[str]:
    """Warn of F_y that is singular wherever it is tried, though no entry shows it."""
    k = len(model.unknowns)
    J = None if k == 1 else _function(model, sp.Matrix(model.by_unknown).tolist())
    if J is None:
        return []
    rng = np.random.default_rng(1)
    y = [rng.uniform(0.3, 1.7, SAMPLES) for _ in model.unknowns]
    with np.errstate(all="ignore"):
        rows = np.array([[np.broadcast_to(e, (SAMPLES,)) for e in row] for row in J(*inputs, *y)], dtype=float)
    blocks = rows.transpose(2, 0, 1)
    blocks = blocks[np.isfinite(blocks).all(axis=(1, 2))]
    if not len(blocks):
        return []
    blocks = blocks / np.maximum(np.abs(blocks).max(axis=2, keepdims=True), 1e-300)
    values = np.linalg.svd(blocks, compute_uv=False)
    if (values[:, -1] < 1e-13 * values[:, 0]).all():
        return ["F_y is singular wherever it was tried: the equations depend on each other; replace one of them"]
    return []


def _patiently(work: Callable[[], T]) -> T | None:
    """Let SymPy work for a while; None if it takes longer or fails.

    What takes longer goes on in a thread that ends with the process: SymPy cannot be stopped.
    """
    made: list[T] = []

    def run() -> None:
        try:
            made.append(work())
        except Exception:  # SymPy raises much where it finds nothing
            return

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return made[0] if made else None


def _folds(model: Model, inputs: list[np.ndarray]) -> list[str]:
    """Find where two roots meet: F = 0 and F_y = 0."""
    F, F_y, y = model.residuals[0], model.by_unknown[0][0], model.unknowns[0]
    if model.linear or y not in F_y.free_symbols:
        return []
    turns = _patiently(lambda: [t for t in sp.solve(F_y, y) if t.is_real is not False and sp.count_ops(t) < 30])
    told = []
    for turn in turns or ():
        if not np.isfinite(_real(_function(model, turn, unknown=False), inputs)).any():
            continue
        where = _patiently(lambda turn=turn: sp.factor_terms(sp.simplify(F.subs(y, turn))))  # type: ignore[misc]
        if where is None or sp.count_ops(where) > 40 or (where.is_number and where != 0) or where.has(sp.zoo, sp.nan):
            continue
        where = -where if where.could_extract_minus_sign() else where
        condition = "at all inputs" if where == 0 else f"where {where} = 0"
        told.append(f"F and F_y vanish together at {y.name} = {turn} {condition}: the root has no gradient there")
    return told


def _real(function: Callable[..., Any] | None, inputs: list[np.ndarray]) -> np.ndarray:
    """Evaluate a function of the inputs at the samples; NaN where it is not real."""
    if function is None:
        return np.full(SAMPLES, np.nan)
    with np.errstate(all="ignore"):
        value = np.broadcast_to(function(*inputs), (SAMPLES,))
    return np.where(np.isreal(value), np.real(value), np.nan)


def _exact(model: Model, inputs: list[np.ndarray]) -> str:
    """Find a closed form that is a root at the sampled inputs."""
    F, y = model.residuals[0], model.unknowns[0]
    guess = model.guess[0].args[0] if isinstance(model.guess[0], Start) else model.guess[0]
    check, start = _function(model, F), _real(_function(model, guess, unknown=False), inputs)
    best, distance = "", np.inf
    for form in _patiently(lambda: sp.solve(F, y)) or ():
        if check is None or not isinstance(form, sp.Expr) or sp.count_ops(form) > 40 or form.has(sp.I):
            continue
        root = _real(_function(model, form, unknown=False), inputs)
        with np.errstate(all="ignore"):
            is_root = np.abs(check(*inputs, root)) <= 1e-8 * (1 + np.abs(check(*inputs, root + 1)))
        away = float(np.abs(root - start).mean())
        if is_root.all() and away < distance:
            best, distance = str(form), away
    return best
