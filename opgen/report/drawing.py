"""How a report draws: one style, and drawings that know what is to be seen in them."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from opgen.errors import UsageError
from opgen.report import svg
from opgen.report.operator import Vector

# Each is told from white and from black by a contrast of three and more.
COLOURS = ("#3987d6", "#cf7a1c", "#2f9e6b", "#8f6bd9", "#d94f5c")
SIZE = (4.6, 3.0)
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": svg.INK,
    "axes.grid": True,
    "axes.labelcolor": svg.INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "grid.alpha": 0.18,
    "grid.color": svg.INK,
    "legend.fontsize": 9,
    "legend.framealpha": 0,
    "legend.labelcolor": svg.INK,
    "lines.linewidth": 1.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "opgen",
    "text.color": svg.INK,
    "text.parse_math": False,
    "xtick.color": svg.INK,
    "ytick.color": svg.INK,
}
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True)
class Plot:
    """A drawing.

    Attributes:
        name: Of its file.
        title: What it is.
        alt: What is to be seen in it, for those who do not see it.
        figure: matplotlib's.
    """

    name: str
    title: str
    alt: str
    figure: Any

    def inline(self) -> str:
        """Return it as an element of a page."""
        with _styled():
            return svg.inline(svg.save(self.figure), f"plot-{self.name}", self.title, self.alt)

    def file(self, kind: str) -> bytes:
        """Return the content of a file of its own: black on white for paper, "svg" or "png"."""
        with _styled():
            if kind == "svg":
                return svg.save(self.figure).replace(svg.INK, "#000000").encode()
            stream = io.BytesIO()
            self.figure.savefig(stream, format="png", dpi=160, facecolor="white", metadata={"Software": None})
            return stream.getvalue()


def check() -> None:
    """See that there is something to draw with.

    Raises:
        UsageError: There is not.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UsageError("a report needs matplotlib, which is not installed", "pip install 'opgen[report]'") from None


@contextlib.contextmanager
def _styled() -> Iterator[None]:
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        yield


def draw(name: str, title: str, alt: str, paint: Callable[[Any], None], height: float = SIZE[1]) -> Plot:
    """Make a figure and let it be painted."""
    from matplotlib.figure import Figure

    with _styled():
        figure = Figure(figsize=(SIZE[0], height))
        paint(figure.subplots())
    return Plot(name, title, alt, figure)


def above(axes: Any) -> None:
    """Put the legend over the drawing, where nothing is hidden by it."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, columnspacing=1.1, handlelength=1.6, borderpad=0.2
    )


def reach(values: Vector) -> tuple[float, float]:
    """Return the least and the largest of values that are numbers."""
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (float("nan"), float("nan"))


def bar(axes: Any, shown: Any, label: str = "") -> None:
    """Put a scale of colours beside an image; one with a label counts."""
    scale = axes.figure.colorbar(shown, ax=axes, label=label)
    scale.outline.set_visible(False)
    if label:
        scale.ax.yaxis.get_major_locator().set_params(integer=True)


def power(exponent: float) -> str:
    """Raise an exponent."""
    return f"{exponent:.0f}".replace("−", "-").translate(_SUPERSCRIPTS)


def powers(axes: Any, which: str = "xy") -> None:
    """Write powers of ten as plain text, which follows the page's font."""
    for name in which:
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter(lambda value, _: f"10{power(np.log10(value))}" if value > 0 else "")
        axis.set_minor_formatter(lambda value, _: "")
