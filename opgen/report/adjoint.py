"""Compare the gradients of the two adjoints, as a framework gives them."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from opgen.report.operator import Operator, Vector, Vectors, listed
from opgen.report.sample import Ranges, draw

NAMES = {"tf": "TensorFlow", "torch": "PyTorch", "jax": "JAX", "numpy": "NumPy"}
_MODULES = {"tf": "tensorflow", "torch": "torch", "jax": "jax"}


class Framework(Protocol):
    """A framework's tensors and its autodiff."""

    name: str
    target: str

    def tensors(self, arrays: Sequence[Vector]) -> list[Any]:
        """Make float64 tensors."""

    def gradient(self, function: Any, tensors: list[Any], weights: list[Any], **options: Any) -> list[Any]:
        """Return the gradient of J = the sum of weights times outputs."""

    def wait(self, value: Any) -> Any:
        """Return a value when it has been computed."""


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Keep TensorFlow's own remarks about itself, which no setting stops, off the screen."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class TensorFlow:
    """TensorFlow, eagerly."""

    name, target = "TensorFlow", "tf"

    def __init__(self) -> None:
        with _unheard():
            self.tf = importlib.import_module("tensorflow")

    def tensors(self, arrays: Sequence[Vector]) -> list[Any]:
        """Make constants."""
        return [self.tf.constant(a) for a in arrays]

    def gradient(self, function: Any, tensors: list[Any], weights: list[Any], **options: Any) -> list[Any]:
        """Use a tape."""
        with self.tf.GradientTape() as tape:
            tape.watch(tensors)
            outputs = listed(function(*tensors, **options))
            J = self.tf.add_n([self.tf.reduce_sum(w * y) for w, y in zip(weights, outputs, strict=True)])
        return list(tape.gradient(J, tensors, unconnected_gradients=self.tf.UnconnectedGradients.ZERO))

    def wait(self, value: Any) -> Any:
        """Eager tensors are there."""
        return value


class Torch:
    """PyTorch, eagerly."""

    name, target = "PyTorch", "torch"

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")

    def tensors(self, arrays: Sequence[Vector]) -> list[Any]:
        """Make tensors that share no memory with the arrays."""
        return [self.torch.tensor(a) for a in arrays]

    def gradient(self, function: Any, tensors: list[Any], weights: list[Any], **options: Any) -> list[Any]:
        """Use autograd."""
        leaves = [t.detach().requires_grad_() for t in tensors]
        outputs = listed(function(*leaves, **options))
        J = sum((w * y).sum() for w, y in zip(weights, outputs, strict=True))
        found = self.torch.autograd.grad(J, leaves, allow_unused=True)
        return [self.torch.zeros_like(t) if g is None else g for g, t in zip(found, leaves, strict=True)]

    def wait(self, value: Any) -> Any:
        """Tensors on the CPU are there."""
        return value


class Jax:
    """JAX, compiled."""

    name, target = "JAX", "jax"

    def __init__(self) -> None:
        self.jax = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)

    def tensors(self, arrays: Sequence[Vector]) -> list[Any]:
        """Make arrays."""
        return [self.jax.numpy.asarray(a) for a in arrays]

    def gradient(self, function: Any, tensors: list[Any], weights: list[Any], **options: Any) -> list[Any]:
        """Use jax.grad."""

        def J(*x: Any) -> Any:
            return sum((w * y).sum() for w, y in zip(weights, listed(function(*x, **options)), strict=True))

        return list(self.jax.grad(J, argnums=tuple(range(len(tensors))))(*tensors))

    def wait(self, value: Any) -> Any:
        """Wait for what is computed on other threads."""
        return self.jax.block_until_ready(value)


def frameworks(targets: Sequence[str]) -> list[Framework]:
    """Import those of a package's frameworks that are installed."""
    made: dict[str, Any] = {"torch": Torch, "tf": TensorFlow, "jax": Jax}
    return [make() for target, make in made.items() if target in targets and importlib.util.find_spec(_MODULES[target])]


@dataclass(frozen=True)
class Comparison:
    """How far the gradients of the direct and of the GMRES adjoint lie apart.

    Shapes:
        differences: [entries], |direct - gmres| over the size of the largest entry for the same input.

    Attributes:
        framework: Whose autodiff made them.
        worst: The largest difference for each input.
    """

    framework: str
    differences: Vector
    worst: tuple[tuple[str, float], ...]


def compare(operator: Operator, ranges: Ranges, framework: Framework) -> Comparison | str:
    """Differentiate J at points of the sample with both adjoints; returns a sentence where that cannot be done."""
    x = draw(operator, ranges, 8 if operator.coupled else 500)
    good = np.asarray(operator.solve(x).converged)
    if not good.any():
        return "No point of the sample converged, so that there is no gradient to compare."
    x = [a[good] for a in x]
    outputs = operator.values(x)
    rng = np.random.default_rng(3)
    weights = framework.tensors([rng.uniform(0.5, 1.5, a.shape) for a in outputs])
    start = {name: _started(framework, value) for name, value in operator.initial(len(x[0])).items()}
    found: list[Vectors] = []
    for adjoint in ("direct", "gmres"):
        try:
            made = framework.gradient(operator.function, framework.tensors(x), weights, adjoint=adjoint, **start)
        except Exception as error:  # each framework raises another class
            return f"The adjoint {adjoint!r} did not succeed on the sample: {str(error).strip().splitlines()[0]}"
        found.append([np.asarray(g) for g in made])
    sizes = [max(float(np.abs(a).max(initial=0)), 1e-300) for a in found[0]]
    apart = [np.abs(a - b) / size for a, b, size in zip(*found, sizes, strict=True)]
    worst = tuple((name, float(d.max(initial=0))) for name, d in zip(operator.inputs, apart, strict=True))
    return Comparison(framework.name, np.concatenate([d.ravel() for d in apart]), worst)


def _started(framework: Framework, value: Any) -> Any:
    made = framework.tensors(listed(value))
    return tuple(made) if isinstance(value, tuple) else made[0]
