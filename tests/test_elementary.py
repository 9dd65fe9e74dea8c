"""Sine, cosine and cube root of packs against mpmath, for this processor and for the narrowest of its family."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

from opgen.build import flags

pytestmark = pytest.mark.compiler

ROOT = Path(__file__).parents[1]
Array = np.ndarray[Any, np.dtype[np.float64]]


@pytest.fixture(scope="module", params=["native", "x86-64-v3", "baseline"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = (os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++") or "g++").split()
    target = tmp_path_factory.mktemp("elementary") / f"{request.param}.so"
    march = [] if request.param == "baseline" else [f"-march={request.param}"]
    own = ["-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", f"-I{ROOT / 'opgen' / 'include'}"]
    driver = ROOT / "tests" / "elementary" / "driver.cc"
    command = [*compiler, *flags.KERNEL, *march, *own, str(driver), "-o", str(target), "-lmvec", "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if request.param == "x86-64-v3" and "bad value" in done.stderr:
        pytest.skip("another family of processors")
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(target))


def evaluate(library: ctypes.CDLL, name: str, x: Array) -> Array:
    padded = np.concatenate([x, np.zeros(-len(x) % 8)])
    y = np.empty_like(padded)
    arguments = (ctypes.c_int64(len(padded)), padded.ctypes.data_as(ctypes.c_void_p), y.ctypes.data_as(ctypes.c_void_p))
    getattr(library, f"vector_{name}")(*arguments)
    return y[: len(x)]


def units(name: str, x: Array, y: Array) -> float:
    """The largest error, in units of the last place."""
    with mpmath.workprec(200):
        function = {"sin": mpmath.sin, "cos": mpmath.cos, "cbrt": lambda v: mpmath.sign(v) * mpmath.cbrt(abs(v))}[name]
        exact = [function(mpmath.mpf(v)) for v in x]
        return max(float(abs(mpmath.mpf(b) - e)) / np.spacing(abs(float(e))) for b, e in zip(y, exact, strict=True))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_angles(library: ctypes.CDLL, name: str) -> None:
    """Of all sizes, also those that are left to the library, and the doubles closest to multiples of a right angle."""
    rng = np.random.default_rng(0)
    spread = 10 ** rng.uniform(-8, 5.5, 3000) * rng.choice([-1, 1], 3000)
    right = np.arange(1, 60_000, 97) * (np.pi / 2)
    for x in (spread, right, np.nextafter(right, np.inf)):
        assert units(name, x, evaluate(library, name, x)) < (1.6 if np.abs(x).max() < 1e5 else 4)


def test_cube_roots(library: ctypes.CDLL) -> None:
    rng = np.random.default_rng(1)
    for most, limit in ((289, 1.1), (307, 4)):
        x = 10 ** rng.uniform(-most, most, 3000) * rng.choice([-1, 1], 3000)
        assert units("cbrt", x, evaluate(library, "cbrt", x)) < limit
    np.testing.assert_array_equal(evaluate(library, "cbrt", np.array([0.0, -0.0, 27.0, -8.0, 1.0])), [0, 0, 3, -2, 1])


@pytest.mark.parametrize("name", ["sin", "cos", "cbrt"])
def test_what_has_no_value(library: ctypes.CDLL, name: str) -> None:
    """NaN, infinity and what the library does instead leave their neighbours alone, to the last bit."""
    x = np.array([1.0, np.nan, np.inf, -np.inf, 2.0, 3.0, 4.0, 5.0])
    y = evaluate(library, name, x)
    np.testing.assert_array_equal(y[4:], evaluate(library, name, np.concatenate([x[4:], x[4:]]))[:4])
    assert np.isnan(y[1])
    assert (np.isinf(y[2:4]) if name == "cbrt" else np.isnan(y[2:4])).all()
    np.testing.assert_allclose(y[[0, 4, 5, 6, 7]], getattr(np, name)(x[[0, 4, 5, 6, 7]]), rtol=4e-16)
