"""What a residual means: its kind, structure, derivatives and size (Spec -> Model)."""

from opgen.analyse.analyse import analyse
from opgen.analyse.model import Model

__all__ = ["Model", "analyse"]
