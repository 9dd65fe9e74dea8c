"""Check a definition of a residual file and turn it into a Spec: the one place where loose values become typed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import sympy as sp

from opgen.errors import SpecError, suggest
from opgen.loading.boundary import conditions, sides
from opgen.loading.define import Explicit, Implicit
from opgen.loading.expression import (
    check_real,
    check_symbol,
    equation,
    expression,
    number,
    without_cancelled,
)
from opgen.loading.indexed import Index, Indexing, Size, canonical, is_indexed
from opgen.loading.loose import (
    as_count,
    as_float,
    as_list,
    as_table,
    as_text,
    as_tolerance,
    assumptions,
    auxiliary_name,
    by_unknown,
    ends,
    output_keys,
)
from opgen.loading.spec import Source, Spec, by_name, free, listed, short


class _Symbols:
    """The symbols of one definition by name: names in options are looked up here, and each name is one symbol."""

    def __init__(self, symbols: Iterable[sp.Symbol]) -> None:
        self._known: dict[str, sp.Symbol] = {}
        for symbol in symbols:
            check_symbol(symbol)
            other = self._known.setdefault(symbol.name, symbol)
            if other != symbol:
                one, two = sorted((assumptions(other), assumptions(symbol)))
                raise SpecError(
                    f"two different symbols are named '{symbol.name}', one declared with {one}, one with {two}",
                    "SymPy tells them apart: create the symbol once and use it throughout",
                )

    def find(self, key: object, role: str) -> sp.Symbol:
        """Return the symbol that a key of an option means."""
        if isinstance(key, sp.Symbol):
            return key
        if not isinstance(key, str):
            raise SpecError(f"{role} names {short(key)} of type {type(key).__name__}", "give symbols or their names")
        if key not in self._known:
            advice = suggest(key, self._known) or f"the symbols are {', '.join(sorted(self._known)) or 'none'}"
            raise SpecError(f"{role} names '{key}', which is no symbol of the residual", advice)
        return self._known[key]

    def get(self, name: str) -> sp.Symbol | None:
        return self._known.get(name)


def to_spec(
    definition: Implicit | Explicit, name: str, source: Source, order: Sequence[sp.Symbol | sp.IndexedBase] = ()
) -> Spec:
    """Turn a definition into a checked Spec.

    Args:
        definition: What the user wrote.
        name: Name of the operator.
        source: Where it was defined.
        order: Symbols in the order of their definition, which orders inputs that are not listed.

    Raises:
        SpecError: The definition contradicts itself.
        UnsupportedError: It is of a kind that is not generated.
    """
    indexing = None
    if is_indexed(definition):
        definition, indexing = canonical(definition)
    elif isinstance(definition, Implicit) and definition.boundary is not None:
        raise SpecError("boundary is given, but nothing is indexed", "only fields, u[i], have one")
    symbols = [s.label if isinstance(s, sp.IndexedBase) else s for s in order]
    if isinstance(definition, Explicit):
        outputs = as_table(definition.outputs, "outputs")
        implicit = Implicit(
            residual=[value for _, value in outputs],
            unknown=output_keys(outputs),
            inputs=definition.inputs,
            sample=definition.sample,
            constants=definition.constants,
            auxiliary=definition.auxiliary,
            doc=definition.doc,
        )
        return _Conversion(implicit, indexing, explicit=True).spec(name, source, symbols)
    return _Conversion(definition, indexing, explicit=False).spec(name, source, symbols)


class _Conversion:
    """Convert one definition; the fields hold what several options need."""

    def __init__(self, definition: Implicit, indexing: Indexing | None, *, explicit: bool) -> None:
        self.definition = definition
        self.indexing = indexing
        self.explicit = explicit
        residuals = as_list(definition.residual, "residual")
        role = "output" if explicit else "residual" if len(residuals) == 1 else "equation"
        roles = [role if len(residuals) == 1 else f"{role} {i}" for i in range(1, len(residuals) + 1)]
        accept = expression if explicit else equation
        self.equations = [accept(value, which) for value, which in zip(residuals, roles, strict=True)]
        self.roles = roles
        self.auxiliary = [
            (auxiliary_name(key), expression(value, f"auxiliary '{key}'"))
            for key, value in as_table(definition.auxiliary, "auxiliary")
        ]
        self.symbols = _Symbols(self._mentioned())
        self.constants = self._constants()
        self.unknowns = self._unknowns()

    def spec(self, name: str, source: Source, order: Sequence[sp.Symbol]) -> Spec:
        """Assemble the Spec, whose constructor checks how its parts fit."""
        definition = self.definition
        pairs = zip(self.equations, self.roles, strict=True)
        equations = tuple(without_cancelled(self._fold(value, role)) for value, role in pairs)
        auxiliary = tuple((key, self._fold(value, f"auxiliary '{key}'")) for key, value in self.auxiliary)
        boundary = conditions(definition.boundary)
        inputs = self._inputs([*equations, *(value for _, value in auxiliary), *boundary], order)
        guess = self._per_unknown(definition.guess, "guess")
        bounds = self._per_unknown(definition.bounds, "bounds")
        exact = self._per_unknown(definition.exact, "exact")
        return Spec(
            name=name,
            explicit=self.explicit,
            equations=equations,
            unknowns=self.unknowns,
            inputs=inputs,
            guess=tuple(self._formula(guess.get(u), f"guess for '{u.name}'") for u in self.unknowns),
            bounds=tuple(self._interval(bounds.get(u), u) for u in self.unknowns),
            exact=tuple(self._formula(exact.get(u), f"exact for '{u.name}'") for u in self.unknowns),
            sample=self._sample(inputs),
            auxiliary=auxiliary,
            tol=as_tolerance(definition.tol),
            max_iterations=as_count(definition.max_iterations),
            adjoint=as_text(definition.adjoint, "adjoint"),
            doc=as_text(definition.doc, "doc"),
            source=source,
            indexing=self.indexing,
            boundary=tuple(sides(definition.boundary, self.unknowns, self.symbols.find, self._formula)),
        )

    def _mentioned(self) -> Iterator[sp.Symbol]:
        """Yield every symbol of the definition, in an order that does not depend on the hash seed."""
        definition = self.definition
        values: list[object] = [*self.equations, *(value for _, value in self.auxiliary)]
        values += [*as_list(definition.unknown, "unknown"), *as_list(definition.inputs, "inputs")]
        values += conditions(definition.boundary)
        for option in (definition.guess, definition.bounds, definition.exact):
            entries = by_unknown(option, "option")
            values += [key for key, _ in entries] + [v for _, value in entries for v in ends(value)]
        for option, role in ((definition.sample, "sample"), (definition.constants, "constants")):
            values += [key for key, _ in as_table(option, role)]
        for value in values:
            if isinstance(value, sp.Expr):
                yield from by_name(symbol for symbol in free([value]) if isinstance(symbol, sp.Symbol))

    def _constants(self) -> dict[sp.Symbol, sp.Expr]:
        pairs = as_table(self.definition.constants, "constants")
        arrays = self.indexing.arrays if self.indexing else frozenset()
        for key, _ in pairs:
            if getattr(key, "name", key) in arrays:
                raise SpecError(f"constants names '{key}', which is an array", "make it an input")
        return {self.symbols.find(key, "constants"): number(value, f"constant '{key}'") for key, value in pairs}

    def _unknowns(self) -> tuple[sp.Symbol, ...]:
        if self.definition.unknown is None:
            default = self.symbols.get("y")
            if default is None:
                names = listed(by_name(free(self.equations)))
                raise SpecError(
                    f"residual has no symbol named 'y' and no unknown is named (its symbols: {names})",
                    "set unknown to the symbol to solve for",
                )
            unknowns: tuple[sp.Symbol, ...] = (default,)
        else:
            unknowns = tuple(self._plain(key, "unknown") for key in as_list(self.definition.unknown, "unknown"))
        self._refuse_constants(unknowns, "an unknown")
        return unknowns

    def _inputs(self, values: Sequence[sp.Expr], order: Sequence[sp.Symbol]) -> tuple[sp.Symbol, ...]:
        if self.definition.inputs is not None:
            inputs = tuple(self._plain(key, "inputs") for key in as_list(self.definition.inputs, "inputs"))
            self._refuse_constants(inputs, "an input")
            return inputs
        found = free(values) - set(self.unknowns)
        defined = [symbol for symbol in dict.fromkeys(order) if symbol in found]
        return (*defined, *by_name(found - set(defined)))

    def _plain(self, key: object, role: str) -> sp.Symbol:
        if isinstance(key, str) and self.explicit and role == "unknown":
            return self.symbols.get(key) or sp.Symbol(key, real=True)
        if isinstance(key, Index):
            raise SpecError(f"{role} names '{key.name}', which is an index", "name what it indexes")
        if isinstance(key, Size):
            raise SpecError(
                f"{role} names '{key.name}', which is a size", "leave it out: sizes are read off the tensors' shapes"
            )
        return self.symbols.find(key, role)

    def _refuse_constants(self, symbols: Iterable[sp.Symbol], role: str) -> None:
        for symbol in symbols:
            if symbol in self.constants:
                raise SpecError(f"'{symbol.name}' is both {role} and a constant", "each name can be one thing only")

    def _fold(self, value: sp.Expr, role: str) -> sp.Expr:
        """Put the constants in; what was finite with a symbol may not be with its number."""
        folded: sp.Expr = value.xreplace(self.constants) if self.constants else value
        if folded != value:
            check_real(folded, f"{role} with its constants")
        return folded

    def _formula(self, value: object, role: str) -> sp.Expr | None:
        return None if value is None else self._fold(expression(value, role), role)

    def _interval(self, value: object, unknown: sp.Symbol) -> tuple[sp.Expr, sp.Expr] | None:
        if value is None:
            return None
        role = f"bounds for '{unknown.name}'"
        if not isinstance(value, (tuple, list, sp.Tuple)) or len(value) != 2:
            raise SpecError(f"{role} are {short(value)}", "give a pair (lower, upper)")
        lower, upper = (self._end(end, open_end, role) for end, open_end in zip(value, (-sp.oo, sp.oo), strict=True))
        return lower, upper

    def _end(self, value: object, open_end: sp.Expr, role: str) -> sp.Expr:
        """Accept one end of an interval; None and the infinity of its own side leave it open."""
        if value is None or (isinstance(value, (float, sp.Expr)) and value == open_end):
            return open_end
        return self._fold(expression(value, role), role)

    def _per_unknown(self, option: object, role: str) -> dict[sp.Symbol, object]:
        entries = by_unknown(option, role)
        if any(key is None for key, _ in entries):
            if len(self.unknowns) > 1:
                names = listed(self.unknowns)
                raise SpecError(
                    f"{role} is {short(option)} for {len(self.unknowns)} unknowns", f"give a dict by unknown ({names})"
                )
            return {self.unknowns[0]: option}
        result: dict[sp.Symbol, object] = {}
        for key, value in entries:
            symbol = self.symbols.find(key, role)
            if symbol not in self.unknowns:
                advice = suggest(symbol.name, [u.name for u in self.unknowns])
                raise SpecError(
                    f"{role} names '{symbol.name}', which is not an unknown",
                    advice or f"the unknowns are {listed(self.unknowns)}",
                )
            result[symbol] = value
        return result

    def _sample(self, inputs: Sequence[sp.Symbol]) -> tuple[tuple[float, float] | None, ...]:
        ranges: dict[sp.Symbol, tuple[float, float]] = {}
        for key, value in as_table(self.definition.sample, "sample"):
            symbol = self.symbols.find(key, "sample")
            if symbol not in inputs:
                advice = suggest(symbol.name, [s.name for s in inputs]) or f"the inputs are {listed(inputs)}"
                raise SpecError(f"sample names '{symbol.name}', which is not an input", advice)
            if not isinstance(value, (tuple, list, sp.Tuple)) or len(value) != 2:
                raise SpecError(f"sample range of '{symbol.name}' is {short(value)}", "give a pair (lower, upper)")
            role = f"sample range of '{symbol.name}'"
            lower, upper = (as_float(end, role) for end in value)
            ranges[symbol] = (lower, upper)
        return tuple(ranges.get(symbol) for symbol in inputs)
