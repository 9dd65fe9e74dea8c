"""opgen doctor: say what works, what is missing, and which command mends it."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from opgen.commands.check import Check
from opgen.commands.screen import GENERATED, AsJson, Output, paint, plural, say, say_json, table

if TYPE_CHECKING:
    from opgen.build.cache import Cache

# Without these nothing can be built; the frameworks are a choice.
NEEDED = ("C++ compiler", "NumPy", "SymPy", "cache")
FOR_TESTS = "the generated tests need it"
TRIVIAL = '#include <cmath>\nextern "C" double half(double x) { return std::fabs(x) / 2; }\n'


def doctor(output: Output = GENERATED, as_json: AsJson = False) -> None:
    """Show the compiler, the frameworks and the folders in use, and how to mend what is missing."""
    checks = list(_checks(output))
    wrong = [check for check in checks if check.state != "ok"]
    able = all(check.what not in NEEDED for check in wrong)
    if as_json:
        say_json({"able_to_build": able, "checks": [dataclasses.asdict(check) for check in checks]})
    else:
        say(table(("state", "what", "found"), [(check.state, check.what, check.found) for check in checks]))
        for check in wrong:
            say(f"\n{paint(check.what, 'heading')}: {check.mend}")
        needed = ", ".join(check.what for check in wrong if check.what in NEEDED)
        say(f"\nopgen cannot build until this is mended: {needed}" if needed else "\nopgen can build")
    if not able:
        from opgen.errors import ToolchainError

        raise typer.Exit(ToolchainError.exit_code)


def _checks(output: Path) -> Iterator[Check]:
    from opgen import __version__
    from opgen.build.cache import open_cache
    from opgen.build.toolchain import find_jax, find_tensorflow, find_torch
    from opgen.commands.operators import operators
    from opgen.commands.storage import storage
    from opgen.errors import ToolchainError

    yield Check("opgen", "ok", f"{__version__} ({Path(__file__).parent.parent})")
    yield Check("Python", "ok", f"{'.'.join(map(str, sys.version_info[:3]))} ({sys.executable})")
    try:
        cache = open_cache()
    except ToolchainError as error:
        yield Check("cache", "broken", error.what, error.advice)
    else:
        yield from _compiler(cache)
        yield from storage(cache, output)
    yield _processor()
    yield _distribution("NumPy", "numpy")
    yield _distribution("SymPy", "sympy")
    found = {"tensorflow": find_tensorflow(), "torch": find_torch(), "jaxlib": find_jax()}
    for name, module in (("TensorFlow", "tensorflow"), ("PyTorch", "torch")):
        framework = found[module]
        install = _pip("tensorflow-cpu" if module == "tensorflow" else "torch")
        if framework is not None:
            yield Check(name, "ok", f"{framework.version} with headers ({framework.folder})")
        elif _installed(module):
            mend = install.replace("install", "install --force-reinstall")
            yield Check(name, "broken", "installed, but its headers or libraries are missing", mend)
        else:
            yield Check(name, "missing", "not installed; operators are built without it", install)
    yield _distribution("JAX", "jax")
    yield _distribution("pytest", "pytest", FOR_TESTS)
    yield _distribution("mpmath", "mpmath", FOR_TESTS)
    yield from operators(output, {name: framework.version if framework else None for name, framework in found.items()})


def _compiler(cache: Cache) -> Iterator[Check]:
    from opgen.build.toolchain import find_compiler
    from opgen.errors import ToolchainError

    try:
        compiler = find_compiler(cache)
    except ToolchainError as error:
        yield Check("C++ compiler", "missing", error.what, error.advice)
        return
    place = f"{compiler.version} ({compiler.path})"
    fault = _fault(compiler.command)
    if fault:
        mend = "apt-get install g++, or set CXX to another compiler"
        yield Check("C++ compiler", "broken", f"{place}: {fault}", mend)
        return
    yield from _standard_library(compiler.command)
    march = f", -march={compiler.march}" if compiler.march else ""
    yield Check("C++ compiler", "ok", f"{place}{march}: compiles, and what it makes can be loaded")
    if compiler.vector_library:
        yield Check("libmvec", "ok", "exp, log, pow, sin and cos are computed several at a time")
    else:
        yield Check(
            "libmvec", "missing", "exp, log, pow, sin and cos are computed one by one", "apt-get install libc6-dev"
        )


def _standard_library(command: tuple[str, ...]) -> Iterator[Check]:
    """Compare the compiler's C++ with the one that the frameworks are made in; say something only if it differs."""
    from opgen.build.process import run

    done = run([*command, "-std=c++20", "-dM", "-E", "-x", "c++", "-include", "cstddef", "/dev/null"])
    if done.code != 0:
        mend = "apt-get install g++-12 && export CXX=g++-12"
        yield Check("C++20", "missing", "the compiler has none, and PyTorch's headers need it", mend)
    elif "_LIBCPP_VERSION" in done.output:
        mend = f"export CXX='{' '.join(command)} -stdlib=libstdc++'"
        found = "the compiler uses libc++, but TensorFlow and PyTorch are made with libstdc++"
        yield Check("C++ library", "broken", found, mend)


def _fault(command: tuple[str, ...]) -> str:
    """Compile, link, load and call a function; return what failed."""
    import ctypes
    import tempfile

    from opgen.build.process import run
    from opgen.build.toolchain import first_line

    with tempfile.TemporaryDirectory(prefix="opgen-doctor-") as name:
        folder = Path(name)
        (folder / "half.cc").write_text(TRIVIAL, encoding="utf-8")
        done = run([*command, "-std=c++17", "-shared", "-fPIC", "half.cc", "-o", "half.so"], folder)
        if done.code != 0:
            return f"it does not compile a trivial program: {first_line(done.output)}"
        try:
            half = ctypes.CDLL(str(folder / "half.so")).half
        except OSError as error:
            return f"what it makes cannot be loaded: {error}"
        half.restype, half.argtypes = ctypes.c_double, [ctypes.c_double]
        return "" if half(-3.0) == 1.5 else "what it makes computes nonsense"


def _processor() -> Check:
    import platform

    from opgen.build import processor

    present = processor.present()
    known = [
        name for name in ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512dq", "asimd", "sve") if name in present
    ]
    cores = plural(os.cpu_count() or 1, "core")
    return Check("processor", "ok", f"{platform.machine()}, {cores}; {', '.join(known) or 'features not known'}")


def _distribution(name: str, module: str, why: str = "") -> Check:
    from importlib.metadata import PackageNotFoundError, version

    if not _installed(module):
        return Check(name, "missing", f"not installed{f'; {why}' if why else ''}", _pip(module))
    try:
        return Check(name, "ok", version(module))
    except PackageNotFoundError:
        return Check(name, "ok", "version unknown")


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _pip(distribution: str) -> str:
    return f"{sys.executable} -m pip install {distribution}"
