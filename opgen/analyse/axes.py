"""Which index runs along which axis: the formulas of a definition in indexed notation, made ready to be measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import sympy as sp

from opgen.analyse.sizes import Range, Scope, affine, expand_short_sums
from opgen.errors import SpecError, UnsupportedError
from opgen.loading.indexed import Index, Indexing
from opgen.loading.spec import Spec, by_name, listed

MAX_RANK = 4


class Formulas:
    """The formulas of a definition.

    Attributes:
        equations: Those of the unknowns, in order.
        auxiliary: Those of the auxiliary outputs.
        guess: Those that unknowns start from, None for zero.
        ranks: How many indices each array has.
        axes: The index along each axis of each unknown; of each auxiliary: auxiliary_axes.
        scopes: The range of each of these indices.

    Raises:
        SpecError: indices do not fit together.
    """

    def __init__(self, spec: Spec, indexing: Indexing) -> None:
        self.spec, self.indexing = spec, indexing
        self.equations = tuple(map(_prepared, spec.equations))
        self.auxiliary = tuple(_prepared(e) for _, e in spec.auxiliary)
        self.guess = tuple(None if g is None else _prepared(g) for g in spec.guess)
        self.ranks = self._ranks()
        self.axes = tuple(self._axes(e, u) for e, u in zip(self.equations, spec.unknowns, strict=True))
        self.auxiliary_axes = tuple(
            self._auxiliary_axes(name, e) for (name, _), e in zip(spec.auxiliary, self.auxiliary, strict=True)
        )
        self.scopes = tuple(scope_of("unknown", u, axes) for u, axes in zip(spec.unknowns, self.axes, strict=True))
        self.auxiliary_scopes = tuple(scope_of("auxiliary", q, axes) for q, axes in enumerate(self.auxiliary_axes))

    def all(self) -> Iterator[sp.Expr]:
        """Yield every formula of the definition."""
        yield from (*self.equations, *self.auxiliary)
        yield from (g for g in self.guess if g is not None)
        for _, _, condition in self.spec.boundary:
            yield from (e for e in vars(condition).values() if isinstance(e, sp.Expr))

    def _ranks(self) -> dict[sp.Symbol, int]:
        ranks: dict[sp.Symbol, int] = {}
        for e in self.all():
            for access in accesses(e):
                symbol, rank = access.base.label, len(access.indices)
                if ranks.setdefault(symbol, rank) != rank:
                    here = f"{ranks[symbol]} {_plural(ranks[symbol])}"
                    raise SpecError(
                        f"'{symbol.name}' has {here} in one place and {rank} in another",
                        "an array has one number of axes",
                    )
                if rank > MAX_RANK:
                    raise UnsupportedError(f"'{symbol.name}' has {rank} indices", f"at most {MAX_RANK} are generated")
        for e in self.all():
            for symbol in by_name(_bare(e)):
                if symbol.name in self.indexing.arrays:
                    raise SpecError(
                        f"'{symbol.name}' is an array, but stands without an index in {e}", f"write {symbol.name}[i]"
                    )
        return ranks

    def _axes(self, e: sp.Expr, unknown: sp.Symbol) -> tuple[Index, ...]:
        """Find which free index of an equation runs along which axis of its unknown."""
        free = free_indices(e)
        if self.spec.explicit:
            return self._output_axes(unknown, free)
        rank = self.ranks.get(unknown, 0)
        if len(free) != rank:
            over = f"runs over {listed(by_name(free))}" if free else "has no index that is not summed over"
            shape = f"{rank} {'axis' if rank == 1 else 'axes'}" if rank else "no axis"
            more = "; sum over the others with sympy.Sum" if len(free) > rank else ""
            order = ", and equations are in the order of their unknowns" if len(self.spec.unknowns) > 1 else ""
            raise SpecError(
                f"the equation for '{unknown.name}' {over}, but '{unknown.name}' has {shape}",
                f"an equation needs one free index for each axis of its unknown{order}{more}",
            )
        found: list[Index | None] = [None] * rank
        for access in accesses(e):
            if access.base.label != unknown:
                continue
            for d, position in enumerate(access.indices):
                index, _ = affine(position, f"the index of {access}")
                if isinstance(index, Index) and index in free and found[d] is None and index not in found:
                    found[d] = index
        rest = iter(by_name(free - set(found)))
        return tuple(next(rest) if index is None else index for index in found)

    def _output_axes(self, output: sp.Symbol, free: set[Index]) -> tuple[Index, ...]:
        axes = self._order(output.name) or tuple(by_name(free))
        stray = by_name(free - set(axes))
        if stray:
            raise SpecError(
                f"'{output.name}' depends on the index {listed(stray)}, but is not indexed by it",
                f"name the output with all its indices, {output.name}[{listed((*axes, *stray))}]",
            )
        self.ranks[output] = len(axes)
        return axes

    def _auxiliary_axes(self, name: str, e: sp.Expr) -> tuple[Index, ...]:
        free = free_indices(e)
        order = [*self._order(name), *(i for axes in self.axes for i in axes), *by_name(free)]
        return tuple(dict.fromkeys(i for i in order if i in free))

    def _order(self, name: str) -> tuple[Index, ...]:
        return dict(self.indexing.orders).get(name, ())


def scope_of(role: str, number: Any, axes: Iterable[Index]) -> Scope:
    """Let indices run along the axes of an operand."""
    return {index: Range(0, (role, number, d), 0) for d, index in enumerate(axes)}


def accesses(e: sp.Basic) -> list[Any]:
    """List the entries of arrays that a formula reads, in an order that does not depend on the hash seed."""
    return sorted(e.atoms(sp.Indexed), key=str)


def free_indices(e: sp.Expr) -> set[Index]:
    """Return the indices of a formula that no sum runs over."""
    return {s for s in e.free_symbols if isinstance(s, Index)}


def _bare(e: sp.Basic) -> set[sp.Symbol]:
    """Return the symbols that stand in a formula by themselves, not as the name of an array."""
    if isinstance(e, sp.Indexed):
        return set().union(*map(_bare, e.indices))
    if isinstance(e, sp.IndexedBase):
        return {e.label}
    if isinstance(e, sp.Symbol):
        return {e}
    return set().union(*map(_bare, e.args))


def _prepared(e: sp.Expr) -> sp.Expr:
    delta: Any = sp.KroneckerDelta
    e = e.replace(delta, lambda a, b, *_: sp.Piecewise((1, sp.Eq(a, b)), (0, True)))  # type: ignore[assignment]
    return expand_short_sums(e)


def _plural(number: int) -> str:
    return "index" if number == 1 else "indices"
