"""Spec -> CoupledModel: an operator in indexed notation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import sympy as sp

from opgen.analyse.axes import Formulas
from opgen.analyse.calculus import derivative
from opgen.analyse.coupled import Array, CoupledModel, Nest
from opgen.analyse.nests import Nests
from opgen.analyse.symmetry import is_symmetric
from opgen.errors import SpecError, UnsupportedError
from opgen.loading.indexed import Size
from opgen.loading.spec import Spec, by_name

DEFAULT_SAMPLE = (0.5, 2.0)


def analyse_coupled(spec: Spec) -> CoupledModel:
    """Find the loops, the sizes and the structure of an operator in indexed notation.

    Raises:
        SpecError: indices, shapes and boundary conditions do not fit together.
        UnsupportedError: they do, but are not generated.
    """
    try:
        return _model(spec)
    except SpecError as error:
        if not error.what.startswith(f"{spec.name}: "):
            error.what = f"{spec.name}: {error.what}"
        raise


def _model(spec: Spec) -> CoupledModel:
    if spec.indexing is None:
        raise ValueError(f"{spec.name} has no indexed notation")
    for unknown, bounds in zip(spec.unknowns, spec.bounds, strict=True):
        if bounds is not None:
            raise UnsupportedError(
                f"bounds are given for '{unknown.name}', which is coupled to others",
                "give a guess, or initial in the call",
            )
    made = Nests(spec, Formulas(spec, spec.indexing))
    arrays, nests = tuple(made.arrays), tuple(made.nests)
    equations = [m for m in nests if m.stage == "equation"]
    sums = [m for m in nests if m.stage == "sum" and m.active]
    summed = {m.target for m in sums}
    dense = any(r.array in summed for m in equations for r in m.reads) or not any(made.formulas.axes)
    sizes = by_name({s for m in nests for s in m.value.free_symbols if isinstance(s, Size)})
    model = CoupledModel(
        spec=spec,
        kind="explicit" if spec.explicit else "dense" if dense else "field",
        linear=not spec.explicit and all(_is_linear(m, arrays) for m in (*equations, *sums)),
        symmetric=False,
        sizes=tuple((s, made.dimensions.extent(s, 0, s.name)) for s in sizes),
        dimensions=tuple(made.dimensions.names),
        inputs=spec.inputs,
        unknowns=spec.unknowns,
        arrays=arrays,
        nests=nests,
        boundary=made.boundary,
        sample=tuple(DEFAULT_SAMPLE if s is None else s for s in spec.sample),
        warnings=(),
    )
    _check_determined(model)
    return replace(model, symmetric=is_symmetric(model), warnings=tuple(_warnings(model)))


def _is_linear(nest: Nest, arrays: Sequence[Array]) -> bool:
    active = {r.symbol for r in nest.reads if arrays[r.array].active}
    for symbol in active:
        slope = derivative(nest.value, symbol)
        if slope.free_symbols & active and sp.expand(slope).free_symbols & active:
            return False
    return True


def _check_determined(model: CoupledModel) -> None:
    """Refuse equations in which an unknown does not occur at all."""
    if model.explicit:
        return
    n = len(model.inputs)
    read = {r.array for m in model.nests if m.stage in ("equation", "sum") for r in m.reads}
    for u, symbol in enumerate(model.unknowns):
        if n + u not in read:
            raise SpecError(f"unknown '{symbol.name}' stands in no equation", "complete the residual")


def _warnings(model: CoupledModel) -> Iterator[str]:
    used = {r.array for m in model.nests for r in m.reads}
    for i, symbol in enumerate(model.inputs):
        if i not in used:
            yield f"input {symbol.name} does not occur in the equations: its gradient is zero"
    for symbol, exact in zip(model.unknowns, model.spec.exact, strict=True):
        if exact is not None:
            yield f"exact for {symbol.name} is not used: closed forms of coupled unknowns are not checked"
    known = {x.dimension for a in model.arrays[: len(model.inputs)] for x in a.core}
    for d, name in enumerate(model.dimensions):
        if d not in known:
            yield f"no input has the size {name}: calls need `initial`, whose shape says how large the grid is"
