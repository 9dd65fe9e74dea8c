"""Operators that are defined where Python runs, in a notebook's cell say, and not in a residual file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sympy as sp

from opgen.errors import OpgenError, SpecError, UsageError
from opgen.loading.convert import to_spec
from opgen.loading.define import Explicit, Implicit
from opgen.loading.spec import Loaded, Source, is_name, short


def load_object(definition: Implicit | Explicit, name: str) -> Loaded:
    """Load the operator that an object defines.

    Raises:
        SpecError: It does not define an operator; with file and line, if it was defined in a file.
        UsageError: The name is none.
    """
    if not is_name(name):
        raise UsageError(f"name '{name}' is not a Python identifier", "choose another with name=")
    place = definition.place
    file = place.file if Path(place.file).is_file() else None
    source = Source(None, describe(definition), place.line if file else None, expr=False)
    try:
        return Loaded((to_spec(definition, name, source, ()),), ())
    except OpgenError as error:
        raise error.at(file, source.line) from None


def describe(definition: object) -> str:
    """Write a definition as one text: equal for equal definitions, and readable.

    The digest at its end knows what SymPy does not print, such as the assumptions on symbols.

    Raises:
        SpecError: It is no definition.
    """
    if not isinstance(definition, (Implicit, Explicit)):
        raise SpecError(
            f"{short(definition)} defines no operator", "give an opgen.Implicit, an opgen.Explicit, or a path"
        )
    values = {key: value for key, value in vars(definition).items() if key not in ("place", "name")}
    given = ", ".join(f"{key}={value}" for key, value in values.items() if value is not None)
    exact = hashlib.sha256(repr(_exactly(values)).encode()).hexdigest()
    return f"{type(definition).__name__}({given}) #{exact[:16]}"


def _exactly(value: Any) -> Any:
    if isinstance(value, sp.Basic):
        return sp.srepr(value)
    if isinstance(value, Mapping):
        return sorted([_exactly(key), _exactly(entry)] for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return [_exactly(entry) for entry in value]
    return repr(value)
