"""opgen package: a wheel installs in a bare environment, and passes its own tests there."""

from __future__ import annotations

import email
import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from opgen.cli import main
from opgen.errors import UsageError
from opgen.package.platform import tag
from opgen.package.wheel import Distribution

RESIDUAL = """
import sympy as sp
import opgen

M, e, E = sp.symbols("M e E", real=True)
i = sp.Idx("i")
u, f = sp.IndexedBase("u"), sp.IndexedBase("f")

orbit = opgen.Implicit(
    residual=E - e * sp.sin(E) - M,
    unknown=E,
    inputs=[M, e],
    guess=M,
    sample={M: (0, 6), e: (0.05, 0.9)},
    auxiliary={"r": 1 - e * sp.cos(E)},
    doc="Kepler's equation.",
)
rod = opgen.Implicit(
    residual=2 * u[i] - u[i - 1] - u[i + 1] + u[i] ** 3 - f[i],
    unknown=u,
    inputs=[f],
    boundary={u: opgen.Dirichlet(0)},
    sample={f: (-1, 1)},
)
"""
NEEDED = ("numpy", "numpy.libs", "mpmath", "pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py.py")


def run(*command: str, cwd: Path, **environment: str) -> str:
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "OPGEN"))}
    done = subprocess.run(command, cwd=cwd, env=keep | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build two operators for NumPy, and leave the folder."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "orbits.py").write_text(RESIDUAL)
    assert main(["build", str(folder / "orbits.py"), "-o", str(folder / "generated"), "--target", "numpy"]) == 0
    return folder


def packaged(work: Path, *words: str, to: str = "dist") -> int:
    return main(["package", *words, "--from", str(work / "generated"), "-o", str(work / to)])


@pytest.fixture(scope="module")
def wheel(work: Path) -> Path:
    """Make one wheel of both."""
    assert packaged(work, "orbit", "rod", "--name", "Orbits.and_rods", "--version", "2.1", "--license", "MIT") == 0
    (made,) = (work / "dist").iterdir()
    return made


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment in which NumPy and pytest are all that is installed, and return its interpreter."""
    folder = tmp_path_factory.mktemp("bare")
    run(sys.executable, "-m", "venv", "--without-pip", str(folder), cwd=folder)
    python = folder / "bin" / "python"
    site = Path(run(str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    for name in NEEDED:
        for base in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
            if (Path(base) / name).exists() and not (site / name).exists():
                (site / name).symlink_to(Path(base) / name)
    return python


def install(wheel: Path, python: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python), "install", "--quiet")
    run(*pip, "--no-index", "--no-deps", str(wheel), cwd=wheel.parent)


@pytest.mark.compiler
@pytest.mark.slow
def test_wheel_passes_its_own_tests_in_a_bare_environment(wheel: Path, bare: Path, tmp_path: Path) -> None:
    install(wheel, bare)
    script = (
        "import importlib.util as u; print([u.find_spec(n) is None for n in ('opgen', 'sympy', 'torch', 'tensorflow')])"
    )
    assert run(str(bare), "-c", script, cwd=tmp_path).strip() == "[True, True, True, True]"
    script = "from orbit import orbit as f; E, _ = f(1.0, 0.5); print(abs(f.residual(1.0, 0.5, E)) < 1e-14)"
    assert run(str(bare), "-c", script, cwd=tmp_path).strip() == "True"
    options = ("-q", "-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={tmp_path}")
    said = run(str(bare), "-m", "pytest", *options, "--pyargs", "orbit", "rod", cwd=tmp_path)
    assert re.search(r"\b[1-9]\d* passed", said)
    assert "failed" not in said


@pytest.mark.compiler
def test_wheel_says_what_it_is(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    assert archive.testzip() is None
    assert re.fullmatch(rf"orbits_and_rods-2\.1-py3-none-(manylinux_2_\d+|linux)_{platform.machine()}\.whl", wheel.name)
    info = "orbits_and_rods-2.1.dist-info"
    about = email.message_from_bytes(archive.read(f"{info}/METADATA"))
    assert (about["name"], about["version"], about["license-expression"]) == ("Orbits.and_rods", "2.1", "MIT")
    assert about.get_all("requires-dist") == ["numpy>=1.26", 'mpmath; extra == "test"', 'pytest; extra == "test"']
    assert "from orbit import orbit" in about.get_payload()
    assert wheel.stem.split("-", 2)[2] in archive.read(f"{info}/WHEEL").decode()
    names = archive.namelist()
    for op in ("orbit", "rod"):
        assert {f"{op}/__init__.py", f"{op}/test_{op}.py", f"{op}/lib/lib{op}.so", f"{op}/manifest.json"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or ".gitignore" in name]


@pytest.mark.compiler
def test_wheel_is_for_many_processors_and_says_so(wheel: Path, work: Path) -> None:
    record = json.loads(zipfile.ZipFile(wheel).read("orbit/manifest.json"))
    wanted = {"x86_64": "x86-64-v3", "aarch64": "armv8-a"}[platform.machine()]
    assert record["environment"]["march"] == wanted
    assert not {name for name in record["processor"] if name.startswith("avx512")}
    # What lies in the working folder stays as it was built.
    own = json.loads((work / "generated" / "orbit" / "manifest.json").read_text())
    assert own["environment"]["march"] != wanted or "OPGEN_MARCH" in os.environ


@pytest.mark.compiler
def test_a_package_built_for_another_processor_is_current(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = {"x86_64": "x86-64-v3", "aarch64": "armv8-a"}[platform.machine()]
    words = ("build", "--expr", "y**3 = x", "--name", "cube", "--target", "numpy", "--march")
    assert main([*words, wanted]) == 0
    capsys.readouterr()
    assert main(["list", "--json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)["operators"]
    assert entry["current"], entry["reasons"]
    assert main([*words, "native"]) == 0
    assert f"-march changed from {wanted} to native" in capsys.readouterr().out


@pytest.mark.compiler
def test_wheel_bears_no_trace_of_where_it_was_made(wheel: Path, work: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    for name in archive.namelist():
        assert str(work.parent).encode() not in archive.read(name), name
    source = json.loads(archive.read("orbit/manifest.json"))["source"]
    assert source["file"] is None


@pytest.mark.compiler
def test_wheel_is_the_same_bytes_again(wheel: Path, work: Path) -> None:
    words = ("orbit", "rod", "--name", "Orbits.and_rods", "--version", "2.1", "--license", "MIT")
    assert packaged(work, *words, to="again") == 0
    assert (work / "again" / wheel.name).read_bytes() == wheel.read_bytes()


@pytest.mark.compiler
def test_wheel_of_one_is_named_after_it(work: Path) -> None:
    assert packaged(work, "orbit", "--march", "native", to="one") == 0
    (made,) = (work / "one").iterdir()
    assert made.name.startswith("orbit-0.1.0-py3-none-")
    about = email.message_from_bytes(zipfile.ZipFile(made).read("orbit-0.1.0.dist-info/METADATA"))
    assert about["summary"] == "Kepler's equation."
    assert about["license-expression"] == "Apache-2.0"


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("orbit", "rod"), "a wheel of 2 operators has no name; give it one with --name"),
        (("orbit", "--version", "x.y"), "the wheel's version is wrong"),
        (("orbit", "--license", "none at all"), "the wheel's license expression is wrong"),
        (("orbti",), "no operator 'orbti' is built; did you mean 'orbit'?"),
        (("orbit", "--march", "nonsense"), "refuses -march=nonsense, which --march asks for"),
    ],
)
def test_mistakes_are_told(
    work: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert packaged(work, *words, to="none") in (2, 3)
    assert sentence in capsys.readouterr().err
    assert not (work / "none").exists()


def test_extras_name_the_frameworks(tmp_path: Path) -> None:
    from opgen.package import wheel as module

    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "kernel.cc").write_text("")
    (tmp_path / "README.md").write_text("# op\n")

    aten = SimpleNamespace(against=(("torch", "2.13.0+cpu"),))
    record = SimpleNamespace(op="op", targets=("numpy", "tf", "torch", "jax"), libraries={"libop_aten.so": aten})

    def requires(*, gmres: bool) -> Any:
        member = module.Member(tmp_path, record, "An operator.", gmres)  # type: ignore[arg-type]
        text = module._metadata(Distribution("op", "1.0", None), [member])
        return email.message_from_bytes(text).get_all("requires-dist")

    assert {'tensorflow>=2.16; extra == "tensorflow"', 'torch>=2.10; extra == "torch"'} <= set(requires(gmres=False))
    assert 'torch==2.13.0; extra == "gmres"' in requires(gmres=False)
    assert "torch==2.13.0" not in requires(gmres=False)
    assert "torch==2.13.0" in requires(gmres=True)


def test_a_distribution_has_a_name() -> None:
    with pytest.raises(UsageError, match="name is wrong"):
        Distribution("a/b", "1.0", None)


@pytest.mark.compiler
def test_platform_is_what_libraries_need(tmp_path: Path) -> None:
    """auditwheel reads the same off a library of the system."""
    source = tmp_path / "a.c"
    source.write_text("#include <math.h>\ndouble f(double x) { return sin(x); }\n")
    cxx = os.environ.get("CXX", "c++")
    run(*cxx.split(), "-shared", "-fPIC", str(source), "-lm", "-o", str(tmp_path / "a.so"), cwd=tmp_path)
    found = tag([tmp_path / "a.so"])
    if platform.libc_ver()[0] == "glibc":
        assert re.fullmatch(rf"manylinux_2_\d+_{platform.machine()}", found)
        assert int(found.split("_")[2]) <= int(platform.libc_ver()[1].split(".")[1])
    own = tmp_path / "libown.so"
    run(*cxx.split(), "-shared", "-fPIC", str(source), "-o", str(own), "-Wl,-soname,libown.so", cwd=tmp_path)
    other = tmp_path / "b.c"
    other.write_text("double f(double); double g(double x) { return f(x); }\n")
    needs = ("-L.", "-lown", "-Wl,--no-as-needed")
    run(*cxx.split(), "-shared", "-fPIC", "b.c", *needs, "-o", "b.so", cwd=tmp_path)
    assert tag([tmp_path / "b.so"]) == f"linux_{platform.machine()}"


def test_auditwheel_agrees(wheel: Path) -> None:
    if importlib.util.find_spec("auditwheel") is None:
        pytest.skip("auditwheel is not installed (pip install auditwheel)")
    said = run(sys.executable, "-m", "auditwheel", "show", str(wheel), cwd=wheel.parent)
    assert f'"{wheel.stem.rsplit("-", 1)[1]}"' in " ".join(said.split())
