"""Measure and draw an operator, one section of the page after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opgen.analyse.coupled import CoupledModel
from opgen.analyse.model import Model
from opgen.render.page import Figure, Section, Table, Tile
from opgen.report import adjoint, formulas, measure, plots, speed
from opgen.report.adjoint import Framework
from opgen.report.drawing import COLOURS, Plot
from opgen.report.operator import Operator
from opgen.report.sample import Ranges, draw

Tell = Callable[[str], None]
_EXPECTED = ("1", "2", "3")
_REMAINDERS = ("J(x + hv) − J(x)", "… − h dJ·v", "… − h²/2 v·H v")


@dataclass
class Sections:
    """The sections about one operator, with what they share.

    Attributes:
        plots: All drawings, in their order on the page.
        tiles: The numbers worth seeing first.
    """

    operator: Operator
    model: Model | CoupledModel
    ranges: Ranges
    targets: tuple[str, ...]
    has_aten: bool
    tell: Tell
    plots: list[Plot] = field(default_factory=list)
    tiles: list[Tile] = field(default_factory=list)
    median: int = 1

    def all(self) -> Iterator[Section]:
        """Make every section that says something about this operator."""
        self.tell("solving over the sample")
        yield self.solution()
        if not self.operator.explicit:
            yield self.newton()
        yield self.failures()
        yield self.derivatives()
        self.tell("importing frameworks")
        found = adjoint.frameworks(self.targets)
        self.tell("comparing adjoints")
        yield self.adjoints(found)
        self.tell("timing")
        yield self.timings(found)

    def figure(self, plot: Plot, caption: str) -> Figure:
        """Take up a drawing."""
        self.plots.append(plot)
        return Figure(plot.inline(), caption)

    @property
    def domain(self) -> str:
        """Say where inputs are drawn from."""
        parts = (f"{name} in [{low:.4g}, {high:.4g}]" for name, (low, high) in
                 zip(self.operator.inputs, self.ranges, strict=True))  # fmt: skip
        return ", ".join(parts)

    def solution(self) -> Section:
        """Draw outputs over inputs, or on the grid."""
        if self.operator.coupled:
            return self._fields()
        curves, more = measure.curves(self.operator, self.ranges)
        figures = []
        surface = measure.plane(self.operator, self.ranges)
        if surface is not None:
            (i, j), across, up, values = surface
            labels = (self.operator.inputs[i], self.operator.inputs[j])
            title = f"{self.operator.outputs[0]} over {labels[0]} and {labels[1]}"
            extent = (across[0], across[-1], up[0], up[-1])
            others = "; the other inputs in the middle" if len(self.ranges) > 2 else ""
            figures.append(self.figure(plots.image("surface", title, values, labels, extent), f"{title}{others}."))
        figures += [self.figure(plots.curve(c), f"{c.output} over {c.input}.") for c in curves]
        words = [f"Over the sample domain: {self.domain}."]
        if more:
            words.append(f"{more} further pairs of an output and an input are left out.")
        return Section("solution", "Solution", tuple(words), tuple(figures))

    def _fields(self) -> Section:
        operator = self.operator
        x = draw(operator, self.ranges, len(COLOURS))
        values = operator.values(x)
        sizes = ", ".join(f"{name} = {size}" for name, size in
                          zip(operator.interface.DIMENSIONS, operator.sizes, strict=True))  # fmt: skip
        what = "smooth fields" if self.model.kind == "field" else "entries"
        words = (
            f"Inputs drawn from the sample domain, {what} with {self.domain}; sizes {sizes}, the largest of a few at "
            "which all systems drawn converge.",
        )
        smooth = self.model.kind == "field"
        drawn = [(name, a, "input") for name, a in zip(operator.inputs, x, strict=True) if a.ndim > 1]
        drawn = drawn[:2] if smooth else []
        drawn += [(name, a, "output") for name, a in zip(operator.outputs, values, strict=True)]
        figures = []
        for position, (name, rows, role) in enumerate(drawn):
            rank = rows.ndim - 1
            title = f"{role.capitalize()} {name}"
            number = (*operator.inputs, *operator.outputs).index(name)
            axes = [operator.interface.DIMENSIONS[d] if d >= 0 else "" for d, _ in operator.interface.CORES[number]]
            if rank == 0:
                continue
            key = f"{role}-{name}" if position else f"first-{role}-{name}"
            if rank == 1:
                drawing = plots.lines(key, title, rows, axes[0], connected=smooth)
                caption = f"{title} of {len(rows)} systems, a colour each."
            else:
                plane = rows[0]
                while plane.ndim > 2:
                    plane = plane[plane.shape[0] // 2]
                cut = ", in the middle of the first axis" if rank > 2 else ""
                drawing = plots.image(key, title, plane, (axes[-1], axes[-2]))
                caption = f"{title} of one system{cut}."
            figures.append(self.figure(drawing, caption))
        return Section("solution", "Solution", words, tuple(figures))

    def newton(self) -> Section:
        """Draw iterations and convergence."""
        found = measure.iterations(self.operator, self.ranges)
        self.median = max(found.median, 1)
        things = "systems" if self.operator.coupled else "points"
        self.tiles.append(Tile(f"{found.failed} of {found.points:,}", f"{things} of the sample failed"))
        if found.failed == found.points:
            return Section("newton", "Convergence", (f"None of {found.points} {things} drawn converged.",))
        self.tiles.append(Tile(str(found.median), f"iterations solve half of the {things}"))
        figures = (
            self.figure(plots.histogram(found), f"Iterations of {found.points:,} {things} drawn from the sample."),
            self.figure(
                plots.history(found),
                "Norm of the residual when the iteration stops after 1, 2, … steps; quadratic convergence bends down.",
            ),
        )
        return Section("newton", "Convergence", (), figures)

    def failures(self) -> Section:
        """Draw where it converges."""
        dense = self.operator.coupled and self.model.kind == "dense"
        make = measure.spread if dense else measure.failures
        found = make(self.operator, self.ranges)
        if found is None:
            return Section("failures", "Failures", ("No input varies in the sample: there is nothing to map.",))
        held = "the others in the middle of their ranges" if not dense and len(self.ranges) > len(found.names) else ""
        on_grid = "inputs are the same everywhere on the grid" if self.operator.coupled and not dense else ""
        notes = "; ".join(filter(None, (held, on_grid)))
        share = "Nothing fails" if found.failed == 0 else f"{found.failed:.1%} of the area fails (red)"
        solved = "evaluated" if self.operator.explicit else "solved"
        words = (
            f"{share} where the operator is {solved} over the sample domain (outlined) and half its width beyond."
            + (f" Here {notes}." if notes else ""),
        )
        drawing = plots.failures(found)
        caption = "Matrices and vectors drawn from the sample, their entries moved towards its middle or away."
        caption = caption if dense else f"Iterations over {' and '.join(found.names)}."
        return Section("failures", "Failures", words, (self.figure(drawing, caption),))

    def derivatives(self) -> Section:
        """Draw Taylor's remainders."""
        found = measure.taylor(self.operator, self.ranges)
        heading = "Derivatives"
        if found is None:
            return Section("derivatives", heading, ("No point of the sample converged: there is nothing to compare.",))
        rates = tuple("rounding" if rate is None else f"{rate:.2f}" for rate in found.rates)
        short = ", ".join("–" if rate is None else f"{rate:.1f}" for rate in found.rates)
        self.tiles.append(Tile(short, "rates of Taylor remainders, which should be 1, 2, 3"))
        words = (
            "Derivatives are right if what is left of J(x + hv) after so many terms of its Taylor series falls with "
            "the power of h that comes next. J is a weighted sum of the outputs at each point, or of each system, v a "
            "random direction; the gradient is the direct adjoint's. A kink between x and x + hv lowers a rate; below "
            "rounding there is none.",
        )
        rows = tuple(zip(_REMAINDERS, _EXPECTED, rates, strict=True))
        table = Table("Fitted rates", ("remainder", "expected", "fitted"), rows)
        caption = "Remainders against the step; dotted: slopes 1, 2 and 3."
        return Section("derivatives", heading, words, (self.figure(plots.taylor(found), caption),), (table,))

    def adjoints(self, found: list[Framework]) -> Section:
        """Draw how far direct and GMRES gradients are apart."""
        anchor, heading = "adjoints", "Direct and GMRES adjoint"
        if not self.has_aten:
            return Section(anchor, heading, ("The GMRES adjoint was not built, as PyTorch was not installed.",))
        if not found:
            why = "The package is built for NumPy alone, which has no autodiff: there are no gradients to compare."
            return Section(anchor, heading, (why,))
        made = adjoint.compare(self.operator, self.ranges, found[0])
        if isinstance(made, str):
            return Section(anchor, heading, (made,))
        worst = float(made.differences.max(initial=0))
        self.tiles.append(Tile(f"{worst:.0e}", "largest difference, direct to GMRES"))
        words = (
            f"Two ways to the same gradient that share no code: generated derivatives, and GMRES on backward passes "
            f"through the residual in ATen. Both by {made.framework}'s autodiff.",
        )
        rows = tuple((name, f"{value:.1e}") for name, value in made.worst)
        table = Table("Largest difference, relative to the largest entry", ("gradient by", "difference"), rows)
        caption = "All entries of the gradients; 'equal' are those that agree to the last bit."
        return Section(anchor, heading, words, (self.figure(plots.adjoint(made), caption),), (table,))

    def timings(self, found: list[Framework]) -> Section:
        """Time it."""
        timed = []
        for framework in (speed.Arrays(), *found):
            one = self._timed(framework)
            if one is not None:
                timed.append(one)
        if not timed:
            return Section(
                "speed",
                "Speed",
                ("No framework can evaluate the formula by itself, or nothing converged: there is no comparison.",),
            )
        for timing in timed[0].timings:
            if not timing.own:
                each = f"for each unknown of each point, with {timed[0].framework}"
                self.tiles.append(Tile(f"{speed.amount(timing.nanoseconds)} ns", each))
        rows = tuple(
            (f"{one.framework}: {t.what}", speed.amount(t.nanoseconds), speed.amount(t.ratio))
            for one in timed
            for t in one.timings
        )
        about = (
            "Nanoseconds for each unknown of each point, the best of several runs; ratios to the framework's first row"
        )
        header = ("computation", "ns", "ratio")
        table = Table(about, header, rows)
        words = (
            "float64, all threads that each library takes by itself, eager calls"
            + ("; points of the sample in one array." if not self.operator.coupled else "; a batch of systems."),
        )
        caption = "Blue: the operator. Orange: the framework's own operations."
        return Section("speed", "Speed", words, (self.figure(plots.speed(timed), caption),), (table,))

    def _timed(self, framework: Any) -> speed.Speed | None:
        if self.operator.coupled or isinstance(self.model, CoupledModel):
            return speed.coupled(self.operator, self.ranges, framework)
        try:
            formula = formulas.own_operations(self.model, framework.target)
            newton = formulas.own_newton(self.model, framework.target)
            with np.errstate(all="ignore"):
                return speed.pointwise(self.operator, self.ranges, framework, formula, newton, self.median)
        except Exception as error:  # a function that the framework lacks, or that SymPy cannot say in its words
            self.tell(f"{framework.name} cannot evaluate the formula by itself: {type(error).__name__}")
            return None
