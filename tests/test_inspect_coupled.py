"""What inspect says of operators whose unknowns are coupled: patterns, shapes, boundaries, solvers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opgen.cli import main

HEAD = """import sympy as sp
import opgen
i, j, k = sp.Idx("i"), sp.Idx("j"), sp.Idx("k")
u, v, f, g, a, A, W, B, z, x = (sp.IndexedBase(t) for t in ("u", "v", "f", "g", "a", "A", "W", "B", "z", "x"))
h, c = sp.symbols("h c", positive=True)
n = sp.Symbol("n", integer=True)
"""
LINE = "(2 * u[i] - u[i - 1] - u[i + 1]) / h**2"
PLANE = "(4 * u[i, j] - u[i - 1, j] - u[i + 1, j] - u[i, j - 1] - u[i, j + 1]) / h**2"
WIND = "c * (u[i, j] - u[i - 1, j])"
SPACE = " - ".join(
    ["6 * u[i, j, k]", *(f"u[{p}]" for p in ("i-1,j,k", "i+1,j,k", "i,j-1,k", "i,j+1,k", "i,j,k-1", "i,j,k+1"))]
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def inspected(capfd: pytest.CaptureFixture[str], definition: str, *options: str) -> str:
    Path("f.py").write_text(HEAD + definition, encoding="utf-8")
    status = main(("inspect", "f.py", *options))
    out, err = capfd.readouterr()
    assert (status, err) == (0, "")
    return out


def only(capfd: pytest.CaptureFixture[str], definition: str) -> dict[str, Any]:
    (operator,) = json.loads(inspected(capfd, definition, "--json"))["operators"]
    return dict(operator)


def test_text_of_a_field(capfd: pytest.CaptureFixture[str]) -> None:
    out = inspected(
        capfd, f"p = opgen.Implicit({LINE} + u[i]**3 - f[i], unknown=u, inputs=[f, h], boundary=opgen.Dirichlet(0))"
    )
    assert "  F[i] = -f[i] + u[i]  + ─────" in out
    assert "  F_y:\n    i-1   i   i+1\n     a    b    a\n" in out
    assert "    a = -1/h**2   by u[i - 1], u[i + 1]\n    b = 3*u[i]**2 + 2/h**2   by u[i]\n" in out
    words = " ".join(out.split())
    assert "signature p(f (i), h ()) -> u (i)" in words
    assert "field: u on a grid of 1 axis, not linear in u; F_y is tridiagonal, symmetric; of f, h" in words
    assert "boundary u = 0 on every side" in words
    assert "solver damped Newton, each system of the batch by itself; tridiagonal elimination in chunks" in words
    assert "start u = 0 (chosen by opgen)" in words
    assert max(map(len, out.splitlines())) <= 100


def test_text_of_a_plane(capfd: pytest.CaptureFixture[str]) -> None:
    definition = (
        f"p = opgen.Implicit({PLANE} + {WIND} - f[i, j], unknown=u, inputs=[f, h, c], boundary=opgen.Dirichlet(c))"
    )
    out = inspected(capfd, definition)
    picture = ["         j-1   j   j+1", "    i-1   ·    a    ·", "    i     b    c    b", "    i+1   ·    b    ·"]
    assert "\n".join(picture) in out
    assert "    a = -c - 1/h**2   by u[i - 1, j]\n" in out
    assert "boundary    u = c on every side\n" in out
    assert "GMRES, as F_y is not symmetric" in " ".join(out.split())


def test_text_of_a_dense_system(capfd: pytest.CaptureFixture[str]) -> None:
    out = inspected(
        capfd, "p = opgen.Implicit(z[i] - sp.tanh(sp.Sum(W[i, j] * z[j], (j, 0, n - 1)) + B[i]), unknown=z)"
    )
    assert "    a = 1   by z[i]\n" in out
    assert "tanh(B[i] + Sum(W[i, j]*z[j], (j, 0, n - 1)))**2 - 1)   by z[j] for all j\n" in out
    assert "dense: z, not linear in z; F_y is dense: equations read the unknowns through sums" in out
    assert "per term of a sum" in " ".join(out.split())


def test_terminal_without_unicode(folder: Path) -> None:
    Path("f.py").write_text(f"{HEAD}p = opgen.Implicit({PLANE} - f[i, j], unknown=u, boundary=opgen.Dirichlet(0))")
    environment = {"PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONIOENCODING": "ascii", "PATH": ""}
    command = [sys.executable, "-m", "opgen", "inspect", "f.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"i-1   .    a    ." in done.stdout


@pytest.mark.parametrize(
    ("definition", "method", "pattern", "solver"),
    [
        (f"{LINE} - f[i], unknown=u, boundary=opgen.Dirichlet(0)", "band", "tridiagonal", "tridiagonal elimination"),
        (
            f"{LINE} - f[i], unknown=u, boundary=opgen.Neumann(0)",
            "band",
            "tridiagonal",
            "band LU with pivoting, half-width 1; its ends are mirrored",
        ),
        (
            f"{LINE} - f[i], unknown=u, boundary=opgen.Periodic()",
            "band",
            "cyclic tridiagonal",
            "folded flat, in the order 0, n - 1, 1, n - 2, ..., to a band of half-width 2; band LU with pivoting",
        ),
        (
            "u[i-2] - 4 * u[i-1] + 6 * u[i] - 4 * u[i+1] + u[i+2] - f[i], unknown=u, boundary=opgen.Dirichlet(0)",
            "band",
            "a band of width 5",
            "band LU with pivoting, half-width 2",
        ),
        (
            f"[{LINE} + u[i] * v[i] - f[i], v[i] - v[i - 1] - u[i]], unknown=[u, v], boundary=opgen.Dirichlet(0)",
            "band",
            "block-tridiagonal with 2 x 2 blocks, one row for each of 2 fields",
            "band LU with pivoting, half-width 3",
        ),
        (
            f"{PLANE} - f[i, j], unknown=u, boundary=opgen.Periodic()",
            "stencil",
            "a 5-point stencil in 2-D, cyclic along i, j",
            "conjugate gradients, as F_y is symmetric, preconditioned by a multigrid cycle; sparse LU",
        ),
        (
            f"{SPACE} - f[i, j, k], unknown=u, boundary=opgen.Dirichlet(0)",
            "stencil",
            "a 7-point stencil in 3-D",
            "conjugate gradients, as F_y is symmetric, preconditioned by a multigrid cycle; sparse LU",
        ),
        (
            "sp.Sum(A[i, j] * z[j], (j, 0, n - 1)) - x[i], unknown=z",
            "dense",
            "dense: equations read the unknowns through sums",
            "dense LU with pivoting",
        ),
    ],
)
def test_structure(capfd: pytest.CaptureFixture[str], definition: str, method: str, pattern: str, solver: str) -> None:
    operator = only(capfd, f"p = opgen.Implicit({definition})")
    assert (operator["method"], operator["pattern"]) == (method, pattern)
    assert pattern in operator["structure"]
    once = "damped Newton, each system of the batch by itself; "
    assert (
        operator["solver"]
        .removeprefix(once)
        .partition("solved once; ")[2 if operator["linear"] else 0]
        .startswith(solver)
    )
    assert operator["symmetric"] is ("v" not in operator["unknowns"] and method != "dense")


def test_json_of_the_pattern(capfd: pytest.CaptureFixture[str]) -> None:
    operator = only(
        capfd,
        "p = opgen.Implicit(a[i + 1] * (u[i + 1] - u[i]) - a[i] * (u[i] - u[i - 1]) - f[i], unknown=u, inputs=[a, f],"
        " boundary={u: {'left': opgen.Dirichlet(0), 'right': opgen.Neumann(1)}})",
    )
    assert (operator["kind"], operator["linear"], operator["signature"]) == (
        "field",
        True,
        "p(a (i + 1), f (i)) -> u (i)",
    )
    assert [(e["offset"], e["entry"], e["value"]) for e in operator["F_y"]] == [
        ([-1], "u[i - 1]", "a[i]"),
        ([0], "u[i]", "-a[i + 1] - a[i]"),
        ([1], "u[i + 1]", "a[i + 1]"),
    ]
    assert operator["boundary"] == [
        {
            "unknown": "u",
            "axis": "i",
            "low": "u = 0",
            "high": "u has the outward slope 1 (spacing 1, mirror half a step outside the last point)",
        }
    ]
    assert operator["operations"]["residual"] > 0
    assert operator["warnings"] == []


def test_entries_under_a_sum(capfd: pytest.CaptureFixture[str]) -> None:
    operator = only(capfd, "p = opgen.Implicit(z[i] + sp.Sum(A[i, j] * z[j]**2, (j, 0, n - 1)) - x[i], unknown=z)")
    own, other = operator["F_y"]
    assert (own["offset"], own["summed_over"], own["value"]) == ([0], [], "1")
    assert (other["offset"], other["summed_over"], other["value"]) == (None, ["j"], "2*A[i, j]*z[j]")


def test_explicit(capfd: pytest.CaptureFixture[str]) -> None:
    definition = "p = opgen.Explicit({x[i]: sp.Sum(A[i, j] * f[j], (j, 0, n - 1))}, inputs=[A, f])\n"
    definition += "d = opgen.Explicit({x[i]: f[i + 1] - f[i]}, inputs=[f])\n"
    p, d = json.loads(inspected(capfd, definition, "--json"))["operators"]
    assert (p["kind"], p["method"], p["structure"]) == ("explicit", None, "explicit: x = f(A, f), not linear")
    assert (d["signature"], d["structure"]) == ("d(f (i + 1)) -> x (i)", "explicit: x = f(f), linear")
    assert "  x[i] = f[i + 1] - f[i]\n" in inspected(capfd, definition)


def test_warnings_are_shown(capfd: pytest.CaptureFixture[str]) -> None:
    out = inspected(
        capfd, "p = opgen.Implicit(u[i + 1] - 2 * u[i] + u[i - 1] - h, unknown=u, boundary=opgen.Dirichlet(0))"
    )
    assert "warning     no input has the size i: calls need `initial`" in out


@pytest.mark.parametrize("stage", ["spec", "model", "program", "sources"])
def test_stages(capfd: pytest.CaptureFixture[str], stage: str) -> None:
    definition = f"p = opgen.Implicit({LINE} - f[i], unknown=u, inputs=[f, h], boundary=opgen.Periodic())"
    out = inspected(capfd, definition, "--stage", stage)
    assert ("u[i - 1]" in out) or ("==> p/src/kernel.cc <==" in out)
    assert list(json.loads(inspected(capfd, definition, "--stage", stage, "--json"))) == ["p"]


def test_debug_shows_every_stage(capfd: pytest.CaptureFixture[str]) -> None:
    Path("f.py").write_text(f"{HEAD}p = opgen.Implicit({LINE} - f[i], unknown=u, boundary=opgen.Dirichlet(0))")
    assert main(("--debug", "inspect", "f.py")) == 0
    err = capfd.readouterr().err
    assert all(f"--- p: {stage}" in err for stage in ("spec", "model", "program", "sources"))
