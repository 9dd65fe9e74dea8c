"""Nonlinear Poisson problems on growing grids: iterations, times and memory of a solve and of its gradient."""

from __future__ import annotations

import ctypes
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from timing import table

import opgen

RESIDUALS = """
import sympy as sp
import opgen
i, j, k = (sp.Idx(name) for name in "ijk")
u, f = sp.IndexedBase("u"), sp.IndexedBase("f")
h = sp.Symbol("h", positive=True)
plane = opgen.Implicit(
    residual=(4 * u[i, j] - u[i - 1, j] - u[i + 1, j] - u[i, j - 1] - u[i, j + 1]) / h**2 + u[i, j] ** 3 - f[i, j],
    unknown=u, inputs=[f, h], boundary={u: opgen.Dirichlet(0)}, sample={f: (-100, 100), h: (0.05, 0.1)})
space = opgen.Implicit(
    residual=(6 * u[i, j, k] - u[i - 1, j, k] - u[i + 1, j, k] - u[i, j - 1, k] - u[i, j + 1, k] - u[i, j, k - 1]
              - u[i, j, k + 1]) / h**2 + u[i, j, k] ** 3 - f[i, j, k],
    unknown=u, inputs=[f, h], boundary={u: opgen.Dirichlet(0)}, sample={f: (-100, 100), h: (0.05, 0.1)})
"""
SIZES = {"plane": (64, 128, 256, 512, 1024), "space": (32, 64, 96)}


def source(shape: tuple[int, ...]) -> np.ndarray:
    """Give a smooth right-hand side, at most 100."""
    rng = np.random.default_rng(1)
    n = shape[0]
    waves = np.sin(np.pi * np.outer(np.arange(1, 6), np.arange(1, n + 1) / (n + 1)))
    f = rng.standard_normal((5,) * len(shape))
    for axis in range(len(shape)):
        f = np.moveaxis(np.tensordot(waves.T, f, axes=(1, axis)), 0, axis)
    return 100 * f / np.abs(f).max()


class Timed:
    """One operator's kernel, called as its adapters do, with what it says of its iterations."""

    def __init__(self, op: Any, n: int, rank: int) -> None:
        package = sys.modules[op.__module__]
        self.numpy = sys.modules[f"{package.__name__}.numpy_op"]
        self.f, self.h = source((n,) * rank), np.array(1 / (n + 1))
        self.call = self.numpy._Call((), np.dtype(np.float64), sizes=(n,) * rank)
        self.u, self.gradient = np.empty_like(self.f), np.empty_like(self.f)
        self.newton = ctypes.c_int32()
        cores = (rank, 0)
        self.inputs = self.call.view([self.f, self.h], cores)
        self.outputs = self.call.view([self.u, None], (rank, 0))
        self.unknowns = self.call.view([self.u], (rank,))
        self.cotangents = self.call.view([np.ones_like(self.u)], (rank,))
        self.gradients = self.call.view([self.gradient, None], cores)

    def solve(self) -> tuple[float, int]:
        """Return the seconds of a solve and its Krylov iterations."""
        call, start = self.call, time.perf_counter()
        arguments = (ctypes.byref(call.points), self.inputs, None, self.outputs, ctypes.byref(self.newton), None)
        call.finish(self.numpy._kernel.opgen_solve(*arguments, ctypes.byref(call.options), ctypes.byref(call.report)))
        return time.perf_counter() - start, call.report.krylov

    def adjoint(self) -> tuple[float, int]:
        """Return the seconds of the gradient and its Krylov iterations."""
        call, start = self.call, time.perf_counter()
        arguments = (ctypes.byref(call.points), self.inputs, self.unknowns, self.cotangents, self.gradients)
        call.finish(self.numpy._kernel.opgen_adjoint(*arguments, ctypes.byref(call.options), ctypes.byref(call.report)))
        return time.perf_counter() - start, call.report.krylov


def report(folder: str) -> str:
    """Solve every grid three times and set a table."""
    path = Path(folder) / "grids.py"
    path.write_text(RESIDUALS)
    made = opgen.load(path, output=Path(folder) / "generated", targets=["numpy"])
    rows = []
    for op, (name, sizes) in zip(made, SIZES.items(), strict=True):
        op.solve(source((8,) * (2 if name == "plane" else 3)), 1 / 9)  # loads the adapter
        rank = 2 if name == "plane" else 3
        for n in sizes:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            timed = Timed(op, n, rank)
            forward = [timed.solve() for _ in range(3)]
            backward = [timed.adjoint() for _ in range(3)]
            memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            solved, differentiated = min(t for t, _ in forward), min(t for t, _ in backward)
            rows.append(
                [
                    " x ".join([str(n)] * rank),
                    timed.newton.value,
                    forward[0][1],
                    f"{1e3 * solved:.3g}",
                    f"{1e9 * solved / n**rank:.3g}",
                    backward[0][1],
                    f"{1e3 * differentiated:.3g}",
                    f"{memory:.0f}",
                ]
            )
    header = ("grid", "Newton", "Krylov", "solve, ms", "ns per point", "Krylov, adjoint", "gradient, ms", "memory, MiB")
    return table(header, rows)
