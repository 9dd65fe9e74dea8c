"""Packages of coupled operators: what their README and docstrings say is true, and their own tests pass."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from opgen.analyse import analyse
from opgen.cli import main
from opgen.loading import load_file
from opgen.lower import lower
from opgen.render import render

HEAD = """import sympy as sp
from opgen import Dirichlet, Explicit, Implicit, Neumann, Periodic
i, j = sp.Idx("i"), sp.Idx("j")
u, f, g, A, W, z, x = (sp.IndexedBase(t) for t in ("u", "f", "g", "A", "W", "z", "x"))
h, c = sp.symbols("h c", positive=True)
n, m = sp.symbols("n m", integer=True)
line = (2 * u[i] - u[i - 1] - u[i + 1]) / h**2
plane = 4 * u[i, j] - u[i - 1, j] - u[i + 1, j] - u[i, j - 1] - u[i, j + 1]
"""
FIELD = (
    "field = Implicit(line + u[i]**3 - f[i], unknown=u, inputs=[f, h], boundary={u: (Dirichlet(0), Neumann(1, h))},\n"
    "    sample={f: (-1, 1), h: (0.05, 0.1)}, auxiliary={'mean': sp.Sum(u[i], (i, 0, n - 1)) / n})\n"
)
DENSE = "dense = Implicit(sp.Sum(A[i, j] * z[j], (j, 0, n - 1)) - x[i], unknown=z, sample={A: (-1, 1), x: (-1, 1)})\n"
FREE = "free = Implicit(line - c, unknown=u, inputs=[h, c], boundary=Dirichlet(0), sample={h: (0.1, 0.2)})\n"


def package(folder: Path, body: str) -> dict[str, str]:
    (folder / "f.py").write_text(HEAD + body, encoding="utf-8")
    (spec,) = load_file(folder / "f.py").specs
    return dict(render(lower(analyse(spec)), ("numpy", "tf")).files)


def words(text: str) -> str:
    return " ".join(text.split())


def test_docstring_says_shapes(tmp_path: Path) -> None:
    text = words(package(tmp_path, FIELD)["__init__.py"])
    assert (
        "inputs: f (n), h (): tensors of one dtype, float32 or float64. In brackets are their last axes; axes" in text
    )
    assert (
        "Returns: u (n), mean (): the batch axes of the inputs, then the axes in brackets; several as a named" in text
    )
    assert 'on_failure: "raise", "nan" or "keep", for systems that fail.' in text


def test_docstring_says_when_initial_is_needed(tmp_path: Path) -> None:
    text = words(package(tmp_path, FREE)["__init__.py"])
    assert "no gradient flows through it. Needed: its shape says how large i is." in text


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        (
            FIELD,
            [
                "`field(f (n), h ()) -> u (n), mean ()`",
                "Newton's method, for each system of the batch by itself",
                "F_y is tridiagonal. Its systems are solved by: band LU with pivoting, half-width 1",
                "Outside the grid u = 0 below i = 0.",
                "Outside the grid u has the outward slope 1 (spacing h, mirror half a step outside the last point)",
                "  # (n), ()",
                "one entry for each system of the batch",
            ],
        ),
        (
            DENSE,
            [
                "`dense(A (n, n), x (n)) -> z (n)`",
                "It is linear in the unknowns: each system of the batch is solved once",
                "Its systems are solved by: dense LU with pivoting.",
                "A = rng.uniform(-1, 1, (7, 7))  # (n, n)",
            ],
        ),
        (FREE, ["u = free(h, c, initial=np.zeros((7,)))  # (i)"]),
        (
            "plane = Implicit(plane - f[i, j], unknown=u, boundary={u: {i: Dirichlet(g[j]), j: Periodic()}})\n",
            [
                "u = g[j] at both ends of i",
                "u is periodic at both ends of j",
                "f = rng.uniform(0.5, 2, (5, 6))  # (i, j)",
                "g = rng.uniform(0.5, 2, (6,))    # (j)",
            ],
        ),
        (
            "made = Explicit({x[i]: sp.Sum(A[i, j] * f[j], (j, 0, n - 1))})\n",
            ["Compute x[i] = Sum(", "nothing is solved"],
        ),
    ],
)
def test_readme(tmp_path: Path, body: str, sentences: list[str]) -> None:
    text = package(tmp_path, body)["README.md"]
    assert [sentence for sentence in sentences if sentence not in text] == []


@pytest.mark.compiler
def test_readme_example_and_generated_tests_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("f.py").write_text(HEAD + FIELD + DENSE + FREE, encoding="utf-8")
    assert main(("build", "f.py", "--target", "numpy")) == 0
    for name, shape in (("field", "u"), ("dense", "z"), ("free", "u")):
        (code,) = re.findall(
            r"```python\n(.*?)```", (tmp_path / "generated" / name / "README.md").read_text(), re.DOTALL
        )
        done = subprocess.run(
            [sys.executable, "-c", f"{code}\nassert {shape}.shape == (7,)"],
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert main(("test", "field", "dense", "free")) == 0
    capfd.readouterr()
    assert main(("list", "--json")) == 0
    listed = {entry["name"]: entry for entry in json.loads(capfd.readouterr().out)["operators"]}
    assert {name: (entry["kind"], entry["current"]) for name, entry in listed.items()} == {
        "dense": ("dense", True),
        "field": ("field", True),
        "free": ("field", True),
    }
