"""Turn an exception that a residual file raised into one sentence that says where and what to do."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

import sympy as sp

from opgen.errors import OpgenError, SpecError, suggest
from opgen.loading.define import Explicit, Implicit
from opgen.loading.spec import short


def explain(
    error: BaseException, path: Path, namespace: Mapping[str, object], is_local: Callable[[str], bool]
) -> OpgenError:
    """Return the error to raise for an exception of the user's code.

    Args:
        error: What the file raised.
        path: The file, as the user named it.
        namespace: The variables that it had defined until then.
        is_local: Whether a file is the user's own: the innermost such file is where the fault lies.
    """
    file, line = _where(error, path, is_local)
    if isinstance(error, OpgenError):
        return error.at(file, line)
    if isinstance(error, SystemExit):
        return SpecError("the file ended Python by SystemExit", "a residual file only defines: remove the exit").at(
            file, line
        )
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    what = f"{type(error).__name__}: {short(message, 200)}" if message else type(error).__name__
    return SpecError(what, _advice(error, namespace)).at(file, line)


def _where(error: BaseException, path: Path, is_local: Callable[[str], bool]) -> tuple[str, int | None]:
    if isinstance(error, SyntaxError) and error.filename and is_local(error.filename):
        return error.filename, error.lineno
    file, line = str(path), None
    trace = error.__traceback__
    while trace is not None:
        frame_file = trace.tb_frame.f_code.co_filename
        if frame_file == str(path) or is_local(frame_file):
            file, line = frame_file, trace.tb_lineno
        trace = trace.tb_next
    return file, line


def _advice(error: BaseException, namespace: Mapping[str, object]) -> str:
    if isinstance(error, SyntaxError):
        return "correct the Python" + (f" near column {error.offset}" if error.offset else "")
    if isinstance(error, NameError) and error.name:
        near = suggest(error.name, [name for name in namespace if not name.startswith("__")])
        importable = f"add 'from sympy import {error.name}'" if hasattr(sp, error.name) else ""
        return importable or near or suggest(error.name, dir(builtins)) or "define it before it is used"
    if isinstance(error, ModuleNotFoundError):
        return "install it, or put it next to the residual file"
    if isinstance(error, AttributeError) and error.name:
        return suggest(error.name, [name for name in dir(error.obj) if not name.startswith("_")])
    if isinstance(error, ImportError):
        return _advice_on_import(str(error))
    keyword = re.search(r"(Implicit|Explicit)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if keyword:
        known = [f.name for f in fields(Implicit if keyword[1] == "Implicit" else Explicit) if f.init]
        return suggest(keyword[2], known) or f"it takes {', '.join(known)}"
    if "truth value of Relational" in str(error):
        return "use sympy.Piecewise, Min or Max in place of Python's if, and, or, min and max"
    if "Sum requires values" in str(error):
        return "give the first and the last index: Sum(term, (j, 0, n - 1))"
    if isinstance(error, RecursionError):
        return "does a function call itself without end?"
    return ""


def _advice_on_import(message: str) -> str:
    match = re.search(r"cannot import name '(\w+)' from '([\w.]+)'", message)
    if match is None:
        return ""
    return suggest(match[1], [name for name in dir(sys.modules.get(match[2])) if not name.startswith("_")])
