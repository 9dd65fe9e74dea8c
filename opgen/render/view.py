"""What templates see: every decision is already made here."""

from __future__ import annotations

from dataclasses import dataclass

from opgen.lower.cxx import Code, string
from opgen.lower.program import Adjoint, Curvature, Program, Second, Tangent


@dataclass(frozen=True)
class Entry:
    """One entry of a matrix."""

    row: int
    column: int
    text: str


@dataclass(frozen=True)
class KernelView:
    """The holes of kernel.cc and tf_op.cc."""

    banner: tuple[str, ...]
    op: str
    equations: tuple[str, ...]
    type: str
    coupled: bool
    dimension_names: tuple[str, ...]
    cores: tuple[
        tuple[tuple[int, int], ...], ...
    ]  # inputs, unknowns, auxiliaries: (dimension, offset) of each core axis
    name_literal: str
    registered_name: str
    torch_namespace: str
    short_digest: str
    jacobian_name: str
    input_literals: tuple[str, ...]
    operand_literals: tuple[str, ...]  # inputs, unknowns, auxiliaries
    dimension_literals: tuple[str, ...]
    core_literals: tuple[str, ...]
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    variables: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    explicit_operator: bool
    bounded_operator: bool
    explicit: str
    linear: str
    bounded: str
    curved: str
    steps: tuple[int, int]
    substituted_operator: bool
    substituted: str
    open: tuple[str, ...]
    max_iterations: int
    fields: tuple[str, ...]
    prologue: Code
    values: Code
    guess: Code
    bounds: Code
    linearisation: Code
    linearisation_residual: tuple[str, ...]
    linearisation_jacobian: tuple[Entry, ...]
    linearisation_scale: tuple[str, ...]
    linearisation_curvature: tuple[str, ...]
    variables_of: Code
    unknowns_of: Code
    residual: Code
    auxiliary: Code
    adjoint: Adjoint
    adjoint_transposed: tuple[tuple[str, ...], ...]
    adjoint_right: tuple[str, ...]
    adjoint_residual: tuple[str, ...]
    adjoint_scale: tuple[str, ...]
    tangent: Tangent
    tangent_jacobian: tuple[tuple[str, ...], ...]
    tangent_right: tuple[str, ...]
    second: Second
    second_jacobian: tuple[tuple[str, ...], ...]
    second_adjoint: tuple[str, ...]
    second_tangent: tuple[str, ...]
    curvature: Curvature
    curvature_jacobian: tuple[tuple[str, ...], ...]
    curvature_tangent: tuple[str, ...]
    curvature_direction: tuple[str, ...]
    residual_pullback: Code
    residual_tangent: Code


def kernel_view(program: Program, banner: tuple[str, ...]) -> KernelView:
    """Fit a program to the kernel's template."""
    k = len(program.unknowns)
    results = program.linearisation.results
    before = program.adjoint.before.results
    first, curved = program.second.first.results, program.curvature.first.results
    square = 0 if program.explicit else k * k
    return KernelView(
        banner=banner,
        op=program.name,
        equations=tuple(_comment(e) for e in program.mathematics.equations),
        type=type_name(program.name),
        coupled=program.coupled,
        dimension_names=program.dimension_names,
        cores=program.cores,
        name_literal=string(program.name),
        registered_name=registered_name(program),
        torch_namespace=torch_namespace(program),
        short_digest=program.digest[:8],
        jacobian_name="dF/d" + "".join(program.unknown_names) if k == 1 else "F_y",
        input_literals=tuple(map(string, program.input_names)),
        operand_literals=tuple(map(string, (*program.input_names, *program.unknown_names, *program.auxiliary_names))),
        dimension_literals=tuple(map(string, program.dimension_names or ("",))),  # C++ has no empty arrays
        core_literals=tuple(map(_core, program.cores)),
        inputs=program.inputs,
        unknowns=program.unknowns,
        variables=program.variables,
        auxiliaries=program.auxiliaries,
        explicit_operator=program.explicit,
        bounded_operator=program.bounded,
        explicit=_bool(program.explicit),
        linear=_bool(program.linear),
        bounded=_bool(program.bounded),
        curved=_bool(program.curved),
        steps=program.steps,
        substituted_operator=program.substituted,
        substituted=_bool(program.substituted),
        open=tuple(map(_bool, program.open)),
        max_iterations=program.max_iterations,
        fields=program.fields,
        prologue=program.prologue,
        values=program.values,
        guess=program.guess,
        bounds=program.bounds,
        linearisation=program.linearisation,
        linearisation_residual=results[:k],
        linearisation_jacobian=tuple(Entry(i // k, i % k, t) for i, t in enumerate(results[k : k + k * k])),
        linearisation_scale=results[k + k * k : 2 * k + k * k],
        linearisation_curvature=results[2 * k + k * k :],
        variables_of=program.variables_of,
        unknowns_of=program.unknowns_of,
        residual=program.residual,
        auxiliary=program.auxiliary,
        adjoint=program.adjoint,
        adjoint_transposed=_rows(before[:square], k),
        adjoint_right=before[square : square + k],
        adjoint_residual=before[square + k : square + 2 * k],
        adjoint_scale=before[square + 2 * k :],
        tangent=program.tangent,
        tangent_jacobian=_rows(program.tangent.before.results[:square], k),
        tangent_right=program.tangent.before.results[square:],
        second=program.second,
        second_jacobian=_rows(first[:square], k),
        second_adjoint=first[square : square + k],
        second_tangent=first[square + k :],
        curvature=program.curvature,
        curvature_jacobian=_rows(curved[:square], k),
        curvature_tangent=curved[square : square + k],
        curvature_direction=curved[square + k :],
        residual_pullback=program.residual_pullback,
        residual_tangent=program.residual_tangent,
    )


def type_name(op: str) -> str:
    """Spell an operator's name as a C++ type: cube_root -> CubeRoot."""
    return "".join(part[:1].upper() + part[1:] for part in op.split("_")) or "Operator"


def registered_name(program: Program) -> str:
    """Name the TensorFlow operators: two residuals of one name never share a registration."""
    ascii_only = "".join(c for c in type_name(program.name) if c.isascii() and c.isalnum())
    return f"Opgen{ascii_only}{program.digest[:8]}"


def torch_namespace(program: Program) -> str:
    """Name what the PyTorch operators hang under: torch.ops.opgen_<op>, in ASCII."""
    return "opgen_" + "".join(c if c.isascii() and c.isalnum() else "_" for c in program.name)


def _rows(entries: tuple[str, ...], k: int) -> tuple[tuple[str, ...], ...]:
    return tuple(entries[i : i + k] for i in range(0, len(entries), k))


def _core(axes: tuple[tuple[int, int], ...]) -> str:
    """Write core axes as C++ has them: {2, {{0, 0}, {0, 1}}}."""
    return f"{{{len(axes)}, {{{', '.join(f'{{{dimension}, {offset}}}' for dimension, offset in axes)}}}}}"


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _comment(text: str) -> str:
    """Keep user text inside its comment line: no line break, no line continuation."""
    return " ".join(text.split()).rstrip("\\")


@dataclass(frozen=True)
class AtenView:
    """The holes of aten_adjoint.cc."""

    banner: tuple[str, ...]
    op: str
    formula: str
    name_literal: str
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    input_names: tuple[str, ...]
    explicit: bool
    linear: bool
    residual_lines: tuple[str, ...]
    residual_results: tuple[str, ...]
    auxiliary_lines: tuple[str, ...]
    auxiliary_results: tuple[str, ...]


def aten_view(program: Program, banner: tuple[str, ...]) -> AtenView:
    """Fit a program to the template of the ATen adjoint."""
    residual, auxiliary = program.aten.residual, program.aten.auxiliary
    return AtenView(
        banner=banner,
        op=program.name,
        formula=_comment("; ".join(program.mathematics.equations)),
        name_literal=string(program.name),
        inputs=program.inputs,
        unknowns=program.unknowns,
        auxiliaries=program.auxiliaries,
        input_names=tuple(string(name)[1:-1] for name in program.input_names),
        explicit=program.explicit,
        linear=program.linear,
        residual_lines=residual.lines,
        residual_results=residual.results,
        auxiliary_lines=auxiliary.lines,
        auxiliary_results=auxiliary.results,
    )
