"""The exceptions: exit codes, the sentence, and where the location comes from."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from opgen import errors
from opgen.errors import CompileError, OpgenError, SpecError, suggest


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("SpecError", 2),
        ("UnsupportedError", 2),
        ("TextError", 2),
        ("UsageError", 2),
        ("ToolchainError", 3),
        ("CompileError", 4),
        ("InternalError", 1),
    ],
)
def test_exit_codes(name: str, code: int) -> None:
    assert getattr(errors, name)("what").exit_code == code


def test_sentence_has_what_where_and_advice() -> None:
    assert str(SpecError("tol is -1.", "give a positive number.")) == "tol is -1; give a positive number"
    assert str(SpecError("tol is -1", "give another").at("a.py", 3)) == "tol is -1 at a.py:3; give another"
    assert str(SpecError("no residual").at("a.py")) == "no residual in a.py"


def test_inner_location_is_kept() -> None:
    assert str(SpecError("wrong").at("inner.py", 3).at("outer.py", 9)) == "wrong at inner.py:3"


def test_text_has_no_location() -> None:
    assert str(SpecError("wrong").at(None)) == "wrong"


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(CompileError("failed", "see the log", "the log").at("a.cc", 2)))
    assert (str(error), error.log) == ("failed at a.cc:2; see the log", "the log")
    assert isinstance(error, OpgenError)


def test_suggest() -> None:
    assert suggest("K", ["k", "x"]) == "did you mean 'k'?"
    assert suggest("residuals", ["residual"]) == "did you mean 'residual'?"
    assert suggest("alpha", ["x"]) == ""


def test_import_is_light() -> None:
    heavy = "{'sympy', 'typer', 'jinja2', 'numpy'} & set(sys.modules)"
    check = f"import sys, opgen, opgen.errors; sys.exit(str({heavy}) if {heavy} else 0)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_public_names() -> None:
    import opgen

    assert opgen.__version__ == "0.1.0"
    assert {"Implicit", "Explicit", "Dirichlet", "Periodic", "Neumann", "load"} <= set(dir(opgen))
    assert opgen.Dirichlet(1).value == 1
    assert callable(opgen.load)
    with pytest.raises(AttributeError, match="no attribute 'Implict'"):
        _ = opgen.Implict


def test_load_passes_the_call_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import types

    import opgen

    api = types.ModuleType("opgen.api")
    api.load = lambda path, **options: (path, options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "opgen.api", api)
    assert opgen.load("a.py", force=True) == ("a.py", {"force": True})
