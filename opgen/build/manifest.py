"""What a package remembers of its build: manifest.json, by which the next one sees whether anything changed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opgen.build.cache import read_record

NAME = "manifest.json"


@dataclass(frozen=True)
class Source:
    """What an operator was made from.

    Attributes:
        file: The residual file, absolute; None for text.
        text: The text given to --expr; None for a file.
        name: The name that was asked for; None where the source named the operator.
        unknown: The unknown that was asked for.
        digest: SHA-256 of the file or the text.
        dependencies: Each local file that the residual file imports, with its SHA-256.
        siblings: Names of all operators of the file.
    """

    file: Path | None
    text: str | None
    name: str | None
    unknown: str | None
    digest: str
    dependencies: tuple[tuple[Path, str], ...] = ()
    siblings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Environment:
    """What outside the source a build depends on, as a message names it.

    Attributes:
        opgen: Version.
        code: Digest of opgen's own code, headers and templates.
        compiler: Identity; None where there is no compiler.
        march: Value of -march that was asked for, and
        processor: what it came to.
        tensorflow: Version; None where it is not used.
        torch: Version; None where it is not used.
        jax: Version of jaxlib; None where it is not used.
    """

    opgen: str
    code: str
    compiler: str | None
    march: str
    processor: tuple[str, ...]
    tensorflow: str | None
    torch: str | None
    jax: str | None = None


@dataclass(frozen=True)
class Library:
    """A library: its content key, its file's digest, and what it was linked against."""

    key: str
    digest: str
    against: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Manifest:
    """A package's record.

    Attributes:
        op: Name of the operator.
        kind: "explicit" or "pointwise".
        source: What it was made from.
        targets: Frameworks that it was made for.
        digest: Of all generated texts together.
        files: Path in the package -> SHA-256 of each generated text.
        libraries: File in lib -> how it was made.
        texts: Path in lib -> SHA-256 of the texts beside them.
        flags: Of the kernel.
        reasons: Why it was built last.
        environment: What the build depended on.
    """

    op: str
    kind: str
    source: Source
    targets: tuple[str, ...]
    digest: str
    files: dict[str, str]
    libraries: dict[str, Library]
    texts: dict[str, str]
    flags: tuple[str, ...]
    reasons: tuple[str, ...]
    environment: Environment


def read(folder: Path) -> Manifest | None:
    """Return the record of a package; None where there is none, or one that cannot be understood."""
    record = read_record(folder / NAME)
    try:
        return None if record is None else _from_json(record, folder)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def to_json(manifest: Manifest, folder: Path) -> str:
    """Return the text of manifest.json; files are named relative to the package, so that a project can be moved."""
    source, environment = manifest.source, manifest.environment
    record = {
        "opgen": environment.opgen,
        "op": manifest.op,
        "kind": manifest.kind,
        "source": {
            "file": None if source.file is None else _relative(source.file, folder),
            "text": source.text,
            "name": source.name,
            "unknown": source.unknown,
            "digest": source.digest,
            "dependencies": [{"file": _relative(file, folder), "digest": d} for file, d in source.dependencies],
            "siblings": list(source.siblings),
        },
        "targets": list(manifest.targets),
        "digest": manifest.digest,
        "files": manifest.files,
        "processor": list(environment.processor),
        "flags": list(manifest.flags),
        "libraries": {
            name: {"key": made.key, "digest": made.digest, "against": dict(made.against)}
            for name, made in manifest.libraries.items()
        },
        "texts": manifest.texts,
        "reasons": list(manifest.reasons),
        "environment": asdict(environment),
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _from_json(record: dict[str, Any], folder: Path) -> Manifest:
    source = record["source"]
    environment = record["environment"]
    return Manifest(
        op=str(record["op"]),
        kind=str(record["kind"]),
        source=Source(
            file=None if source["file"] is None else _absolute(source["file"], folder),
            text=source["text"],
            name=source["name"],
            unknown=source["unknown"],
            digest=source["digest"],
            dependencies=tuple((_absolute(entry["file"], folder), entry["digest"]) for entry in source["dependencies"]),
            siblings=tuple(source["siblings"]),
        ),
        targets=tuple(record["targets"]),
        digest=record["digest"],
        files={inside(path): digest for path, digest in record["files"].items()},
        libraries={
            inside(name): Library(made["key"], made["digest"], tuple(made["against"].items()))
            for name, made in record["libraries"].items()
        },
        texts={inside(path): digest for path, digest in record["texts"].items()},
        flags=tuple(record["flags"]),
        reasons=tuple(record["reasons"]),
        environment=Environment(**{**environment, "processor": tuple(environment["processor"])}),
    )


def inside(path: str) -> str:
    """Return a relative path that stays in its folder.

    Raises:
        ValueError: It does not: files are removed by these names.
    """
    if os.path.isabs(path) or ".." in Path(path).parts or not path:
        raise ValueError(f"'{path}' leads out of the package")
    return path


def _relative(file: Path, folder: Path) -> str:
    return Path(os.path.relpath(file, folder.resolve())).as_posix()


def _absolute(file: str, folder: Path) -> Path:
    return Path(os.path.normpath(folder.resolve() / file))
