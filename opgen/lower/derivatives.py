"""Derivatives of an operator that acts on every point alone, as code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sympy as sp

from opgen.analyse.calculus import derivative, scale
from opgen.analyse.chain import is_long, product, total
from opgen.analyse.model import Model
from opgen.lower.cxx import Code, Emitter
from opgen.lower.graph import Graph, Node
from opgen.lower.program import Adjoint, Curvature, Second, Tangent


class Derivatives:
    """The derivatives of one operator.

    Args:
        model: Of the operator.
        names: How inputs and unknowns are spelled.
        fields: What is known before, by name: functions of the inputs alone.
    """

    def __init__(self, model: Model, names: Mapping[sp.Symbol, str], fields: Mapping[Node, str]) -> None:
        self.model = model
        self.fields = dict(fields)
        self.names = dict(names)
        n, k = len(model.inputs), len(model.unknowns)
        # Arrays of generated code: cotangents g, adjoint u, tangents v of the inputs and w of the unknowns; for
        # curvature, further tangents d and e of both, and z, the second derivative of the unknowns.
        self.g = self._array("cotangents", k + len(model.auxiliary))
        self.u = self._array("solution", k)
        self.w = self._array("tangent", k)
        self.p = self._array("correction", k)
        self.v = self._array("tangents", n + k)  # the last k for the residual's tangent only
        self.d = self._array("directions", n)
        self.e = self._array("direction", k)
        self.z = self._array("curved", k)

    def _array(self, name: str, size: int) -> tuple[sp.Symbol, ...]:
        made = tuple(sp.Dummy(f"{name}{i}", real=True) for i in range(size))
        self.names.update({s: f"{name}[{i}]" for i, s in enumerate(made)})
        return made

    def adjoint(self) -> Adjoint:
        """dJ/dx = -u^T F_x + a_x^T h with F_y^T u = g + a_y^T h; for y = f(x), u = -(g + a_y^T h).

        F itself and its scale are computed along with it: they say whether y is a root.
        """
        m = self.model
        k, n = len(m.unknowns), len(m.inputs)
        graph = Graph(self.names, m.inputs, ordered=not model_is_long(m))
        h = self.g[k:]
        right = [
            _sum([(self.g[i],), *((h[q], row[i]) for q, row in enumerate(m.auxiliary_by_unknown))]) for i in range(k)
        ]
        transposed = [m.by_unknown[j][i] for i in range(k) for j in range(k)] if m.by_unknown else []
        sign = 1 if m.explicit else -1
        gradient = [
            _sum(
                [
                    *((sign, self.u[i], m.by_input[i][j]) for i in range(k)),
                    *((h[q], row[j]) for q, row in enumerate(m.auxiliary_by_input)),
                ]
            )
            for j in range(n)
        ]
        check = () if m.explicit else (*m.residuals, *(scale(e) for e in m.residuals))
        before = [graph(e) for e in (*transposed, *right, *check)]
        after = [graph(e) for e in gradient]
        emitter = Emitter((*before, *after), self.fields, "t")
        return Adjoint(emitter.code(before), emitter.code(after))

    def _moved(self, v: Sequence[sp.Symbol]) -> list[sp.Expr]:
        """Give -F_x v; for y = f(x), f_x v."""
        sign = 1 if self.model.explicit else -1
        return [_sum((sign, d, t) for d, t in zip(row, v, strict=False)) for row in self.model.by_input]

    def _jacobian(self) -> list[sp.Expr]:
        return [d for row in self.model.by_unknown for d in row]

    def tangent(self) -> Tangent:
        """F_y w = -F_x v, then a_x v + a_y w."""
        m = self.model
        graph = Graph(self.names, ordered=not model_is_long(m))
        after = [
            _dot((*by_input, *by_unknown), (*self.v[: len(by_input)], *self.w))
            for by_input, by_unknown in zip(m.auxiliary_by_input, m.auxiliary_by_unknown, strict=True)
        ]
        first = [graph(e) for e in (*self._jacobian(), *self._moved(self.v))]
        last = [graph(e) for e in after]
        emitter = Emitter((*first, *last), {}, "t")
        return Tangent(emitter.code(first), emitter.code(last))

    def second(self) -> Second:
        """Differentiate g^T o', o' the tangent of the outputs along v, by the inputs.

        With F_y^T u = g + a_y^T h and F_y w = -F_x v, the function
            L = g^T w + h^T (a_x v + a_y w) - u^T (F_x v + F_y w)
        equals g^T o' and does not change to first order with w. So its total derivative by x is L_x + (dy/dx)^T L_y
        with u and w held fixed, and (dy/dx)^T L_y = -F_x^T p where F_y^T p = L_y. Terms of L without F or a drop out.
        """
        m = self.model
        k, n = len(m.unknowns), len(m.inputs)
        graph = Graph(self.names, ordered=not model_is_long(m))
        h = self.g[k:]
        sign = 1 if m.explicit else -1  # y - f(x) = 0: F_x = -f_x, F_y = 1
        L = _sum(
            [
                *((h[q], m.auxiliary_by_input[q][j], self.v[j]) for q in range(len(h)) for j in range(n)),
                *((h[q], m.auxiliary_by_unknown[q][i], self.w[i]) for q in range(len(h)) for i in range(k)),
                *((sign, self.u[i], m.by_input[i][j], self.v[j]) for i in range(k) for j in range(n)),
                *((-1, self.u[i], m.by_unknown[i][j], self.w[j]) for i in range(k) for j in range(k) if m.by_unknown),
            ]
        )
        right = [
            _sum([(self.g[i],), *((h[q], row[i]) for q, row in enumerate(m.auxiliary_by_unknown))]) for i in range(k)
        ]
        first = [graph(e) for e in (*self._jacobian(), *right, *self._moved(self.v))]
        middle = [graph(derivative(L, y)) for y in m.unknowns]
        last = [
            graph(_sum([(derivative(L, x),), *((sign, self.p[i], m.by_input[i][j]) for i in range(k))]))
            for j, x in enumerate(m.inputs)
        ]
        emitter = Emitter((*first, *middle, *last), {}, "t")
        return Second(emitter.code(first), emitter.code(middle), emitter.code(last))

    def curvature(self) -> Curvature:
        """Differentiate the outputs along v and along d: D^2 o(x)[v, d].

        F(x, y(x)) = 0, differentiated along v, is F_y w = -F_x v; once more, along d with F_y e = -F_x d,
            F_y z = -D^2 F[(v, w), (d, e)],
        and of an auxiliary it is D^2 a[(v, w), (d, e)] + a_y z. For y = f(x), z = D^2 f[v, d].
        """
        m = self.model
        graph = Graph(self.names, ordered=not model_is_long(m))

        def twice(by_input: Sequence[sp.Expr], by_unknown: Sequence[sp.Expr], sign: int = 1) -> sp.Expr:
            once = _dot((*by_input, *by_unknown), (*self.v[: len(by_input)], *self.w))
            moves = zip((*m.inputs, *m.unknowns), (*self.d, *self.e), strict=True)
            return _sum((sign, derivative(once, s), along) for s, along in moves)

        if m.explicit:
            right = [twice(row, ()) for row in m.by_input]
        else:
            right = [twice(*rows, sign=-1) for rows in zip(m.by_input, m.by_unknown, strict=True)]
        auxiliary = [
            _sum([(twice(by_input, by_unknown),), *zip(by_unknown, self.z, strict=True)])
            for by_input, by_unknown in zip(m.auxiliary_by_input, m.auxiliary_by_unknown, strict=True)
        ]
        first = [graph(e) for e in (*self._jacobian(), *self._moved(self.v), *self._moved(self.d))]
        middle, last = [graph(e) for e in right], [graph(e) for e in auxiliary]
        emitter = Emitter((*first, *middle, *last), {}, "t")
        return Curvature(emitter.code(first), emitter.code(middle), emitter.code(last))

    def residual_tangent(self) -> Code:
        """F_x v + F_y w; for y - f(x), w - f_x v."""
        m = self.model
        graph = Graph(self.names, ordered=not model_is_long(m))
        w = self.v[len(m.inputs) :]
        if m.explicit:
            moved = [
                _sum([(w[i],), *((-1, d, t) for d, t in zip(row, self.v, strict=False))])
                for i, row in enumerate(m.by_input)
            ]
        else:
            moved = [_dot((*x, *y), (*self.v[: len(x)], *w)) for x, y in zip(m.by_input, m.by_unknown, strict=True)]
        nodes = [graph(e) for e in moved]
        return Emitter(nodes, {}, "t").code(nodes)

    def residual_pullback(self) -> Code:
        """v^T F_x and v^T F_y."""
        m = self.model
        k = len(m.unknowns)
        v = self.g[:k]
        graph = Graph(self.names, ordered=not model_is_long(m))
        if m.explicit:
            by_input = [_sum((-1, v[i], m.by_input[i][j]) for i in range(k)) for j in range(len(m.inputs))]
            by_unknown: list[sp.Expr] = list(v)
        else:
            by_input = [_sum((v[i], m.by_input[i][j]) for i in range(k)) for j in range(len(m.inputs))]
            by_unknown = [_sum((v[i], m.by_unknown[i][j]) for i in range(k)) for j in range(k)]
        nodes = [graph(e) for e in (*by_input, *by_unknown)]
        return Emitter(nodes, {}, "t").code(nodes)


def model_is_long(model: Model) -> bool:
    """Say whether nobody will read the code of this operator."""
    return is_long(sp.Tuple(*model.residuals))


def _dot(row: Sequence[sp.Expr], along: Sequence[sp.Expr]) -> sp.Expr:
    """Contract derivatives with as many of the tangents."""
    return _sum((d, t) for d, t in zip(row, along, strict=False))


def _sum(products: Iterable[Sequence[sp.Expr | int]]) -> sp.Expr:
    """Add products; long ones as they are."""
    terms = [tuple(map(sp.sympify, factors)) for factors in products]
    if is_long(sp.Tuple(*(sp.Tuple(*factors) for factors in terms))):
        return total(map(product, terms))
    return sp.Add(*(sp.Mul(*factors) for factors in terms))
