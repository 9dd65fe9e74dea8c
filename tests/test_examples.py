"""The examples converge everywhere, agree with mpmath, and their scripts run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Build

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from reference import EXAMPLES, Reference, condition, draw, error, gradient_error, specs  # noqa: E402

pytestmark = pytest.mark.compiler
SPECS = specs()
TARGETS = ("tf", "numpy") if importlib.util.find_spec("tensorflow") else ("numpy",)
SCRIPTS = [EXAMPLES / "demo.py", *sorted(EXAMPLES.glob("*/run.py"))]


@pytest.fixture(params=SPECS)
def operator(request: pytest.FixtureRequest, build: Build) -> tuple[str, Any]:
    name: str = request.param
    file = SPECS[name].source.file
    assert file is not None
    found = build(EXAMPLES / Path(file).stem / file, targets=TARGETS)
    return name, getattr(found, name) if isinstance(found, tuple) else found


def listed(value: Any) -> list[np.ndarray]:
    return [np.asarray(v) for v in value] if isinstance(value, tuple) else [np.asarray(value)]


def test_every_point_converges(operator: tuple[str, Any]) -> None:
    name, op = operator
    x = draw(SPECS[name], 100_000)
    for dtype in (np.float64, np.float32):
        solution = op.solve(*(a.astype(dtype) for a in x))
        failed = ~solution.converged
        assert not failed.any(), f"{failed.sum()} points, first {[a[failed][0] for a in x]}"


def test_values_are_those_of_mpmath(operator: tuple[str, Any]) -> None:
    """Values to 1e-14, or to one rounding of the inputs where the equation magnifies it beyond; float32 to 1e-6."""
    name, op = operator
    reference = Reference(SPECS[name])
    for dtype, limit in ((np.float64, 1e-14), (np.float32, 1e-6)):
        x = [a.astype(dtype) for a in draw(SPECS[name], 24, seed=1)]
        outputs = listed(op(*x))
        for i, point in enumerate(zip(*x, strict=True)):
            exact, slopes = reference.at(point, [y[i] for y in outputs[: reference.k]])
            for label, found, value, slope in zip(reference.outputs, outputs, exact, slopes, strict=True):
                allowed = limit * max(1, condition(point, value, slope) / 45)
                assert error(found[i], value) <= allowed, f"{label} at {point}"


@pytest.mark.parametrize("adjoint", ["direct", "gmres"])
def test_gradients_are_those_of_mpmath(operator: tuple[str, Any], adjoint: str) -> None:
    tf = pytest.importorskip("tensorflow")
    if adjoint == "gmres":
        pytest.importorskip("torch")
    name, op = operator
    reference = Reference(SPECS[name])
    x = draw(SPECS[name], 8, seed=2)
    tensors = [tf.constant(a) for a in x]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(tensors)
        found = op(*tensors, adjoint=adjoint)
        outputs = list(found) if isinstance(found, tuple) else [found]
    gradients = [[g.numpy() for g in tape.gradient(y, tensors)] for y in outputs]
    for i, point in enumerate(zip(*x, strict=True)):
        _, slopes = reference.at(point, [y[i].numpy() for y in outputs[: reference.k]])
        for label, gradient, slope in zip(reference.outputs, gradients, slopes, strict=True):
            assert gradient_error(point, [g[i] for g in gradient], slope) <= 1e-12, f"{label} at {point}"


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_script_runs_on_a_clean_screen(script: Path, tmp_path: Path) -> None:
    for module in ("tensorflow", "torch", "scipy", *(("jax",) if "import jax" in script.read_text() else ())):
        pytest.importorskip(module)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TF_")}
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout
    assert not done.stderr
