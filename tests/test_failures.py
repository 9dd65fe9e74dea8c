"""Failing points on disk, and condition numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = [pytest.mark.compiler, pytest.mark.xdist_group("kernel")]
RESIDUALS = """
import sympy as sp
import opgen
x, w, y, p, q = sp.symbols("x w y p q", real=True)
parab = opgen.Implicit(residual=w * y**2 - x, unknown=y, inputs=[x, w], guess=1.0)
pair = opgen.Implicit(residual=[p + q - x, 1000 * (p - w * q)], unknown=[p, q], inputs=[x, w])
"""
CALL = """
import numpy as np
from parab import parab
x = np.array([[4.0, -1.0, 9.0], [1.0, 2.0, -3.0]])
try:
    parab(x, 1.0, max_iterations=30)
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from opgen.pipeline import build

    root = tmp_path_factory.mktemp("failing")
    (root / "ops.py").write_text(RESIDUALS)
    build(root / "ops.py", output=root / "packages", targets=("numpy",))
    return root / "packages"


def call(folder: Path, where: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OPGEN_FAILURES": str(where), "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", CALL]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_failing_call_leaves_its_failing_points(folder: Path, tmp_path: Path) -> None:
    done = call(folder, tmp_path / "new" / "failures")
    assert "SolveError parab: 2 of 6 points did not converge" in done.stdout
    (file,) = (tmp_path / "new" / "failures").glob("*.npz")
    data = np.load(file)
    assert data["op"] == "parab"
    np.testing.assert_array_equal(data["index"], [[0, 1], [1, 2]])
    np.testing.assert_array_equal(data["input_x"], [-1.0, -3.0])
    np.testing.assert_array_equal(data["input_w"], [1.0, 1.0])
    assert (data["residual_norm"] >= 1).all()
    assert (data["iterations"] >= 30).all()
    assert "'max_iterations': 30" in str(data["options"])


def test_the_script_replays_them(folder: Path, tmp_path: Path) -> None:
    call(folder, tmp_path)
    (script,) = tmp_path.glob("*.py")
    assert len(script.read_text().splitlines()) == 3
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, cwd="/")
    assert done.returncode == 0, done.stderr
    assert "converged=array([False, False])" in done.stdout


def test_an_unwritable_folder_is_a_warning(folder: Path, tmp_path: Path) -> None:
    """The error of the call is not lost."""
    (tmp_path / "file").write_text("")
    done = call(folder, tmp_path / "file" / "below")
    assert "SolveError parab: 2 of 6 points did not converge" in done.stdout
    assert "parab: the failing points were not recorded" in done.stderr


@pytest.fixture(scope="module")
def ops(folder: Path) -> dict[str, Any]:
    import importlib

    sys.path.insert(0, str(folder.parent))
    return {name: getattr(importlib.import_module(f"packages.{name}"), name) for name in ("parab", "pair")}


def test_condition_of_one_unknown_is_the_slope(ops: dict[str, Any]) -> None:
    x, w = np.array([[1.0, 4.0], [9.0, 16.0]]), np.array([1.0, 4.0])
    y = ops["parab"](x, w)
    np.testing.assert_allclose(ops["parab"].condition(x, w, y), 2 * w * y, rtol=1e-15)
    assert ops["parab"].condition(0.0, 1.0, 0.0) == 0
    assert ops["parab"].condition(np.float32(4), np.float32(1), np.float32(2)).dtype == np.float32


def test_condition_of_several_does_not_depend_on_the_equations_scale(ops: dict[str, Any]) -> None:
    w = np.array([2.0, -0.999999, -1.0])
    found = ops["pair"].condition(1.0, w, (1.0, 0.5))
    for value, at in zip(found[:2], w[:2], strict=True):
        J = np.array([[1.0, 1.0], [1000.0, -1000 * at]])
        J /= np.abs(J).sum(axis=1, keepdims=True)
        assert value == pytest.approx(np.linalg.cond(J, np.inf), rel=1e-9)
    assert found[2] == np.inf
