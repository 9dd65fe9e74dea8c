"""What the templates of the Python package see."""

from __future__ import annotations

from dataclasses import dataclass

from opgen.lower.names import fields
from opgen.lower.program import Program
from opgen.render.prose import example, function_docstring, method, module_docstring, plain, signature, small_sizes
from opgen.render.view import registered_name, torch_namespace, type_name


@dataclass(frozen=True)
class Check:
    """What the generated tests know of one operator."""

    sample: tuple[tuple[float, float], ...]
    sample_given: bool
    residual: tuple[str, ...]  # Python text over mpmath's functions
    exact: tuple[str | None, ...]
    auxiliary: tuple[str, ...]
    sizes: tuple[int, ...]  # of the small grids on which coupled operators are checked


@dataclass(frozen=True)
class PackageView:
    """The holes of the package's Python files and README."""

    docstring: str
    function: str
    function_docstring: str
    name: str
    title: str
    equations: tuple[str, ...]
    guess: tuple[str, ...]
    bounds: tuple[str, ...]
    method: tuple[str, ...]
    call: str
    signature: str
    example: tuple[str, ...]
    targets: tuple[str, ...]
    tensorflow: bool
    jax: bool
    input_names: tuple[str, ...]
    unknown_names: tuple[str, ...]
    auxiliary_names: tuple[str, ...]
    coupled: bool
    dimension_names: tuple[str, ...]
    cores: tuple[tuple[tuple[int, int], ...], ...]
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    layer: str
    values_type: str
    value_fields: tuple[str, ...]
    explicit_operator: bool
    several: bool
    default_tol: float | None
    max_iterations: int
    default_adjoint: str
    registered_name: str
    torch: bool
    torch_namespace: str
    short_digest: str
    check: Check


def package_view(program: Program, targets: tuple[str, ...]) -> PackageView:
    """Fit a program to the templates of the Python package."""
    what = "; ".join(program.mathematics.equations)
    outputs = fields((*program.unknown_names, *program.auxiliary_names))
    does = "Compute" if program.explicit else "Solve"
    first = plain(program.doc.strip().splitlines()[0] if program.doc.strip() else f"{does} {what}.")
    return PackageView(
        docstring=module_docstring(program, what),
        function=program.name,
        function_docstring=function_docstring(program, first),
        name=program.name,
        title=first,
        equations=program.mathematics.equations,
        guess=program.mathematics.guess,
        bounds=program.mathematics.bounds,
        method=method(program),
        call=f"{program.name}({', '.join(program.inputs)})",
        signature=signature(program),
        example=example(program) if program.coupled else (),
        targets=targets,
        tensorflow="tf" in targets,
        jax="jax" in targets,
        input_names=program.input_names,
        unknown_names=program.unknown_names,
        auxiliary_names=program.auxiliary_names,
        coupled=program.coupled,
        dimension_names=program.dimension_names,
        cores=program.cores,
        inputs=program.inputs,
        unknowns=program.unknowns,
        layer=f"{type_name(program.name)}Layer",
        values_type=f"{type_name(program.name)}Values",
        value_fields=outputs,
        explicit_operator=program.explicit,
        several=len(outputs) > 1,
        default_tol=program.tol,
        max_iterations=program.max_iterations,
        default_adjoint="direct" if program.adjoint_default == "auto" else program.adjoint_default,
        registered_name=registered_name(program),
        torch="torch" in targets,
        torch_namespace=torch_namespace(program),
        short_digest=program.digest[:8],
        check=Check(
            sample=program.sample,
            sample_given=program.sample_given,
            residual=program.mathematics.mpmath_residual,
            exact=program.mathematics.mpmath_exact,
            auxiliary=program.mathematics.mpmath_auxiliary,
            sizes=small_sizes(program),
        ),
    )
