"""How long builds take, each in a process of its own and with a cache of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reference import EXAMPLES
from timing import Times, table

ROOT = EXAMPLES.parent
ROUNDS = 5


def run(words: list[str], folder: Path, cache: Path) -> float:
    """Run Python with these words and return the seconds of the whole process."""
    environment = {
        **os.environ,
        "OPGEN_CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
    start = time.perf_counter()
    done = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr}")
    return seconds


def cold(file: Path, targets: str, *, runtime: bool) -> Times:
    """Build with an empty cache; or with one that holds the runtime for ATen, from another operator."""
    seconds = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            if runtime:
                build(EXAMPLES / "sagitta" / "sagitta.py", "tf,numpy", folder)
            seconds.append(build(file, targets, folder))
    return Times(tuple(seconds))


def build(file: Path, targets: str, folder: Path) -> float:
    """Build one file."""
    return run(["-m", "opgen", "build", str(file), "--target", targets], folder, folder / "cache")


def imports(folder: Path, first: str, then: str) -> Times:
    """Time an import on top of others, inside the process."""
    code = f"import time\n{first}\nstart = time.perf_counter()\n{then}\nprint(time.perf_counter() - start)"
    seconds = []
    for _ in range(ROUNDS):
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
        seconds.append(float(done.stdout))
    return Times(tuple(seconds))


def report() -> str:
    """Return the table."""
    cuberoot = EXAMPLES / "cuberoot" / "cuberoot.py"
    rows: list[tuple[str, Times]] = [
        ("cuberoot for NumPy, nothing cached", cold(cuberoot, "numpy", runtime=False)),
        (
            "cuberoot for TensorFlow and NumPy, nothing cached",
            cold(cuberoot, "tf,numpy", runtime=False),
        ),
        ("the same, after another operator was built", cold(cuberoot, "tf,numpy", runtime=True)),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(cuberoot, "tf,numpy", folder)
        again = Times(tuple(build(cuberoot, "tf,numpy", folder) for _ in range(ROUNDS)))
        shown = Times(tuple(run(["-m", "opgen", "--help"], folder, folder / "cache") for _ in range(ROUNDS)))
        tensorflow = "import os; os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'; import tensorflow as tf"
        call = "from generated.cuberoot import cuberoot; cuberoot(tf.constant([1.0]))"
        rows += [
            ("opgen build, nothing changed, whole process", again),
            ("opgen --help, whole process", shown),
            ("import generated.cuberoot", imports(folder, "", "import generated.cuberoot")),
            ("import numpy", imports(folder, "", "import numpy")),
            ("generated.cuberoot and a first call, after import tensorflow", imports(folder, tensorflow, call)),
        ]
    return table(("what", "ms: median (least - most)"), rows)
