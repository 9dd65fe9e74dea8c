"""Describe an operator to its author: formulas, structure, solver, costs and warnings."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import sympy as sp

from opgen.analyse import analyse
from opgen.analyse.coupled import CoupledModel
from opgen.analyse.model import Matrix, Model
from opgen.analyse.prospect import prospect
from opgen.commands.coupled_summary import CoupledSummary, coupled_summary
from opgen.commands.formulas import can_unicode, coloured, columns, generated, headed, pretty, screen_width, written
from opgen.loading.spec import Spec
from opgen.lower import lower
from opgen.lower.program import Program


@dataclass(frozen=True)
class Summary:
    """What inspect shows of one operator.

    Attributes:
        facts: Pairs of a heading and a sentence.
        operations: How many operations one evaluation takes: as written, and as generated.
    """

    model: Model
    facts: tuple[tuple[str, str], ...]
    operations: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]

    def formulas(self, width: int, *, unicode: bool) -> list[str]:
        """Set F and its derivatives."""
        return [pretty(label, value, width, unicode=unicode) for label, value in _formulas(self.model)]

    def all_facts(self) -> list[tuple[str, str]]:
        """Return every fact with its heading, costs and warnings last."""
        return [*self.facts, ("operations", _costs(self)), *(("warning", warning) for warning in self.warnings)]

    def as_json(self) -> dict[str, Any]:
        """Return it with formulas as text."""
        m = self.model
        f = "f" if m.explicit else "F"
        formulas = {f: [sp.sstr(e) for e in m.residuals]}
        formulas |= {} if m.explicit else {"F_y": [[sp.sstr(e) for e in row] for row in m.by_unknown]}
        return {
            "name": m.spec.name,
            "kind": m.kind,
            "linear": m.linear,
            "inputs": [s.name for s in m.inputs],
            "unknowns": [s.name for s in m.unknowns],
            "auxiliary": [name for name, _ in m.spec.auxiliary],
            **formulas,
            f"{f}_x": [[sp.sstr(e) for e in row] for row in m.by_input],
            **{heading.replace(" ", "_"): sentence for heading, sentence in self.facts},
            "operations": dict(self.operations),
            "warnings": list(self.warnings),
        }


def summary(spec: Spec) -> Summary | CoupledSummary:
    """Analyse and lower an operator, and sum up what was found."""
    model = analyse(spec)
    program = lower(model)
    if isinstance(model, CoupledModel):
        return coupled_summary(model, program)
    facts = [("structure", _structure(model)), ("solver", _solver(model, program))]
    if not model.explicit:
        start = "; ".join(f"{y} = {g}" for y, g in zip(program.unknown_names, program.mathematics.guess, strict=True))
        origin = "given" if any(g is not None for g in spec.guess) else "chosen by opgen"
        facts += [] if model.linear else [("start", f"{start} ({origin})")]
        facts += [("bounds", "; ".join(program.mathematics.bounds) or "none")]
    facts += [("adjoint", _adjoint(model))]
    seen = prospect(model)
    facts += [("roots seen", seen.roots)] if seen.roots else []
    if seen.exact:
        facts += [("closed form", f"{model.unknowns[0].name} = {seen.exact} (give it as exact=, and checks use it)")]
    return Summary(model, tuple(facts), _operations(model, program), (*model.warnings, *seen.warnings))


def _structure(model: Model) -> str:
    inputs = ", ".join(s.name for s in model.inputs)
    unknowns = ", ".join(s.name for s in model.unknowns)
    if model.explicit:
        linear = all(not (d.free_symbols & set(model.inputs)) for row in model.by_input for d in row)
        return f"explicit: {unknowns} = f({inputs}), {'linear' if linear else 'not linear'}"
    k = len(model.unknowns)
    what = f"unknown {unknowns}" if k == 1 else f"{k} coupled unknowns {unknowns}"
    return f"pointwise: {what} at every point, {'linear' if model.linear else 'not linear'} in {unknowns}; of {inputs}"


def _solver(model: Model, program: Program) -> str:
    k = len(model.unknowns)
    names = ", ".join(program.unknown_names)
    if model.explicit:
        return "none: f is evaluated"
    if model.linear:
        return f"linear in {names}: solved once, " + ("one division" if k == 1 else f"{k} x {k} block by pivoted LU")
    if k > 1:
        bounded = ", kept inside the bounds" if program.bounded else ""
        return f"damped Newton, {k} x {k} block per point by pivoted LU{bounded}"
    if not program.bounded:
        return "damped Newton, packs of points"
    lower, upper = model.lower[0], model.upper[0]
    if upper == sp.oo:
        where = f"above {lower}"
    elif lower == -sp.oo:
        where = f"below {upper}"
    else:
        where = f"between {lower} and {upper}"
    return f"damped Newton, packs of points, bracketing safeguard {where}"


def _adjoint(model: Model) -> str:
    wanted = model.spec.adjoint
    k = len(model.unknowns)
    if model.explicit:
        return "none to solve: dJ/dx = f_x^T dJ/dy"
    if wanted == "gmres":
        return "gmres: ATen, one autograd product F_y^T u per step"
    how = "one division by F_y per point" if k == 1 else f"transposed {k} x {k} block by pivoted LU"
    return f"direct{' (auto)' if wanted == 'auto' else ''}: {how}"


def _operations(model: Model, program: Program) -> tuple[tuple[str, int], ...]:
    derivatives = [d for row in (*model.by_unknown, *model.by_input) for d in row]
    solving = program.values if model.explicit else program.linearisation
    return (
        ("residual", written(model.residuals)),
        ("derivatives", written(derivatives)),
        ("generated_per_point", generated(program.prologue)),
        ("generated_per_iteration", generated(solving)),
        ("generated_gradient", generated(program.adjoint.before) + generated(program.adjoint.after)),
    )


def _costs(shown: Summary) -> str:
    count = dict(shown.operations)
    f = "f" if shown.model.explicit else "F"
    each = "evaluation" if shown.model.explicit or shown.model.linear else "iteration"
    return (
        f"{f} {count['residual']}, its derivatives {count['derivatives']}; with what they share computed once: "
        f"{count['generated_per_point']} per point, {count['generated_per_iteration']} per {each}, "
        f"{count['generated_gradient']} for the gradient"
    )


def text(shown: Summary | CoupledSummary) -> str:
    """Set a summary for a terminal."""
    width = screen_width()
    spec = shown.model.spec
    parts = headed(spec.name, spec.doc, width)
    for block in shown.formulas(width - 2, unicode=can_unicode()):
        block = coloured(block, shown.model.unknowns, shown.model.inputs, unicode=can_unicode())
        parts += ["", textwrap.indent(block, "  ")]
    return "\n".join([*parts, "", *columns(shown.all_facts(), width)])


def _formulas(model: Model) -> list[tuple[str, sp.Basic]]:
    """Return what is worth seeing in two dimensions, with its name."""
    auxiliary = [(name, value) for (name, _), value in zip(model.spec.auxiliary, model.auxiliary, strict=True)]
    if model.explicit:
        values = list(zip((s.name for s in model.unknowns), model.residuals, strict=True))
        return [*values, ("f_x", _matrix(model.by_input)), *auxiliary]
    residual = _matrix(tuple((e,) for e in model.residuals))
    return [("F", residual), ("F_y", _matrix(model.by_unknown)), ("F_x", _matrix(model.by_input)), *auxiliary]


def _matrix(rows: Matrix) -> sp.Basic:
    return rows[0][0] if len(rows) == 1 and len(rows[0]) == 1 else sp.ImmutableMatrix(rows)
