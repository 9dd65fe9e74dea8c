"""The ATen half of an operator: what is printed, what it evaluates to, and how it is loaded."""

from __future__ import annotations

import ctypes
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import sympy as sp
from gmres import compiled
from gmres.compiled import BRIEF, CUBEROOT, Array, Operator

from opgen.errors import UnsupportedError
from opgen.lower.aten import aten_lines

compiles = pytest.mark.compiler

x, y, z, c = sp.symbols("x y z c", real=True)
third = sp.Rational(1, 3)


# The text.


def test_text_reads_like_the_formula() -> None:
    code = aten_lines([x**2 - y**3 / (1 + x)], {x: "x", y: "y"})
    assert code.lines == ()
    assert code.results == ("pow(x, 2) - pow(y, 3) / (x + 1)",)


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (-x / 3 + y, "y - x / 3"),
        (-3 * x * y / (2 * z**2), "-3 * x * y / (2 * pow(z, 2))"),
        (1 / sp.sqrt(x), "1 / sqrt(x)"),
        (x**third, "pow(x, 0.3333333333333333)"),
        (sp.pi * x, "3.141592653589793 * x"),
        (sp.Integer(3), "constant(3)"),
        (x * 10**30, "1e+30 * x"),
        (sp.Max(0, x), "max(x, 0)"),
        (-sp.sin(x) * y, "-y * sin(x)"),
        (2**x, "pow(2, x)"),
        (sp.loggamma(x) * sp.polygamma(1, x) * sp.polygamma(3, y), "loggamma(x) * trigamma(x) * polygamma(3, y)"),
    ],
)
def test_text_of_small_expressions(expr: sp.Expr, text: str) -> None:
    assert aten_lines([expr], {s: s.name for s in (x, y, z)}).results == (text,)


def test_a_variable_may_hide_a_function() -> None:
    code = aten_lines([sp.sinc(x) + sp.sin(y)], {x: "sin", y: "y"})
    assert code.results == ("opgen::formula::sin(y) + sinc(sin)",)


def test_common_subexpressions_are_shared_but_never_moved_out_of_a_branch() -> None:
    code = aten_lines([sp.exp(x * y) + sp.sin(x * y), sp.exp(x * y)], {x: "x", y: "t0"})
    assert code.lines[0] == "const at::Tensor t1 = x * t0;", "a temporary must not take an input's name"
    inside = aten_lines([sp.Piecewise((sp.sqrt(x) + sp.log(sp.sqrt(x)), x > 0), (sp.sqrt(-x), True)), sp.sqrt(x)],
                        {x: "x"})  # fmt: skip
    assert inside.lines[0].endswith("= piecewise(")
    assert "const at::Tensor t0 = sqrt(x);" in [line.strip() for line in inside.lines]


@pytest.mark.parametrize(
    "expr", [sp.Function("f")(x), sp.zeta(x), sp.I * x, sp.besselj(0, x), x + c, sp.Integer(10) ** 400 * x]
)
def test_what_cannot_be_printed_is_refused(expr: sp.Expr) -> None:
    with pytest.raises(UnsupportedError):
        aten_lines([expr], {x: "x"})


def test_text_does_not_depend_on_the_hash_seed() -> None:
    program = (
        "import sympy as sp; from opgen.lower.aten import aten_lines; x, y, z = sp.symbols('x y z');"
        "e = sp.exp(x * y) + sp.sin(x * y) * z + sp.Piecewise((sp.Max(sp.sqrt(x), y), x > z), (z, y < 2), (1, True));"
        "print(aten_lines([e, e.diff(x), sp.Min(x / y, z, sp.log(x))], {x: 'x', y: 'y', z: 'z'}))"
    )
    root = Path(__file__).parents[1]
    runs = [
        subprocess.run([sys.executable, "-c", program], env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
                       capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    ]  # fmt: skip
    assert runs[0] == runs[1]


# The functions, each against SymPy's own value in many digits.

FUNCTIONS: tuple[sp.Expr, ...] = (
    *(f(x) for f in (sp.exp, sp.log, sp.sin, sp.cos, sp.tan, sp.asin, sp.acos, sp.atan, sp.sinh, sp.cosh, sp.tanh)),
    *(f(x) for f in (sp.asinh, sp.acosh, sp.atanh, sp.erf, sp.erfc, sp.erfinv, sp.gamma, sp.digamma)),
    *(f(x) for f in (sp.Abs, sp.sign, sp.floor, sp.ceiling, sp.frac, sp.Heaviside, sp.sinc)),
    *(f(x) for f in (sp.sec, sp.csc, sp.cot, sp.sech, sp.csch, sp.coth, sp.asec, sp.acsc, sp.acot)),
    *(f(x) for f in (sp.asech, sp.acsch, sp.acoth)),
    sp.sqrt(x), x**third, 1 / x, x**-2, x**7, x ** sp.Rational(5, 2), x**-third, x**1.5, (x + 3) ** y, 2**x,
    sp.loggamma(x + 3), sp.polygamma(2, x), sp.polygamma(1, x), sp.atan2(x, y), sp.atan2(x, 1), sp.Mod(x, y),
    sp.Heaviside(x - y, 0),
    x * y / 3 - 2 * y / (7 * x) + sp.pi * x - sp.E, -(x - y) ** 2, sp.Integer(2), sp.sqrt(2) * sp.pi, 1e-30 * x,
    sp.Max(x, y), sp.Min(x, y, 1), sp.Max(0, x), sp.Max(1, sp.sqrt(x + 1.25), y), sp.Min(1 / x, y),
    sp.Piecewise((sp.sqrt(x), x > 0), (sp.log(-x) * y, x < -sp.Rational(1, 2)), (y, True)),
    sp.Piecewise((x**2, sp.And(x > 0, y > 0)), (x, sp.Or(x < -1, sp.Not(y < 1))), (3, True)),
    sp.Piecewise((x, sp.ITE(x > 0, x > y, y > 0)), (y, True)), sp.Piecewise((x * y, (x > 0) ^ (y > 0)), (y, True)),
    sp.Piecewise((sp.Piecewise((x, y > 0), (1 / x, True)), x > 0), (sp.sin(x) * sp.sin(x) ** 2, True)),
    sp.Piecewise((x, sp.Eq(x, y)), (2 * y, sp.Ne(x, 1))), sp.Piecewise((x, x > 0)),
    sp.Piecewise((y, sp.Max(sp.sqrt(x + 3), y) > 1), (x, True)), sp.exp(sp.Piecewise((x, x > 0), (-x, True))) + x,
)  # fmt: skip

POINTS = np.array([[0.3, 0.7], [2.6, -1.2], [-0.4, 0.9], [-2.3, 2.2], [-1.6, -0.3], [0.95, 3.0], [5.2, 0.45]])


@cache
def evaluate(exprs: tuple[sp.Expr, ...]) -> Callable[[Array], tuple[Array, Array]]:
    """Compile functions of x and y; return values [f, n] and slopes [f, 2, n] at points [n, 2]."""
    source = compiled.written("functions.cc", Operator("functions", exprs, (x, y), explicit=True).source())
    flags = [f'-DVALUES_OPERATOR="{source}"', "-Wno-unused-function"]
    obj = compiled.compiled(compiled.HERE / "values.cc", *flags, texts=[source.read_text()])
    library = compiled.loaded(compiled.linked("functions", obj, compiled.runtime()))

    def call(points: Array) -> tuple[Array, Array]:
        at, n = np.ascontiguousarray(points.T), len(points)
        values, slopes = np.zeros((len(exprs), n)), np.zeros((len(exprs), 2, n))
        pointers = [ctypes.c_void_p(array.ctypes.data) for array in (at, values, slopes)]
        assert library.evaluate(pointers[0], ctypes.c_int64(2), ctypes.c_int64(n), *pointers[1:]) == 0
        return values, slopes

    return call


def exact(expr: sp.Expr, px: sp.Expr, py: sp.Expr) -> sp.Expr:
    try:
        return sp.N(expr.subs({x: px, y: py}), 50)
    except ValueError:  # mpmath's word for a point outside the domain
        return sp.nan


@compiles
def test_functions_have_their_values_and_slopes() -> None:
    values, slopes = evaluate(FUNCTIONS)(POINTS)
    h = sp.Float("1e-15", 60)
    for i, expr in enumerate(FUNCTIONS):
        seen = 0
        for j, point in enumerate(POINTS):
            px, py = (sp.Float(float(v), 60) for v in point)
            value = exact(expr, px, py)
            if not value.is_real or not value.is_finite:
                assert not np.isfinite(values[i, j]), f"{expr} at {point} is {value}"
                continue
            seen += 1
            assert values[i, j] == pytest.approx(float(value), rel=4e-13, abs=1e-14), f"{expr} at {point}"
            for k, (dx, dy) in enumerate(((h, 0), (0, h))):
                ahead, behind = exact(expr, px + dx, py + dy), exact(expr, px - dx, py - dy)
                slope = float((ahead - behind) / (2 * h))
                assert slopes[i, k, j] == pytest.approx(slope, rel=4e-12, abs=1e-13), (
                    f"d {expr} / d {'xy'[k]} at {point}"
                )
        assert seen >= 1, f"{expr} was never real"


@compiles
def test_an_inactive_branch_never_poisons_a_gradient() -> None:
    exprs = (
        sp.Piecewise((sp.sqrt(x), x > 0), (0, True)),
        sp.Piecewise((sp.sin(x) / x, sp.Ne(x, 0)), (1, True)),
        sp.Max(1, sp.sqrt(x + 1)),
        sp.Min(2, 1 / x),
        sp.Abs(x),
        sp.Piecewise((sp.Piecewise((sp.log(x), x > 0), (7 * x, True)), x < 2), (sp.log(2 - x), x < 1), (x * y, True)),
        sp.Piecewise((x**third, x >= 1), ((2 - x) ** y, True)),
    )  # fmt: skip
    points = np.array([[0.0, 1], [-1, 2], [4, 3], [2, 1]])
    values, slopes = evaluate(exprs)(points)
    expected = np.array([
        [0, 0, 0.25, 1 / np.sqrt(8)],
        [0, np.sin(1) - np.cos(1), (4 * np.cos(4) - np.sin(4)) / 16, (2 * np.cos(2) - np.sin(2)) / 4],
        [0, 0, 1 / np.sqrt(20), 1 / np.sqrt(12)],
        [0, -1, -1 / 16, -0.25],
        [0, -1, 1, 1],
        [7, 7, 3, 1],
        [-1, -6, 4 ** (-2 / 3) / 3, 2 ** (-2 / 3) / 3],
    ])  # fmt: skip
    assert np.isfinite(slopes[:, 0]).all()
    assert np.isfinite(values).all()
    assert np.allclose(slopes[:, 0], expected, rtol=1e-14, atol=1e-15)


# The loader.


@cache
def adapter() -> Path:
    source = compiled.HERE / "loader.cc"
    command = [compiled.compiler(), "-std=c++17", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror",
               "-shared", f"-I{compiled.INCLUDE}", str(source)]  # fmt: skip
    return compiled.made("loader.so", command, source.read_text(), compiled.headers())


def installed(folder: Path, version: str | None = None, torch: Path | None = None) -> Path:
    """Lay out an operator's lib folder; return the adapter in it."""
    folder.mkdir()
    if version is None:
        text = (compiled.torch_folder() / "version.py").read_text()
        version = next(line.split("'")[1] for line in text.splitlines() if line.startswith("__version__"))
    shutil.copy(adapter(), folder / "adapter.so")
    shutil.copy(compiled.adjoint_library(CUBEROOT), folder / "libcuberoot_aten.so")
    (folder / "libcuberoot_aten.txt").write_text(f"{version}\n{torch or compiled.torch_folder()}\n")
    return folder / "adapter.so"


def slope(library: ctypes.CDLL) -> tuple[int, float, str]:
    result, message = ctypes.c_double(), ctypes.create_string_buffer(compiled.MESSAGE_SIZE)
    at, root = ctypes.c_double(1), ctypes.c_double(2.0 ** (1 / 3))
    status = library.slope(at, root, ctypes.byref(result), message)
    return status, result.value, message.value.decode()


@compiles
def test_loader_explains_what_is_missing(tmp_path: Path) -> None:
    other = ctypes.CDLL(str(installed(tmp_path / "other", version="2.9.1+cpu")))
    status, _, message = slope(other)
    assert status == 1
    assert message.startswith("cuberoot: its ATen adjoint was built against torch 2.9.1+cpu, but torch 2.")
    assert message.endswith('is installed; run opgen build again, or use adjoint="direct"')

    moved = ctypes.CDLL(str(installed(tmp_path / "moved", torch=tmp_path / "nowhere")))
    status, _, message = slope(moved)
    assert status == 1
    assert f"there is none in {tmp_path / 'nowhere'}" in message
    moved.use_torch(str(compiled.torch_folder()).encode())
    status, value, message = slope(moved)
    assert (status, message) == (0, "")
    assert value == pytest.approx(BRIEF[0], rel=1e-12)

    bare = installed(tmp_path / "bare")
    (tmp_path / "bare" / "libcuberoot_aten.txt").unlink()
    assert "its ATen adjoint is missing" in slope(ctypes.CDLL(str(bare)))[2]

    torn = installed(tmp_path / "torn")
    (tmp_path / "torn" / "libcuberoot_aten.so").write_text("not a library")
    assert "cannot be loaded" in slope(ctypes.CDLL(str(torn)))[2]


@compiles
@pytest.mark.parametrize(
    "imports",
    ["", "import tensorflow; import torch", "import torch; import tensorflow"],
    ids=["none", "tf+pt", "pt+tf"],
)
def test_loader_works_in_every_import_order(imports: str, tmp_path: Path) -> None:
    for module in ("torch", "tensorflow") if imports else ():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    adapter_path = installed(tmp_path / "lib")
    program = f"""
import ctypes, sys, threading
{imports}
library = ctypes.CDLL({str(adapter_path)!r})
def run(_=None):
    result, message = ctypes.c_double(), ctypes.create_string_buffer(1024)
    status = library.slope(ctypes.c_double(1), ctypes.c_double(2.0 ** (1 / 3)), ctypes.byref(result), message)
    assert status == 0, message.value
    assert abs(result.value - {BRIEF[0]!r}) < 1e-12
threads = [threading.Thread(target=run) for _ in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
run()
if "torch" in sys.modules:
    x = sys.modules["torch"].ones(3, requires_grad=True)
    (x ** 2).sum().backward()
    assert x.grad.tolist() == [2, 2, 2]
if "tensorflow" in sys.modules:
    assert float(sys.modules["tensorflow"].reduce_sum(sys.modules["tensorflow"].ones(3))) == 3
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "fine" in done.stdout
