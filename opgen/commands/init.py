"""opgen init: write a residual file to start from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from opgen.commands.screen import Quiet, say

START = '''"""y(x) with x**2 = y**3 / (1 + x)."""

from sympy import Rational, symbols

# The short form: one operator, named after this file. Everything below the residual is optional.
# Sympy's assumptions help: a positive unknown is looked for among positive numbers only.
x, y = symbols("x y", positive=True)

residual = x**2 - y**3 / (1 + x)  # zero at the root; sympy.Eq(left, right) or a list of equations will do too

unknown = y                       # what to solve for; a list for several equations
inputs = [x]                      # the order of the positional arguments
# guess = x                       # where Newton's iteration starts: an expression of the inputs
# bounds = (0, 10 * (1 + x))      # the root lies between these: numbers or expressions of the inputs
exact = (x**2 * (1 + x)) ** Rational(1, 3)  # closed form, used by the generated tests only
sample = {x: (0.1, 5)}            # where the generated tests draw the inputs from

# The full form: any number of operators in one file, each named after its variable. Uncomment to build it too.
#
# import sympy as sp
# import opgen
#
# M, e, E = sp.symbols("M e E", real=True)
#
# kepler = opgen.Implicit(
#     residual=E - e * sp.sin(E) - M,           # expression, Eq, or a list of as many as there are unknowns
#     unknown=E,                                # symbol, or a list of symbols
#     inputs=[M, e],                            # order of the positional arguments
#     guess=M + e * sp.sin(M),                  # start, an expression of the inputs; a dict by unknown for systems
#     bounds=(M - e, M + e),                    # the root lies here; keeps Newton inside
#     exact=None,                               # closed form, used by the tests only
#     sample={M: (0, 2 * sp.pi), e: (0, 0.9)},  # where the tests draw the inputs from
#     constants={},                             # symbol -> number, put in when the operator is built
#     auxiliary={"r": 1 - e * sp.cos(E)},       # further outputs, computed at the root
#     tol=None,                                 # tolerance on the scaled residual; None: that of the dtype
#     max_iterations=50,
#     adjoint="auto",                           # how gradients are solved for: "auto", "direct" or "gmres"
#     doc="Kepler's equation.",
# )
#
# R, c = sp.symbols("R c", positive=True)
# sagitta = opgen.Explicit({"s": R - sp.sqrt(R**2 - c**2 / 4)}, inputs=[R, c])  # a formula: nothing is solved
'''


def init(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Name of the operator and of its file.")] = "residual",
    quiet: Quiet = False,
) -> None:
    """Write a commented residual file to start from."""
    import keyword
    from importlib.util import find_spec

    from opgen.errors import UsageError

    operator = name.removesuffix(".py")
    if not operator.isidentifier() or keyword.iskeyword(operator):
        raise UsageError(f"name '{name}' is not a Python identifier", "use letters, digits and _")
    file = Path(f"{operator}.py")
    if not file.exists() and find_spec(operator) is not None:
        raise UsageError(
            f"'{file}' would hide the module '{operator}' from programs in this folder", "choose another name"
        )
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(START)
    except FileExistsError:
        raise UsageError(f"there is a file '{file}' already", "choose another name, or move it away") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(f"'{file}' cannot be written: {reason}", "go to a folder that is yours") from None
    if not quiet:
        say(f"wrote {file}; next: opgen build {file}")
