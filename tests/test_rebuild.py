"""What a generated package does when its residual file has changed, and when a library cannot be loaded."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from building.fake import Fake, fake_compiler, use

from opgen.pipeline import build

LAW = "from sympy import symbols\nx, y = symbols('x y', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"
# Imports the package and says what it holds; warnings go to stderr, with the line that they blame.
SCRIPT = """
import sys
import generated.law
print(generated.law.__doc__.splitlines()[2].strip())
print(sorted({"sympy", "opgen", "jinja2", "subprocess"} & set(sys.modules)))
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Build the law with a compiler that compiles nothing: importing a package loads no library."""
    made = fake_compiler(tmp_path / "tools")
    use(made, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPGEN_REBUILD", raising=False)
    (tmp_path / "law.py").write_text(LAW)
    build(Path("law.py"), targets=("numpy",))
    return made


def imported(script: str = SCRIPT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


def edit(text: str = LAW.replace("x**2", "8*x**2")) -> None:
    Path("law.py").write_text(text)


@pytest.mark.parametrize("policy", ["", "warn", "auto", "off"])
def test_nothing_changed_costs_nothing(fake: Fake, policy: str) -> None:
    fake.forget()
    done = imported(OPGEN_REBUILD=policy)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "x**2 - y**3/(x + 1) = 0\n[]\n"
    assert not fake.calls()


def test_a_change_is_told_once_and_blames_the_import(fake: Fake) -> None:
    edit()
    done = imported("import generated.law\nimport generated.law")
    assert done.returncode == 0
    assert done.stderr == (
        "<string>:1: UserWarning: law: law.py changed since it was built, and this is the old operator; "
        "rebuild it with 'opgen build law.py', or set OPGEN_REBUILD=auto\n"
    )


def test_off_silences(fake: Fake) -> None:
    edit()
    done = imported(OPGEN_REBUILD="off")
    assert (done.stderr, done.stdout[:4]) == ("", "x**2")


def test_auto_rebuilds_first(fake: Fake) -> None:
    edit()
    done = imported(OPGEN_REBUILD="auto")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == "8*x**2 - y**3/(x + 1) = 0"
    assert imported().stderr == ""
    assert json.loads(Path("generated/law/manifest.json").read_text())["targets"] == ["numpy"]


def test_a_rebuild_that_fails_leaves_the_old_operator(fake: Fake) -> None:
    before = Path("generated/law/manifest.json").read_bytes()
    edit(LAW.replace("y**3", "z**3"))
    done = imported(OPGEN_REBUILD="auto")
    assert done.returncode == 0
    assert done.stdout.startswith("x**2 - y**3")
    assert "law.py changed since it was built and cannot be rebuilt, so this is the old operator: " in done.stderr
    assert "law.py" in done.stderr.split("old operator: ")[1]
    assert "Traceback" not in done.stderr
    assert Path("generated/law/manifest.json").read_bytes() == before


def test_a_neighbour_that_changed_is_named(fake: Fake) -> None:
    Path("law_constants.py").write_text("a = 1\n")
    edit("from law_constants import a\n" + LAW.replace("x**2", "a*x**2"))
    build(Path("law.py"), targets=("numpy",))
    assert imported().stderr == ""
    Path("law_constants.py").write_text("a = 2\n")
    assert "law: law_constants.py changed since it was built" in imported().stderr


def test_the_command_fits_the_folder_of_the_process(fake: Fake, tmp_path: Path) -> None:
    build(Path("law.py"), name="other", output=Path("my ops"), targets=("numpy",))
    edit()
    script = "import sys; sys.path.insert(0, 'my ops'); import other"
    assert "rebuild it with 'opgen build law.py --name other -o 'my ops''" in imported(script).stderr


def test_a_copied_folder_is_left_alone(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit()
    there = tmp_path / "deep" / "er"
    shutil.copytree("generated", there / "generated")
    monkeypatch.chdir(there)
    for policy in ("warn", "auto", "sometimes"):
        done = imported(OPGEN_REBUILD=policy)
        assert (done.returncode, done.stderr) == (0, "")


def test_an_unknown_policy_is_a_sentence(fake: Fake) -> None:
    done = imported(OPGEN_REBUILD="always")
    assert done.stderr.splitlines()[-1] == "ValueError: OPGEN_REBUILD is 'always'; set it to one of warn, auto, off"


def test_without_opgen_auto_says_so(fake: Fake) -> None:
    edit()
    script = "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n: n != 'opgen' and find(n)\n"
    script += "u.find_spec = lambda n: None\nimport generated.law"
    assert "opgen is not installed here" in imported(script, OPGEN_REBUILD="auto").stderr


@pytest.fixture
def package(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import the law in this process under a name of its own."""
    monkeypatch.syspath_prepend(tmp_path / "generated")
    made = importlib.import_module("law")
    yield made
    for name in [name for name in sys.modules if name == "law" or name.startswith("law.")]:
        del sys.modules[name]


def fails(package: ModuleType) -> str:
    with pytest.raises(ImportError) as caught:
        package.law(1.0)
    return str(caught.value)


def damage(change: dict[str, object]) -> None:
    path = Path("generated/law/manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def test_a_missing_library(package: ModuleType) -> None:
    Path("generated/law/lib/liblaw.so").unlink()
    assert fails(package).endswith("lib; build it with 'opgen build law.py'")
    assert "liblaw.so is missing" in fails(package)


def test_a_damaged_library(package: ModuleType) -> None:
    # What the compiler of this test makes is a text.
    assert fails(package) == "law: liblaw.so cannot be loaded: the file is damaged; build it with 'opgen build law.py'"


def test_a_library_for_another_machine(package: ModuleType) -> None:
    library = Path("generated/law/lib/liblaw.so")
    header = bytearray(64)
    header[:5], header[18:20] = b"\x7fELF\x02", (183).to_bytes(2, "little")
    library.write_bytes(header)
    if os.uname().machine == "x86_64":
        assert "it is for aarch64 machines, and this is x86_64; build it with" in fails(package)


def test_a_library_for_another_processor(package: ModuleType) -> None:
    damage({"processor": ["warpdrive"]})
    assert "it was built for a processor with warpdrive, which this one lacks; build it" in fails(package)


def test_a_package_rebuilt_under_a_running_process(package: ModuleType) -> None:
    """The library in the folder is no longer that of the imported texts."""
    edit()
    build(Path("law.py"), targets=("numpy",))
    assert "law: it was rebuilt after this process had imported it; start a new process" in fails(package)
    importlib.reload(package)
    assert "8*x**2" in str(package.__doc__)
    assert "damaged" in fails(package)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("/a/liblaw_tf.so: undefined symbol: TF_NewKernelBuilder", "it was built against numpy 0.1, and here is "),
        ("/lib/libc.so.6: version `GLIBC_2.99' not found (required by x)", "a newer system, whose C or C++ library"),
        ("x.so: failed to map segment from shared object", "its folder forbids programs"),
    ],
)
def test_what_the_loader_says_becomes_a_cure(package: ModuleType, said: str, why: str) -> None:
    library = Path("generated/law/lib/liblaw.so")
    library.write_bytes(b"\x7fELF" + bytes(60))
    against = {"numpy": "0.1"} if "undefined" in said else {}
    assert why in package.interface._explained(said, library, against)
    assert "TF_NewKernelBuilder" not in package.interface._explained(said, library, {})


def test_other_reasons(package: ModuleType) -> None:
    library = Path("generated/law/lib/liblaw.so")
    library.write_bytes(b"\x7fELF" + bytes(60))
    explained = package.interface._explained
    assert explained("undefined symbol: _ZN2at6TensorE", library, {"torch": "0"}) in (
        "it was built against another torch than the one here",
        f"it was built against torch 0, and here is {getattr(sys.modules.get('torch'), '__version__', '')}",
    )
    missing = "libtorch_cpu.so: cannot open shared object file: No such file or directory"
    assert explained(missing, library, {}) == "it needs libtorch_cpu.so, which is not here"
    assert explained("what nobody foresaw\nand more", library, {}) == "what nobody foresaw"


@pytest.mark.compiler
def test_a_package_imported_again_after_a_rebuild_is_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's loader would give the library back that it has under the same path."""
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    edit(LAW)
    build(Path("law.py"), output=Path("again_generated"), targets=("numpy",))
    law = importlib.import_module("again_generated.law")
    x = np.array([0.5, 2.0])
    np.testing.assert_allclose(law.law(x), (x**2 * (1 + x)) ** (1 / 3), rtol=1e-14)
    for factor in (8, 27):
        edit(LAW.replace("x**2", f"{factor}*x**2"))
        build(Path("law.py"), output=Path("again_generated"), targets=("numpy",))
        importlib.reload(law)
        np.testing.assert_allclose(law.law(x), (factor * x**2 * (1 + x)) ** (1 / 3), rtol=1e-14)
    edit(LAW)
    build(Path("law.py"), output=Path("again_generated"), targets=("numpy",))
    for name in [name for name in sys.modules if name.startswith("again_generated")]:
        del sys.modules[name]
    law = importlib.import_module("again_generated.law")
    np.testing.assert_allclose(law.law(x), (x**2 * (1 + x)) ** (1 / 3), rtol=1e-14)
