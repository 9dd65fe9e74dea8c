"""The frameworks that an operator is generated for."""

from __future__ import annotations

from collections.abc import Mapping

from opgen.build.toolchain import Framework
from opgen.errors import ToolchainError, UsageError, suggest

# Target -> the framework's name, and what pip calls it.
_FRAMEWORKS = {"tf": ("TensorFlow", "tensorflow"), "torch": ("PyTorch 2.10 or newer", "torch"), "jax": ("JAX", "jax")}
TARGETS = ("numpy", *_FRAMEWORKS)


def choose(asked: tuple[str, ...] | None, installed: Mapping[str, Framework | None]) -> tuple[str, ...]:
    """Check the targets that were asked for, or choose those that are installed; NumPy is always among them.

    Args:
        asked: The targets; None for those that are installed.
        installed: Target -> its framework, None where that is not installed.

    Returns:
        The targets in one order, whatever the user's.

    Raises:
        UsageError: There is no such target.
        ToolchainError: Its framework is not installed.
    """
    if asked is None:
        return tuple(target for target in TARGETS if target == "numpy" or installed.get(target))
    for target in asked:
        if target not in TARGETS:
            known = suggest(target, TARGETS) or f"choose from {', '.join(TARGETS)}"
            raise UsageError(f"there is no target '{target}'", known)
        if target in _FRAMEWORKS and not installed.get(target):
            name, distribution = _FRAMEWORKS[target]
            what = f"target '{target}' needs {name}, which is not installed"
            raise ToolchainError(what, f"pip install {distribution}")
    return tuple(target for target in TARGETS if target == "numpy" or target in asked)
