"""Draw what was measured, with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opgen.report import svg
from opgen.report.adjoint import Comparison
from opgen.report.drawing import COLOURS, Plot, above, bar, draw, power, powers, reach
from opgen.report.measure import Curve, Iterations, Map, Taylor
from opgen.report.operator import Vector
from opgen.report.speed import Speed, amount


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
            above(axes)

    low, high = reach(found.y)
    ends = f"from {found.x[0]:.4g} to {found.x[-1]:.4g}"
    alt = f"{found.output} over {found.input} {ends}: between {low:.4g} and {high:.4g}."
    return draw(f"solution-{found.output}-{found.input}", f"{found.output} over {found.input}", alt, paint)


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
        bar(axes, shown)

    low, high = reach(values)
    alt = f"{title}: an image, {values.shape[0]} by {values.shape[1]}, of values between {low:.4g} and {high:.4g}."
    return draw(name, title, alt, paint)


def lines(name: str, title: str, rows: Vector, label: str, *, connected: bool) -> Plot:
    """Draw some fields along an axis, or the entries of some vectors."""

    def paint(axes: Any) -> None:
        for row, colour in zip(rows, COLOURS, strict=False):
            style = {"linestyle": "-"} if connected else {"linestyle": "", "marker": "o", "markersize": 3.5}
            axes.plot(np.arange(len(row)), row, color=colour, **style)
        axes.set(xlabel=label)
        axes.margins(x=0.01)

    low, high = reach(rows)
    ends = f"between {low:.4g} and {high:.4g}"
    alt = f"{title}: {len(rows)} systems drawn from the sample, {rows.shape[1]} entries each, {ends}."
    return draw(name, title, alt, paint)


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
        powers(axes)
        above(axes)

    said = ", ".join("rounding only" if rate is None else f"{rate:.2f}" for rate in found.rates)
    alt = f"Taylor remainders against the step, both logarithmic. Fitted rates: {said}; expected 1, 2 and 3."
    return draw("taylor", "Taylor remainders", alt, paint, 3.4)


def histogram(found: Iterations) -> Plot:
    """Draw how many points took how many iterations."""

    def paint(axes: Any) -> None:
        axes.bar(np.arange(len(found.count)), found.count, color=COLOURS[0], width=0.8)
        axes.set(xlabel="iterations", ylabel="points" if found.points > 16 else "systems")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False, axis="x")

    most = len(found.count) - 1
    alt = f"Histogram of iterations: half of {found.points} need at most {found.median}, the most is {most}."
    return draw("iterations", "Iterations", alt, paint)


def history(found: Iterations) -> Plot:
    """Draw how the residual falls."""
    names = ("half below", "nine of ten below", "all below")

    def paint(axes: Any) -> None:
        limits = np.arange(1, found.quantiles.shape[1] + 1)
        for row, name, colour in zip(found.quantiles, names, COLOURS, strict=False):
            axes.semilogy(limits, np.maximum(row, 1e-30), "o-", color=colour, markersize=3.5, label=name)
        axes.set(xlabel="iterations allowed", ylabel="norm of the residual")
        axes.xaxis.get_major_locator().set_params(integer=True)
        powers(axes, "y")
        above(axes)

    first, last = found.quantiles[0, 0], found.quantiles[0, -1]
    alt = f"Residual norm against the iterations allowed: the median falls from {first:.2g} to {last:.2g}."
    return draw("convergence", "Convergence", alt, paint)


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
            bar(axes, shown, "iterations")

    where = " and ".join(found.names)
    alt = (
        f"Iterations over {where}, in and beyond the sample domain, which is outlined: {found.failed:.1%} fail, in red."
    )
    return draw("failures", "Where it converges and where it fails", alt, paint)


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
        axes.xaxis.set_major_formatter(lambda value, _: f"10{power(value)}" if value > -18 else "equal")
        axes.set_xticks(np.arange(-18, bins[-1] + 1, 2))
        axes.set(xlabel="|direct − GMRES| / largest entry", ylabel="entries of the gradient")
        axes.grid(visible=False, axis="x")

    alt = f"Histogram of differences between direct and GMRES gradients: at most {found.differences.max():.1e}."
    return draw("adjoint", "Direct against GMRES adjoint", alt, paint)


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
        powers(axes, "x")
        axes.spines["left"].set_visible(False)

    said = "; ".join(
        f"{one.framework}: " + ", ".join(f"{t.what} {amount(t.nanoseconds)} ns" for t in one.timings) for one in found
    )
    return draw("speed", "Time per unknown", f"Bars of time per unknown. {said}.", paint, 0.9 + 0.36 * count)
