"""The examples that train: each finds the parameters that made its data."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "examples" / "ramberg_osgood"
pytestmark = [pytest.mark.compiler, pytest.mark.slow, pytest.mark.xdist_group("training")]


@pytest.mark.parametrize(
    ("script", "framework"), [("train_keras.py", "tensorflow"), ("train_torch.py", "torch"), ("fit_jax.py", "jax")]
)
def test_the_parameters_are_found(script: str, framework: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    folder = tmp_path_factory.getbasetemp() / "training"  # one build for all three
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(FOLDER / script)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "->" in done.stdout
