"""Print SymPy expressions as ATen C++.

The residual of an operator is written once more in ATen so that autograd can differentiate it. Every symbol is a real
``at::Tensor`` of float64 with one entry per point; numbers are C++ literals; the functions and operators are those of
``opgen/aten_functions.h``, with which a file compiles several times faster than with ATen's own.

What autograd does with a branch that was not taken decides how branches are printed. The backward pass of ``at::where``
multiplies the slope of the other branch by zero, and if that slope is infinite or NaN the product is NaN. Therefore
``Piecewise`` (and ``Max`` or ``Min`` of anything that may have such a slope) becomes ``piecewise``, which evaluates a
branch only at the points where it counts. Each branch is a scope of its own: a common subexpression is never moved out
of it, or it would be evaluated everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from math import isfinite

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.functions.elementary.miscellaneous import MinMaxBase
from sympy.logic.boolalg import Boolean, BooleanFunction

from opgen.errors import UnsupportedError
from opgen.lower.cxx import Code

# How tightly the C++ operators bind, loosest first.
SUM, PRODUCT, UNARY, ATOM = range(4)

# SymPy functions that aten_functions.h has under the given name, with the same arguments.
FUNCTIONS: dict[type[sp.Basic], str] = {
    sp.exp: "exp", sp.log: "log",
    sp.sin: "sin", sp.cos: "cos", sp.tan: "tan", sp.asin: "asin", sp.acos: "acos", sp.atan: "atan", sp.atan2: "atan2",
    sp.sinh: "sinh", sp.cosh: "cosh", sp.tanh: "tanh", sp.asinh: "asinh", sp.acosh: "acosh", sp.atanh: "atanh",
    sp.erf: "erf", sp.erfc: "erfc", sp.erfinv: "erfinv", sp.gamma: "gamma", sp.loggamma: "loggamma", sp.sinc: "sinc",
    sp.Abs: "abs", sp.sign: "sign", sp.floor: "floor", sp.ceiling: "ceil", sp.Mod: "remainder",
}  # fmt: skip

# Functions that it lacks, as expressions in those that it has.
REWRITTEN: dict[type[sp.Basic], Callable[..., sp.Expr]] = {
    sp.sec: lambda x: 1 / sp.cos(x), sp.csc: lambda x: 1 / sp.sin(x), sp.cot: lambda x: 1 / sp.tan(x),
    sp.sech: lambda x: 1 / sp.cosh(x), sp.csch: lambda x: 1 / sp.sinh(x), sp.coth: lambda x: 1 / sp.tanh(x),
    sp.asec: lambda x: sp.acos(1 / x), sp.acsc: lambda x: sp.asin(1 / x), sp.acot: lambda x: sp.atan(1 / x),
    sp.asech: lambda x: sp.acosh(1 / x), sp.acsch: lambda x: sp.asinh(1 / x), sp.acoth: lambda x: sp.atanh(1 / x),
    sp.frac: lambda x: x - sp.floor(x), sp.re: lambda x: x, sp.conjugate: lambda x: x, sp.im: lambda x: sp.Integer(0),
}  # fmt: skip

RELATIONS: dict[type[sp.Basic], str] = {sp.Gt: ">", sp.Ge: ">=", sp.Lt: "<", sp.Le: "<=", sp.Eq: "==", sp.Ne: "!="}
CONNECTIVES: dict[type[sp.Basic], str] = {sp.And: " && ", sp.Or: " || ", sp.Xor: " != "}


def aten_lines(outputs: Sequence[sp.Expr], names: Mapping[sp.Symbol, str]) -> Code:
    """Write expressions as ATen C++ with their common subexpressions shared.

    Args:
        outputs: Expressions of real scalars.
        names: The C++ identifier of every symbol that they contain.

    Raises:
        UnsupportedError: If an expression contains something that ATen cannot evaluate or differentiate.
    """
    taken = frozenset(names.values())
    scope = _Scope(names, taken, (name for name in (f"t{i}" for i in count()) if name not in taken))
    results = scope.results(outputs)
    return Code(tuple("\n".join(scope.statements).splitlines()), results)


class _Scope:
    """The statements of one function body, or of one branch of a piecewise expression.

    Args:
        inputs: The symbols that it may use, and what they are called.
        taken: What all symbols are called; they hide functions of the same name.
        fresh: Names of temporaries.
    """

    def __init__(self, inputs: Mapping[sp.Symbol, str], taken: frozenset[str], fresh: Iterator[str]) -> None:
        self.inputs = dict(inputs)
        self.names = dict(inputs)
        self.taken = taken
        self.fresh = fresh
        self.statements: list[str] = []
        self.opaque: dict[sp.Basic, sp.Dummy] = {}

    def results(self, outputs: Sequence[sp.Basic]) -> tuple[str, ...]:
        """Emit the statements that ``outputs`` need and return them as expressions of type ``at::Tensor``."""
        hidden = [self.hide(sp.sympify(output)) for output in outputs]
        shared, reduced = sp.cse(hidden, symbols=sp.numbered_symbols("t", cls=sp.Dummy), order="canonical", list=True)
        for symbol, value in shared:
            self.define(value)
            self.assign(symbol, self.tensor(value))
        for value in reduced:
            self.define(value)
        return tuple(map(self.tensor, reduced))

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

    def define(self, expr: sp.Basic) -> None:
        """Emit the branches that the placeholders in an expression stand for, unless they are there already."""
        for branches, dummy in list(self.opaque.items()):
            if dummy in expr.free_symbols and dummy not in self.names:
                self.assign(dummy, self.branches(branches))

    def assign(self, symbol: sp.Symbol, value: str) -> None:
        self.names[symbol] = next(self.fresh)
        self.statements.append(f"const at::Tensor {self.names[symbol]} = {value};")

    # Branches.

    def branches(self, expr: sp.Basic) -> str:
        """Print a call of ``piecewise``, over several lines."""
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
        arguments = [self.condition(condition), self.branch(then, variables), self.branch(otherwise, variables)]
        arguments.append(", ".join(self.inputs[symbol] for symbol in variables))
        body = _indented(",\n".join(arguments), 4)
        return f"{self.function('piecewise')}(\n{body})"

    def branch(self, expr: sp.Basic, variables: Sequence[sp.Symbol]) -> str:
        """Print one branch as a lambda over the tensors that any branch needs."""
        inner = _Scope({symbol: self.inputs[symbol] for symbol in variables}, self.taken, self.fresh)
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
        """Print a condition as a tensor of truth values."""
        if type(expr) in RELATIONS and expr.free_symbols:
            left, right = map(self.hide, expr.args)
            self.define(left)
            self.define(right)
            return f"{self.print(left)} {RELATIONS[type(expr)]} {self.print(right)}"
        if isinstance(expr, sp.Not):
            return f"!({self.condition(expr.args[0])})"
        if type(expr) in CONNECTIVES:
            return CONNECTIVES[type(expr)].join(f"({self.condition(arg)})" for arg in expr.args)
        if isinstance(expr, BooleanFunction) and (simpler := sp.to_nnf(expr, simplify=False)) != expr:
            return self.condition(simpler)
        if expr in (sp.true, sp.false):
            return self.call("constant", "true" if expr == sp.true else "false")
        raise UnsupportedError(f"the condition {expr} cannot be written in ATen")

    # Expressions.

    def tensor(self, expr: sp.Basic) -> str:
        """Print an expression as a tensor even if it is a number."""
        text = self.print(expr, SUM)
        return text if expr.free_symbols else self.call("constant", text)

    def call(self, name: str, *args: str) -> str:
        return f"{self.function(name)}({', '.join(args)})"

    def function(self, name: str) -> str:
        return f"opgen::formula::{name}" if name in self.taken else name

    def print(self, expr: sp.Basic, level: int = SUM) -> str:
        """Print an expression, in parentheses if it binds less tightly than ``level``."""
        text, own = self._text(expr)
        return f"({text})" if own < level else text

    def _text(self, expr: sp.Basic) -> tuple[str, int]:
        if isinstance(expr, sp.Symbol):
            if expr not in self.names:
                raise UnsupportedError(f"the symbol {expr} has no tensor")
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
        terms = sorted(expr.as_ordered_terms(), key=lambda term: term.could_extract_minus_sign())
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
        kind, args = type(expr), expr.args
        if kind in REWRITTEN:
            return self._text(REWRITTEN[kind](*args))
        if kind in FUNCTIONS:
            return self.call(FUNCTIONS[kind], *map(self.print, args)), ATOM
        if kind is sp.Heaviside and not args[1].free_symbols:
            return self.call("heaviside", self.print(args[0]), _number(args[1])), ATOM
        if kind is sp.polygamma and args[0].is_Integer and not args[0].is_negative:
            order, at = str(args[0]), self.print(args[1])
            name = {"0": "digamma", "1": "trigamma"}.get(order)
            return self.call(name, at) if name else self.call("polygamma", order, at), ATOM
        if isinstance(expr, MinMaxBase):
            name = "max" if isinstance(expr, sp.Max) else "min"
            first, *rest = sorted(args, key=lambda arg: not arg.free_symbols)  # numbers last: two of them would not do
            text = self.print(first)
            for arg in rest:
                text = self.call(name, text, self.print(arg))
            return text, ATOM
        what = "the undefined function" if isinstance(expr, AppliedUndef) else "the function"
        raise UnsupportedError(f"{what} {expr.func} in {expr} cannot be written in ATen")


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
        return "NAN"
    if expr in (sp.oo, -sp.oo):
        return "INFINITY" if expr == sp.oo else "-INFINITY"
    if isinstance(expr, sp.Integer) and abs(int(expr)) < 2**31:
        return str(int(expr))
    value = sp.N(expr, 25)
    if not isinstance(value, (sp.Float, sp.Integer, sp.Rational)):
        raise UnsupportedError(f"{expr} is not a real number")
    number = float(value)
    if not isfinite(number):
        raise UnsupportedError(f"{expr} is too large for a double")
    return repr(number)


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.split("\n"))
