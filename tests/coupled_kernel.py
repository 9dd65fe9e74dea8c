"""Calls the kernel of a coupled operator as its C interface has it: every function, every argument, no framework."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

Arrays = Sequence[np.ndarray | None]
POLICIES = {"raise": 0, "nan": 1, "keep": 2}


class KernelError(Exception):
    """A call that returned a status; `report` has what it wrote beside the message."""

    def __init__(self, status: int, report: Any) -> None:
        super().__init__(report.message.decode())
        self.status, self.failed, self.first = status, report.failed, report.first


@dataclass(frozen=True)
class Solved:
    """What opgen_solve gives."""

    outputs: list[np.ndarray]
    norm: np.ndarray
    iterations: np.ndarray
    converged: np.ndarray
    message: str


class CoupledKernel:
    """The kernel of a generated package.

    Arrays may have any strides. One that is broadcast along the batch has fewer axes there, or extents of 1, and its
    gradient has its shape.
    """

    def __init__(self, package: ModuleType) -> None:
        self.adapter = importlib.import_module(f"{package.__name__}.numpy_op")
        self.interface = self.adapter.interface
        self.library = self.interface.library("")
        self.n, self.k = len(self.interface.INPUTS), len(self.interface.UNKNOWNS)
        self.outputs = len(self.interface.OUTPUTS)
        self.ranks = self.interface.RANKS

    def _call(self, known: Arrays, options: dict[str, Any]) -> Any:
        """Prepare a call whose batch and sizes are those of inputs and unknowns."""
        numbers = [i for i, a in enumerate(known) if a is not None]
        given = [known[i] for i in numbers]
        batch, sizes = self.interface.shapes([a.shape for a in given], np.broadcast_shapes, numbers)
        call = self.adapter._Call(batch, given[0].dtype, self.interface.DEFAULTS, sizes)
        call.options.tol = options.get("tol", 0.0)
        call.options.max_iterations = options.get("max_iterations", 0)
        call.options.on_failure = POLICIES[options.get("on_failure", "raise")]
        call.options.threads = options.get("threads", 1)
        return call

    def _run(self, function: str, call: Any, *arguments: Any) -> str:
        status = getattr(self.library, function)(
            ctypes.byref(call.points), *arguments, ctypes.byref(call.options), ctypes.byref(call.report)
        )
        if status:
            raise KernelError(status, call.report)
        return str(call.report.message.decode())

    def _inputs(self, call: Any, x: Arrays) -> Any:
        return call.view([None if a is None else np.asarray(a) for a in x], self.ranks)

    def _outputs(self, call: Any, y: Arrays) -> Any:
        """Describe unknowns, with or without auxiliaries behind them."""
        return call.view([None if a is None else np.asarray(a) for a in y], self.ranks[self.n :])

    def _room(self, call: Any, count: int, given: list[np.ndarray] | None) -> list[np.ndarray]:
        """Make room for outputs, with NaN in it: whatever is not written is seen."""
        if given is not None:
            return given
        made = [call.empty(self.n + o) for o in range(count)]
        for a in made:
            a.fill(np.nan)
        return made

    def solve(
        self, x: Arrays, initial: Arrays | None = None, into: list[np.ndarray] | None = None, **options: Any
    ) -> Solved:
        call = self._call([*x, *(initial or ())], options)
        outputs = self._room(call, self.outputs, into)
        norm, iterations = call.empty(), call.empty(dtype=np.int32)
        converged = call.empty(dtype=np.bool_)
        message = self._run(
            "opgen_solve",
            call,
            self._inputs(call, x),
            None if initial is None else self._outputs(call, initial),
            call.view([*outputs, norm], self.ranks[self.n :]),
            ctypes.c_void_p(iterations.ctypes.data),
            ctypes.c_void_p(converged.ctypes.data),
        )
        return Solved(outputs, norm, iterations, converged, message)

    def _given(
        self, function: str, x: Arrays, y: Arrays, groups: list[Any], count: int, options: dict[str, Any]
    ) -> Any:
        """Call a function whose results are outputs."""
        call = self._call([*x, *y[: self.k]], options)
        outputs = self._room(call, count, options.get("into"))
        views = [view(call, arrays) for view, arrays in groups]
        self._run(
            function,
            call,
            self._inputs(call, x),
            self._outputs(call, y[: self.k]),
            *views,
            self._outputs(call, outputs),
        )
        return outputs

    def residual(self, x: Arrays, y: Arrays, **options: Any) -> list[np.ndarray]:
        return self._given("opgen_residual", x, y, [], self.k, options)

    def tangent(self, x: Arrays, y: Arrays, v: Arrays, **options: Any) -> list[np.ndarray]:
        return self._given("opgen_tangent", x, y, [(self._inputs, v)], self.outputs, options)

    def curvature(self, x: Arrays, y: Arrays, v: Arrays, w: Arrays, **options: Any) -> list[np.ndarray]:
        groups = [(self._inputs, v), (self._inputs, w)]
        return self._given("opgen_curvature", x, y, groups, self.outputs, options)

    def residual_tangent(self, x: Arrays, y: Arrays, t: Arrays, **options: Any) -> list[np.ndarray]:
        return self._given("opgen_residual_tangent", x, y, [(self._inputs, t)], self.k, options)

    def _gradients(
        self, function: str, x: Arrays, y: Arrays, groups: list[Any], of: Arrays, options: dict[str, Any]
    ) -> list[np.ndarray | None]:
        """Call a function whose results are gradients; `wanted` says of which operands."""
        call = self._call([*x, *y[: self.k]], options)
        wanted: Callable[[int], bool] = options.get("wanted", lambda _: True)
        made = [np.full_like(a, np.nan) if a is not None and wanted(i) else None for i, a in enumerate(of)]
        made = options.get("into", made)
        views = [view(call, arrays) for view, arrays in groups]
        self._run(
            function, call, self._inputs(call, x), self._outputs(call, y[: self.k]), *views, self._inputs(call, made)
        )
        return made

    def adjoint(self, x: Arrays, y: Arrays, g: Arrays, **options: Any) -> Any:
        return self._gradients("opgen_adjoint", x, y, [(self._outputs, g)], x, options)

    def second(self, x: Arrays, y: Arrays, g: Arrays, v: Arrays, **options: Any) -> Any:
        return self._gradients("opgen_second", x, y, [(self._outputs, g), (self._inputs, v)], x, options)

    def residual_pullback(self, x: Arrays, y: Arrays, c: Arrays, **options: Any) -> Any:
        return self._gradients("opgen_residual_pullback", x, y, [(self._outputs, c)], [*x, *y[: self.k]], options)

    def isolated(self, x: Arrays, y: Arrays, **options: Any) -> np.ndarray:
        call = self._call([*x, *y[: self.k]], options)
        flags = call.empty(dtype=np.bool_)
        views = self._inputs(call, x), self._outputs(call, y[: self.k])
        self._run("opgen_isolated", call, *views, ctypes.c_void_p(flags.ctypes.data))
        return flags

    @contextmanager
    def preconditioner(
        self, x: Arrays, y: Arrays, **options: Any
    ) -> Iterator[Callable[[np.ndarray, bool], np.ndarray]]:
        """Give a function z(r, transposed), both [systems, unknowns]."""
        call = self._call([*x, *y[: self.k]], options)
        made = _Preconditioner()
        views = self._inputs(call, x), self._outputs(call, y[: self.k])
        status = self.library.opgen_preconditioner_new(
            ctypes.byref(call.points), *views, ctypes.byref(call.options), ctypes.byref(made), ctypes.byref(call.report)
        )
        if status:
            raise KernelError(status, call.report)

        def apply(r: np.ndarray, transposed: bool = False) -> np.ndarray:
            r = np.ascontiguousarray(r)
            z = np.full_like(r, np.nan)
            assert made.apply(made.context, int(transposed), r.ctypes.data, z.ctypes.data) == 0
            return z

        try:
            del call, views  # what it needs of them it has copied
            yield apply
        finally:
            self.library.opgen_preconditioner_delete(ctypes.byref(made))
            assert not made.context


class _Preconditioner(ctypes.Structure):
    """opgen_preconditioner."""

    _fields_ = (
        ("context", ctypes.c_void_p),
        ("apply", ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)),
    )
