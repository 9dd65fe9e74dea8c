"""Time an operator beside a framework's own operations, in one process and one run."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opgen.report.adjoint import Framework
from opgen.report.operator import Operator, Vector, listed
from opgen.report.sample import Ranges, draw

_POINTS = 100_000
_REPEATS = 9
_LONGEST = 0.4  # seconds for one measurement

Reference = Callable[..., Any]


@dataclass(frozen=True)
class Timing:
    """What one computation took.

    Attributes:
        what: The computation.
        own: Whether it is the framework's own, beside which the operator is seen.
        nanoseconds: For each unknown of each point, the best of several.
        ratio: To the framework's one evaluation of the formula.
    """

    what: str
    own: bool
    nanoseconds: float
    ratio: float


@dataclass(frozen=True)
class Speed:
    """Timings with the tensors of one framework."""

    framework: str
    timings: tuple[Timing, ...]


def amount(value: float) -> str:
    """Write a number of three digits as people read it."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


class Arrays:
    """NumPy itself, which has no autodiff."""

    name, target = "NumPy", "numpy"

    def tensors(self, arrays: Sequence[Vector]) -> list[Any]:
        """Take arrays as they are."""
        return list(arrays)

    def gradient(self, function: Any, tensors: list[Any], weights: list[Any], **options: Any) -> list[Any]:
        """Refuse."""
        raise NotImplementedError

    def wait(self, value: Any) -> Any:
        """Arrays are there."""
        return value


def pointwise(
    operator: Operator,
    ranges: Ranges,
    framework: Framework,
    formula: Reference,
    newton: Reference | None,
    iterations: int,
) -> Speed:
    """Time a pointwise operator beside its formula, and a Newton iteration, in the framework's own operations."""
    x = draw(operator, ranges, _POINTS)
    good = np.asarray(operator.solve(x).converged)
    x = [np.resize(a[good], _POINTS) for a in x] if good.any() else x
    y = operator.values(x)
    tensors = framework.tensors(x)
    unknowns = framework.tensors([] if operator.explicit else y[: len(operator.unknowns)])
    weights = framework.tensors([np.ones_like(a) for a in y])
    letter = "f" if operator.explicit else "F"
    rows: list[tuple[str, bool, Callable[[], Any]]] = [
        (f"{letter} once, its own operations", True, lambda: formula(*tensors, *unknowns))
    ]
    if newton is not None:
        times = max(iterations, 1)
        what = f"Newton, {times} {'step' if times == 1 else 'steps'}, its own operations"
        rows.append((what, True, lambda: newton(*tensors, iterations=times)))
    rows += _own(operator, framework, tensors, weights)
    return Speed(framework.name, _timed(rows, framework, _POINTS * len(operator.unknowns)))


def coupled(operator: Operator, ranges: Ranges, framework: Framework) -> Speed | None:
    """Time a coupled operator beside its residual and, where that is possible, a dense solve by NumPy."""
    alone = sum(int(np.prod(operator.core(len(operator.inputs) + u))) for u in range(len(operator.unknowns)))
    batch = max(min(20_000 // max(alone, 1), 64), 1)
    x = draw(operator, ranges, 4 * batch)
    good = np.asarray(operator.solve(x).converged)
    if not good.any():
        return None
    x = [np.resize(a[good], (batch, *a.shape[1:])) for a in x]
    y = operator.values(x)
    tensors = framework.tensors(x)
    weights = framework.tensors([np.ones_like(a) for a in y])
    unknowns = framework.tensors(y[: len(operator.unknowns)])
    given = unknowns[0] if len(unknowns) == 1 else tuple(unknowns)
    rows: list[tuple[str, bool, Callable[[], Any]]] = [
        ("F once, by the operator", True, lambda: operator.function.residual(*tensors, given))
    ]
    if alone <= 1024 and framework.target == "numpy":
        matrix = np.random.default_rng(0).normal(size=(alone, alone)) + alone * np.eye(alone)
        right = np.ones(alone)
        what = f"numpy.linalg.solve of one {alone} x {alone} matrix a system"
        rows.append((what, True, lambda: [np.linalg.solve(matrix, right) for _ in range(batch)]))
    start = {name: _tensors_of(framework, value) for name, value in operator.initial(batch).items()}
    rows += _own(operator, framework, tensors, weights, **start)
    return Speed(framework.name, _timed(rows, framework, batch * alone))


def _tensors_of(framework: Framework, value: Any) -> Any:
    made = framework.tensors(listed(value))
    return tuple(made) if isinstance(value, tuple) else made[0]


def _own(
    operator: Operator, framework: Framework, tensors: list[Any], weights: list[Any], **start: Any
) -> list[tuple[str, bool, Callable[[], Any]]]:
    f = operator.function
    rows: list[tuple[str, bool, Callable[[], Any]]] = [
        (f"{operator.name}", False, lambda: f(*tensors, on_failure="nan", **start))
    ]
    if framework.target != "numpy":
        what = f"{operator.name} and its gradient"
        rows.append((what, False, lambda: framework.gradient(f, tensors, weights, on_failure="nan", **start)))
    return rows


def _timed(rows: list[tuple[str, bool, Callable[[], Any]]], framework: Framework, count: int) -> tuple[Timing, ...]:
    found = []
    with np.errstate(all="ignore"):
        for what, own, run in rows:
            found.append((what, own, _best(lambda run=run: framework.wait(run())) / count * 1e9))  # type: ignore[misc]
    base = found[0][2]
    return tuple(Timing(what, own, each, each / base) for what, own, each in found)


def _best(run: Callable[[], Any]) -> float:
    """Return the seconds of the fastest of several runs, after one that warms up."""
    run()
    best, start = float("inf"), time.perf_counter()
    for _ in range(_REPEATS):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
        if time.perf_counter() - start > _LONGEST:
            break
    return best
