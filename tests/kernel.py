"""Calls a built kernel as its C interface has it, so that gradients can be checked without any framework."""

from __future__ import annotations

import ctypes
import importlib
from types import ModuleType
from typing import Any

import numpy as np


class Kernel:
    """The kernel of a generated package."""

    def __init__(self, package: ModuleType) -> None:
        self.adapter = importlib.import_module(f"{package.__name__}.numpy_op")
        self.interface = self.adapter.interface
        self.library = self.interface.library("")

    def _run(self, function: str, call: Any, *groups: list[np.ndarray | None]) -> str:
        status = getattr(self.library, function)(
            ctypes.byref(call.points),
            *(call.view(g) for g in groups),
            ctypes.byref(call.options),
            ctypes.byref(call.report),
        )
        message = call.report.message.decode()
        if status:
            raise self.interface.SolveError(message)
        return message

    def adjoint(
        self, x: list[np.ndarray], y: list[np.ndarray], g: list[np.ndarray | None], **options: Any
    ) -> list[np.ndarray]:
        """dJ/dx for the root y and cotangents g of the outputs."""
        shape = np.broadcast_shapes(*(a.shape for a in x), *(b.shape for b in y))
        checked = self.interface.options(None, None, "auto", options.get("on_failure", "raise"))
        call = self.adapter._Call(shape, x[0].dtype, checked)
        call.options.threads = options.get("threads", 0)
        gradients = [np.full(a.shape, np.nan, a.dtype) for a in x]
        self._run("opgen_adjoint", call, x, y, g, gradients)
        return gradients

    def tangent(self, x: list[np.ndarray], y: list[np.ndarray], v: list[np.ndarray | None]) -> list[np.ndarray]:
        """The tangents of all outputs along v."""
        call = self.adapter._Call(np.broadcast_shapes(*(a.shape for a in (*x, *y))), x[0].dtype)
        outputs = [call.empty() for _ in self.interface.OUTPUTS]
        self._run("opgen_tangent", call, x, y, v, outputs)
        return outputs

    def second(
        self, x: list[np.ndarray], y: list[np.ndarray], g: list[np.ndarray | None], v: list[np.ndarray | None]
    ) -> list[np.ndarray]:
        """The derivative by x of the cotangents g times the tangents along v."""
        call = self.adapter._Call(np.broadcast_shapes(*(a.shape for a in (*x, *y))), x[0].dtype)
        gradients = [np.full(a.shape, np.nan, a.dtype) for a in x]
        self._run("opgen_second", call, x, y, g, v, gradients)
        return gradients

    def residual_pullback(self, x: list[np.ndarray], y: list[np.ndarray], v: list[np.ndarray]) -> list[np.ndarray]:
        """v^T F_x, then v^T F_y."""
        call = self.adapter._Call(np.broadcast_shapes(*(a.shape for a in (*x, *y))), x[0].dtype)
        gradients = [np.full(a.shape, np.nan, a.dtype) for a in (*x, *y)]
        self._run("opgen_residual_pullback", call, x, y, v, gradients)
        return gradients


def listed(value: Any) -> list[np.ndarray]:
    """List the outputs of a call."""
    return list(value) if isinstance(value, tuple) else [value]
