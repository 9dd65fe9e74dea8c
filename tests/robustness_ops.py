"""The operators of the robustness suite: scalar families, a few to an operator, and the classical systems.

A family is chosen by the input `family`, which keeps the number of libraries small.
"""

import sympy as sp
from robustness_scalar import FAMILIES, a, b, y
from robustness_systems import SYSTEMS

import opgen

GROUP = 8
family, low, high = sp.symbols("family low high", real=True)


def _joined(first: int) -> sp.Expr:
    """Give the residual that is the family's of the number given."""
    members = FAMILIES[first : first + GROUP]
    branches = [(member.residual, sp.Eq(family, number)) for number, member in enumerate(members, first)]
    return sp.Piecewise(*branches[:-1], (branches[-1][0], True))


for _first in range(0, len(FAMILIES), GROUP):
    _residual = _joined(_first)
    globals()[f"bracketed{_first}"] = opgen.Implicit(
        residual=_residual, unknown=y, inputs=[family, a, b, low, high], bounds=(low, high)
    )
    globals()[f"started{_first}"] = opgen.Implicit(residual=_residual, unknown=y, inputs=[family, a, b])

for _system in SYSTEMS:
    globals()[_system.name] = opgen.Implicit(
        residual=list(_system.residual),
        unknown=list(_system.unknowns),
        inputs=[_system.parameter],
        guess=dict(zip(_system.unknowns, _system.start, strict=True)),
        max_iterations=200,
    )
