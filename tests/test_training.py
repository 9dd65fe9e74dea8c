"""The examples that train: each finds the parameters that made its data, or learns its task."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = [
    ("ramberg_osgood/train_keras.py", "tensorflow"),
    ("ramberg_osgood/train_torch.py", "torch"),
    ("ramberg_osgood/fit_jax.py", "jax"),
    ("heat_inverse/train_tensorflow.py", "tensorflow"),
    ("allen_cahn/train_torch.py", "torch"),
    ("equilibrium/train_keras.py", "tensorflow"),
    ("equilibrium/train_torch.py", "torch"),
]
pytestmark = [pytest.mark.compiler, pytest.mark.slow, pytest.mark.xdist_group("training")]


@pytest.mark.parametrize(("script", "framework"), SCRIPTS)
def test_the_parameters_are_found(script: str, framework: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    if "scipy" in (EXAMPLES / script).read_text():
        pytest.importorskip("scipy")
    folder = tmp_path_factory.getbasetemp() / "training"  # one build for all scripts of an operator
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(EXAMPLES / script)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "->" in done.stdout
