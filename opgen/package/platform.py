"""For which machines libraries are: the processor that they are compiled for, and the system that they need."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from pathlib import Path

from opgen.errors import UsageError

# What every machine of the last ten years has, and the compiler can make use of.
_PORTABLE = {"x86_64": "x86-64-v3", "aarch64": "armv8-a"}
# What a manylinux system has: its glibc, then the newest symbol versions of the compiler's own libraries.
# Source: PEP 600, and the policies of auditwheel, which checks wheels before they are uploaded.
_SYSTEMS = (
    ((2, 17), {"GLIBCXX": (3, 4, 19), "CXXABI": (1, 3, 7), "GCC": (4, 8, 0)}),
    ((2, 24), {"GLIBCXX": (3, 4, 22), "CXXABI": (1, 3, 10), "GCC": (4, 8, 0)}),
    ((2, 27), {"GLIBCXX": (3, 4, 24), "CXXABI": (1, 3, 11), "GCC": (7, 0, 0)}),
    ((2, 31), {"GLIBCXX": (3, 4, 28), "CXXABI": (1, 3, 12), "GCC": (7, 0, 0)}),
    ((2, 34), {"GLIBCXX": (3, 4, 29), "CXXABI": (1, 3, 13), "GCC": (7, 0, 0)}),
    ((2, 35), {"GLIBCXX": (3, 4, 30), "CXXABI": (1, 3, 13), "GCC": (12, 0, 0)}),
    ((2, 39), {"GLIBCXX": (3, 4, 33), "CXXABI": (1, 3, 15), "GCC": (14, 0, 0)}),
)
# Libraries that every such system has, and those that come with the frameworks, which whoever loads the operator has.
_SYSTEM = re.compile(r"(ld-linux.*|libc|libm|libmvec|libdl|libpthread|librt|libgcc_s|libstdc\+\+)\.so\.\d+")
_FRAMEWORKS = re.compile(r"libtensorflow_framework\.so\.2|libtorch_cpu\.so|libtorch\.so|libc10\.so")


def portable() -> str:
    """Return the processor for which a wheel is compiled if none is asked for.

    Raises:
        UsageError: There is no usual choice for machines like this one.
    """
    machine = platform.machine()
    if machine not in _PORTABLE:
        raise UsageError(f"there is no usual set of instructions for '{machine}'", "choose one with --march")
    return _PORTABLE[machine]


def tag(libraries: Iterable[Path]) -> str:
    """Return the platform tag of a wheel: the oldest manylinux on which its libraries load.

    Where they need a library that is not everywhere, or another libc, it is linux_<machine>: for systems like this one.
    """
    machine = platform.machine()
    numbers: set[tuple[int, ...]] = set()
    others: set[tuple[str, tuple[int, ...]]] = set()
    for library in libraries:
        needed, versions = _needs(library)
        if any(not _SYSTEM.fullmatch(name) and not _FRAMEWORKS.fullmatch(name) for name in needed):
            return f"linux_{machine}"
        numbers |= {number[:2] for name, number in versions if name == "GLIBC"}
        others |= {pair for pair in versions if pair[0] != "GLIBC"}
    for least, known in _SYSTEMS:
        if all(name in known and number <= known[name] for name, number in others):
            major, minor = max(least, *numbers)
            return f"manylinux_{major}_{minor}_{machine}"
    return f"linux_{machine}"


def _needs(library: Path) -> tuple[list[str], set[tuple[str, tuple[int, ...]]]]:
    """Return the libraries that a library needs, and the versions of their symbols."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    with library.open("rb") as stream:
        elf = ELFFile(stream)
        dynamic = elf.get_section_by_name(".dynamic")
        entries = list(dynamic.iter_tags("DT_NEEDED")) if isinstance(dynamic, DynamicSection) else []
        needed = [str(getattr(entry, "needed")) for entry in entries]  # noqa: B009 - pyelftools adds it at run time
        section = elf.get_section_by_name(".gnu.version_r")
        if not isinstance(section, GNUVerNeedSection):
            return needed, set()
        names = [version.name for _, versions in section.iter_versions() for version in versions]
    found = (re.fullmatch(r"(\w+?)_([\d.]+)", name) for name in names)
    return needed, {(match[1], tuple(map(int, match[2].split(".")))) for match in found if match}
