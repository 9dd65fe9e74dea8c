"""Expressions as a graph of shared nodes: what generated code computes, with nothing of SymPy left in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import sympy as sp

from opgen.analyse.calculus import Magnitude, Start
from opgen.analyse.chain import power
from opgen.errors import UnsupportedError

# SymPy's name of a function of one argument -> the runtime's.
CALLS: dict[type, str] = {
    sp.exp: "exp", sp.log: "log", sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.asin: "asin", sp.acos: "acos",
    sp.atan: "atan", sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asinh: "asinh", sp.acosh: "acosh",
    sp.atanh: "atanh", sp.erf: "erf", sp.erfc: "erfc", sp.gamma: "gamma", sp.loggamma: "loggamma", sp.Abs: "abs",
    Magnitude: "abs", sp.sign: "sign", sp.floor: "floor", sp.ceiling: "ceil", sp.Heaviside: "heaviside",
    sp.atan2: "atan2", Start: "finite_or",
}  # fmt: skip
# Functions with a reciprocal name only.
RECIPROCALS: dict[type, type] = {
    sp.sec: sp.cos, sp.csc: sp.sin, sp.cot: sp.tan, sp.sech: sp.cosh, sp.csch: sp.sinh, sp.coth: sp.tanh,
}  # fmt: skip
POLYGAMMA = ("digamma", "trigamma", "tetragamma", "pentagamma")
COMPARISONS: dict[type, str] = {
    sp.StrictLessThan: "<", sp.LessThan: "<=", sp.StrictGreaterThan: ">", sp.GreaterThan: ">=",
    sp.Equality: "==", sp.Unequality: "!=",
}  # fmt: skip
LARGEST_POWER = 64  # beyond it pow() is as exact and shorter


@dataclass(frozen=True, slots=True)
class Node:
    """One value: an operation and what it acts on.

    Operations: number (a float), symbol (an identifier), add, mul (nodes), neg, div (two nodes), power (a node and an
    int of at least 2), call (a name, then nodes), select (condition, then, else), compare (an operator, two nodes),
    and, or, not (conditions), truth (a bool).
    """

    op: str
    args: tuple[object, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.op, self.args)))

    def __hash__(self) -> int:
        """Give the hash that was computed once: that of a deep node would be computed again and again."""
        return self._hash

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes that this one is computed from."""
        return tuple(a for a in self.args if isinstance(a, Node))

    @property
    def atomic(self) -> bool:
        """Whether naming the value would save nothing."""
        return self.op in ("number", "symbol", "truth") or (self.op == "neg" and self.children[0].atomic)


def number(value: float) -> Node:
    """Make a constant; a negative one as the negation of its magnitude, as it is written."""
    return Node("neg", (Node("number", (-value,)),)) if value < 0 else Node("number", (value,))


ONE = number(1.0)


class Graph:
    """Turns SymPy expressions into nodes, equal ones into the same node.

    Args:
        names: the identifier of every symbol.
        invariant: symbols whose values are known before an iteration starts. In sums and products what depends on them
            alone is grouped, so that it can be computed once.
        ordered: whether terms and factors are sorted for a reader, by degrees and names.
    """

    def __init__(
        self, names: Mapping[sp.Symbol, str], invariant: Iterable[sp.Symbol] = (), *, ordered: bool = True
    ) -> None:
        self.names = names
        self.ordered = ordered
        self.invariant = frozenset(invariant)
        self._made: dict[sp.Basic, Node] = {}
        self._nodes: dict[Node, Node] = {}
        self._symbols: dict[sp.Basic, frozenset[sp.Basic]] = {}

    def __call__(self, e: sp.Basic) -> Node:
        """Give the node of an expression or of a condition.

        Raises:
            UnsupportedError: for a function that has no counterpart, by its name.
        """
        if e not in self._made:
            self._made[e] = self._convert(e)
        return self._made[e]

    def node(self, op: str, *args: object) -> Node:
        """Give the one node of this operation and these arguments."""
        made = Node(op, args)
        return self._nodes.setdefault(made, made)

    def _convert(self, e: sp.Basic) -> Node:
        if isinstance(e, sp.Symbol):
            return self.node("symbol", self.names[e])
        if isinstance(e, sp.logic.boolalg.Boolean):
            return self._condition(e)
        if isinstance(e, sp.Expr) and not self._free(e) and e.is_number:
            return self._number(e)
        if isinstance(e, sp.Add):
            return self._sum(e)
        if isinstance(e, sp.Mul):
            return self._product(e)
        if isinstance(e, sp.Pow):
            return self._power(e.base, e.exp)
        if isinstance(e, sp.Piecewise):
            return self._piecewise(tuple(branch.args for branch in e.args))
        if isinstance(e, (sp.Max, sp.Min)):
            first, *rest = (self(a) for a in sorted(e.args, key=sp.default_sort_key))
            for other in rest:
                first = self.node("call", "max" if isinstance(e, sp.Max) else "min", first, other)
            return first
        if isinstance(e, sp.polygamma) and e.args[0].is_Integer and 0 <= int(e.args[0]) < len(POLYGAMMA):
            return self.node("call", POLYGAMMA[int(e.args[0])], self(e.args[1]))
        if type(e) in CALLS:
            arguments = e.args[:1] if isinstance(e, sp.Heaviside) else e.args
            return self.node("call", CALLS[type(e)], *(self(a) for a in arguments))
        if type(e) in RECIPROCALS:
            return self.node("div", ONE, self(RECIPROCALS[type(e)](*e.args)))
        if isinstance(e, sp.Mod):
            a, b = e.args
            return self(a - b * sp.floor(a / b))
        if isinstance(e, sp.acot):
            return self(sp.atan(1 / e.args[0]))
        name = type(e).__name__ if not isinstance(e, sp.core.function.AppliedUndef) else str(e.func)
        raise UnsupportedError(
            f"the function {name} (in {e}) cannot be generated; write it with functions that C++ has, or as a Piecewise"
        )

    def _free(self, e: sp.Basic) -> frozenset[sp.Basic]:
        """Give the symbols of an expression, of each subexpression once."""
        if e not in self._symbols:
            own = (e,) if isinstance(e, sp.Symbol) else ()
            self._symbols[e] = frozenset(own).union(*map(self._free, e.args))
        return self._symbols[e]

    def _number(self, e: sp.Expr) -> Node:
        if e in (sp.oo, -sp.oo):
            infinity = self.node("symbol", "infinity")
            return infinity if e == sp.oo else self.node("neg", infinity)
        if isinstance(e, sp.Rational) and not e.is_Integer and abs(e.p) < 2**53 and e.q < 2**53:
            fraction = self.node("div", number(float(abs(e.p))), number(float(e.q)))
            return fraction if e.p > 0 else self.node("neg", fraction)
        try:
            value = float(e)
        except (TypeError, OverflowError) as error:
            raise UnsupportedError(f"the constant {e} is not a real number of double precision; scale it") from error
        if value != value or value in (float("inf"), float("-inf")):
            raise UnsupportedError(f"the constant {e} is not finite; replace it")
        return number(value)

    def _split(self, arguments: list[sp.Expr], kind: type) -> list[sp.Expr]:
        """Group the arguments that are known before the iteration into one, where there are several."""
        known = [a for a in arguments if self._free(a) <= self.invariant]
        if not self.invariant or len(known) < 2 or len(known) == len(arguments):
            return arguments
        if not any(self._free(a) for a in known):
            return arguments
        return [kind(*known), *(a for a in arguments if a not in known)]

    def _sum(self, e: sp.Add) -> Node:
        terms = self._split(list(e.as_ordered_terms() if self.ordered else e.args), sp.Add)
        nodes = [self(t) for t in terms]
        nodes.sort(key=lambda n: n.op == "neg")  # a sum starts with a term that is added
        return self.node("add", *nodes)

    def _product(self, e: sp.Mul) -> Node:
        numbers = [f for f in e.args if f.is_number]
        constant = numbers[0] if len(numbers) == 1 else sp.Mul(*numbers)
        sign = -1 if constant.is_negative else 1
        if not isinstance(constant, (sp.Rational, sp.Float)):
            constant = sp.Float(constant.evalf(20), 17)
        factors: list[Any] = [f for f in (e.as_ordered_factors() if self.ordered else e.args) if not f.is_number]
        if constant not in (1, -1):
            factors.insert(0, -constant if sign < 0 else constant)
        above = [f for f in factors if not self._divides(f)]
        below = [power(f.base, -f.exp) for f in factors if self._divides(f)]
        shared = [f for f in factors if self._divides(f) and self._reciprocal_is_known(f)]
        if shared:  # a product with a known reciprocal needs no division
            above = [f for f in factors if not self._divides(f) or f in shared]
            below = [power(f.base, -f.exp) for f in factors if self._divides(f) and f not in shared]
        top = self._many(above)
        node = self.node("div", top, self._many(below)) if below else top
        return self.node("neg", node) if sign < 0 else node

    def _many(self, factors: list[sp.Expr]) -> Node:
        if not factors:
            return ONE
        nodes = [self(f) for f in self._split(factors, sp.Mul)] if len(factors) > 1 else [self(factors[0])]
        return nodes[0] if len(nodes) == 1 else self.node("mul", *nodes)

    @staticmethod
    def _divides(f: sp.Expr) -> bool:
        return isinstance(f, sp.Pow) and bool(f.exp.is_Rational) and bool(f.exp.is_negative)

    def _reciprocal_is_known(self, f: sp.Pow) -> bool:
        # Roots in a denominator are kept as reciprocals: 1/sqrt(f) and its powers share one division.
        return self._free(f) <= self.invariant or (isinstance(f.exp, sp.Rational) and f.exp.q > 1)

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> Node:
        if not isinstance(exponent, sp.Rational):
            return self.node("call", "pow", self(base), self(exponent))
        e = Fraction(int(exponent.p), int(exponent.q))
        if e < 0:
            unit = Fraction(-1, e.denominator)
            reciprocal = self.node("div", ONE, self(power(base, sp.Rational(1, e.denominator))))
            return self._integer_power(reciprocal, int(e / unit))
        if e.denominator == 1 and e.numerator <= LARGEST_POWER:
            return self._integer_power(self(base), e.numerator)
        if e.denominator == 2 and e.numerator <= LARGEST_POWER:
            root = self.node("call", "sqrt", self(base))
            whole = self._integer_power(self(base), e.numerator // 2) if e.numerator > 1 else None
            return root if whole is None else self.node("mul", whole, root)
        if e.denominator == 3 and e.numerator <= LARGEST_POWER:
            return self._integer_power(self.node("call", "root3", self(base)), e.numerator)
        return self.node("call", "pow", self(base), self(exponent))

    def _integer_power(self, base: Node, n: int) -> Node:
        return base if n == 1 else self.node("power", base, n)

    def _piecewise(self, branches: tuple[tuple[sp.Basic, ...], ...]) -> Node:
        value, condition = branches[0]
        if condition == sp.true:
            return self(value)
        # Where no branch holds there is no value.
        otherwise = self._piecewise(branches[1:]) if len(branches) > 1 else self.node("symbol", "nan")
        return self.node("select", self(condition), self(value), otherwise)

    def _condition(self, c: sp.Basic) -> Node:
        if c in (sp.true, sp.false):
            return self.node("truth", c == sp.true)
        if type(c) in COMPARISONS:
            return self.node("compare", COMPARISONS[type(c)], self(c.args[0]), self(c.args[1]))
        if isinstance(c, (sp.And, sp.Or)):
            op = "and" if isinstance(c, sp.And) else "or"
            return self.node(op, *(self(a) for a in sorted(c.args, key=sp.default_sort_key)))
        if isinstance(c, sp.Not):
            return self.node("not", self(c.args[0]))
        if isinstance(c, sp.ITE):
            branches: tuple[Any, ...] = c.args
            test, then, otherwise = branches
            return self(sp.Or(sp.And(test, then), sp.And(sp.Not(test), otherwise)))
        raise UnsupportedError(f"the condition {c} cannot be generated; use comparisons, And, Or and Not")
