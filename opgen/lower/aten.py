"""Print SymPy expressions as ATen C++.

The residual of an operator is written once more in ATen so that autograd can differentiate it. Every symbol is a real
``at::Tensor`` of float64 with one entry per point; numbers are C++ literals.

What autograd does with a branch that was not taken decides how branches are printed. The backward pass of ``at::where``
multiplies the slope of the other branch by zero, and if that slope is infinite or NaN the product is NaN. Therefore
``Piecewise`` (and ``Max`` or ``Min`` of anything that may have such a slope) becomes ``opgen::piecewise``, which
evaluates a branch only at the points where it counts. Each branch is a scope of its own: a common subexpression is
never moved out of it, or it would be evaluated everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from math import isfinite

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.miscellaneous import MinMaxBase
from sympy.logic.boolalg import Boolean, BooleanFunction

__all__ = ["AtenCode", "aten_lines"]

# How tightly the C++ operators bind, loosest first.
SUM, PRODUCT, UNARY, ATOM = range(4)

# SymPy functions of one argument that ATen has under the given name.
UNARY_FUNCTIONS: dict[type[sp.Basic], str] = {
    sp.exp: "exp", sp.log: "log",
    sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.asin: "asin", sp.acos: "acos", sp.atan: "atan",
    sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asinh: "asinh", sp.acosh: "acosh", sp.atanh: "atanh",
    sp.erf: "erf", sp.erfc: "erfc", sp.erfinv: "erfinv", sp.loggamma: "lgamma",
    sp.Abs: "abs", sp.sign: "sign", sp.floor: "floor", sp.ceiling: "ceil",
}  # fmt: skip

# Functions that ATen lacks, as expressions in those that it has.
REWRITTEN: dict[type[sp.Basic], Callable[..., sp.Expr]] = {
    sp.sec: lambda x: 1 / sp.cos(x), sp.csc: lambda x: 1 / sp.sin(x), sp.cot: lambda x: 1 / sp.tan(x),
    sp.sech: lambda x: 1 / sp.cosh(x), sp.csch: lambda x: 1 / sp.sinh(x), sp.coth: lambda x: 1 / sp.tanh(x),
    sp.asec: lambda x: sp.acos(1 / x), sp.acsc: lambda x: sp.asin(1 / x), sp.acot: lambda x: sp.atan(1 / x),
    sp.asech: lambda x: sp.acosh(1 / x), sp.acsch: lambda x: sp.asinh(1 / x), sp.acoth: lambda x: sp.atanh(1 / x),
    sp.frac: lambda x: x - sp.floor(x), sp.re: lambda x: x, sp.conjugate: lambda x: x, sp.im: lambda x: sp.Integer(0),
}  # fmt: skip

RELATIONS = {sp.Gt: ">", sp.Ge: ">=", sp.Lt: "<", sp.Le: "<=", sp.Eq: "==", sp.Ne: "!="}


@dataclass(frozen=True)
class AtenCode:
    """Statements, then one C++ expression per output; ``headers`` are the ``ATen/ops`` headers that they need."""

    lines: tuple[str, ...]
    results: tuple[str, ...]
    headers: tuple[str, ...]


def aten_lines(outputs: Sequence[sp.Expr], names: Mapping[sp.Symbol, str]) -> AtenCode:
    """Write expressions as ATen C++ with their common subexpressions shared.

    Args:
        outputs: Expressions of real scalars.
        names: The C++ identifier of every symbol that they contain.

    Raises:
        UnsupportedError: If an expression contains something that ATen cannot evaluate or differentiate.
    """
    headers: set[str] = set()
    scope = _Scope(dict(names), headers, _fresh_names(names.values()))
    results = scope.results(outputs)
    lines = "\n".join(scope.statements).splitlines()
    return AtenCode(tuple(lines), results, tuple(sorted(headers)))


def _fresh_names(taken: Iterable[str]) -> Callable[[], str]:
    used, numbers = set(taken), count()
    return lambda: next(name for name in (f"t{i}" for i in numbers) if name not in used)


def _unsupported(what: str) -> Exception:
    from opgen.errors import UnsupportedError

    return UnsupportedError(what)


class _Scope:
    """The statements of one function body, or of one branch of a piecewise expression."""

    def __init__(self, names: dict[sp.Symbol, str], headers: set[str], fresh: Callable[[], str]) -> None:
        self.inputs = dict(names)
        self.names = dict(names)
        self.headers = headers
        self.fresh = fresh
        self.statements: list[str] = []
        self.opaque: dict[sp.Basic, sp.Dummy] = {}

    def results(self, outputs: Sequence[sp.Basic]) -> tuple[str, ...]:
        """Emit the statements that ``outputs`` need and return them as expressions of type ``at::Tensor``."""
        hidden = [self.hide(sp.sympify(output)) for output in outputs]
        definitions = {dummy: branchy for branchy, dummy in self.opaque.items()}
        shared, reduced = sp.cse(hidden, symbols=sp.numbered_symbols("t", cls=sp.Dummy), order="canonical", list=True)

        def define(expr: sp.Basic) -> None:
            for dummy in sorted(expr.atoms(sp.Dummy) & definitions.keys() - self.names.keys(), key=self._order):
                self.assign(dummy, self.branches(definitions[dummy]))

        for symbol, value in shared:
            define(value)
            self.assign(symbol, self.tensor(value))
        for value in reduced:
            define(value)
        return tuple(self.tensor(value) for value in reduced)

    def _order(self, dummy: sp.Dummy) -> int:
        return list(self.opaque.values()).index(dummy)

    def hide(self, expr: sp.Basic) -> sp.Basic:
        """Put placeholders for what is evaluated branch by branch, so that nothing is shared with its inside."""
        if _is_branchy(expr):
            return self.opaque.setdefault(expr, sp.Dummy(f"branches{len(self.opaque)}", real=True))
        if not expr.args or isinstance(expr, Boolean):
            return expr
        arguments = [self.hide(arg) for arg in expr.args]
        # An unevaluated sum, product or power keeps the order that SymPy gave it.
        evaluate = {"evaluate": False} if isinstance(expr, (sp.Add, sp.Mul, sp.Pow)) else {}
        hidden: sp.Basic = expr.func(*arguments, **evaluate)
        return hidden

    def assign(self, symbol: sp.Symbol, value: str) -> None:
        self.names[symbol] = self.fresh()
        self.statements.append(f"const at::Tensor {self.names[symbol]} = {value};")

    # Branches.

    def branches(self, expr: sp.Basic) -> str:
        """Print a call of ``opgen::piecewise``; it may span several lines."""
        if isinstance(expr, MinMaxBase):
            first, second = expr.args[0], expr.func(*expr.args[1:], evaluate=False)
            relation = sp.Ge if isinstance(expr, sp.Max) else sp.Le
            condition: sp.Basic = relation(first, second, evaluate=False)
            then, otherwise = first, second if len(expr.args) > 2 else expr.args[1]
        else:
            (then, condition), *rest = [tuple(pair.args) for pair in expr.args]
            otherwise = sp.nan
            if rest:
                otherwise = rest[0][0] if rest[0][1] == sp.true else sp.Piecewise(*rest, evaluate=False)
        involved = (condition.free_symbols | then.free_symbols | otherwise.free_symbols) & self.inputs.keys()
        variables = [symbol for symbol in self.inputs if symbol in involved]
        test = self.condition(condition)
        parts = [test, self.branch(then, variables), self.branch(otherwise, variables)]
        parts += [self.inputs[symbol] for symbol in variables]
        body = ",\n".join([*parts[:3], ", ".join(parts[3:])])
        return "opgen::piecewise(\n" + _indented(body, 4) + ")"

    def branch(self, expr: sp.Basic, variables: Sequence[sp.Symbol]) -> str:
        """Print one branch as a lambda over the tensors that any branch needs."""
        inner = _Scope({symbol: self.inputs[symbol] for symbol in variables}, self.headers, self.fresh)
        (result,) = inner.results([expr])
        used = expr.free_symbols
        parameters = ", ".join(f"const at::Tensor&{' ' + self.inputs[v] if v in used else ''}" for v in variables)
        if not inner.statements:
            return f"[]({parameters}) {{ return {result}; }}"
        *before, last = inner.statements
        returned = f"const at::Tensor {result} = "
        tail = f"return {last.removeprefix(returned)}" if last.startswith(returned) else f"{last}\nreturn {result};"
        body = "\n".join([*before, tail])
        return f"[]({parameters}) {{\n{_indented(body, 2)}\n}}"

    def condition(self, expr: sp.Basic) -> str:
        """Print a condition as a boolean tensor."""
        for kind, sign in RELATIONS.items():
            if isinstance(expr, kind):
                left, right = expr.args
                if not left.free_symbols and not right.free_symbols:
                    break
                sides = [self.inline(side, SUM) for side in (left, right)]
                return f"{sides[0]} {sign} {sides[1]}"
        if isinstance(expr, sp.Not):
            return self.call("logical_not", self.condition(expr.args[0]))
        for connective, name in ((sp.And, "logical_and"), (sp.Or, "logical_or"), (sp.Xor, "logical_xor")):
            if isinstance(expr, connective):
                first, *rest = expr.args
                text = self.condition(first)
                for arg in rest:
                    text = self.call(name, text, self.condition(arg))
                return text
        if isinstance(expr, BooleanFunction) and (simpler := sp.to_nnf(expr, simplify=False)) != expr:
            return self.condition(simpler)
        if expr in (sp.true, sp.false):
            return self.call("scalar_tensor", "true" if expr == sp.true else "false", "at::kBool")
        raise _unsupported(f"the condition {expr} cannot be written in ATen")

    def inline(self, expr: sp.Basic, level: int) -> str:
        """Print the side of a relation, defining first what has branches."""
        hidden = self.hide(expr)
        for branchy, dummy in list(self.opaque.items()):
            if dummy in hidden.free_symbols and dummy not in self.names:
                self.assign(dummy, self.branches(branchy))
        return self.print(hidden, level)

    # Expressions.

    def tensor(self, expr: sp.Basic) -> str:
        """Print an expression as a tensor even if it is a number."""
        text = self.print(expr, SUM)
        return f"opgen::constant({text})" if not expr.free_symbols else text

    def call(self, name: str, *args: str) -> str:
        self.headers.add(name)
        return f"at::{name}({', '.join(args)})"

    def print(self, expr: sp.Basic, level: int = SUM) -> str:
        """Print an expression, in parentheses if it binds less tightly than ``level``."""
        text, own = self._text(expr)
        return f"({text})" if own < level else text

    def _text(self, expr: sp.Basic) -> tuple[str, int]:
        if isinstance(expr, sp.Symbol):
            if expr not in self.names:
                raise _unsupported(f"the symbol {expr} has no tensor")
            return self.names[expr], ATOM
        if not expr.free_symbols:
            text = _number(expr)
            return text, UNARY if text.startswith("-") else ATOM
        if isinstance(expr, sp.Add):
            return self._sum(expr), SUM
        if isinstance(expr, sp.Mul):
            return self._product(expr)
        if isinstance(expr, sp.Pow):
            return self._power(*expr.as_base_exp()) if expr.base is not sp.E else self._function(sp.exp(expr.exp))
        return self._function(expr)

    def _sum(self, expr: sp.Expr) -> str:
        # Terms in SymPy's canonical printing order; a leading plus sign rather than a minus, if there is one.
        terms = list(expr.as_ordered_terms())
        terms.sort(key=lambda term: term.could_extract_minus_sign())
        text = ""
        for i, term in enumerate(terms):
            negative = i > 0 and _is_negative(term)
            part = self.print(-term if negative else term, PRODUCT)
            text += part if i == 0 else f" {'-' if negative else '+'} {part}"
        return text

    def _product(self, expr: sp.Expr) -> tuple[str, int]:
        if _is_negative(expr):
            return "-" + self.print(-expr, UNARY if not isinstance(-expr, sp.Mul) else PRODUCT), PRODUCT
        above: list[sp.Expr] = []
        below: list[sp.Expr] = []
        for factor in expr.as_ordered_factors():
            base, exponent = factor.as_base_exp() if isinstance(factor, sp.Pow) else (factor, sp.Integer(1))
            if isinstance(factor, sp.Rational) and factor.q != 1:
                above += [sp.Integer(factor.p)] if factor.p != 1 else []
                below.append(sp.Integer(factor.q))
            elif exponent.is_Rational and exponent < 0 and base.free_symbols:
                below.append(sp.Pow(base, -exponent, evaluate=False) if exponent != -1 else base)
            else:
                above.append(factor)
        top = " * ".join(self.print(f, UNARY if i else PRODUCT) for i, f in enumerate(above)) or "1"
        if not below:
            return top, PRODUCT
        bottom = " * ".join(self.print(f, UNARY) for f in below)
        return f"{top} / {f'({bottom})' if len(below) > 1 else bottom}", PRODUCT

    def _power(self, base: sp.Expr, exponent: sp.Expr) -> tuple[str, int]:
        if exponent.is_Rational and exponent < 0:
            positive = sp.Pow(base, -exponent, evaluate=False) if exponent != -1 else base
            return f"1 / {self.print(positive, UNARY)}", PRODUCT
        if exponent == sp.Rational(1, 2):
            return self.call("sqrt", self.print(base)), ATOM
        return self.call("pow", self.print(base), self.print(exponent)), ATOM

    def _function(self, expr: sp.Basic) -> tuple[str, int]:
        kind = type(expr)
        args = expr.args
        if kind in UNARY_FUNCTIONS and len(args) == 1:
            return self.call(UNARY_FUNCTIONS[kind], self.print(args[0])), ATOM
        if kind in REWRITTEN:
            return self._text(REWRITTEN[kind](*args))
        if kind is sp.gamma:
            return f"opgen::gamma({self.print(args[0])})", ATOM
        if kind is sp.Heaviside:
            at_zero = args[1] if len(args) > 1 else sp.Rational(1, 2)
            if not at_zero.free_symbols:
                return f"opgen::heaviside({self.print(args[0])}, {_number(at_zero)})", ATOM
        if kind is sp.atan2:
            return self.call("atan2", self.tensor(args[0]), self.tensor(args[1])), ATOM
        if kind is sp.sinc:
            return self.call("sinc", self.print(args[0] / sp.pi)), ATOM
        if kind is sp.Mod:
            return self.call("remainder", self.print(args[0]), self.print(args[1])), ATOM
        if kind is sp.polygamma and args[0].is_Integer and not args[0].is_negative:
            order, at = str(args[0]), self.print(args[1])
            if order == "0":
                return f"opgen::digamma({at})", ATOM
            if order == "1":  # ATen's own trigamma has ten digits only
                return self.call("special_zeta", "2", at), ATOM
            return self.call("polygamma", order, at), ATOM
        if isinstance(expr, MinMaxBase):
            name = "maximum" if isinstance(expr, sp.Max) else "minimum"
            text = self.tensor(args[0])
            for arg in args[1:]:
                text = self.call(name, text, self.tensor(arg))
            return text, ATOM
        what = "the undefined function" if isinstance(expr, AppliedUndef) else "the function"
        raise _unsupported(f"{what} {expr.func} in {expr} cannot be written in ATen")


def _is_branchy(expr: sp.Basic) -> bool:
    """Tell whether an expression needs its branches evaluated apart."""
    if isinstance(expr, MinMaxBase):
        return not all(_is_polynomial(arg) for arg in expr.args)
    return isinstance(expr, sp.Piecewise)


def _is_polynomial(expr: sp.Basic) -> bool:
    symbols = expr.free_symbols
    return not symbols or (isinstance(expr, sp.Expr) and bool(expr.is_polynomial(*symbols)))


def _is_negative(expr: sp.Expr) -> bool:
    return bool(expr.as_coeff_Mul()[0].is_negative)


def _number(expr: sp.Basic) -> str:
    """Print a number so that C++ reads the nearest double."""
    if expr is sp.nan:
        return "std::numeric_limits<double>::quiet_NaN()"
    if expr in (sp.oo, -sp.oo):
        return ("-" if expr == -sp.oo else "") + "std::numeric_limits<double>::infinity()"
    if isinstance(expr, sp.Integer) and abs(int(expr)) < 2**31:
        return str(int(expr))
    value = sp.N(expr, 25)
    if not isinstance(value, (sp.Float, sp.Integer, sp.Rational)):
        raise _unsupported(f"{expr} is not a real number")
    number = float(value)
    if not isfinite(number):
        raise _unsupported(f"{expr} is too large for a double")
    return repr(number)


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.split("\n"))
