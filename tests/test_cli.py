"""The command line: exit statuses and sentences."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opgen import __version__
from opgen.cli import main
from opgen.errors import CompileError, SpecError, ToolchainError

RESIDUAL = "from sympy import symbols\nx, y = symbols('x y', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"


@dataclass(frozen=True)
class Ran:
    """What a command left."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run commands in an empty folder with an empty cache."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPGEN_CACHE", str(tmp_path / "cache"))

    def command(*words: str) -> Ran:
        status = main(words)
        out, err = capfd.readouterr()
        return Ran(status, out, err)

    return command


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Let every build fail in the same way."""

    def fail(error: BaseException) -> None:
        def build(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("opgen.pipeline.build", build)

    return fail


def package(name: str, output: str = "generated") -> Path:
    """Make what looks like a built package."""
    folder = Path(output) / name
    (folder / "lib").mkdir(parents=True)
    (folder / "__pycache__").mkdir()
    files = {"__init__.py": "", f"test_{name}.py": "def test_one():\n    assert True\n", "src/kernel.cc": ""}
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    (folder / "lib" / f"lib{name}.so").write_text("")
    (folder / "__pycache__" / "__init__.cpython-311.pyc").write_text("")
    record = {"opgen": __version__, "op": name, "files": dict.fromkeys(files, ""), "libraries": {f"lib{name}.so": {}}}
    (folder / "manifest.json").write_text(json.dumps(record))
    return folder


def test_without_a_command_the_help_is_shown(run: Run) -> None:
    ran = run()
    assert ran.status == 0
    for name in ("init", "inspect", "build", "test", "list", "clean", "doctor"):
        assert f"\n  {name}" in ran.out


def test_version(run: Run) -> None:
    assert run("--version") == Ran(0, f"opgen {__version__}\n", "")


def test_help_imports_nothing_heavy() -> None:
    heavy = "sympy", "numpy", "jinja2", "rich", "tensorflow", "torch", "jax"
    program = (
        "import sys; from opgen.cli import main; status = main(['build', '--help']);"
        f"sys.exit(status or str([name for name in {heavy} if name in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""
    assert "--target" in done.stdout


def test_module_is_the_same_program(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command = [sys.executable, "-m", "opgen", "bild"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "opgen: no such command 'bild'; did you mean 'build'?\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--nope"], "no such option: --nope; see opgen --help"),
        (["build", "--nope"], "no such option: --nope; did you mean --force or --name?"),
        (["build"], "no residual file is named; name one, give --expr TEXT, or start from opgen init"),
        (["inspect"], "no residual file is named; name one, give --expr TEXT, or start from opgen init"),
        (["build", "--expr", "x - y"], "--expr is given without a name; add --name NAME"),
        (["build", "a.py", "--expr", "x - y"], "both 'a.py' and --expr are given; leave out one of them"),
        (["build", "a.py", "b.py", "--name", "f"], "--name f is given for 2 files; build them one by one"),
        (["build", "a.py", "--unknown", "z"], "--unknown z is given without --expr; write unknown = z in 'a.py'"),
        (["build", "a.py", "--target", "tensorflow"], "there is no target 'tensorflow'; did you mean 'tf'?"),
        (["build", "a.py", "--target", "tf,jaxx"], "there is no target 'jaxx'; did you mean 'jax'?"),
        (["build", "a.py", "--target", ""], "there is no target ''; choose from tf, torch, jax, numpy"),
        (["inspect", "a.py"], "there is no file 'a.py'; this folder holds no .py file; start from opgen init"),
        (["inspect", "--expr", "x -"], "unexpected the end at column 4; expected a number, a name or '('"),
        (["init", "a-b"], "name 'a-b' is not a Python identifier; use letters, digits and _"),
        (["init", "lambda"], "name 'lambda' is not a Python identifier; use letters, digits and _"),
        (
            ["init", "torch"],
            "'torch.py' would hide the module 'torch' from programs in this folder; choose another name",
        ),
        (["test"], "'generated' holds no operator to test; build one with opgen build"),
        (["test", "f"], "no operator 'f' is built; 'generated' holds no operator; see opgen build"),
        (["clean", "f"], "no operator 'f' is built; 'generated' holds no operator; see opgen build"),
    ],
)
def test_misuse_is_one_sentence(run: Run, words: list[str], sentence: str) -> None:
    assert run(*words) == Ran(2, "", f"opgen: {sentence}\n")


def test_residual_errors_name_the_place(run: Run) -> None:
    Path("f.py").write_text(RESIDUAL + "guess = y\n")
    ran = run("inspect", "f.py")
    assert ran == Ran(2, "", "opgen: guess for 'y' contains the unknown 'y' at f.py:3; it may use inputs only\n")


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (SpecError("bad\nresidual", "mend it"), 2, "bad residual; mend it"),
        (ToolchainError("no compiler", "install one"), 3, "no compiler; install one"),
        (CompileError("f does not compile", "see the log", "f.cc:1: error"), 4, "f does not compile; see the log"),
        (
            ZeroDivisionError("oh"),
            1,
            "unexpected ZeroDivisionError: oh; please report it with what this command prints with --debug",
        ),
        (KeyboardInterrupt(), 130, "interrupted; nothing was changed"),
        (MemoryError(), 1, "unexpected MemoryError; please report it with what this command prints with --debug"),
    ],
)
def test_failures_of_a_build(
    run: Run, failing: Callable[[BaseException], None], error: BaseException, status: int, sentence: str
) -> None:
    failing(error)
    assert run("build", "f.py") == Ran(status, "", f"opgen: {sentence}\n")


def test_json_stays_json_when_a_build_fails(run: Run, failing: Callable[[BaseException], None]) -> None:
    failing(ToolchainError("no compiler", "install one"))
    ran = run("build", "f.py", "--json")
    assert (ran.status, ran.json, ran.err) == (3, {"built": []}, "opgen: no compiler; install one\n")


def test_debug_shows_the_traceback_and_the_stages(run: Run, failing: Callable[[BaseException], None]) -> None:
    Path("f.py").write_text(RESIDUAL)
    failing(CompileError("f does not compile", "see the log", "f.cc:1: error"))
    for words in (["--debug", "build", "f.py"], ["build", "f.py", "--debug"]):
        ran = run(*words)
        assert ran.status == 4
        assert "Traceback" in ran.err
        assert "f.cc:1: error" in ran.err
        for stage in ("spec", "model", "program", "sources"):
            assert f"--- f: {stage}" in ran.err


def test_verbose_shows_what_the_compiler_said(run: Run, failing: Callable[[BaseException], None]) -> None:
    failing(CompileError("f does not compile", "see the log", "f.cc:1: error"))
    assert run("build", "f.py", "-v").err == "f.cc:1: error\nopgen: f does not compile; see the log\n"


def test_closed_pipe_is_quiet() -> None:
    program = "import sys; from opgen.cli import main; sys.exit(main(['--help']))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", program], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


def test_init_writes_a_file_and_keeps_it(run: Run) -> None:
    ran = run("init")
    assert ran == Ran(0, "wrote residual.py; next: opgen build residual.py\n", "")
    text = Path("residual.py").read_text()
    again = run("init")
    assert (again.status, again.out) == (2, "")
    assert again.err == "opgen: there is a file 'residual.py' already; choose another name, or move it away\n"
    assert Path("residual.py").read_text() == text
    assert run("init", "cuberoot.py").status == 0


def test_init_is_right_in_both_forms(run: Run) -> None:
    run("init")
    lines = Path("residual.py").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line == "# import sympy as sp")
    full = [line.removeprefix("# ").removeprefix("#") for line in lines[start:]]
    short = [line.removeprefix("# ") if " = " in line else line for line in lines[:start]]
    Path("residual.py").write_text("\n".join([*short, *full]))
    operators = run("inspect", "residual.py", "--json").json["operators"]
    assert [op["name"] for op in operators] == ["residual", "kepler", "sagitta"]
    assert operators[0]["start"] == "y = x (given)"


def test_inspect_shows_formulas_structure_and_costs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    Path("f.py").write_text(RESIDUAL)
    ran = run("inspect", "f.py")
    assert (ran.status, ran.err) == (0, "")
    assert "F_y = " in ran.out
    assert "F_x = " in ran.out
    assert "pointwise: unknown y at every point, not linear in y; of x" in ran.out
    assert "damped Newton, packs of points, bracketing safeguard above 0" in ran.out
    assert "0 < y" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 100
    assert not Path("generated").exists()


@pytest.mark.parametrize(
    ("text", "solver", "adjoint"),
    [
        ("x*y - 1", "linear in y: solved once, one division", "direct (auto): one division by F_y per point"),
        ("y + exp(y) - x", "damped Newton, packs of points", "direct (auto): one division by F_y per point"),
    ],
)
def test_inspect_of_a_formula(run: Run, text: str, solver: str, adjoint: str) -> None:
    (operator,) = run("inspect", "--expr", text, "--json").json["operators"]
    assert (operator["name"], operator["solver"], operator["adjoint"]) == ("op", solver, adjoint)


def test_inspect_of_systems(run: Run) -> None:
    Path("f.py").write_text(
        "import sympy as sp\nimport opgen\na, b, p, q = sp.symbols('a b p q', real=True)\n"
        "two = opgen.Implicit([p*q - a, sp.exp(p) - q*b], unknown=[p, q], adjoint='gmres')\n"
        "line = opgen.Implicit([p + q - a, p - b*q], unknown=[p, q])\n"
        "plain = opgen.Explicit({'s': a*b})\n"
    )
    two, line, plain = run("inspect", "f.py", "--json").json["operators"]
    assert two["solver"] == "damped Newton, 2 x 2 block per point by pivoted LU"
    assert two["adjoint"].startswith("gmres")
    assert line["solver"] == "linear in p, q: solved once, 2 x 2 block by pivoted LU"
    assert plain["kind"] == "explicit"
    assert plain["f_x"] == [["b", "a"]]
    assert "2 coupled unknowns p, q" in run("inspect", "f.py").out


@pytest.mark.parametrize("stage", ["spec", "model", "program", "sources"])
def test_inspect_prints_one_stage(run: Run, stage: str) -> None:
    ran = run("inspect", "--expr", "x² - y³/(1+x)", "--name", "f", "--stage", stage)
    assert ran.status == 0
    assert ("x**2 - y**3/(x + 1)" in ran.out) or ("==> f/src/kernel.cc <==" in ran.out)
    data = run("inspect", "--expr", "x² - y³/(1+x)", "--name", "f", "--stage", stage, "--json").json
    assert list(data) == ["f"]


def test_terminal_without_unicode(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "opgen", "inspect", "--expr", "x² - y³/(1+x)"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"-----" in done.stdout


def test_clean_removes_what_opgen_made_and_nothing_else(run: Run) -> None:
    Path("f.py").write_text(RESIDUAL)
    package("f")
    package("g")
    own = package("mine") / "notes.txt"
    own.write_text("keep")
    foreign = Path("generated/foreign")
    foreign.mkdir()
    (foreign / "manifest.json").write_text('{"name": "a web page"}')
    Path("generated/link").symlink_to(Path("generated/g").resolve())
    ran = run("clean", "f")
    assert ran == Ran(0, "removed generated/f\n", "")
    ran = run("clean")
    assert (ran.status, ran.out.splitlines()) == (
        0,
        ["removed generated/g", "kept generated/mine/notes.txt: opgen did not make it"],
    )
    assert sorted(str(path) for path in Path().rglob("*")) == [
        "f.py",
        "generated",
        "generated/foreign",
        "generated/foreign/manifest.json",
        "generated/link",
        "generated/mine",
        "generated/mine/notes.txt",
    ]
    assert run("clean") == Ran(0, "nothing to remove in generated\n", "")


def test_clean_never_follows_a_manifest_out_of_its_package(run: Run) -> None:
    folder = package("f")
    Path("precious.txt").write_text("")
    Path("elsewhere").mkdir()
    Path("elsewhere/kept.txt").write_text("")
    (folder / "away").symlink_to(Path("elsewhere").resolve())
    record = {
        "opgen": "1",
        "files": {"../../precious.txt": "", "away/kept.txt": "", str(Path("precious.txt").resolve()): ""},
    }
    (folder / "manifest.json").write_text(json.dumps(record))
    assert run("clean").status == 0
    assert Path("precious.txt").exists()
    assert Path("elsewhere/kept.txt").exists()


def test_clean_removes_the_output_folder_when_it_is_empty(run: Run) -> None:
    package("f", "ops")
    ran = run("clean", "-o", "ops", "--json")
    assert ran.json == {"removed": ["ops/f", "ops"], "kept": [], "cache_bytes": None}
    assert not Path("ops").exists()


def test_clean_suggests(run: Run) -> None:
    package("cuberoot")
    ran = run("clean", "cuberot")
    assert ran == Ran(2, "", "opgen: no operator 'cuberot' is built; did you mean 'cuberoot'?\n")


def test_clean_cache_keeps_what_is_not_the_cache(run: Run) -> None:
    package("f")
    cache = Path(os.environ["OPGEN_CACHE"])
    key = "ab" + "0" * 62
    entry = cache / "ab" / key
    entry.mkdir(parents=True)
    (entry / "kernel.o").write_text("1234")
    (cache / "ab" / "photo.jpg").write_text("mine")
    (cache / "locks").mkdir()
    (cache / "locks" / key).write_text("")
    ran = run("clean", "--cache")
    assert ran == Ran(0, "emptied the cache (4 B)\n", "")
    assert Path("generated/f").exists()
    assert [str(path.relative_to(cache)) for path in sorted(cache.rglob("*"))] == ["ab", "ab/photo.jpg"]


def test_generated_tests_are_run(run: Run) -> None:
    folder = package("f")
    package("g")
    tests = "from generated import f\n\ndef test_good():\n    pass\n\ndef test_bad():\n    assert 0\n"
    (folder / "test_f.py").write_text(tests)
    before = sorted(Path().rglob("*"))
    ran = run("test", "f")
    assert (ran.status, "1 failed, 1 passed" in ran.out) == (1, True)
    ran = run("test", "f", "g", "--", "-k", "good or one")
    assert (ran.status, "2 passed" in ran.out) == (0, True)
    ran = run("test", "f", "--", "--no-such-option")
    assert ran.status == 2
    assert ran.err.endswith("opgen: pytest does not accept --no-such-option; see pytest --help\n")
    ran = run("test", "f", "--", "-k", "nothing")
    assert (ran.status, ran.err) == (2, "opgen: no test was run; see what -k nothing leaves\n")
    assert sorted(Path().rglob("*")) == before


def test_tests_need_pytest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    package("f")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = run("test", "f")
    assert (ran.status, ran.err) == (3, f"opgen: pytest is not installed; {sys.executable} -m pip install pytest\n")


def test_doctor_without_a_compiler(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    ran = run("doctor")
    assert ran.status == 3
    assert "missing  C++ compiler" in ran.out
    assert "set CXX to a C++17 compiler, or unset it" in ran.out
    assert ran.out.endswith("opgen cannot build until this is mended: C++ compiler\n")
    data = run("doctor", "--json").json
    assert data["able_to_build"] is False


def test_doctor_names_the_command_that_mends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setattr("opgen.build.toolchain.find_tensorflow", lambda: None)
    monkeypatch.setattr("opgen.commands.doctor._installed", lambda module: module == "numpy")
    checks = {check["what"]: check for check in run("doctor", "--json").json["checks"]}
    assert checks["NumPy"]["state"] == "ok"
    assert checks["JAX"]["mend"] == f"{sys.executable} -m pip install jax"
    assert checks["TensorFlow"]["mend"] == f"{sys.executable} -m pip install tensorflow-cpu"


@pytest.mark.compiler
def test_doctor_with_a_compiler(run: Run) -> None:
    ran = run("doctor")
    assert ran.status == 0
    assert ran.out.endswith("opgen can build\n")


@pytest.mark.compiler
def test_from_init_to_clean(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("init", "cuberoot").status == 0
    built = run("build", "cuberoot.py", "--target", "numpy")
    assert (built.status, built.out.startswith("cuberoot: built in ")) == (0, True)
    assert run("build", "cuberoot.py", "--target", "numpy").out == "cuberoot: current\n"
    (operator,) = run("list", "--json").json["operators"]
    assert (operator["name"], operator["kind"], operator["targets"], operator["current"]) == (
        "cuberoot",
        "pointwise",
        ["numpy"],
        True,
    )
    Path("cuberoot.py").write_text(Path("cuberoot.py").read_text().replace("x**2 - ", "x**4 - "))
    (operator,) = run("list", "--json").json["operators"]
    assert operator["current"] is False
    assert "cuberoot.py" in run("list").out
    assert run("clean").out == "removed generated/cuberoot\nremoved generated\n"
    assert [str(path) for path in Path().iterdir()] == ["cuberoot.py"]
