"""Model -> Program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.pycode import MpmathPrinter

from opgen.analyse.calculus import Magnitude, derivative
from opgen.analyse.model import Model
from opgen.errors import UnsupportedError
from opgen.lower.aten import aten_lines
from opgen.lower.cxx import Code, Emitter, invariants
from opgen.lower.graph import Graph, Node
from opgen.lower.names import identifiers
from opgen.lower.program import Adjoint, Aten, Mathematics, Program, Second, Tangent


def lower(model: Model) -> Program:
    """Turn formulas into code, sharing what a residual and its derivatives have in common.

    Raises:
        UnsupportedError: a function cannot be generated; the message names it.
    """
    try:
        return _Lowering(model).program()
    except UnsupportedError as error:
        if str(error).startswith(model.spec.name):
            raise
        raise UnsupportedError(f"{model.spec.name}: {error}") from None


class _Mpmath(MpmathPrinter):
    """SymPy's printer, with the functions that it lacks."""

    def _print_polygamma(self: Any, e: sp.Basic) -> str:
        return f"{self._module_format('mpmath.psi')}({self._print(e.args[0])}, {self._print(e.args[1])})"

    def _print_LambertW(self: Any, e: sp.Basic) -> str:
        real, lambert = self._module_format("mpmath.re"), self._module_format("mpmath.lambertw")
        return f"{real}({lambert}({', '.join(self._print(a) for a in e.args)}))"

    def _print_Heaviside(self: Any, e: sp.Basic) -> str:  # type: ignore[override]  # SymPy has None there
        half, sign = self._module_format("mpmath.mpf"), self._module_format("mpmath.sign")
        return f"{half}(0.5) * (1 + {sign}({self._print(e.args[0])}))"


class _Lowering:
    def __init__(self, model: Model) -> None:
        self.model = model
        auxiliary_names = tuple(name for name, _ in model.spec.auxiliary)
        display = (*(s.name for s in model.inputs), *(s.name for s in model.unknowns), *auxiliary_names)
        spelled = identifiers(display)
        n, k = len(model.inputs), len(model.unknowns)
        self.inputs, self.unknowns, self.auxiliaries = spelled[:n], spelled[n : n + k], spelled[n + k :]
        self.display = display
        self.names = dict(zip((*model.inputs, *model.unknowns), spelled, strict=False))
        # Arrays of generated code: cotangents g, adjoint u, tangents v of the inputs and w of the unknowns.
        self.g = self._array("cotangents", k + len(model.auxiliary))
        self.u = self._array("solution", k)
        self.w = self._array("tangent", k)
        self.p = self._array("correction", k)
        self.v = self._array("tangents", n)

    def _array(self, name: str, size: int) -> tuple[sp.Symbol, ...]:
        made = tuple(sp.Dummy(f"{name}{i}", real=True) for i in range(size))
        self.names.update({s: f"{name}[{i}]" for i, s in enumerate(made)})
        return made

    def program(self) -> Program:
        m = self.model
        n, k = len(m.inputs), len(m.unknowns)
        graph = Graph(self.names, m.inputs)
        flat = (*m.residuals, *(d for row in m.by_unknown for d in row), *m.scale)
        solving = [graph(e) for e in (() if m.explicit else flat)]
        guess = [graph(e) for e in (() if m.explicit else m.guess)]
        ends = [graph(e) for e in (() if m.explicit else (*m.lower, *m.upper))] if m.bounded else []
        auxiliary = [graph(e) for e in m.auxiliary]
        residual = [graph(e) for e in self._residual()]
        known = invariants((*solving, *guess, *ends, *auxiliary), frozenset(self.inputs))
        # Counted twice, so that each gets a name: these are the fields of the prologue.
        prologue = Emitter((*known, *known), {}, "c").code(known)
        fields = dict(zip(known, prologue.results, strict=True))
        math = self._mathematics()
        return Program(
            name=m.spec.name,
            doc=m.spec.doc,
            kind=m.kind,
            explicit=m.explicit,
            linear=m.linear,
            bounded=m.bounded and not m.explicit,
            open=m.open,
            max_iterations=m.spec.max_iterations,
            tol=m.spec.tol,
            adjoint_default=m.spec.adjoint,
            inputs=self.inputs,
            unknowns=self.unknowns,
            auxiliaries=self.auxiliaries,
            input_names=self.display[:n],
            unknown_names=self.display[n : n + k],
            auxiliary_names=self.display[n + k :],
            prologue=prologue,
            fields=(*self.inputs, *prologue.results),
            guess=_code(guess, fields),
            bounds=_code(ends, fields),
            values=_code([graph(e) for e in m.residuals], fields) if m.explicit else Code((), ()),
            linearisation=_code(solving, fields),
            residual=_code(residual, fields),
            auxiliary=_code(auxiliary, fields),
            adjoint=self._adjoint(),
            tangent=self._tangent(),
            second=self._second(),
            residual_pullback=self._residual_pullback(),
            aten=self._aten(),
            mathematics=math,
            sample=m.sample,
            sample_given=all(s is not None for s in m.spec.sample),
            digest=self._digest(math),
        )

    def _residual(self) -> tuple[sp.Expr, ...]:
        m = self.model
        if m.explicit:
            return tuple(y - f for y, f in zip(m.unknowns, m.residuals, strict=True))
        return m.residuals

    def _adjoint(self) -> Adjoint:
        """dJ/dx = -u^T F_x + a_x^T h with F_y^T u = g + a_y^T h; for y = f(x), u = -(g + a_y^T h)."""
        m = self.model
        k, n = len(m.unknowns), len(m.inputs)
        graph = Graph(self.names)
        h = self.g[k:]
        right = [self.g[i] + sp.Add(*(h[q] * row[i] for q, row in enumerate(m.auxiliary_by_unknown))) for i in range(k)]
        transposed = [m.by_unknown[j][i] for i in range(k) for j in range(k)] if m.by_unknown else []
        sign = 1 if m.explicit else -1
        gradient = [
            sign * sp.Add(*(self.u[i] * m.by_input[i][j] for i in range(k)))
            + sp.Add(*(h[q] * row[j] for q, row in enumerate(m.auxiliary_by_input)))
            for j in range(n)
        ]
        before = [graph(e) for e in (*transposed, *right)]
        after = [graph(e) for e in gradient]
        emitter = Emitter((*before, *after), {}, "t")
        return Adjoint(emitter.code(before), emitter.code(after))

    def _moved(self) -> list[sp.Expr]:
        """Give -F_x v; for y = f(x), f_x v."""
        m = self.model
        sign = 1 if m.explicit else -1
        return [sign * sp.Add(*(d * v for d, v in zip(row, self.v, strict=True))) for row in m.by_input]

    def _jacobian(self) -> list[sp.Expr]:
        return [d for row in self.model.by_unknown for d in row]

    def _tangent(self) -> Tangent:
        """F_y w = -F_x v, then a_x v + a_y w."""
        m = self.model
        graph = Graph(self.names)
        after = [
            sp.Add(*(d * v for d, v in zip(by_input, self.v, strict=True)))
            + sp.Add(*(d * w for d, w in zip(by_unknown, self.w, strict=True)))
            for by_input, by_unknown in zip(m.auxiliary_by_input, m.auxiliary_by_unknown, strict=True)
        ]
        first = [graph(e) for e in (*self._jacobian(), *self._moved())]
        last = [graph(e) for e in after]
        emitter = Emitter((*first, *last), {}, "t")
        return Tangent(emitter.code(first), emitter.code(last))

    def _second(self) -> Second:
        """Differentiate g^T o', o' the tangent of the outputs along v, by the inputs.

        With F_y^T u = g + a_y^T h and F_y w = -F_x v, the function
            L = g^T w + h^T (a_x v + a_y w) - u^T (F_x v + F_y w)
        equals g^T o' and does not change to first order with w. So its total derivative by x is L_x + (dy/dx)^T L_y
        with u and w held fixed, and (dy/dx)^T L_y = -F_x^T p where F_y^T p = L_y. Terms of L without F or a drop out.
        """
        m = self.model
        k, n = len(m.unknowns), len(m.inputs)
        graph = Graph(self.names)
        h = self.g[k:]
        sign = 1 if m.explicit else -1  # y - f(x) = 0: F_x = -f_x, F_y = 1
        L = sp.Add(
            *(h[q] * m.auxiliary_by_input[q][j] * self.v[j] for q in range(len(h)) for j in range(n)),
            *(h[q] * m.auxiliary_by_unknown[q][i] * self.w[i] for q in range(len(h)) for i in range(k)),
            *(sign * self.u[i] * m.by_input[i][j] * self.v[j] for i in range(k) for j in range(n)),
            *(-self.u[i] * m.by_unknown[i][j] * self.w[j] for i in range(k) for j in range(k) if m.by_unknown),
        )
        right = [self.g[i] + sp.Add(*(h[q] * row[i] for q, row in enumerate(m.auxiliary_by_unknown))) for i in range(k)]
        first = [graph(e) for e in (*self._jacobian(), *right, *self._moved())]
        middle = [graph(derivative(L, y)) for y in m.unknowns]
        last = [
            graph(derivative(L, x) + sign * sp.Add(*(self.p[i] * m.by_input[i][j] for i in range(k))))
            for j, x in enumerate(m.inputs)
        ]
        emitter = Emitter((*first, *middle, *last), {}, "t")
        return Second(emitter.code(first), emitter.code(middle), emitter.code(last))

    def _residual_pullback(self) -> Code:
        m = self.model
        k = len(m.unknowns)
        v = self.g[:k]
        graph = Graph(self.names)
        if m.explicit:
            by_input = [-sp.Add(*(v[i] * m.by_input[i][j] for i in range(k))) for j in range(len(m.inputs))]
            by_unknown: list[sp.Expr] = list(v)
        else:
            by_input = [sp.Add(*(v[i] * m.by_input[i][j] for i in range(k))) for j in range(len(m.inputs))]
            by_unknown = [sp.Add(*(v[i] * m.by_unknown[i][j] for i in range(k))) for j in range(k)]
        nodes = [graph(e) for e in (*by_input, *by_unknown)]
        return Emitter(nodes, {}, "t").code(nodes)

    def _aten(self) -> Aten:
        m = self.model
        return Aten(aten_lines(m.residuals, self.names), aten_lines(m.auxiliary, self.names))

    def _mathematics(self) -> Mathematics:
        m = self.model
        equations = tuple(
            f"{y} = {_shown(e)}" if m.explicit else f"{_shown(e)} = 0"
            for y, e in zip(self.display[len(m.inputs) :], m.residuals, strict=False)
        )
        bounds = tuple(
            f"{_shown(lo)} {'<' if is_open else '<='} {y.name} {'<' if is_open else '<='} {_shown(hi)}"
            for lo, hi, y, is_open in zip(m.lower, m.upper, m.unknowns, m.open, strict=True)
            if m.bounded and not m.explicit and (lo != -sp.oo or hi != sp.oo)
        )
        return Mathematics(
            equations=equations,
            latex=tuple(sp.latex(e) for e in m.residuals),
            guess=() if m.explicit else tuple(_shown(g) for g in m.guess),
            bounds=bounds,
            mpmath_residual=tuple(self._mpmath(e) for e in self._residual()),
            mpmath_exact=tuple(None if e is None else self._mpmath(e) for e in m.exact),
            mpmath_auxiliary=tuple(self._mpmath(e) for e in m.auxiliary),
        )

    def _mpmath(self, e: sp.Expr) -> str:
        spelled = e.xreplace({s: sp.Symbol(name, real=True) for s, name in self.names.items()})
        make: Any = _Mpmath
        printer = make({"fully_qualified_modules": True})
        try:
            return str(printer.doprint(spelled.replace(Magnitude, sp.Abs)))
        except PrintMethodNotImplementedError as error:
            what = str(error).partition("\n")[0].rpartition(": ")[2]
            raise UnsupportedError(f"the checks cannot evaluate {what} (in {e}); leave it out of exact") from None

    def _digest(self, math: Mathematics) -> str:
        m = self.model
        parts = [m.spec.name, m.kind, *map(sp.srepr, (*m.residuals, *m.guess, *m.lower, *m.upper, *m.auxiliary))]
        parts += [str(m.open), str(m.spec.max_iterations), str(m.spec.tol), *self.display, *math.equations]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _shown(e: sp.Expr) -> str:
    return str(sp.sstr(e, full_prec=False))


def _code(nodes: Sequence[Node], named: dict[Node, str]) -> Code:
    return Emitter(nodes, named, "t").code(nodes)
