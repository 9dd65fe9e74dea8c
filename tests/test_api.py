"""opgen.load and opgen.build: files, and operators that are defined where Python runs."""

from __future__ import annotations

import importlib
import io
import json
from pathlib import Path

import pytest
import sympy as sp
from building.fake import Fake, fake_compiler, use

import opgen
from opgen.errors import SpecError, UsageError
from opgen.loading.objects import describe

M, e, E = sp.symbols("M e E", real=True)
x, y = sp.symbols("x y", positive=True)


def kepler_equation() -> opgen.Implicit:
    return opgen.Implicit(E - e * sp.sin(E) - M, unknown=E, inputs=[M, e], guess=M + e * sp.sin(M))


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake_compiler(tmp_path / "tools")
    use(made, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    return made


def test_an_operator_is_named_after_its_variable(fake: Fake, tmp_path: Path) -> None:
    kepler = kepler_equation()
    function = opgen.build(kepler, targets=["numpy"])
    assert function.__name__ == "kepler"
    assert "E - M - e*sin(E)" in function.__doc__
    assert not Path("generated").exists()  # it lies in the cache
    assert [path.parent.name for path in tmp_path.glob("cache/operators/*/*/manifest.json")] == ["kepler"]
    made = len(fake.compiled())
    same = kepler_equation()
    assert opgen.load(same, name="kepler", targets=["numpy"]) is function
    assert len(fake.compiled()) == made
    assert opgen.load(same, output="here", name="orbit", targets=["numpy"]).__name__ == "orbit"
    assert Path("here/orbit/manifest.json").is_file()


def test_several_come_as_a_named_tuple(fake: Fake) -> None:
    square, sagitta = opgen.Implicit(y**2 - x), opgen.Explicit({"s": x - sp.sqrt(x)}, name="arc")
    both = opgen.load(square, sagitta, targets=["numpy"])
    assert both._fields == ("square", "arc")
    Path("law.py").write_text("from sympy import symbols\nx, y = symbols('x y')\nresidual = x - 2*y\n")
    assert opgen.load("law.py", square, targets=["numpy"])._fields == ("law", "square")
    assert Path("generated/law").is_dir()


def test_an_edited_definition_is_another_operator(fake: Fake) -> None:
    law = opgen.Implicit(y**2 - x)
    first = opgen.load(law, targets=["numpy"])
    law = opgen.Implicit(y**3 - x)
    second = opgen.load(law, targets=["numpy"])
    assert first.__doc__ != second.__doc__


def test_a_description_tells_definitions_apart() -> None:
    assert describe(kepler_equation()) == describe(kepler_equation())
    assert describe(kepler_equation()).startswith("Implicit(residual=E - M - e*sin(E), unknown=E, inputs=[M, e]")
    free = sp.Symbol("y", real=True)
    u, other = sp.Symbol("u"), sp.Symbol("v")
    texts = {
        describe(definition)
        for definition in (
            opgen.Implicit(y - x),
            opgen.Implicit(free - x, unknown=free),
            opgen.Implicit(y - x, unknown=y),
            opgen.Implicit(y - x, tol=1e-3),
            opgen.Implicit([u - 1, other - 2], unknown=[u, other], guess={u: 1, other: 2}),
            opgen.Implicit([u - 1, other - 2], unknown=[u, other], guess={u: 2, other: 1}),
            opgen.Explicit({"s": x}),
        )
    }
    assert len(texts) == 7
    one = opgen.Implicit(y - x, guess={y: 1, x: 2})
    assert describe(one) == describe(opgen.Implicit(y - x, guess={y: 1, x: 2}, name="named"))


def test_mistakes_are_sentences(fake: Fake) -> None:
    with pytest.raises(UsageError, match="the operator has no name; assign it to a variable before"):
        opgen.load(opgen.Implicit(y**2 - x))
    with pytest.raises(SpecError, match="3 defines no operator; give an"):
        opgen.load(3)
    law = opgen.Implicit(y**2 - x)
    with pytest.raises(UsageError, match="name 'a b' is not a Python identifier"):
        opgen.load(law, name="a b")
    with pytest.raises(UsageError, match="name 'a' is given for 2 sources"):
        opgen.load(law, law, name="a")
    wrong = opgen.Implicit(sp.Symbol("a") + x)
    with pytest.raises(SpecError, match=rf"at {__file__}:\d+"):
        opgen.load(wrong, targets=["numpy"])


def test_progress_is_for_people(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    law = opgen.Implicit(y**2 - x)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setattr("sys.stderr", terminal)
    opgen.load(law, targets=["numpy"])
    assert "\rcompiling law: src/kernel.cc" in terminal.getvalue()
    last = terminal.getvalue().rpartition("\r")[2]
    assert last.startswith("law: built in ")
    assert last.endswith("s\n") or last.rstrip(" \n").endswith("s")
    before = terminal.getvalue()
    opgen.load(law, targets=["numpy"])
    assert terminal.getvalue() == before  # nothing was done
    monkeypatch.setattr("sys.stderr", file)
    opgen.load(law, targets=["numpy"], force=True)
    assert file.getvalue() == ""


def test_the_folder_of_the_stage_is_still_one() -> None:
    assert callable(opgen.build)
    assert importlib.import_module("opgen.build") is opgen.build
    assert opgen.build.digest.of_text("") == importlib.import_module("opgen.build.digest").of_text("")


def test_clean_empties_what_load_left(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from opgen.cli import main

    law = opgen.Implicit(y**2 - x)
    opgen.load(law, targets=["numpy"])
    assert main(["clean", "--cache"]) == 0
    capsys.readouterr()
    assert not (tmp_path / "cache").exists()


@pytest.mark.compiler
def test_it_computes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np = pytest.importorskip("numpy")
    monkeypatch.setenv("OPGEN_CACHE", str(tmp_path / "cache"))
    kepler = kepler_equation()
    solved = opgen.build(kepler, targets=["numpy"])
    mean, eccentricity = np.array([0.3, 2.0]), np.array([0.1, 0.7])
    anomaly = solved(mean, eccentricity)
    np.testing.assert_allclose(anomaly - eccentricity * np.sin(anomaly), mean, rtol=1e-14)
    (record,) = tmp_path.glob("cache/operators/*/kepler/manifest.json")
    assert json.loads(record.read_text())["source"]["file"] is None
