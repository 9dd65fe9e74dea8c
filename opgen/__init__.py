"""Turn a SymPy residual F(x, y) = 0 into a differentiable operator.

Names are imported when first used: a command that only needs a version or a folder does not wait for SymPy.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from os import PathLike

    from opgen.loading.define import Dirichlet, Explicit, Implicit, Neumann, Periodic

    def load(*sources: str | PathLike[str] | Implicit | Explicit, **options: Any) -> Any:
        """Build the ops of residual files or of definitions if needed and return the function, or a tuple of them."""

    build = load


__version__ = "0.1.0"
__all__ = ["Dirichlet", "Explicit", "Implicit", "Neumann", "Periodic", "__version__", "build", "load"]

_DEFINED_IN = "opgen.loading.define"


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'opgen' has no attribute '{name}'", name=name, obj=import_module("opgen"))
    if name == "build":
        return import_module("opgen.build")
    return getattr(import_module("opgen.api" if name == "load" else _DEFINED_IN), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
