"""Times of several contestants, taken in turn so that a slow phase of the machine meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Times:
    """Seconds of one contestant."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        """Return 'median (least - most)' in milliseconds."""
        return f"{1e3 * self.median:.3g} ({1e3 * min(self.seconds):.3g} - {1e3 * max(self.seconds):.3g})"


def in_turn(contestants: Mapping[str, Callable[[], object]], rounds: int = 9) -> dict[str, Times]:
    """Time each contestant once a round, after two rounds that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for i in range(rounds + 2):
        for name, call in contestants.items():
            start = time.perf_counter()
            call()
            if i >= 2:
                taken[name].append(time.perf_counter() - start)
    return {name: Times(tuple(seconds)) for name, seconds in taken.items()}


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Set a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def ratios(case: str, times: Mapping[str, Times], base: str) -> list[list[object]]:
    """Make a row per contestant, with its time as a multiple of the base's."""
    return [[case, name, time, f"{time.median / times[base].median:.2f}"] for name, time in times.items()]
