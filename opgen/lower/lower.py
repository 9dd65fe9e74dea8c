"""Model -> Program."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.printing.codeprinter import PrintMethodNotImplementedError
from sympy.printing.pycode import MpmathPrinter

from opgen.analyse.calculus import Magnitude, Start
from opgen.analyse.chain import is_long
from opgen.analyse.coupled import CoupledModel
from opgen.analyse.model import Model
from opgen.errors import UnsupportedError
from opgen.lower.aten import aten_lines
from opgen.lower.coupled import lower_coupled
from opgen.lower.cxx import Code, Emitter, invariants
from opgen.lower.derivatives import Derivatives, model_is_long
from opgen.lower.graph import Graph, Node
from opgen.lower.names import identifiers
from opgen.lower.program import Aten, Mathematics, Program

LONGEST_SHOWN = 2000  # nodes of a formula that is shown in full


def lower(model: Model | CoupledModel) -> Program:
    """Turn formulas into code, sharing what a residual and its derivatives have in common.

    Raises:
        UnsupportedError: a function cannot be generated; the message names it.
    """
    if isinstance(model, CoupledModel):
        return lower_coupled(model)
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
        iteration = model.iteration
        variables = iteration.variables if iteration and iteration.substituted else ()
        spelled = identifiers((*display, *(v.name for v in variables)))
        n, k = len(model.inputs), len(model.unknowns)
        self.inputs, self.unknowns, self.auxiliaries = spelled[:n], spelled[n : n + k], spelled[n + k : len(display)]
        self.variables = spelled[len(display) :] or self.unknowns
        self.display = display
        self.names = dict(zip((*model.inputs, *model.unknowns), spelled, strict=False))
        self.names |= dict(zip(variables, self.variables, strict=True)) if variables else {}

    def program(self) -> Program:
        m = self.model
        n, k = len(m.inputs), len(m.unknowns)
        graph = Graph(self.names, m.inputs, ordered=not model_is_long(m))
        it = m.iteration
        second = (it.curvature,) if it and it.curvature is not None else ()
        flat = (*it.residuals, *(d for row in it.jacobian for d in row), *it.scale, *second) if it else ()
        solving = [graph(e) for e in flat]
        guess = [graph(e) for e in (it.guess if it else ())]
        ends = [graph(e) for e in ((*it.lower, *it.upper) if it and it.bounded else ())]
        auxiliary = [graph(e) for e in m.auxiliary]
        residual = [graph(e) for e in self._residual()]
        known = invariants((*solving, *guess, *ends, *auxiliary), frozenset(self.inputs))
        # Counted twice, so that each gets a name: these are the fields of the prologue.
        prologue = Emitter((*known, *known), {}, "c").code(known)
        fields = dict(zip(known, prologue.results, strict=True))
        math = self._mathematics()
        derivatives = Derivatives(m, self.names, fields)
        return Program(
            name=m.spec.name,
            doc=m.spec.doc,
            kind=m.kind,
            explicit=m.explicit,
            linear=m.linear,
            bounded=it is not None and it.bounded,
            curved=bool(second),
            steps=m.steps,
            substituted=it is not None and it.substituted,
            open=m.open,
            max_iterations=m.spec.max_iterations,
            tol=m.spec.tol,
            adjoint_default=m.spec.adjoint,
            inputs=self.inputs,
            unknowns=self.unknowns,
            variables=self.variables,
            auxiliaries=self.auxiliaries,
            input_names=self.display[:n],
            unknown_names=self.display[n : n + k],
            auxiliary_names=self.display[n + k :],
            coupled=False,
            dimension_names=(),
            cores=((),) * len(self.display),
            prologue=prologue,
            fields=(*self.inputs, *prologue.results),
            guess=_code(guess, fields),
            bounds=_code(ends, fields),
            values=_code([graph(e) for e in m.residuals], fields) if m.explicit else Code((), ()),
            linearisation=_code(solving, fields),
            variables_of=_code([graph(e) for e in (it.of_unknowns if it else ())], fields),
            unknowns_of=_code([graph(e) for e in (it.unknowns if it else ())], fields),
            residual=_code(residual, fields),
            auxiliary=_code(auxiliary, fields),
            adjoint=derivatives.adjoint(),
            tangent=derivatives.tangent(),
            second=derivatives.second(),
            curvature=derivatives.curvature(),
            residual_pullback=derivatives.residual_pullback(),
            residual_tangent=derivatives.residual_tangent(),
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
            latex=tuple(_shown(e) if is_long(e, LONGEST_SHOWN) else sp.latex(e) for e in m.residuals),
            guess=() if m.explicit else tuple(_shown(g.args[0] if isinstance(g, Start) else g) for g in m.guess),
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
        parts += [
            *map(sp.srepr, m.iteration.unknowns if m.iteration else ()),
            str(m.open),
            str(m.spec.max_iterations),
            str(m.spec.tol),
            *self.display,
            *math.equations,
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _shown(e: sp.Expr) -> str:
    """Write a formula for a reader, who has no use for a long one."""
    if is_long(e, LONGEST_SHOWN):
        return f"a formula of {sp.count_ops(e)} operations in {', '.join(sorted(map(str, e.free_symbols)))}"
    return str(sp.sstr(e, full_prec=False))


def _code(nodes: Sequence[Node], named: dict[Node, str]) -> Code:
    return Emitter(nodes, named, "t").code(nodes)
