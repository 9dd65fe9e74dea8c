"""Write an operator's mathematics in LaTeX, for a paper: F, its derivatives and the adjoint equations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import sympy as sp
from sympy.printing.latex import LatexPrinter

from opgen import __version__
from opgen.analyse import analyse
from opgen.analyse.calculus import derivative
from opgen.analyse.coupled import CoupledModel
from opgen.analyse.model import Matrix, Model
from opgen.loading.spec import Spec

# A line of LaTeX source beyond which a sum goes on in the next.
_WIDTH = 140
_TRANSPOSED = r"^{\mathsf{T}}"


def latex(spec: Spec) -> str:
    """Return an align environment, which needs the package amsmath, under a comment that says what it is."""
    model = analyse(spec)
    lines = list(_coupled(model) if isinstance(model, CoupledModel) else _pointwise(model))
    doc = " ".join(spec.doc.split()) or f"operator {spec.name}"
    head = [f"% {spec.name}: {doc}", f"% Made by opgen {__version__}; needs \\usepackage{{amsmath}}."]
    body = " \\\\\n".join(f"  {line}" for line in lines)
    return "\n".join([*head, r"\begin{align}", body, r"\end{align}"])


def _pointwise(model: Model) -> Iterator[str]:
    letters = _Letters(model.inputs, model.unknowns)
    if len(model.unknowns) > 1:
        yield from _system(model, letters)
        return
    y, (f,) = _tex(model.unknowns[0]), model.residuals
    if model.explicit:
        yield _line(y, f)
        for x, slope in zip(model.inputs, model.by_input[0], strict=True):
            yield _line(_partial(y, _tex(x)), slope)
        yield from _auxiliaries(model)
        for j, x in enumerate(model.inputs):
            yield rf"\bar{{{_tex(x)}}} &= {_partial(y, _tex(x))} \bar{{{y}}}{_by_auxiliaries(model, j, of_input=True)}"
        return
    (f_y,) = model.by_unknown[0]
    F, u = letters.residual, letters.multiplier
    arguments = ", ".join(_tex(s) for s in (*model.inputs, *model.unknowns))
    yield _line(f"{F}({arguments})", f, " = 0")
    yield _line(_partial(F, y), f_y)
    for x, slope in zip(model.inputs, model.by_input[0], strict=True):
        yield _line(_partial(F, _tex(x)), slope)
    yield from _auxiliaries(model)
    for x, slope in zip(model.inputs, model.by_input[0], strict=True):
        total = sp.factor_terms(-slope / f_y)
        closed = f" = {_tex(total)}" if len(_tex(total)) < _WIDTH else ""
        quotient = rf"\frac{{\partial {F} / \partial {_tex(x)}}}{{\partial {F} / \partial {y}}}"
        yield rf"\frac{{\mathrm{{d}} {y}}}{{\mathrm{{d}} {_tex(x)}}} &= -{quotient}{closed}"
    yield rf"{_partial(F, y)} {u} &= \bar{{{y}}}{_by_auxiliaries(model, 0, of_input=False)}"
    for j, x in enumerate(model.inputs):
        yield rf"\bar{{{_tex(x)}}} &= -{_partial(F, _tex(x))} {u}{_by_auxiliaries(model, j, of_input=True)}"


def _auxiliaries(model: Model) -> Iterator[str]:
    for i, (name, _) in enumerate(model.spec.auxiliary):
        a = _tex(sp.Symbol(name))
        yield _line(a, model.auxiliary[i])
        slopes = (*model.auxiliary_by_unknown[i], *model.auxiliary_by_input[i])
        for symbol, slope in zip((*model.unknowns, *model.inputs), slopes, strict=True):
            if slope != 0:
                yield _line(_partial(a, _tex(symbol)), slope)


def _by_auxiliaries(model: Model, j: int, *, of_input: bool) -> str:
    """Write what cotangents of auxiliary outputs add to an adjoint equation of one unknown."""
    symbol = (model.inputs if of_input else model.unknowns)[j]
    rows = model.auxiliary_by_input if of_input else model.auxiliary_by_unknown
    names = [_tex(sp.Symbol(name)) for name, _ in model.spec.auxiliary]
    added = [(a, row[j]) for a, row in zip(names, rows, strict=True) if row[j] != 0]
    return "".join(rf" + {_partial(a, _tex(symbol))} \bar{{{a}}}" for a, _ in added)


def _system(model: Model, letters: _Letters) -> Iterator[str]:
    """Write several unknowns at a point as vectors and matrices."""
    x, y, a = r"\mathbf{x}", r"\mathbf{y}", r"\mathbf{a}"
    F, u = (
        (r"\mathbf{f}" if model.explicit else rf"\mathbf{{{letters.residual}}}"),
        rf"\boldsymbol{{{letters.multiplier}}}",
    )
    given, sought = (rf"({_listed(symbols)}){_TRANSPOSED}" for symbols in (model.inputs, model.unknowns))
    yield rf"{x} &= {given}, \quad {y} = {sought}"
    column = _matrix([[e] for e in model.residuals])
    yield rf"{y} = {F}({x}) &= {column}" if model.explicit else rf"{F}({x}, {y}) &= {column} = \mathbf{{0}}"
    if not model.explicit:
        yield rf"{F}_{{{y}}} &= {_matrix(model.by_unknown)}"
    yield rf"{F}_{{{x}}} &= {_matrix(model.by_input)}"
    of_y = of_x = ""
    if model.auxiliary:
        named = ", ".join(_tex(sp.Symbol(name)) for name, _ in model.spec.auxiliary)
        yield rf"{a} = ({named}){_TRANSPOSED} &= {_matrix([[e] for e in model.auxiliary])}"
        yield rf"{a}_{{{y}}} &= {_matrix(model.auxiliary_by_unknown)}"
        yield rf"{a}_{{{x}}} &= {_matrix(model.auxiliary_by_input)}"
        of_y, of_x = (rf" + {a}_{{{z}}}{_TRANSPOSED} \bar{{{a}}}" for z in (y, x))
    if model.explicit:
        cotangent = rf"(\bar{{{y}}}{of_y})" if of_y else rf"\bar{{{y}}}"
        yield rf"\bar{{{x}}} &= {F}_{{{x}}}{_TRANSPOSED} {cotangent}{of_x}"
    else:
        yield rf"{F}_{{{y}}}{_TRANSPOSED} {u} &= \bar{{{y}}}{of_y}"
        yield rf"\bar{{{x}}} &= -{F}_{{{x}}}{_TRANSPOSED} {u}{of_x}"


def _coupled(model: CoupledModel) -> Iterator[str]:
    """Write the equations of a field or a dense system, and the entries of their derivatives that are not zero."""
    spec = model.spec
    letters = _Letters(model.inputs, model.unknowns)
    several = len(model.unknowns) > 1
    labels = []
    for number, (equation, unknown) in enumerate(zip(spec.equations, model.unknowns, strict=True), 1):
        own = _tex(unknown) if model.explicit else f"{letters.residual}^{{({number})}}" if several else letters.residual
        labels.append(own)
        free = sorted(_indices(equation), key=lambda index: index.name)
        place = f"_{{{', '.join(_tex(index) for index in free)}}}" if free else ""
        yield _line(f"{own}{place}", equation, "" if model.explicit else " = 0")
        for symbol in (*(() if model.explicit else model.unknowns), *model.inputs):
            for read, value, over in _entries(equation, symbol.name):
                where = "".join(rf", \quad {_tex(i)} = {_tex(low)}, \dots, {_tex(high)}" for i, low, high in over)
                yield _line(_partial(f"{own}{place}", _tex(read)), value, where)
    for name, value in spec.auxiliary:
        yield _line(_tex(sp.Symbol(name)), value)
    u = letters.multiplier
    if model.explicit:
        for x in model.inputs:
            yield rf"\bar{{{_tex(x)}}} &= " + " + ".join(
                rf"\left(\frac{{\partial {f}}}{{\partial {_tex(x)}}}\right){_TRANSPOSED} \bar{{{f}}}" for f in labels
            )
        return
    each = [rf"{u}^{{({number})}}" if several else u for number in range(1, len(labels) + 1)]
    for y in model.unknowns:
        terms = (_transposed(f, _tex(y), v) for f, v in zip(labels, each, strict=True))
        yield f"{' + '.join(terms)} &= " + rf"\bar{{{_tex(y)}}}"
    for x in model.inputs:
        terms = (_transposed(f, _tex(x), v) for f, v in zip(labels, each, strict=True))
        yield rf"\bar{{{_tex(x)}}} &= -{' - '.join(terms)}"


def _transposed(f: str, x: str, u: str) -> str:
    return rf"\left(\frac{{\partial {f}}}{{\partial {x}}}\right){_TRANSPOSED} {u}"


Range = tuple[sp.Symbol, sp.Expr, sp.Expr]


def _entries(equation: sp.Expr, name: str) -> Iterator[tuple[sp.Expr, sp.Expr, tuple[Range, ...]]]:
    """Yield each value of an array or symbol that an equation reads, its derivative, and what a sum runs it over."""
    sums = sorted(equation.atoms(sp.Sum), key=sp.default_sort_key)
    outer = [s for s in sums if not any(s is not other and other.has(s) for other in sums)]
    held = {s: sp.Dummy(real=True) for s in outer}
    rest = equation.xreplace(held)
    for read, slope in _slopes(rest, name):
        yield read, slope.xreplace({dummy: s for s, dummy in held.items()}), ()
    for s, dummy in held.items():
        factor = _slope(rest, dummy).xreplace({d: other for other, d in held.items()})
        for read, slope, inner in _entries(s.function, name):
            yield read, factor * slope, (*s.limits, *inner)


def _slopes(value: sp.Expr, name: str) -> Iterator[tuple[sp.Expr, sp.Expr]]:
    arrays = [a for a in value.atoms(sp.Indexed) if str(a.base.label) == name]
    symbols = [s for s in value.free_symbols if isinstance(s, sp.Symbol) and s.name == name]
    for read in sorted(arrays or symbols, key=sp.default_sort_key):
        yield read, _slope(value, read)


def _slope(value: sp.Expr, by: sp.Expr) -> sp.Expr:
    """Differentiate by one entry of an array: entries are independent, whatever their indices."""
    entries = {a: sp.Dummy(real=True) for a in sorted(value.atoms(sp.Indexed), key=sp.default_sort_key)}
    found = derivative(value.xreplace(entries), by.xreplace(entries))
    back: sp.Expr = found.xreplace({dummy: a for a, dummy in entries.items()})
    return back


def _indices(equation: sp.Expr) -> set[sp.Symbol]:
    """Return the indices for each value of which an equation holds."""
    bound = {limit[0] for s in equation.atoms(sp.Sum) for limit in s.limits}
    inside = {s for a in equation.atoms(sp.Indexed) for i in a.indices for s in i.free_symbols}
    return {s for s in inside - bound if getattr(s, "is_integer", False) and type(s).__name__ == "Index"}


class _Letters:
    """Letters for F and the adjoint variable that are not the user's."""

    def __init__(self, inputs: Iterable[sp.Symbol], unknowns: Iterable[sp.Symbol]) -> None:
        taken = {_tex(s) for s in (*inputs, *unknowns)}
        self.residual = next(letter for letter in ("F", "R", "G", r"\mathcal{F}") if letter not in taken)
        self.multiplier = next(letter for letter in (r"\lambda", r"\mu", r"\nu", r"\omega") if letter not in taken)


def _line(label: str, value: sp.Expr, after: str = "") -> str:
    """Align a formula at its equals sign; a long sum goes on in further lines."""
    whole = _tex(value)
    if len(whole) <= _WIDTH or not value.is_Add:
        return f"{label} &= {whole}{after}"
    lines = [""]
    for term in value.as_ordered_terms():
        text = _tex(term)
        signed = text if text.startswith("-") or lines == [""] else f"+ {text}"
        if lines[-1] and len(lines[-1]) + len(signed) > _WIDTH:
            lines.append("")
        lines[-1] += f" {signed}" if lines[-1] else signed
    return f"{label} &= " + " \\\\\n  &\\quad ".join(lines) + after


def _matrix(rows: Matrix | Sequence[Sequence[sp.Expr]]) -> str:
    body = r" \\ ".join(" & ".join(_tex(e) for e in row) for row in rows)
    return rf"\begin{{pmatrix}} {body} \end{{pmatrix}}"


def _partial(of: str, by: str) -> str:
    return rf"\frac{{\partial {of}}}{{\partial {by}}}"


def _listed(symbols: Iterable[sp.Symbol]) -> str:
    return ", ".join(map(_tex, symbols))


class _Printer(LatexPrinter):
    """SymPy's, with names of several letters that are no products, and an e that is no symbol."""

    def _print_Symbol(self, expr: sp.Symbol, style: str = "plain") -> str:
        text: str = super()._print_Symbol(expr, style)
        return re.sub(r"^([A-Za-z]{2,}[0-9]*)", r"\\mathit{\1}", text)

    _print_Dummy = _print_Symbol

    def _print_ExpBase(self, expr: sp.Expr, exp: str | None = None) -> str:
        text = rf"\mathrm{{e}}^{{{self._print(expr.args[0])}}}"
        return text if exp is None else rf"\left({text}\right)^{{{exp}}}"


def _tex(value: sp.Basic) -> str:
    text: str = _Printer({"ln_notation": True}).doprint(value)  # type: ignore[no-untyped-call]
    return text
