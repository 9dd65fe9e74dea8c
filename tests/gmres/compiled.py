"""Compile what the GMRES and ATen tests need, once for all of them, and call it by ctypes.

Objects are kept in the folder for temporary files under the digest of what they were made of, so that neither a second
run nor a second worker compiles anything again.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sympy as sp
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from opgen.lower.aten import aten_lines

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
INCLUDE = ROOT / "opgen" / "include"
MESSAGE_SIZE = 1024
RAISE, NAN, KEEP = range(3)

Array = np.ndarray[Any, np.dtype[Any]]


# Compiling.


@cache
def torch_folder() -> Path:
    """Find PyTorch without importing it, or skip the test."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("PyTorch is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def compiler() -> str:
    """Find the compiler, or skip the test."""
    found = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not found:
        pytest.skip("there is no C++ compiler")
    return found


def aten_flags() -> tuple[str, ...]:
    include = torch_folder() / "include"
    return ("-std=c++20", "-O1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}",
            "-DAT_PER_OPERATOR_HEADERS", "-isystem", str(include))  # fmt: skip


def made(name: str, command: Sequence[str], *texts: str) -> Path:
    """Run a compiler command whose result depends on it and on ``texts``, unless it ran before."""
    key = hashlib.sha256("\0".join([*command, *texts]).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"opgen-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    target = folder / f"{key}-{name}"
    if not target.exists():
        aside = folder / f"{os.getpid()}-{name}"
        done = subprocess.run([*command, "-o", str(aside)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}\n{done.stderr[:4000]}")
        aside.rename(target)
    return target


@cache
def headers() -> str:
    return "\0".join(path.read_text() for path in sorted((INCLUDE / "opgen").glob("*.h")) if _ours(path))


def _ours(path: Path) -> bool:
    return path.name.startswith(("aten_", "gmres")) or path.name in ("abi.h", "signature.h")


def compiled(source: Path, *flags: str, texts: Sequence[str] = ()) -> Path:
    """Compile one C++ file against ATen."""
    command = [compiler(), *aten_flags(), *flags, "-c", str(source)]
    return made(source.stem + ".o", command, source.read_text(), headers(), *texts)


def linked(name: str, *objects: Path) -> Path:
    lib = torch_folder() / "lib"
    command = [compiler(), "-shared", *map(str, objects), f"-L{lib}", "-ltorch_cpu", "-lc10", "-Wl,-z,defs"]
    return made(f"{name}.so", command)


def loaded(library: Path) -> ctypes.CDLL:
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch_folder() / "lib" / name))
    return ctypes.CDLL(str(library))


@cache
def runtime() -> Path:
    return compiled(ROOT / "opgen" / "runtime" / "aten_runtime.cc")


@cache
def driver() -> ctypes.CDLL:
    library = loaded(linked("driver", compiled(HERE / "driver.cc")))
    library.gmres_advice.restype = ctypes.c_char_p
    return library


# Operators.


@dataclass(frozen=True)
class AtenView:
    """What the template of an operator's ATen file is given."""

    banner: tuple[str, ...]
    op: str
    formula: str
    inputs: tuple[str, ...]
    unknowns: tuple[str, ...]
    auxiliaries: tuple[str, ...]
    input_names: tuple[str, ...]
    explicit: bool
    linear: bool
    residual_lines: tuple[str, ...]
    residual_results: tuple[str, ...]
    auxiliary_lines: tuple[str, ...]
    auxiliary_results: tuple[str, ...]


@dataclass(frozen=True)
class Operator:
    """A residual, or with ``explicit`` a function, over symbols whose names are good C++."""

    name: str
    equations: tuple[sp.Expr, ...]
    inputs: tuple[sp.Symbol, ...]
    unknowns: tuple[sp.Symbol, ...] = ()
    auxiliaries: tuple[tuple[str, sp.Expr], ...] = ()
    explicit: bool = False

    def source(self) -> str:
        """Render the operator's ATen file."""
        names = {symbol: symbol.name for symbol in (*self.inputs, *self.unknowns)}
        main = aten_lines(self.equations, names)
        aux = aten_lines([expr for _, expr in self.auxiliaries], names)
        outputs = tuple(f"y{i}" for i in range(len(self.equations))) if self.explicit else ()
        view = AtenView(
            banner=("Made by a test.",),
            op=self.name,
            formula="; ".join(map(str, self.equations))[:100],
            inputs=tuple(s.name for s in self.inputs),
            unknowns=outputs or tuple(s.name for s in self.unknowns),
            auxiliaries=tuple(name for name, _ in self.auxiliaries),
            input_names=tuple(s.name for s in self.inputs),
            explicit=self.explicit,
            linear=False,
            residual_lines=main.lines,
            residual_results=main.results,
            auxiliary_lines=aux.lines,
            auxiliary_results=aux.results,
        )
        environment = Environment(
            loader=FileSystemLoader(ROOT / "templates" / "src"), undefined=StrictUndefined, autoescape=False,
            trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        )  # fmt: skip
        return environment.get_template("aten_adjoint.cc.jinja").render(vars(view))


x, y = sp.symbols("x y", real=True)
CUBEROOT = Operator("cuberoot", (x**2 - y**3 / (1 + x),), (x,), (y,))
BRIEF = (1.0499342082457277, 1.0175237711585172, 1.008922214940025, 1.0054028553482124, 1.0036219820057994)


def written(name: str, text: str) -> Path:
    """Keep a generated source under its digest, so that its path, too, is the same in every run."""
    folder = Path(tempfile.gettempdir()) / f"opgen-tests-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}-{name}"
    if not path.exists():
        aside = folder / f"{os.getpid()}-{name}"
        aside.write_text(text)
        aside.rename(path)
    return path


def adjoint_library(operator: Operator) -> Path:
    """Build one operator as opgen does: its own file and the runtime."""
    return linked(operator.name, compiled(written(f"{operator.name}.cc", operator.source())), runtime())


@cache
def several(operators: tuple[Operator, ...]) -> ctypes.CDLL:
    """Build several operators in one go; `opgen_aten_x` of `op` is called `x_op`."""
    return together({operator.name: operator.source() for operator in operators})


def together(sources: dict[str, str]) -> ctypes.CDLL:
    """Build the files of several operators in one go, each in a namespace inside theirs."""
    includes = sorted({line for text in sources.values() for line in re.findall(r"^#include .*$", text, re.MULTILINE)})
    parts = ["\n".join(includes)]
    for op, text in sources.items():
        body = re.sub(r"^#include .*$", "", text, flags=re.MULTILINE)
        body = body.replace("namespace opgen::formula", f"namespace opgen::formula::of_{op}")
        names = ", ".join(f"{kind}_{op}" for kind in ("adjoint", "tangent", "second", "cores"))
        body = body.replace("OPGEN_ATEN_OPERATOR(", "OPGEN_ATEN_FUNCTIONS(")
        parts.append(body.replace("::formula::definition())", f"::formula::of_{op}::definition(), {names})"))
    source = written("operators.cc", "\n".join(parts))
    return loaded(linked("operators", compiled(source), runtime()))


# Calling.


class Points(ctypes.Structure):
    _fields_ = (("dtype", ctypes.c_int32), ("rank", ctypes.c_int32), ("shape", ctypes.POINTER(ctypes.c_int64)),
                ("sizes", ctypes.POINTER(ctypes.c_int64)))  # fmt: skip


class Operand(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("strides", ctypes.POINTER(ctypes.c_int64)))


class Options(ctypes.Structure):
    _fields_ = (("tol", ctypes.c_double), ("max_iterations", ctypes.c_int64), ("on_failure", ctypes.c_int32),
                ("threads", ctypes.c_int32))  # fmt: skip


class Report(ctypes.Structure):
    _fields_ = (("failed", ctypes.c_int64), ("first", ctypes.c_int64), ("message", ctypes.c_char * MESSAGE_SIZE))


@dataclass(frozen=True)
class Gradients:
    """What a call gave back; the values are empty where none were wanted."""

    values: tuple[Array, ...]
    status: int
    failed: int
    first: int
    message: str


Given = Sequence[Array | None]


def adjoint(
    function: Any,
    inputs: Sequence[Array],
    unknowns: Given,
    cotangents: Given,
    policy: int = RAISE,
    tol: float = 0.0,
    wanted: Sequence[bool] | None = None,
) -> Gradients:
    """Call an adjoint with NumPy arrays that broadcast to the points."""
    asked = wanted or [True] * len(inputs)
    shapes = [x.shape if ask else None for x, ask in zip(inputs, asked, strict=True)]
    return run(function, (inputs, unknowns, cotangents), shapes, policy, tol)


def second(
    function: Any, inputs: Sequence[Array], unknowns: Given, cotangents: Given, tangents: Given, policy: int = RAISE
) -> Gradients:
    """Call a second derivative with NumPy arrays that broadcast to the points."""
    return run(function, (inputs, unknowns, cotangents, tangents), [x.shape for x in inputs], policy)


def tangent(
    function: Any, inputs: Sequence[Array], unknowns: Given, tangents: Given, outputs: int, policy: int = RAISE
) -> Gradients:
    """Call a tangent with NumPy arrays that broadcast to the points."""
    shape = np.broadcast_shapes(*(x.shape for x in inputs))
    return run(function, (inputs, unknowns, tangents), [shape] * outputs, policy)


Apply = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, *[ctypes.POINTER(ctypes.c_double)] * 2)


class Preconditioner(ctypes.Structure):
    _fields_ = (("context", ctypes.c_void_p), ("apply", Apply))


def run(
    function: Any,
    given: tuple[Given, ...],
    outputs: Sequence[tuple[int, ...] | None],
    policy: int = RAISE,
    tol: float = 0.0,
    *,
    cores: Sequence[Sequence[int]] | None = None,
    sizes: Sequence[int] = (),
    preconditioner: Preconditioner | None = None,
) -> Gradients:
    """Call a function of the C interface; the first of what it is given are the inputs.

    Args:
        function: One of an ATen library.
        given: Groups of operands.
        outputs: The shape of each output, None where it is not wanted.
        policy: What a failure does.
        tol: Of the solves.
        cores: How many core axes the operands of each group have, then the outputs; none if the operator is pointwise.
        sizes: Those of the named dimensions.
        preconditioner: That of a coupled operator.
    """
    values = [None if size is None else np.full(size, 7.0, _dtype(given)) for size in outputs]
    groups = (*given, values)
    ranks = cores or [[0] * len(group) for group in groups]
    inputs = [(x, r) for x, r in zip(given[0], ranks[0], strict=True) if x is not None]
    shape = np.broadcast_shapes(*(x.shape[: x.ndim - r] for x, r in inputs))
    keep: list[Any] = []

    def integers(numbers: Sequence[int]) -> Any:
        keep.append((ctypes.c_int64 * max(1, len(numbers)))(*numbers))
        return ctypes.cast(keep[-1], ctypes.POINTER(ctypes.c_int64))

    def operand(array: Array | None, rank: int) -> Operand:
        if array is None:
            return Operand(None, None)
        view = np.broadcast_to(array, (*shape, *array.shape[array.ndim - rank :]))
        keep.append(array)
        return Operand(array.ctypes.data, integers([stride // array.itemsize for stride in view.strides]))

    def operands(arrays: Given, of: Sequence[int]) -> Any:
        return (Operand * max(1, len(arrays)))(*(operand(x, r) for x, r in zip(arrays, of, strict=True)))

    points = Points(int(_dtype(given) == np.float64), len(shape), integers(shape), integers(sizes))
    options, report = Options(tol, 0, policy, 0), Report()
    made = [operands(group, of) for group, of in zip(groups, ranks, strict=True)]
    prepared = ctypes.byref(preconditioner) if preconditioner else None
    status = function(ctypes.byref(points), *made, ctypes.byref(options), prepared, ctypes.byref(report))
    found = tuple(np.empty(0) if v is None else v for v in values)
    return Gradients(found, status, report.failed, report.first, report.message.decode())


def _dtype(given: tuple[Given, ...]) -> Any:
    return next(x.dtype for x in given[0] if x is not None)
