"""What to compute: ordered lines of C++ after common subexpressions (Model -> Program)."""

from opgen.lower.lower import lower
from opgen.lower.program import Program

__all__ = ["Program", "lower"]
