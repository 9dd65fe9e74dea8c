"""The recipes of examples/deploy: an operator where neither opgen nor its generated Python is."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from opgen.cli import main

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "examples" / "deploy"
pytestmark = [pytest.mark.compiler, pytest.mark.slow]


def need(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def run(*command: str, cwd: Path, **environment: str) -> str:
    # Whatever is imported comes from what was installed, or from the folder that is named.
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "TF_"))}
    done = subprocess.run(command, cwd=cwd, env=keep | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the operator in a folder away from opgen."""
    folder = tmp_path_factory.mktemp("work")
    assert main(["build", str(ROOT / "examples/kepler/kepler.py"), "-o", str(folder / "generated")]) == 0
    return folder


def elsewhere(work: Path, library: str, tmp_path: Path) -> Path:
    """Copy one library and nothing else."""
    return Path(shutil.copy(work / "generated" / "kepler" / "lib" / library, tmp_path))


def distances() -> list[float]:
    import mpmath

    roots = (mpmath.findroot(lambda E, M=M: E - 0.3 * mpmath.sin(E) - M, M) for M in (0.5, 1.0, 2.0))
    return [float(1 - 0.3 * mpmath.cos(E)) for E in roots]


def slopes() -> list[float]:
    """dr/de = (e - cos E) / (1 - e cos E)."""
    import mpmath

    roots = [mpmath.findroot(lambda E, M=M: E - 0.3 * mpmath.sin(E) - M, M) for M in (0.5, 1.0, 2.0)]
    return [float((0.3 - mpmath.cos(E)) / (1 - 0.3 * mpmath.cos(E))) for E in roots]


def numbers(text: str) -> list[float]:
    return [float(word) for word in re.findall(r"-?\d+\.\d+(?:e[-+]?\d+)?", text)]


def test_tensorflow_serves_a_saved_model(work: Path, tmp_path: Path) -> None:
    need("tensorflow")
    run(sys.executable, str(DEPLOY / "save_tensorflow.py"), str(tmp_path / "model"), cwd=work, PYTHONPATH=str(work))
    library = elsewhere(work, "libkepler_tf.so", tmp_path)
    said = run(sys.executable, str(DEPLOY / "serve_tensorflow.py"), str(library), "model", cwd=tmp_path)
    assert numbers(said) == pytest.approx([*distances(), sum(slopes())], rel=1e-7)


def test_pytorch_runs_an_exported_program(work: Path, tmp_path: Path) -> None:
    need("torch")
    run(sys.executable, str(DEPLOY / "export_torch.py"), str(tmp_path / "orbit.pt2"), cwd=work, PYTHONPATH=str(work))
    library = elsewhere(work, "libkepler_torch.so", tmp_path)
    said = run(sys.executable, str(DEPLOY / "run_torch.py"), str(library), "orbit.pt2", cwd=tmp_path)
    assert numbers(said) == pytest.approx([*distances(), sum(slopes())], rel=1e-7)


def test_arrays_chunk_by_chunk(work: Path) -> None:
    need("dask", "scipy")
    said = run(sys.executable, str(DEPLOY / "chunks.py"), cwd=work, PYTHONPATH=str(work))
    assert "mean distance 1.045" in said
    assert "mean distances [1.    1.045 1.18 ]" in said


def cmake() -> str:
    """Find cmake, on PATH or beside the interpreter."""
    found = shutil.which("cmake") or shutil.which("cmake", path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip("cmake is not installed (pip install cmake)")
    return found


def test_c_program_links_with_cmake(work: Path, tmp_path: Path) -> None:
    package = tmp_path / "copied"
    for part in ("include", "cmake", "lib"):
        shutil.copytree(work / "generated" / "kepler" / part, package / part)
    built = tmp_path / "build"
    run(cmake(), "-S", str(DEPLOY / "c"), "-B", str(built), f"-DCMAKE_PREFIX_PATH={package}", cwd=tmp_path)
    run(cmake(), "--build", str(built), cwd=tmp_path)
    first, *_, last = lines = run(str(built / "orbit"), cwd=tmp_path).splitlines()
    found = [numbers(line.replace("M =", "")) for line in lines[:3]]
    assert [row[2] for row in found] == pytest.approx(distances(), rel=1e-14)
    assert [row[3] for row in found] == pytest.approx(slopes(), rel=1e-13)
    assert first.startswith("M = 0.5")
    assert last.startswith("kepler: 1 of 3 points failed; first at index [1]")
    assert run(str(built / "orbit_threads"), cwd=tmp_path).startswith("all points solved")


def test_cmake_package_says_that_the_library_is_missing(work: Path, tmp_path: Path) -> None:
    for part in ("include", "cmake"):
        shutil.copytree(work / "generated" / "kepler" / part, tmp_path / "copied" / part)
    command = (
        cmake(),
        "-S",
        str(DEPLOY / "c"),
        "-B",
        str(tmp_path / "b"),
        f"-DCMAKE_PREFIX_PATH={tmp_path / 'copied'}",
    )
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert "libkepler.so is missing; build it with opgen build" in " ".join(done.stderr.split())
