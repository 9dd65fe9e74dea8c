"""The frameworks that an operator is generated for."""

from __future__ import annotations

from opgen.build.toolchain import Framework
from opgen.errors import ToolchainError, UsageError, suggest

TARGETS = ("numpy", "tf")
_LATER = ("torch", "jax")


def choose(asked: tuple[str, ...] | None, tensorflow: Framework | None) -> tuple[str, ...]:
    """Check the targets that were asked for, or choose those that are installed; NumPy is always among them.

    Returns:
        The targets in one order, whatever the user's.

    Raises:
        UsageError: There is no such target.
        ToolchainError: Its framework is not installed.
    """
    if asked is None:
        return TARGETS if tensorflow else ("numpy",)
    for target in asked:
        if target in _LATER:
            raise UsageError(f"target '{target}' is not available yet", f"choose from {', '.join(TARGETS)}")
        if target not in TARGETS:
            known = suggest(target, (*TARGETS, *_LATER)) or f"choose from {', '.join(TARGETS)}"
            raise UsageError(f"there is no target '{target}'", known)
    if "tf" in asked and tensorflow is None:
        raise ToolchainError("target 'tf' needs TensorFlow, which is not installed", "pip install tensorflow")
    return tuple(target for target in TARGETS if target == "numpy" or target in asked)
