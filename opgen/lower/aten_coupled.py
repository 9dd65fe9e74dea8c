"""Nests -> ATen C++ that autograd differentiates, as often as asked.

A formula in loops becomes operations on tensors of all positions at once: what it reads of an array at ``i - 1`` is
the array shifted by one, and what lies outside a grid is appended to it first. A sum whose summand is a product of
factors that run over different loops, ``W[i, j] * z[j]``, becomes a contraction, so that the product is never formed.
The text is written with what ``opgen/aten_arrays.h`` and ``opgen/aten_functions.h`` offer.

A loop whose ends depend on where another stands runs over all positions that occur. A summand that may be anything
where it does not come is evaluated only where it does; in a polynomial, what is read there is zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import sympy as sp
from sympy.logic.boolalg import Boolean

from opgen.analyse.coupled import Bound, CoupledModel, Extent, Nest, Read
from opgen.errors import UnsupportedError
from opgen.lower.aten import aten_lines
from opgen.lower.aten_nests import AtenNest, AtenNests
from opgen.lower.names import identifiers

# What the text calls its own: no read can be called so.
TAKEN = (
    "of", "loops", "index", "read", "filled", "sum", "contract", "only", "extended", "piecewise", "constant",
    "max", "min", "remainder", "polygamma", "sinc", "Loops", "Array", "Arrays", "Side", "Outside", "Tensors",
)  # fmt: skip


def aten_nests(model: CoupledModel) -> AtenNests:
    """Write the equations and auxiliaries of a coupled operator in ATen.

    Raises:
        UnsupportedError: a function cannot be written in ATen; the message names it.
    """
    return _Lowering(model).nests()


class _Lowering:
    def __init__(self, model: CoupledModel) -> None:
        self.model = model
        self.first = len(model.inputs)
        self.end = self.first + len(model.unknowns)
        members = identifiers([*TAKEN, *(a.symbol.name for a in model.arrays), *model.dimensions])[len(TAKEN) :]
        self.arrays, self.sizes = members[: len(model.arrays)], members[len(model.arrays) :]
        self.order = self._order()

    def nests(self) -> AtenNests:
        model = self.model
        functions: dict[int, AtenNest] = {}
        for i in sorted({i for needed in self.order.values() for i in needed}):
            nest = model.nests[i]
            try:
                functions[i] = _Function(self, nest).code()
            except UnsupportedError as error:
                raise UnsupportedError(f"{model.spec.name}: {error}") from None

        def made(numbers: Iterable[int]) -> tuple[str, ...]:
            return tuple(f"of.{self.arrays[model.nests[i].target]} = {functions[i].name}(of);" for i in numbers)

        def results(stage: str) -> tuple[str, ...]:
            return tuple(self.function(nest) for i, nest in enumerate(model.nests) if nest.stage == stage)

        boundary = self.order["boundary"]
        rings = [line for i in range(self.first) for line in self._extended(i)]
        auxiliaries = [a for a in model.arrays if a.role == "auxiliary"]
        kept = [i for i, a in enumerate(model.arrays) if a.role != "auxiliary"]
        return AtenNests(
            arrays=tuple(self.arrays[i] for i in kept),
            sizes=self.sizes,
            inputs=(*rings, *made(boundary)),
            unknowns=tuple(line for i in range(self.first, self.end) for line in self._extended(i)),
            residual=made(i for i in self.order["equation"] if model.nests[i].stage == "sum" and i not in boundary),
            auxiliary=made(i for i in self.order["auxiliary"] if model.nests[i].stage == "sum" and i not in boundary),
            equations=results("equation"),
            auxiliaries=results("auxiliary"),
            nests=tuple(functions[i] for i in sorted(functions)),
            cores=tuple(_core(a.core) for a in (*model.arrays[: self.end], *auxiliaries)),
        )

    def _order(self) -> dict[str, list[int]]:
        """Find for each stage the nests of which its arrays are made, in the order in which they are computed."""
        found: dict[str, list[int]] = {}
        for stage in ("boundary", "equation", "auxiliary"):
            needed = {i for i, nest in enumerate(self.model.nests) if nest.stage == stage}
            for i in range(len(self.model.nests) - 1, -1, -1):
                read = {r.array for j in needed if j > i for r in self.model.nests[j].reads}
                if self.model.nests[i].stage == "sum" and self.model.nests[i].target in read:
                    needed.add(i)
            found[stage] = sorted(needed)
        return found

    def _extended(self, array: int) -> list[str]:
        """Append to an input or unknown what it is outside its grid."""
        lines = []
        for axis, pair in enumerate(self.model.boundary[array]):
            sides = []
            for side in pair:
                value = f", of.{self.arrays[side.array]}.values" if side.array >= 0 else ""
                sides.append(f"{{Outside::{side.kind}, {side.halo}{value}}}" if side.halo else "{}")
            if any(side.halo for side in pair):
                name = f"of.{self.arrays[array]}"
                lines.append(f"{name} = extended({name}, {axis}, {', '.join(sides)});")
        return lines

    def function(self, nest: Nest) -> str:
        """Name the function that computes a nest."""
        kind = {"equation": "value_" if self.model.explicit else "residual_", "auxiliary": "auxiliary_"}
        return kind.get(nest.stage, "") + self.arrays[nest.target]

    def bound(self, bound: Bound) -> str:
        """Write an end of a loop that depends on sizes alone."""
        if bound.dimension < 0:
            return str(bound.offset)
        return f"of.{self.sizes[bound.dimension]}{_plus(bound.offset)}"


@dataclass(frozen=True)
class _Condition:
    """An end of a loop that depends on an outer one: index >= outer + offset, or index < outer + offset."""

    index: sp.Symbol
    outer: sp.Symbol
    offset: int
    stop: bool
    loops: frozenset[int]

    def holds(self) -> Boolean:
        relation = sp.Lt if self.stop else sp.Ge
        made: Boolean = relation(self.index, self.outer + self.offset, evaluate=False)
        return made


class _Function:
    """The function that computes one nest."""

    def __init__(self, lowering: _Lowering, nest: Nest) -> None:
        self.lowering, self.nest = lowering, nest
        self.rank = nest.rank(lowering.model.arrays)
        self.loops_of = {r.symbol: frozenset(loop for loop, _ in r.axes if loop >= 0) for r in nest.reads}
        self.loops_of |= {loop.index: frozenset({i}) for i, loop in enumerate(nest.loops)}
        self.conditions = tuple(
            _Condition(loop.index, nest.loops[end.loop].index, end.offset, end is loop.stop, frozenset({i, end.loop}))
            for i, loop in enumerate(nest.loops)
            for end in (loop.start, loop.stop)
            if end.loop >= 0
        )
        self.masks: dict[str, frozenset[int]] = {}
        used = nest.value.free_symbols | {s for c in self.conditions for s in (c.index, c.outer)}
        self.sizes = [(s, e) for s, e in lowering.model.sizes if s in used]
        self.indices = [(i, loop.index) for i, loop in enumerate(nest.loops) if loop.index in used]
        symbols = [*(r.symbol for r in nest.reads), *(s for _, s in self.indices), *(s for s, _ in self.sizes)]
        spelled = identifiers([*TAKEN, *(s.name for s in symbols)])[len(TAKEN) :]
        self.names = dict(zip(symbols, spelled, strict=True))

    def code(self) -> AtenNest:
        """Write the function."""
        nest, value, lowering = self.nest, self.nest.value, self.lowering
        masks: list[str] = []
        if self.conditions and value.is_polynomial(*value.free_symbols):
            masks, value = self._masked(value)
        elif self.conditions:
            value = sp.Piecewise((value, sp.And(*(c.holds() for c in self.conditions))), (0, True), evaluate=False)
        lines, result = self._result(value)
        head = [f"const at::Tensor {self.names[s]} = constant({self._extent(e)});" for s, e in self.sizes]
        head += [f"const at::Tensor {self.names[s]} = index(loops, {i});" for i, s in self.indices]
        head += [*masks, *map(self._read, nest.reads)]
        if any("loops" in line for line in (*head, *lines, result)):
            head.insert(0, f"const Loops loops{{{', '.join(self._loops())}}};")
        return AtenNest(lowering.function(nest), _sentence(lowering.model, nest), (*head, *lines), result)

    # Loops.

    def _loops(self) -> list[str]:
        return [f"{{{self._end(i, first=True)}, {self._end(i, first=False)}}}" for i in range(len(self.nest.loops))]

    def _end(self, number: int, first: bool) -> str:
        """Write the first position of a loop, or the one behind its last, of all that occur."""
        bound = self.nest.loops[number].start if first else self.nest.loops[number].stop
        if bound.loop < 0:
            return self.lowering.bound(bound)
        outer = self.nest.loops[bound.loop].start if first else self.nest.loops[bound.loop].stop
        more = bound.offset - (0 if first else 1)
        if outer.loop < 0:
            return self.lowering.bound(Bound(outer.dimension, -1, outer.offset + more))
        return f"{self._end(bound.loop, first)}{_plus(more)}"

    def _extent(self, extent: Extent) -> str:
        return self.lowering.bound(Bound(extent.dimension, -1, extent.offset))

    # Reads.

    def _read(self, read: Read) -> str:
        positions = ", ".join(f"{{{loop}{f', {shift}' if shift or loop < 0 else ''}}}" for loop, shift in read.axes)
        text = f"read(of.{self.lowering.arrays[read.array]}, loops{f', {{{positions}}}' if read.axes else ''})"
        for mask, loops in self.masks.items():
            if loops <= self.loops_of[read.symbol]:
                text = f"only({mask}, {text})"
        return f"const at::Tensor {self.names[read.symbol]} = {text};"

    def _masked(self, value: sp.Expr) -> tuple[list[str], sp.Expr]:
        """Let what is read be zero where a loop does not come, and the summand where that is not enough."""
        lines = []
        for number, c in enumerate(self.conditions, 1):
            name = f"within{number}"
            outer = f"{self.names[c.outer]}{_plus(c.offset)}"
            lines.append(f"const at::Tensor {name} = {self.names[c.index]} {'<' if c.stop else '>='} {outer};")
            self.masks[name] = c.loops
            if not any(_divides(r.symbol, value) for r in self.nest.reads if c.loops <= self.loops_of[r.symbol]):
                mask = sp.Symbol(name, real=True)
                self.names[mask], self.loops_of[mask] = f"{name}.to(at::kDouble)", c.loops
                value = mask * value
        return lines, value

    # Formulas.

    def _result(self, value: sp.Expr) -> tuple[tuple[str, ...], str]:
        """Write the statements of the formula, and what the function returns."""
        nest = self.nest
        if len(nest.loops) > self.rank and (terms := self._contractions(value)) is not None:
            code = aten_lines([factor for term in terms for factor in term], self.names)
            texts = iter(code.results)
            products = [f"contract({{{', '.join(next(texts) for _ in term)}}}, loops, {self.rank})" for term in terms]
            return code.lines, " + ".join(products)
        code = aten_lines([value], self.names)
        (result,) = code.results
        if len(nest.loops) > self.rank:
            return code.lines, f"sum({result}, loops, {self.rank})"
        return code.lines, f"filled({result}, loops)" if nest.stage == "boundary" else result

    def _contractions(self, value: sp.Expr) -> list[list[sp.Expr]] | None:
        """Part a summand into products of factors over different loops; None if it is not made of such."""
        summed = frozenset(range(self.rank, len(self.nest.loops)))
        terms = []
        for term in sp.Add.make_args(value):
            number, factors = term.as_coeff_mul()
            groups: dict[frozenset[int], list[sp.Expr]] = defaultdict(list)
            for factor in factors:
                groups[self._runs_over(factor)].append(factor)
            inner = [loops for loops in groups if loops & summed]
            if len(inner) < 2 or not summed <= frozenset().union(*inner):
                return None
            first, *rest = _chain(inner, summed) + [loops for loops in groups if loops not in inner]
            terms.append([number * sp.Mul(*groups[first]), *(sp.Mul(*groups[loops]) for loops in rest)])
        return terms

    def _runs_over(self, expr: sp.Basic) -> frozenset[int]:
        return frozenset(i for s, loops in self.loops_of.items() if s in expr.free_symbols for i in loops)


def _chain(inner: Sequence[frozenset[int]], summed: frozenset[int]) -> list[frozenset[int]]:
    """Order factors so that those multiplied from left to right share what is summed, and the smallest come first."""
    rest = sorted(inner, key=lambda loops: (len(loops), sorted(loops)))
    chain = [rest.pop(0)]
    seen = chain[0]
    while rest:
        best = min(rest, key=lambda loops: (not loops & seen & summed, len(loops | seen), sorted(loops)))
        rest.remove(best)
        chain.append(best)
        seen |= best
    return chain


def _core(core: Sequence[Extent]) -> str:
    axes = ", ".join(f"{{{x.dimension}, {x.offset}}}" for x in core)
    return f"{{{len(core)}, {{{axes}}}}}"


def _plus(offset: int) -> str:
    return f" {'-' if offset < 0 else '+'} {abs(offset)}" if offset else ""


def _divides(symbol: sp.Symbol, expr: sp.Expr) -> bool:
    """Tell whether every term of a polynomial has a factor."""
    return all(
        any(factor.as_base_exp()[0] == symbol for factor in sp.Mul.make_args(term)) for term in sp.Add.make_args(expr)
    )


def _sentence(model: CoupledModel, nest: Nest) -> str:
    name = model.arrays[nest.target].symbol.name
    positions = ", ".join(loop.index.name for loop in nest.loops[: nest.rank(model.arrays)])
    indexed = f"{name}[{positions}]" if positions else name
    of = f"The residual of {indexed}:" if nest.stage == "equation" and not model.explicit else f"{indexed} ="
    return " ".join(f"{of} {nest.text}".split()).rstrip("\\")
