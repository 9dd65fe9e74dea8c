"""Write a wheel, the same bytes every time."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED

from opgen import __version__
from opgen.build.manifest import NAME as MANIFEST
from opgen.build.manifest import Manifest, to_json
from opgen.build.plan import STENCIL
from opgen.errors import UsageError
from opgen.package.platform import tag

if TYPE_CHECKING:
    from packaging.metadata import Metadata

_CLOCK = "SOURCE_DATE_EPOCH"
_EPOCH = "315532800"  # 1980-01-01, the earliest time that an archive can hold
# Target -> extra, and what it requires: the interfaces through which operators are called hold since these.
_EXTRAS = {"tf": ("tensorflow", "tensorflow>=2.16"), "torch": ("torch", "torch>=2.10"), "jax": ("jax", "jax>=0.6.2")}
_TESTS = ("mpmath", "pytest")
_PYTHON = ">=3.11"
_NUMPY = "numpy>=1.26"


@dataclass(frozen=True)
class Member:
    """An operator that goes into a wheel.

    Attributes:
        folder: Its package.
        record: What the package remembers of its build.
        doc: What the operator is.
        needs_gmres: Whether its gradients are solved for with GMRES unless a call says otherwise.
    """

    folder: Path
    record: Manifest
    doc: str
    needs_gmres: bool


@dataclass(frozen=True)
class Distribution:
    """What a wheel is called, and under which licence it is."""

    name: str
    version: str
    licence: str | None

    def __post_init__(self) -> None:
        """See that no field has a value that it cannot have, before anything is compiled for it.

        Raises:
            UsageError: One has.
        """
        raw = {"metadata_version": "2.4", "name": self.name, "version": self.version}
        _checked({**raw, **({"license_expression": self.licence} if self.licence else {})})


def write_wheel(distribution: Distribution, members: Sequence[Member], folder: Path) -> Path:
    """Write a wheel that holds each operator as a top-level package, and return its path.

    Raises:
        UsageError: Its name, version or licence is none, or it cannot be written.
    """
    from packaging.utils import canonicalize_name
    from wheel.wheelfile import WheelFile

    about = _metadata(distribution, members)
    platform = tag(member.folder / "lib" / name for member in members for name in member.record.libraries)
    stem = f"{canonicalize_name(distribution.name).replace('-', '_')}-{distribution.version}"
    path = folder / f"{stem}-py3-none-{platform}.whl"
    files = [entry for member in members for entry in _files(member)]
    info = f"{stem}.dist-info"
    files += [(f"{info}/METADATA", about), (f"{info}/WHEEL", _about_wheel(platform))]
    files += [(f"{info}/licenses/LICENSE", text.encode()) for text in _licence_text()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as aside, _fixed_time():
            with WheelFile(Path(aside) / path.name, "w", compression=ZIP_DEFLATED) as wheel:
                for name, data in files:
                    wheel.writestr(name, data)
            (Path(aside) / path.name).replace(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise UsageError(f"'{path}' cannot be written: {reason}", "choose another folder with -o") from None
    return path


def _files(member: Member) -> Iterator[tuple[str, bytes]]:
    """Yield what of an operator's package goes into the wheel, without any trace of where it was built."""
    record, op = member.record, member.record.op
    for path in sorted(record.files):
        text = (member.folder / path).read_text(encoding="utf-8")
        yield f"{op}/{path}", (_imported(text, op) if path == "README.md" else text).encode()
    for name in sorted(record.libraries):
        yield f"{op}/lib/{name}", (member.folder / "lib" / name).read_bytes()
    for name in sorted(record.texts):
        # The version that the ATen adjoint was built against; where that lies, each framework's adapter finds out.
        version = (member.folder / "lib" / name).read_text(encoding="utf-8").partition("\n")[0]
        yield f"{op}/lib/{name}", f"{version}\n\n".encode()
    source = replace(record.source, file=None, dependencies=())
    stripped = replace(record, source=source, reasons=("it was packaged",))
    content = json.loads(to_json(stripped, member.folder))
    content["texts"] = {}
    yield f"{op}/{MANIFEST}", (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def _imported(text: str, op: str) -> str:
    """Let a README say how an installed operator is imported."""
    return text.replace(f"from generated.{op} import", f"from {op} import")


def _metadata(distribution: Distribution, members: Sequence[Member]) -> bytes:
    """Return METADATA."""
    names = [member.record.op for member in members]
    targets = {target for member in members for target in member.record.targets}
    requires, extras = [_NUMPY], ["test"]
    for target, (extra, requirement) in _EXTRAS.items():
        if target in targets:
            extras.append(extra)
            requires.append(f'{requirement}; extra == "{extra}"')
    for pin in _aten(members):
        extras.append("gmres")
        requires += [f'{pin}; extra == "gmres"', *([pin] if any(member.needs_gmres for member in members) else [])]
    requires += [f'{name}; extra == "test"' for name in _TESTS]
    readmes = [
        _imported((member.folder / "README.md").read_text(encoding="utf-8"), member.record.op) for member in members
    ]
    raw: Any = {
        "metadata_version": "2.4",
        "name": distribution.name,
        "version": distribution.version,
        "summary": members[0].doc if len(members) == 1 else f"The operators {', '.join(names)}",
        "license_expression": distribution.licence or _licence(members),
        "license_files": ["LICENSE"] if _licence_text() else [],
        "requires_python": _PYTHON,
        "requires_dist": requires,
        "provides_extra": sorted(extras),
        "keywords": ["automatic differentiation", "implicit differentiation", *names],
        "classifiers": ["Operating System :: POSIX :: Linux", "Topic :: Scientific/Engineering :: Mathematics"],
        "description": "\n".join(readmes),
        "description_content_type": "text/markdown; charset=UTF-8",
    }
    return bytes(_checked(raw).as_rfc822())


def _checked(raw: Any) -> Metadata:
    """Check metadata.

    Raises:
        UsageError: A field has a value that it cannot have.
    """
    from packaging.metadata import Metadata

    try:
        return Metadata.from_raw(raw)
    except ExceptionGroup as group:
        first = group.exceptions[0]
        field = getattr(first, "field", "metadata").replace("_", " ").replace("-", " ")
        advice = {"license expression": "give an SPDX expression such as MIT", "version": "give one such as 1.0"}
        raise UsageError(f"the wheel's {field} is wrong: {first}", advice.get(field, "")) from None


def _aten(members: Sequence[Member]) -> list[str]:
    """Return the one requirement of the ATen adjoint, which runs with the PyTorch that it was built against."""
    against = [made.against for member in members for name, made in member.record.libraries.items() if "_aten" in name]
    versions = {version.partition("+")[0] for pairs in against for name, version in pairs if name == "torch"}
    return [f"torch=={version}" for version in sorted(versions)][:1]


def _licence(members: Sequence[Member]) -> str:
    """Return the licence of what opgen and Eigen put into an operator."""
    kernels = ((member.folder / "src" / "kernel.cc").read_text(encoding="utf-8") for member in members)
    return "Apache-2.0 AND MPL-2.0" if any(STENCIL in text for text in kernels) else "Apache-2.0"


def _licence_text() -> list[str]:
    """Return the text of opgen's licence, from where it was installed, or from its checkout."""
    checkout = Path(__file__).parents[2] / "LICENSE"
    if checkout.is_file():
        return [checkout.read_text(encoding="utf-8")]
    try:
        text = metadata.distribution("opgen").read_text("licenses/LICENSE")
    except metadata.PackageNotFoundError:
        return []
    return [text] if text else []


def _about_wheel(platform: str) -> bytes:
    lines = (
        "Wheel-Version: 1.0",
        f"Generator: opgen {__version__}",
        "Root-Is-Purelib: false",
        f"Tag: py3-none-{platform}",
    )
    return ("\n".join(lines) + "\n").encode()


@contextlib.contextmanager
def _fixed_time() -> Iterator[None]:
    """Let files in the archive have one time, unless the caller has chosen another."""
    before = os.environ.get(_CLOCK)
    os.environ.setdefault(_CLOCK, _EPOCH)
    try:
        yield
    finally:
        if before is None:
            del os.environ[_CLOCK]
