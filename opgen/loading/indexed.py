"""Bring indexed notation into one form: arrays named by a symbol, indices and sizes told apart from data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import sympy as sp

from opgen.errors import SpecError, UnsupportedError
from opgen.loading.define import Dirichlet, Explicit, Implicit, Neumann, Periodic


class Index(sp.Symbol):
    """A position along an axis; a loop in generated code."""


class Size(sp.Symbol):
    """The extent of an axis, read off the tensors."""


def make_index(name: str) -> Index:
    """Make an index with what is known of all: it is 0, 1, ..."""
    return Index(name, integer=True, nonnegative=True)  # type: ignore[no-untyped-call]


def make_size(name: str) -> Size:
    """Make a size with what is known of all."""
    return Size(name, integer=True, positive=True)  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class Indexing:
    """What indexed notation says besides the equations.

    Attributes:
        arrays: Names of the symbols that stand for arrays.
        ranges: First and last value of each index that was declared with a range.
        orders: Indices of each output that was named with them, y[i, j].
    """

    arrays: frozenset[str]
    ranges: tuple[tuple[Index, tuple[sp.Expr, sp.Expr]], ...]
    orders: tuple[tuple[str, tuple[Index, ...]], ...]


def is_indexed(definition: Implicit | Explicit) -> bool:
    """Tell whether a definition uses indexed symbols anywhere."""
    kinds = (sp.Indexed, sp.IndexedBase, sp.Idx)
    return any(isinstance(v, kinds) or v.has(*kinds) for v in _expressions(definition))


def canonical(definition: Any) -> tuple[Any, Indexing]:
    """Rewrite a definition so that `u[i]` is made of a Symbol u, an Index i and, in ranges, Sizes.

    Unknowns, inputs and the keys of options become plain symbols.

    Raises:
        SpecError: a name is used as two things.
    """
    values = list(_expressions(definition))
    mapping = _names(values)
    ranges = tuple(
        (mapping[idx], (sp.sympify(idx.lower).xreplace(mapping), sp.sympify(idx.upper).xreplace(mapping)))
        for idx in sorted({a for v in values for a in v.atoms(sp.Idx)}, key=str)
        if idx.upper is not None
    )
    labels = {base: mapping[base].label for base in mapping if isinstance(base, sp.IndexedBase)}
    arrays = frozenset(label.name for label in labels.values())
    names: dict[str, sp.Symbol] = {label.name: label for label in labels.values()}

    orders: list[tuple[str, tuple[Index, ...]]] = []

    def key(k: Any) -> Any:
        if isinstance(k, sp.Indexed):
            label = labels[k.base]
            positions = tuple(p.xreplace(mapping) for p in k.indices)
            if not all(isinstance(p, Index) for p in positions):
                raise SpecError(f"'{k}' is named with what is no index", f"name it {label.name}, or {label.name}[i]")
            orders.append((label.name, positions))
            return label
        if isinstance(k, str):
            return names.get(k, k)
        return labels.get(k, k) if isinstance(k, sp.IndexedBase) else k

    def change(value: Any) -> Any:
        if isinstance(value, sp.IndexedBase):
            return labels[value]
        if isinstance(value, sp.Basic):
            return value.xreplace(mapping)
        if isinstance(value, (Dirichlet, Neumann, Periodic)):
            return replace(value, **{f.name: change(getattr(value, f.name)) for f in fields(value)})
        if isinstance(value, Mapping):
            return {
                change(key(k)) if not isinstance(k, tuple) else tuple(map(change, k)): change(v)
                for k, v in value.items()
            }
        if isinstance(value, (list, tuple)):
            return type(value)(change(v) for v in value)
        return value

    changed = {}
    for f in fields(definition):
        if not f.init:
            continue
        value = getattr(definition, f.name)
        if f.name in ("unknown", "inputs"):
            value = [key(v) for v in value] if isinstance(value, (list, tuple)) else key(value)
        changed[f.name] = change(value)
    return replace(definition, **changed), Indexing(arrays, ranges, tuple(dict.fromkeys(orders)))


def _expressions(definition: Any) -> Iterator[sp.Basic]:
    """Yield every SymPy object of a definition."""

    def walk(value: Any) -> Iterator[sp.Basic]:
        if isinstance(value, sp.Basic):
            yield value
        elif isinstance(value, (Dirichlet, Neumann, Periodic)):
            for f in fields(value):
                yield from walk(getattr(value, f.name))
        elif isinstance(value, Mapping):
            for k, v in value.items():
                yield from walk(k)
                yield from walk(v)
        elif isinstance(value, (list, tuple)):
            for v in value:
                yield from walk(v)

    for f in fields(definition):
        if f.init:
            yield from walk(getattr(definition, f.name))


def _names(values: Iterable[sp.Basic]) -> dict[Any, Any]:
    """Map arrays, indices and sizes to what stands for them."""
    values = list(values)
    bases = sorted(
        {b for v in values for b in v.atoms(sp.IndexedBase)} | {v for v in values if isinstance(v, sp.IndexedBase)},
        key=str,
    )
    mapping: dict[Any, Any] = {}
    taken: dict[str, str] = {}

    def take(name: str, role: str) -> None:
        if taken.setdefault(name, role) != role:
            raise SpecError(f"'{name}' is used as {taken[name]} and as {role}", "each name can be one thing only")

    by_label: dict[str, sp.IndexedBase] = {}
    for base in bases:
        if not isinstance(base.label, sp.Symbol):
            raise UnsupportedError(f"the array {base} is not named by a symbol", "write sympy.IndexedBase('u')")
        take(base.label.name, "an array")
        own = sp.IndexedBase(base.label if base.label.is_real is not None else sp.Symbol(base.label.name, real=True))
        mapping[base] = by_label.setdefault(own.label.name, own)
    indices: set[Any] = {a for v in values for a in v.atoms(sp.Idx)}
    for v in values:
        for s in v.atoms(sp.Sum, sp.Product):
            indices |= {limit[0] for limit in s.limits}
        for access in v.atoms(sp.Indexed):
            for position in access.indices:
                indices |= (
                    {a for a in position.free_symbols if isinstance(a, sp.Symbol)}
                    if not position.atoms(sp.Idx)
                    else set()
                )
    limits = [e for v in values for s in v.atoms(sp.Sum, sp.Product) for limit in s.limits for e in limit[1:]]
    limits += [
        e for idx in indices if isinstance(idx, sp.Idx) and idx.upper is not None for e in (idx.lower, idx.upper)
    ]
    sizes = {s for e in limits for s in sp.sympify(e).free_symbols if isinstance(s, sp.Symbol)}
    declared = any(isinstance(index, sp.Idx) for index in indices)
    for index in sorted(indices, key=str):
        name = index.name if isinstance(index, sp.Symbol) else str(index.label)
        # A size may stand in a position too: u[n - 1]. Where indices are Idx, other symbols are sizes.
        if isinstance(index, sp.Symbol) and (declared or index in sizes) and not _is_bound(index, values):
            sizes.add(index)
            continue
        take(name, "an index")
        mapping[index] = make_index(name)
    for size in sorted(sizes, key=str):
        if size not in mapping:
            take(size.name, "a size")
            mapping[size] = make_size(size.name)
    for v in values:
        for symbol in v.free_symbols:
            if type(symbol) is sp.Symbol and symbol not in mapping and taken.get(symbol.name, "an array") != "an array":
                raise SpecError(
                    f"two different symbols are named '{symbol.name}', one of them {taken[symbol.name]}",
                    "SymPy tells them apart: create the symbol once and use it throughout",
                )
    return mapping


def _is_bound(symbol: sp.Symbol, values: list[sp.Basic]) -> bool:
    """Tell whether a sum runs over a symbol, or it indexes an array by itself."""
    for v in values:
        if any(limit[0] == symbol for s in v.atoms(sp.Sum, sp.Product) for limit in s.limits):
            return True
        if any(symbol == position for access in v.atoms(sp.Indexed) for position in access.indices):
            return True
    return False
