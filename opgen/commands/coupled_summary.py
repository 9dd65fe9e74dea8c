"""Describe an operator whose unknowns are coupled: its formulas, the pattern of F_y, shapes, boundaries and solver."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sympy as sp

from opgen.analyse.calculus import derivative
from opgen.analyse.coupled import CoupledModel
from opgen.analyse.structure import Coefficient, Structure, equation_of, structure
from opgen.commands.formulas import generated, pretty, written
from opgen.lower.program import Program
from opgen.render.prose import at_ends, signature

# What stands for a coefficient in a picture, the first for the first.
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class CoupledSummary:
    """What inspect shows of a coupled operator.

    Attributes:
        facts: Pairs of a heading and a sentence.
        operations: How many operations one evaluation takes: as written, and as generated.
    """

    model: CoupledModel
    structure: Structure
    signature: str
    conditions: tuple[tuple[str, str, str, str], ...]
    facts: tuple[tuple[str, str], ...]
    operations: tuple[tuple[str, int], ...]
    warnings: tuple[str, ...]

    def formulas(self, width: int, *, unicode: bool) -> list[str]:
        """Set F, the pattern of F_y, and the auxiliaries."""
        equations = zip(_labels(self.model), self.model.spec.equations, strict=True)
        blocks = [pretty(label, value, width, unicode=unicode) for label, value in equations]
        blocks += _pattern(self.model, self.structure, width, unicode=unicode)
        return [*blocks, *(pretty(name, e, width, unicode=unicode) for name, e in self.model.spec.auxiliary)]

    def all_facts(self) -> list[tuple[str, str]]:
        """Return every fact with its heading, costs and warnings last."""
        return [*self.facts, ("operations", _costs(self)), *(("warning", warning) for warning in self.warnings)]

    def as_json(self) -> dict[str, Any]:
        """Return it with formulas as text."""
        m = self.model
        unknowns = [s.name for s in m.unknowns]
        f = "f" if m.explicit else "F"
        pattern = [
            {
                "equation": c.equation,
                "unknown": unknowns[c.unknown],
                "offset": None if c.offset is None else list(c.offset),
                "entry": c.text,
                "summed_over": list(c.over),
                "value": sp.sstr(c.value),
            }
            for c in self.structure.coefficients
        ]
        conditions = [
            {"unknown": name, "axis": axis, "low": low, "high": high} for name, axis, low, high in self.conditions
        ]
        return {
            "name": m.spec.name,
            "kind": m.kind,
            "linear": m.linear,
            "symmetric": m.symmetric,
            "method": None if m.explicit else self.structure.method,
            "inputs": [s.name for s in m.inputs],
            "unknowns": unknowns,
            "auxiliary": [name for name, _ in m.spec.auxiliary],
            "signature": self.signature,
            "dimensions": list(m.dimensions),
            f: [sp.sstr(e) for e in m.spec.equations],
            **({} if m.explicit else {"F_y": pattern, "pattern": self.structure.pattern}),
            "boundary": conditions,
            **{name.replace(" ", "_"): text for name, text in self.facts if name not in ("signature", "boundary")},
            "operations": dict(self.operations),
            "warnings": list(self.warnings),
        }


def coupled_summary(model: CoupledModel, program: Program) -> CoupledSummary:
    """Sum up what was found about a coupled operator."""
    if program.nests is None:
        raise ValueError(f"{program.name} is not coupled")
    found = structure(model)
    facts = [("signature", signature(program)), ("structure", _structure(model, found))]
    facts += [("boundary", sentence) for sentence in at_ends(program.nests.conditions)]
    facts += [("solver", _solver(model, found))]
    if not model.explicit and not model.linear:
        start = "; ".join(f"{y} = {g}" for y, g in zip(program.unknown_names, program.mathematics.guess, strict=True))
        origin = "given" if any(g is not None for g in model.spec.guess) else "chosen by opgen"
        facts += [("start", f"{start} ({origin})")]
    facts += [("adjoint", _adjoint(model))]
    conditions = program.nests.conditions
    operations = _operations(model, program)
    return CoupledSummary(model, found, signature(program), conditions, tuple(facts), operations, model.warnings)


def _structure(model: CoupledModel, found: Structure) -> str:
    inputs = ", ".join(s.name for s in model.inputs)
    unknowns = ", ".join(s.name for s in model.unknowns)
    if model.explicit:
        return f"explicit: {unknowns} = f({inputs}), {'linear' if _is_linear(model) else 'not linear'}"
    ranks = {len(a.core) for a in model.arrays[len(model.inputs) :][: len(model.unknowns)]}
    where = f" on a grid of {max(ranks)} {'axis' if max(ranks) == 1 else 'axes'}" if model.kind == "field" else ""
    symmetric = ", symmetric" if model.symmetric else ", not symmetric by its formulas" if model.kind == "field" else ""
    linear = "linear" if model.linear else "not linear"
    return f"{model.kind}: {unknowns}{where}, {linear} in {unknowns}; F_y is {found.pattern}{symmetric}; of {inputs}"


def _is_linear(model: CoupledModel) -> bool:
    """Tell whether an explicit operator's formulas are linear in all that they read."""
    reads = [(m, {r.symbol for r in m.reads}) for m in model.nests if m.stage in ("equation", "sum")]
    return all(not (derivative(m.value, s).free_symbols & symbols) for m, symbols in reads for s in symbols)


def _solver(model: CoupledModel, found: Structure) -> str:
    names = ", ".join(s.name for s in model.unknowns)
    if model.explicit:
        return "none: f is evaluated"
    newton = f"linear in {names}: solved once" if model.linear else "damped Newton, each system of the batch by itself"
    return f"{newton}; {found.solver}"


def _adjoint(model: CoupledModel) -> str:
    wanted = model.spec.adjoint
    if model.explicit:
        return "none to solve: dJ/dx = f_x^T dJ/dy"
    if wanted == "gmres":
        return "gmres: ATen, one autograd product F_y^T u per step, preconditioned"
    return f"direct{' (auto)' if wanted == 'auto' else ''}: F_y^T u = dJ/dy with the solver's own factors, transposed"


def _operations(model: CoupledModel, program: Program) -> tuple[tuple[str, int], ...]:
    if program.nests is None:
        return ()
    solving = [m for m in program.nests.nests if m.stage == "equation"]
    sums = [m for m in program.nests.nests if m.stage == "sum"]
    return (
        ("residual", written(model.spec.equations)),
        ("derivatives", written({c.value for c in structure(model).coefficients})),
        ("generated_per_point", sum(generated(m.value if model.explicit else m.linearise) for m in solving)),
        ("generated_per_term", sum(generated(m.value if model.explicit else m.linearise) for m in sums)),
        ("generated_gradient", sum(generated(m.pull) for m in (*solving, *sums))),
    )


def _costs(shown: CoupledSummary) -> str:
    count = dict(shown.operations)
    f = "f" if shown.model.explicit else "F"
    each = "evaluation" if shown.model.explicit or shown.model.linear else "iteration"
    terms = f" and {count['generated_per_term']} per term of a sum" if count["generated_per_term"] else ""
    derivatives = "" if shown.model.explicit else f", its derivatives {count['derivatives']}"
    return (
        f"{f} {count['residual']}{derivatives}; with what they share computed once: {count['generated_per_point']} per "
        f"point{terms} in an {each}, {count['generated_gradient']} for the gradient"
    )


def _labels(model: CoupledModel) -> list[str]:
    """Name what each equation makes: F[i], or y[i] if it is a formula."""
    n, labels = len(model.inputs), []
    for u, unknown in enumerate(model.unknowns):
        loops = equation_of(model, u).loops[: len(model.arrays[n + u].core)]
        several = str(u + 1) if len(model.unknowns) > 1 else ""
        name = unknown.name if model.explicit else f"F{several}"
        positions = ", ".join(loop.index.name for loop in loops)
        labels.append(f"{name}[{positions}]" if positions else name)
    return labels


def _pattern(model: CoupledModel, found: Structure, width: int, *, unicode: bool) -> list[str]:
    """Draw F_y block by block: which entries an equation reads, and the derivative by each."""
    blocks = []
    labels = _labels(model)
    by_block = itertools.groupby(found.coefficients, key=lambda c: (c.equation, c.unknown))
    for (equation, unknown), group in by_block:
        entries = list(group)
        name = "F_y" if len(model.unknowns) == 1 else f"F_y, {labels[equation]} by {model.unknowns[unknown].name}"
        values = list(dict.fromkeys(c.value for c in entries))
        letters = {value: _letter(number) for number, value in enumerate(values)}
        picture: list[str] = []
        if all(c.offset for c in entries):
            indices = [loop.index.name for loop in equation_of(model, equation).loops]
            marks = {c.offset: letters[c.value] for c in entries if c.offset}
            picture = [*_picture(marks, indices, "·" if unicode else "."), ""]
        lines = [f"{name}:", *(f"  {line}".rstrip() for line in picture)]
        for value, letter in letters.items():
            where = ", ".join(_place(c) for c in entries if c.value == value)
            lines += textwrap.wrap(
                f"{letter} = {sp.sstr(value)}   by {where}",
                width,
                initial_indent="  ",
                subsequent_indent="      ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        blocks.append("\n".join(lines))
    return blocks


def _letter(number: int) -> str:
    return _LETTERS[number] if number < len(_LETTERS) else f"{_LETTERS[number % 26]}{number // 26}"


def _place(c: Coefficient) -> str:
    return f"{c.text} for all {', '.join(c.over)}" if c.over else c.text


def _picture(marks: dict[tuple[int, ...], str], indices: Sequence[str], empty: str) -> Iterator[str]:
    """Draw offsets as a table: the last axis to the right, the one before it down, planes of a third one by one."""
    rank = len(indices)
    reach = [range(min(0, *(o[d] for o in marks)), max(0, *(o[d] for o in marks)) + 1) for d in range(rank)]
    header = [_at(indices[-1], s) for s in reach[-1]]
    rows = [_at(indices[-2], s) for s in reach[-2]] if rank > 1 else [""]
    cell = max(map(len, (*header, *marks.values())))
    margin = max(map(len, rows))
    for plane in itertools.product(*reach[: max(rank - 2, 0)]):
        if plane:
            if plane != tuple(r[0] for r in reach[: rank - 2]):
                yield ""
            yield ", ".join(_at(name, s) for name, s in zip(indices, plane, strict=False))
        yield "  ".join(
            ["".ljust(margin), *(h.center(cell) for h in header)] if margin else [h.center(cell) for h in header]
        )
        for number, row in enumerate(rows):
            own = (*plane, reach[-2][number]) if rank > 1 else plane
            cells = [marks.get((*own, s), empty).center(cell) for s in reach[-1]]
            yield "  ".join([row.ljust(margin), *cells] if margin else cells)


def _at(index: str, shift: int) -> str:
    return index if shift == 0 else f"{index}{shift:+d}"
