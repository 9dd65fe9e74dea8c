"""What the template of a coupled operator's ATen file sees."""

from __future__ import annotations

from dataclasses import dataclass

from opgen.lower.aten_nests import AtenNests
from opgen.lower.cxx import string
from opgen.lower.program import Program


@dataclass(frozen=True)
class CoupledAtenView:
    """The holes of coupled_aten.cc."""

    banner: tuple[str, ...]
    op: str
    equations: tuple[str, ...]
    input_literals: tuple[str, ...]
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    explicit: bool
    linear: bool
    nests: AtenNests


def coupled_aten_view(program: Program, nests: AtenNests, banner: tuple[str, ...]) -> CoupledAtenView:
    """Fit a coupled program to the template of its ATen adjoint."""
    n, k = len(program.inputs), len(program.unknowns)
    return CoupledAtenView(
        banner=banner,
        op=program.name,
        equations=tuple(" ".join(e.split()).rstrip("\\") for e in program.mathematics.equations),
        input_literals=tuple(map(string, program.input_names)),
        inputs=nests.arrays[:n],
        unknowns=nests.arrays[n : n + k],
        auxiliaries=program.auxiliaries,
        explicit=program.explicit,
        linear=program.linear,
        nests=nests,
    )
