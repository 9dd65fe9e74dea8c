"""What the templates of the C header and of the CMake package see."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from opgen.lower.program import Program
from opgen.render.prose import plain, shape

Core = tuple[tuple[int, int], ...]
# Names of the header's own, and words of C that are none of C++.
_OWN = (
    *("at", "cotangents", "found", "given", "gradients", "on_failure", "options", "points", "report", "root", "sizes"),
    *("steps", "systems", "restrict"),
)


@dataclass(frozen=True)
class HeaderView:
    """The holes of op.h and of config.cmake.

    Attributes:
        operands: Sentences about inputs and outputs.
        evaluate: Lines of the parameters of the function that solves; gradient alike.
        strides: Statements that describe contiguous arrays.
        scalars: Whether any operand is a number for each point or system.
        given: Initialiser of the inputs' arrays; found, root, cotangents and gradients alike.
    """

    banner: tuple[str, ...]
    op: str
    guard: str
    title: str
    equations: tuple[str, ...]
    operands: tuple[str, ...]
    point: str
    batch: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unknowns: int
    evaluate: tuple[str, ...]
    gradient: tuple[str, ...]
    strides: tuple[str, ...]
    scalars: bool
    given: str
    found: str
    root: str
    cotangents: str
    gradients: str


def header_view(program: Program, banner: tuple[str, ...]) -> HeaderView:
    """Fit a program to the template of its C header."""
    inputs, unknowns, auxiliaries = (
        tuple(map(_apart, names)) for names in (program.inputs, program.unknowns, program.auxiliaries)
    )
    outputs = (*unknowns, *auxiliaries)
    doc = program.doc.strip().splitlines()
    cores = program.cores if program.coupled else ((),) * (len(inputs) + len(outputs))
    names = (*program.input_names, *program.unknown_names, *program.auxiliary_names)
    shapes = [plain(name) for name in names]
    if program.coupled:
        shapes = [f"{name} {shape(core, program.dimension_names)}" for name, core in zip(shapes, cores, strict=True)]
    steps = dict(zip((*inputs, *outputs), (_steps(core) for core in cores), strict=True))
    count = "systems" if program.coupled else "points"
    first = (*(f"int64_t {name}" for name in _sizes(program)), f"int64_t {count}")
    last = ("int on_failure", "opgen_report* report")
    x = tuple(f"const double* {name}" for name in inputs)
    roots = () if program.explicit else tuple(f"const double* {name}" for name in unknowns)
    bars = tuple(f"const double* dJ_d{name}" for name in outputs)
    return HeaderView(
        banner=banner,
        op=program.name,
        guard=f"OPGEN_{program.digest[:8].upper()}_H",
        title=plain(doc[0] if doc else f"The operator {program.name}.").rstrip("\\"),
        equations=tuple(" ".join(e.split()).rstrip("\\") for e in program.mathematics.equations),
        operands=(f"Inputs: {', '.join(shapes[: len(inputs)])}.", f"Outputs: {', '.join(shapes[len(inputs) :])}."),
        point="system" if program.coupled else "point",
        batch="one system after the other" if program.coupled else "at every point",
        inputs=inputs,
        outputs=outputs,
        unknowns=len(unknowns),
        evaluate=_wrapped((*first, *x, *(f"double* {name}" for name in outputs), *last)),
        gradient=_wrapped((*first, *x, *roots, *bars, *(f"double* into_{name}" for name in inputs), *last)),
        strides=_strides(program, cores, count),
        scalars=() in cores,
        given=_braced(tuple(f"{{(void*){name}, {steps[name]}}}" for name in inputs)),
        found=_braced((*(f"{{{name}, {steps[name]}}}" for name in outputs), "{0, steps}")),
        root=_braced(tuple(f"{{{'0' if program.explicit else f'(void*){name}'}, {steps[name]}}}" for name in unknowns)),
        cotangents=_braced(tuple(f"{{(void*)dJ_d{name}, {steps[name]}}}" for name in outputs)),
        gradients=_braced(tuple(f"{{into_{name}, {steps[name]}}}" for name in inputs)),
    )


def _apart(name: str) -> str:
    """Keep the name of an operand apart from those that the header uses itself."""
    own = name in _OWN or name.startswith(("dJ_d", "into_", "opgen_", "size_", "steps_"))
    return f"{name}_" if own else name


def _wrapped(parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Break a list into lines between its entries."""
    joined = ", ".join(entry.replace(" ", "\0") for entry in parameters)
    lines = textwrap.wrap(joined, 110, break_long_words=False, break_on_hyphens=False)
    return tuple(line.replace("\0", " ") for line in lines)


def _braced(entries: tuple[str, ...]) -> str:
    """Write an initialiser."""
    return "{" + "\n      ".join(_wrapped(entries)) + "}"


def _sizes(program: Program) -> tuple[str, ...]:
    """Name the sizes of core axes."""
    names = program.dimension_names if program.coupled else ()
    return tuple(f"size_{name if name.isascii() and name.isidentifier() else d}" for d, name in enumerate(names))


def _steps(core: Core) -> str:
    """Name the strides of a shape, which all operands of it share."""
    signs = (f"{'of' if d < 0 else d}{'m' if offset < 0 else 'p' if offset > 0 or d < 0 else ''}" for d, offset in core)
    offsets = (str(abs(offset)) if offset or d < 0 else "" for d, offset in core)
    return "_".join(("steps", *map("".join, zip(signs, offsets, strict=True))))


def _strides(program: Program, cores: tuple[Core, ...], count: str) -> tuple[str, ...]:
    """Describe contiguous arrays: first along the batch, then along the core axes."""
    sizes = _sizes(program)
    lines = []
    for core in dict.fromkeys(core for core in cores if core):
        extents = [_extent(sizes, *axis) for axis in core]
        strides = [" * ".join(extents[axis:]) or "1" for axis in range(len(core) + 1)]
        lines.append(f"const int64_t {_steps(core)}[] = {{{', '.join(strides)}}};")
    if sizes:
        lines.append(f"const int64_t sizes[] = {{{', '.join(sizes)}}};")
    return (*lines, f"const opgen_points at = {{OPGEN_FLOAT64, 1, &{count}, {'sizes' if sizes else '0'}}};")


def _extent(sizes: tuple[str, ...], dimension: int, offset: int) -> str:
    if dimension < 0:
        return str(offset)
    return f"({sizes[dimension]} {'-' if offset < 0 else '+'} {abs(offset)})" if offset else sizes[dimension]
