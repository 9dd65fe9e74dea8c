"""Draw what was measured, with matplotlib."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opgen.errors import UsageError
from opgen.report import svg
from opgen.report.adjoint import Comparison
from opgen.report.measure import Curve, Iterations, Map, Taylor
from opgen.report.operator import Vector
from opgen.report.speed import Speed, amount

# Each is told from white and from black by a contrast of three and more.
COLOURS = ("#3987d6", "#cf7a1c", "#2f9e6b", "#8f6bd9", "#d94f5c")
_SIZE = (4.6, 3.0)
_STYLE = {
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


def _draw(name: str, title: str, alt: str, paint: Callable[[Any], None], height: float = _SIZE[1]) -> Plot:
    from matplotlib.figure import Figure

    with _styled():
        figure = Figure(figsize=(_SIZE[0], height))
        paint(figure.subplots())
    return Plot(name, title, alt, figure)


def curve(found: Curve) -> Plot:
    """Draw an output along an input."""

    def paint(axes: Any) -> None:
        styles = ("-", "--", ":")
        labels = ("others at ¼", "at ½", "at ¾ of their ranges")
        for row, (y, colour) in enumerate(zip(found.y, COLOURS, strict=False)):
            label = labels[row] if len(found.y) > 1 else None
            axes.plot(found.x, y, color=colour, linestyle=styles[row], label=label)
        axes.set(xlabel=found.input, ylabel=found.output)
        axes.margins(x=0)
        if len(found.y) > 1:
            _above(axes)

    low, high = _extent(found.y)
    alt = f"{found.output} over {found.input} from {found.x[0]:.4g} to {found.x[-1]:.4g}: between {low:.4g} and {high:.4g}."
    return _draw(f"solution-{found.output}-{found.input}", f"{found.output} over {found.input}", alt, paint)


def image(
    name: str, title: str, values: Vector, labels: tuple[str, str], extent: Sequence[float] | None = None
) -> Plot:
    """Draw values over a plane, the second axis upwards."""

    def paint(axes: Any) -> None:
        shown = axes.imshow(
            values, origin="lower", aspect="auto", cmap="viridis", extent=extent, interpolation="nearest"
        )
        axes.grid(visible=False)
        axes.set(xlabel=labels[0], ylabel=labels[1])
        _bar(axes, shown)

    low, high = _extent(values)
    alt = f"{title}: an image, {values.shape[0]} by {values.shape[1]}, of values between {low:.4g} and {high:.4g}."
    return _draw(name, title, alt, paint)


def lines(name: str, title: str, rows: Vector, label: str, *, connected: bool) -> Plot:
    """Draw some fields along an axis, or the entries of some vectors."""

    def paint(axes: Any) -> None:
        for row, colour in zip(rows, COLOURS, strict=False):
            style = {"linestyle": "-"} if connected else {"linestyle": "", "marker": "o", "markersize": 3.5}
            axes.plot(np.arange(len(row)), row, color=colour, **style)
        axes.set(xlabel=label)
        axes.margins(x=0.01)

    low, high = _extent(rows)
    alt = f"{title}: {len(rows)} systems drawn from the sample, {rows.shape[1]} entries each, between {low:.4g} and {high:.4g}."
    return _draw(name, title, alt, paint)


def taylor(found: Taylor) -> Plot:
    """Draw the three remainders, and the slopes that they should have."""
    names = ("value", "+ gradient", "+ second")

    def paint(axes: Any) -> None:
        for order, (row, colour) in enumerate(zip(found.remainders, COLOURS, strict=False), 1):
            rate = found.rates[order - 1]
            label = f"{names[order - 1]}: {'rounding' if rate is None else f'{rate:.2f}'}"
            shown = row > 0
            axes.loglog(found.h[shown], row[shown], "o-", color=colour, markersize=3.5, linewidth=1.2, label=label)
            if rate is not None:
                first = int(np.argmax(row > 0))
                ideal = row[first] * (found.h / found.h[first]) ** order
                axes.loglog(
                    found.h, np.where(ideal > 1e-17, ideal, np.nan), ":", color=svg.INK, alpha=0.55, linewidth=1
                )
        axes.set(xlabel="step h", ylabel="remainder / |J|")
        _powers(axes)
        _above(axes)

    said = ", ".join("rounding only" if rate is None else f"{rate:.2f}" for rate in found.rates)
    alt = f"Taylor remainders against the step, both logarithmic. Fitted rates: {said}; expected 1, 2 and 3."
    return _draw("taylor", "Taylor remainders", alt, paint, 3.4)


def histogram(found: Iterations) -> Plot:
    """Draw how many points took how many iterations."""

    def paint(axes: Any) -> None:
        axes.bar(np.arange(len(found.count)), found.count, color=COLOURS[0], width=0.8)
        axes.set(xlabel="iterations", ylabel="points" if found.points > 16 else "systems")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False, axis="x")

    alt = f"Histogram of iterations: half of {found.points} need at most {found.median}, the most is {len(found.count) - 1}."
    return _draw("iterations", "Iterations", alt, paint)


def history(found: Iterations) -> Plot:
    """Draw how the residual falls."""
    names = ("half below", "nine of ten below", "all below")

    def paint(axes: Any) -> None:
        limits = np.arange(1, found.quantiles.shape[1] + 1)
        for row, name, colour in zip(found.quantiles, names, COLOURS, strict=False):
            axes.semilogy(limits, np.maximum(row, 1e-30), "o-", color=colour, markersize=3.5, label=name)
        axes.set(xlabel="iterations allowed", ylabel="norm of the residual")
        axes.xaxis.get_major_locator().set_params(integer=True)
        _powers(axes, "y")
        _above(axes)

    alt = f"Residual norm against the iterations allowed: the median falls from {found.quantiles[0, 0]:.2g} to {found.quantiles[0, -1]:.2g}."
    return _draw("convergence", "Convergence", alt, paint)


def failures(found: Map) -> Plot:
    """Draw iterations where the operator converges, and a colour of its own where it fails."""

    def paint(axes: Any) -> None:
        if found.y.size == 0:
            _strip(axes, found)
            return
        half, other = (found.x[1] - found.x[0]) / 2, (found.y[1] - found.y[0]) / 2
        extent = (found.x[0] - half, found.x[-1] + half, found.y[0] - other, found.y[-1] + other)
        bad = np.isnan(found.iterations)
        shown = axes.imshow(found.iterations, origin="lower", aspect="auto", cmap="viridis", extent=extent,
                            interpolation="nearest")  # fmt: skip
        overlay = np.zeros((*bad.shape, 4))
        overlay[bad] = (0xD9 / 255, 0x4F / 255, 0x5C / 255, 1)
        axes.imshow(overlay, origin="lower", aspect="auto", extent=extent, interpolation="nearest")
        (left, right), (low, high) = found.box
        axes.plot([left, right, right, left, left], [low, low, high, high, low], "--", color="white", linewidth=2.6)
        axes.plot([left, right, right, left, left], [low, low, high, high, low], "--", color="black", linewidth=1.2)
        axes.grid(visible=False)
        axes.set(xlabel=found.names[0], ylabel=found.names[1])
        if not bad.all():
            _bar(axes, shown, "iterations")

    where = " and ".join(found.names)
    alt = (
        f"Iterations over {where}, in and beyond the sample domain, which is outlined: {found.failed:.1%} fail, in red."
    )
    return _draw("failures", "Where it converges and where it fails", alt, paint)


def _strip(axes: Any, found: Map) -> None:
    """Draw a map of one input."""
    taken = found.iterations[0]
    bad = np.isnan(taken)
    axes.plot(found.x[~bad], taken[~bad], ".", color=COLOURS[0], markersize=4, label="converged")
    if bad.any():
        axes.plot(found.x[bad], np.zeros(bad.sum()), "|", color=COLOURS[4], markersize=9, label="failed")
    (left, right) = found.box[0]
    axes.axvspan(left, right, color=svg.INK, alpha=0.07, linewidth=0, label="sample domain")
    axes.set(xlabel=found.names[0], ylabel="iterations")
    axes.legend()


def adjoint(found: Comparison) -> Plot:
    """Draw how far the gradients of the two adjoints are apart."""

    def paint(axes: Any) -> None:
        exponents = np.log10(np.maximum(found.differences, 1e-18))
        bins = np.arange(-18, max(float(np.ceil(exponents.max())), -8) + 0.5, 0.5)
        axes.hist(exponents, bins=bins, color=COLOURS[0])
        axes.axvline(np.log10(np.finfo(float).eps), color=svg.INK, linestyle=":", linewidth=1.2)
        axes.text(np.log10(np.finfo(float).eps) + 0.1, 0.93, "eps", transform=axes.get_xaxis_transform())
        axes.xaxis.set_major_formatter(lambda value, _: f"10{_power(value)}" if value > -18 else "equal")
        axes.set_xticks(np.arange(-18, bins[-1] + 1, 2))
        axes.set(xlabel="|direct − GMRES| / largest entry", ylabel="entries of the gradient")
        axes.grid(visible=False, axis="x")

    alt = f"Histogram of differences between direct and GMRES gradients: at most {found.differences.max():.1e}."
    return _draw("adjoint", "Direct against GMRES adjoint", alt, paint)


def speed(found: Sequence[Speed]) -> Plot:
    """Draw what one point costs, with the tensors of each framework."""
    count = sum(len(one.timings) + 1 for one in found)

    def paint(axes: Any) -> None:
        at = 0.0
        least = min(t.nanoseconds for one in found for t in one.timings) / 1.6
        for one in found:
            axes.text(0, at, one.framework, fontweight="bold", transform=axes.get_yaxis_transform())
            at -= 1
            for timing in one.timings:
                colour = COLOURS[1] if timing.own else COLOURS[0]
                axes.plot([least, timing.nanoseconds], [at, at], color=colour, linewidth=2)
                axes.plot(timing.nanoseconds, at, "o", color=colour, markersize=6)
                text = f"{timing.what}: {amount(timing.nanoseconds)} ns"
                axes.text(0.01, at + 0.2, text, fontsize=8.5, transform=axes.get_yaxis_transform())
                at -= 1
        axes.set_xscale("log")
        axes.set_xlim(left=least)
        axes.set_ylim(at + 0.5, 0.9)
        axes.set_yticks([])
        axes.set(xlabel="nanoseconds for each unknown of each point")
        _powers(axes, "x")
        axes.spines["left"].set_visible(False)

    said = "; ".join(
        f"{one.framework}: " + ", ".join(f"{t.what} {amount(t.nanoseconds)} ns" for t in one.timings) for one in found
    )
    return _draw("speed", "Time per unknown", f"Bars of time per unknown. {said}.", paint, 0.9 + 0.36 * count)


def _above(axes: Any) -> None:
    """Put the legend over the drawing, where nothing is hidden by it."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1), ncols=3, columnspacing=1.1, handlelength=1.6, borderpad=0.2
    )


def _extent(values: Vector) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (float("nan"), float("nan"))


def _bar(axes: Any, shown: Any, label: str = "") -> None:
    bar = axes.figure.colorbar(shown, ax=axes, label=label)
    bar.outline.set_visible(False)
    if label:
        bar.ax.yaxis.get_major_locator().set_params(integer=True)


def _power(exponent: float) -> str:
    return f"{exponent:.0f}".replace("−", "-").translate(_SUPERSCRIPTS)


def _powers(axes: Any, which: str = "xy") -> None:
    """Write powers of ten as plain text, which follows the page's font."""
    for name in which:
        axis = getattr(axes, f"{name}axis")
        axis.set_major_formatter(lambda value, _: f"10{_power(np.log10(value))}" if value > 0 else "")
        axis.set_minor_formatter(lambda value, _: "")
