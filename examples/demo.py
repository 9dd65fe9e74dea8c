"""Build examples/cuberoot, run it in TensorFlow, and compare values and gradients with the closed form."""

import os
import sys
from pathlib import Path

# TensorFlow's C++ libraries greet on the screen unless told not to before the import.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import tensorflow as tf

from opgen.errors import OpgenError
from opgen.pipeline import build

ROOT = Path(__file__).resolve().parent.parent
EXPECTED = [1.0499342082457277, 1.0175237711585172, 1.008922214940025, 1.0054028553482124, 1.0036219820057994]


def main() -> int:
    """Run the demonstration and return the exit status."""
    try:
        file = ROOT / "examples" / "cuberoot" / "cuberoot.py"
        (built,) = build(file, output=ROOT / "generated", targets=("numpy", "tf"))
    except OpgenError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    done = f"built in {built.seconds:.1f} s" if built.reasons else "is current"
    print(f"x**2 - y**3/(1 + x) = 0, solved for y: generated/{built.name} {done}")
    sys.path.insert(0, str(ROOT))
    from generated.cuberoot import cuberoot

    x = tf.constant([1.0, 2, 3, 4, 5], tf.float64)
    exact = np.cbrt(x.numpy() ** 2 * (1 + x.numpy()))
    worst = 0.0
    for adjoint in ("direct", "gmres"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = cuberoot(x, adjoint=adjoint)
        gradient = tape.gradient(y, x).numpy()
        print(f"\nadjoint={adjoint!r}")
        print("  x                   y         closed form               dy/dx         closed form")
        for row in zip(x.numpy(), y.numpy(), exact, gradient, EXPECTED, strict=True):
            print("{:3g}  {:18.16f}  {:18.16f}  {:18.16f}  {:18.16f}".format(*row))
        worst = max(worst, np.abs(y.numpy() / exact - 1).max() * 100, np.abs(gradient / EXPECTED - 1).max())
    agree = worst < 1e-12
    print(f"\n{'All agree.' if agree else 'THEY DIFFER: something is wrong with this installation.'}")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
