"""The operator that a report is about, as its kernel offers it: values and derivatives of NumPy arrays."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opgen.build import manifest
from opgen.errors import InternalError, UsageError

Vector = NDArray[np.float64]
Vectors = list[Vector]


@dataclass(frozen=True)
class Operator:
    """A generated package that was imported.

    Shapes:
        Inputs and outputs of a pointwise operator are [points]; those of a coupled one [systems, core axes].

    Attributes:
        name: Its name.
        function: The generated function.
        interface: Its module of names and shapes.
        kernel: The adapter that calls the kernel's C interface.
        sizes: Of the dimensions of core axes.
    """

    name: str
    function: Any
    interface: Any
    kernel: Any
    sizes: tuple[int, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        names: tuple[str, ...] = self.interface.INPUTS
        return names

    @property
    def unknowns(self) -> tuple[str, ...]:
        """Names of the unknowns."""
        names: tuple[str, ...] = self.interface.UNKNOWNS
        return names

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the unknowns, then of the auxiliaries."""
        names: tuple[str, ...] = self.interface.OUTPUTS
        return names

    @property
    def coupled(self) -> bool:
        """Whether the unknowns of a system depend on each other."""
        return bool(self.interface.COUPLED)

    @property
    def explicit(self) -> bool:
        """Whether nothing is solved."""
        return bool(self.interface.EXPLICIT)

    def core(self, operand: int) -> tuple[int, ...]:
        """Return the shape of an input, an unknown or an auxiliary of one system."""
        shape: tuple[int, ...] = self.interface.core(operand, self.sizes)
        return shape

    def initial(self, batch: int) -> dict[str, Any]:
        """Return where to start, which is asked for only where no input tells the grid's size."""
        if not self.interface.FREE:
            return {}
        zeros = [np.zeros((batch, *self.core(len(self.inputs) + u))) for u in range(len(self.unknowns))]
        return {"initial": zeros[0] if len(zeros) == 1 else tuple(zeros)}

    def solve(self, x: Vectors, **options: Any) -> Any:
        """Solve, and keep the last iterate of what fails."""
        return self.function.solve(*x, **self.initial(len(x[0])), **options)

    def values(self, x: Vectors) -> Vectors:
        """Return the outputs; what fails is NaN."""
        return listed(self.solve(x, on_failure="nan").value)

    def adjoint(self, x: Vectors, y: Vectors, cotangents: Vectors) -> Vectors:
        """Return dJ/dx by the generated derivatives, for dJ/dy at the root y."""
        return self._derivative("opgen_adjoint", x, y, cotangents)

    def second(self, x: Vectors, y: Vectors, cotangents: Vectors, tangents: Vectors) -> Vectors:
        """Return the second derivative of J times the tangents."""
        return self._derivative("opgen_second", x, y, [*cotangents, *tangents])

    def _derivative(self, name: str, x: Vectors, y: Vectors, others: Vectors) -> Vectors:
        """Call a function of the kernel that makes one gradient for each input (opgen/include/opgen/kernel.h)."""
        function = getattr(self.kernel._kernel, name)
        function.restype = ctypes.c_int
        ranks, n, k = self.interface.RANKS, len(self.inputs), len(self.unknowns)
        options = self.interface.DEFAULTS._replace(on_failure="nan")
        call = self.kernel._Call(x[0].shape[:1], np.dtype(np.float64), options, self.sizes)
        gradients = [np.zeros_like(a) for a in x]
        outputs = len(self.outputs)
        given = [call.view(others[:outputs], ranks[n:])]
        if len(others) > outputs:
            given.append(call.view(others[outputs:], ranks))
        status = function(
            ctypes.byref(call.points),
            call.view(x, ranks),
            call.view(y[:k], ranks[n:]),
            *given,
            call.view(gradients, ranks),
            ctypes.byref(call.options),
            ctypes.byref(call.report),
        )
        call.finish(status)
        return gradients


def open_operator(folder: Path, name: str) -> Operator:
    """Import a generated package under a name of its own.

    Raises:
        UsageError: It cannot be imported.
    """
    record = manifest.read(folder)
    module = f"_opgen_report_{name}_{record.digest[:16] if record else ''}"
    if module not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            module, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        if spec is None or spec.loader is None:
            raise InternalError(f"'{folder}' cannot be imported")
        sys.modules[module] = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(sys.modules[module])
            importlib.import_module(f"{module}.numpy_op")
        except (ImportError, OSError) as error:
            del sys.modules[module]
            raise UsageError(f"'{folder}' cannot be used: {error}", "build it with opgen build --force") from None
    found = sys.modules[module]
    return Operator(
        name=name,
        function=getattr(found, name),
        interface=sys.modules[f"{module}.interface"],
        kernel=sys.modules[f"{module}.numpy_op"],
    )


def listed(value: Any) -> list[Any]:
    """List the outputs of a call."""
    return list(value) if isinstance(value, tuple) else [value]


def single(values: Sequence[Any]) -> Any:
    """Give one unknown as it is, several as a tuple."""
    return values[0] if len(values) == 1 else tuple(values)
