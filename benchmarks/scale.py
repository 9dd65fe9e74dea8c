"""Time the chain on large operators, stage by stage.

    python benchmarks/scale.py [--compile] [OPERATIONS]

A sum of saturating terms of that many operations, and an implicit Euler step of kinetics with twelve species. With
`--compile` the kernel is compiled too, which for a sum of thousands of operations takes minutes.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
from pathlib import Path

SUM = """
import random
import sympy as sp
import opgen
draw = random.Random(0)
x, w = sp.symbols("x w", real=True)
y = sp.Symbol("y", positive=True)
parts = [
    round(draw.random(), 6) * y ** draw.choice((1, 2, 3)) * sp.exp(-round(draw.random(), 6) * x)
    / (1 + round(draw.random(), 6) * y * x + y**2)
    for _ in range({terms})
]
total = opgen.Implicit(residual=y - x + w * sp.Add(*parts), unknown=y, inputs=[x, w])
"""
KINETICS = """
import random
import sympy as sp
import opgen
draw = random.Random(0)
T, dt = sp.symbols("T dt", positive=True)
c, d = sp.symbols("c1:13", real=True), sp.symbols("d1:13", real=True)
rates = [0] * 12
for _ in range(40):
    k = round(draw.random(), 6) * sp.exp(-round(3 * draw.random(), 6) / T)
    i, j, m, n = draw.sample(range(12), 4)
    for species, sign in ((i, -1), (j, -1), (m, 1), (n, 1)):
        rates[species] += sign * k * c[i] * c[j]
step = opgen.Implicit(
    residual=[c[i] - d[i] - dt * rates[i] for i in range(12)],
    unknown=list(c),
    inputs=[*d, T, dt],
    guess=dict(zip(c, d)),
)
"""


def measure(name: str, text: str, compiled: bool) -> None:
    """Print the seconds of every stage."""
    import sympy as sp

    from opgen.analyse import analyse
    from opgen.loading import load_file
    from opgen.lower import lower
    from opgen.pipeline import build

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{name}.py"
        file.write_text(text)
        marks = [time.perf_counter()]
        (spec,) = load_file(file).specs
        marks.append(time.perf_counter())
        model = analyse(spec)
        marks.append(time.perf_counter())
        lower(model)  # type: ignore[arg-type]
        marks.append(time.perf_counter())
        if compiled:
            build(file, output=Path(folder) / "out", targets=("numpy",), force=True)
            marks.append(time.perf_counter())
        load, analysed, lowered, *built = (b - a for a, b in itertools.pairwise(marks))
        count = sum(int(sp.count_ops(e)) for e in spec.equations)
        line = f"{name:9} {count:6} operations: load {load:5.1f} s, analyse {analysed:5.1f} s, lower {lowered:5.1f} s"
        print(line + (f", the whole build {built[0]:5.1f} s" if built else ""), flush=True)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operations", nargs="?", type=int, default=10_000)
    parser.add_argument("--compile", action="store_true")
    given = parser.parse_args()
    measure("kinetics", KINETICS, given.compile)
    measure("sum", SUM.replace("{terms}", str(given.operations // 13)), given.compile)


if __name__ == "__main__":
    main()
