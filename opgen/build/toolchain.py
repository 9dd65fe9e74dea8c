"""What there is to build with: the compiler and the frameworks, none of which is imported."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opgen.build import digest, processor
from opgen.build.cache import Cache, read_record
from opgen.build.process import run
from opgen.errors import ToolchainError

_INSTALL_COMPILER = "install g++ 9 or newer (apt-get install g++), or set CXX to a C++17 compiler"
_TENSORFLOW_WHEELS = re.compile(
    r"(?:tensorflow|tensorflow_cpu|tensorflow_gpu|tensorflow_intel|tensorflow_rocm|tensorflow_cpu_aws|intel_tensorflow"
    r"|tf_nightly|tf_nightly_cpu)-(?P<version>[^-]+)\.dist-info"
)


@dataclass(frozen=True)
class Compiler:
    """A compiler that ran.

    Attributes:
        command: The program and the arguments that CXX holds.
        path: The file that is run.
        version: First line of what --version prints.
        march: Value of -march; empty where the compiler has none.
        target: Digest of everything that the compiler defines for that -march.
        processor: Features that a processor must have to run the code, as /proc/cpuinfo names them.
        vector_library: Whether there is glibc's library of vectorised functions.
    """

    command: tuple[str, ...]
    path: str
    version: str
    march: str
    target: str
    processor: tuple[str, ...]
    vector_library: bool

    @property
    def identity(self) -> str:
        """What must be equal for a compiled file to be the same."""
        return " ".join([self.path, *self.command[1:], f"({self.version})"])


@dataclass(frozen=True)
class Framework:
    """An installed framework.

    Attributes:
        name: "TensorFlow", "PyTorch", "JAX" or "Eigen".
        version: Its version.
        folder: Its package.
        flags: What compiling against it needs besides its headers.
    """

    name: str
    version: str
    folder: Path
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Toolchain:
    """Everything outside opgen that a build depends on."""

    compiler: Compiler
    tensorflow: Framework | None
    torch: Framework | None
    jax: Framework | None = None
    eigen: Framework | None = None


def find_compiler(cache: Cache, march: str | None = None) -> Compiler:
    """Find the compiler: $CXX, else c++ or g++ on PATH.

    Args:
        cache: Where its answers are kept.
        march: The processor to compile for, as -march names it; None for $OPGEN_MARCH, else the one that is here.

    Raises:
        ToolchainError: There is none, it does not run, or it knows no such processor.
    """
    command = _command()
    version = _version(command)
    path = os.path.realpath(shutil.which(command[0]) or command[0])
    asked = os.environ.get("OPGEN_MARCH", "") if march is None else march
    about = [path, command[1:], version, asked, processor.present()]
    record = cache.root / "compilers" / f"{digest.of_json(about)[:32]}.json"
    known = read_record(record) or _probe(command, asked, "OPGEN_MARCH" if march is None else "--march")
    if not record.exists():
        _remember(record, known)
    return Compiler(
        command=tuple(command),
        path=path,
        version=version,
        march=known["march"],
        target=known["target"],
        processor=tuple(known["processor"]),
        vector_library=known["vector_library"],
    )


def find_tensorflow() -> Framework | None:
    """Find TensorFlow without importing it, which takes seconds."""
    folder = _package("tensorflow", "include/tensorflow/c/kernels.h", "libtensorflow_framework.so.2")
    return None if folder is None else Framework("TensorFlow", _tensorflow_version(folder), folder)


def find_torch() -> Framework | None:
    """Find PyTorch without importing it."""
    folder = _package("torch", "include/ATen/core/Tensor.h", "lib/libtorch_cpu.so", "version.py")
    if folder is None:
        return None
    text = (folder / "version.py").read_text(encoding="utf-8")
    match = re.search(r"^__version__\s*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return Framework("PyTorch", match[1] if match else "unknown", folder, _torch_abi(folder))


def has_stable_interface(torch: Framework | None) -> bool:
    """Say whether operators can be built on PyTorch's stable interface, which can all that they need since 2.10."""
    numbers = re.match(r"(\d+)\.(\d+)", torch.version) if torch else None
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (2, 10)


def find_jax() -> Framework | None:
    """Find JAX without importing it: the folder is jaxlib's, which has the headers and gives the version."""
    if _package("jax", "version.py") is None:
        return None
    folder = _package("jaxlib", "include/xla/ffi/api/ffi.h", "version.py")
    if folder is None:
        return None
    text = (folder / "version.py").read_text(encoding="utf-8")
    match = re.search(r"^_version\s*=\s*['\"]([^'\"]+)['\"]", text, re.MULTILINE)
    return Framework("JAX", match[1] if match else "unknown", folder)


def find_eigen() -> Framework | None:
    """Find Eigen's headers, as the package cmeel-eigen or the system installs them."""
    places = [Path(folder) / "cmeel.prefix" / "include" / "eigen3" for folder in sys.path if folder]
    for folder in (*places, Path("/usr/include/eigen3")):
        macros = folder / "Eigen" / "src" / "Core" / "util" / "Macros.h"
        if (folder / "Eigen" / "SparseLU").is_file() and macros.is_file():
            text = macros.read_text(encoding="utf-8")
            found = re.findall(r"^#define EIGEN_(?:WORLD|MAJOR|MINOR)_VERSION (\d+)", text, re.MULTILINE)
            return Framework("Eigen", ".".join(found) or "unknown", folder)
    return None


def _command() -> list[str]:
    text = os.environ.get("CXX", "")
    try:
        own = shlex.split(text)
    except ValueError as error:
        raise ToolchainError(f"CXX is {text!r}, which cannot be read: {error}", _INSTALL_COMPILER) from None
    if own:
        if shutil.which(own[0]) is None:
            raise ToolchainError(
                f"CXX names the compiler '{own[0]}', which is not there or cannot be run",
                "set CXX to a C++17 compiler, or unset it",
            )
        return own
    for name in ("c++", "g++"):
        if shutil.which(name):
            return [name]
    raise ToolchainError("no C++ compiler was found: CXX is not set, and PATH has no c++ or g++", _INSTALL_COMPILER)


def _version(command: list[str]) -> str:
    done = run([*command, "--version"])
    line = done.output.strip().partition("\n")[0].strip()
    if done.code != 0 or not line:
        why = f": {line}" if line else ""
        raise ToolchainError(f"'{shlex.join(command)}' does not answer --version as a compiler does{why}",
                             _INSTALL_COMPILER)  # fmt: skip
    return line


def _probe(command: list[str], asked: str, asker: str) -> dict[str, Any]:
    """Ask the compiler what it makes use of."""
    for march in [asked] if asked else ["native", ""]:
        done = run([*command, *march_flags(march), "-dM", "-E", "-x", "c++", "/dev/null"])
        if done.code == 0:
            break
    else:
        line = first_line(done.output)
        if asked:
            raise ToolchainError(f"the compiler refuses -march={asked}, which {asker} asks for: {line}",
                                 "choose native, or a name such as x86-64-v3")  # fmt: skip
        raise ToolchainError(f"'{shlex.join(command)}' cannot read C++: {line}", _INSTALL_COMPILER)
    used = processor.features(done.output)
    if march == "native" and processor.present():
        # A virtual machine may hide from the system what its processor has; here it runs.
        used = tuple(name for name in used if name in processor.present())
    library = run([*command, "-print-file-name=libmvec.so"]).output.strip()
    return {
        "command": command,
        "march": march,
        "target": digest.of_text("\n".join(sorted(done.output.splitlines()))),
        "processor": used,
        "vector_library": os.path.isabs(library) and os.path.exists(library),
    }


def march_flags(march: str) -> tuple[str, ...]:
    """Return the flag that chooses a processor."""
    return (f"-march={march}",) if march else ()


def first_line(output: str) -> str:
    """Return the line of a compiler's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    marked = (line for line in lines if re.search(r"\berror\b|undefined reference|cannot find", line, re.IGNORECASE))
    return next(marked, lines[-1] if lines else "it said nothing")


def _remember(record: Path, known: dict[str, Any]) -> None:
    """Keep the answers: another build need not ask again. That it cannot be kept costs only time."""
    aside = record.with_suffix(f".{os.getpid()}")
    try:
        record.parent.mkdir(exist_ok=True)
        aside.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
        aside.replace(record)
    except OSError:
        return


def _package(name: str, *needed: str) -> Path | None:
    """Return the folder of an installed package that has the files needed to build against it."""
    elsewhere = [folder for folder in sys.path if folder and Path(folder).resolve() != Path.cwd()]
    finders: tuple[Callable[[], importlib.machinery.ModuleSpec | None], ...] = (
        lambda: importlib.util.find_spec(name),
        # A file of that name in the working folder hides the package here, but need not where the op is used.
        lambda: importlib.machinery.PathFinder.find_spec(name, elsewhere),
    )
    for find in finders:
        try:
            spec = find()
        except (ImportError, ValueError):
            continue
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if all((Path(folder) / file).is_file() for file in needed):
                return Path(folder).absolute()
    return None


def _tensorflow_version(folder: Path) -> str:
    """Read the version off the headers or, where these no longer hold it, off the wheel."""
    public = folder / "include" / "tensorflow" / "core" / "public"
    text = "".join(file.read_text(encoding="utf-8") for file in public.glob("*version.h"))
    numbers = dict(re.findall(r"^#define TF_(MAJOR|MINOR|PATCH)_VERSION\s+(\d+)", text, re.MULTILINE))
    if len(numbers) == 3:
        return ".".join(numbers[part] for part in ("MAJOR", "MINOR", "PATCH"))
    found = (_TENSORFLOW_WHEELS.fullmatch(entry.name) for entry in folder.parent.iterdir())
    wheels = sorted(match["version"] for match in found if match)
    return wheels[-1] if wheels else "unknown"


def _torch_abi(folder: Path) -> tuple[str, ...]:
    """Return the flag for torch's spelling of std::string, which wheels before 2.7 may have of their own."""
    config = folder / "share" / "cmake" / "Torch" / "TorchConfig.cmake"
    try:
        match = re.search(r"-D_GLIBCXX_USE_CXX11_ABI=\d", config.read_text(encoding="utf-8"))
    except OSError:
        return ()
    return (match[0],) if match else ()
