"""The wheel has all that a build needs: installed alone, outside the checkout, it builds and runs an operator."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
pytestmark = [pytest.mark.slow, pytest.mark.compiler]


def run(*command: str, cwd: Path, **environment: str) -> str:
    # No import may come from the checkout, which an editable install would offer.
    keep = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=keep | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed (pip install hatchling)")
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet")
    run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT), cwd=folder)
    (made,) = folder.glob("opgen-*.whl")
    return made


def test_wheel_holds_every_file(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    wanted = {
        (inside / path.relative_to(ROOT)).as_posix()
        for folder, inside in (("opgen", Path()), ("templates", Path("opgen")))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted <= held
    assert not [name for name in held - wanted if ".dist-info/" not in name]


def test_wheel_builds_an_operator_by_itself(wheel: Path, tmp_path: Path) -> None:
    site, work = tmp_path / "site", tmp_path / "work"
    work.mkdir()
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=work)
    opgen = (sys.executable, "-m", "opgen")
    formula = ("--expr", "x²-y³/(1+x)", "--name", "cuberoot", "--target", "numpy")
    run(*opgen, "build", *formula, cwd=work, PYTHONPATH=str(site), PYTHONUTF8="1")
    script = "import opgen; print(opgen.__file__)"
    assert run(sys.executable, "-c", script, cwd=work, PYTHONPATH=str(site)).strip().startswith(str(site))
    # The operator itself needs no opgen.
    script = "from generated.cuberoot import cuberoot; print(abs(float(cuberoot(2.0)) - 12 ** (1 / 3)) < 1e-12)"
    assert run(sys.executable, "-c", script, cwd=work).strip() == "True"
