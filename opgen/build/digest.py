"""Digests of contents: what was built is compared by content, never by time stamps."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parent.parent
INCLUDE = PACKAGE / "include"
RUNTIME = PACKAGE / "runtime"

# What generated code depends on; commands and messages may change without a rebuild.
_STAGES = ("analyse", "build", "include", "loading", "lower", "render", "runtime", "templates", "../templates")
_SUFFIXES = (".py", ".h", ".cc", ".jinja")


def of_text(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def of_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    return of_text(json.dumps(value, sort_keys=True, separators=(",", ":")))


def of_file(path: Path) -> str | None:
    """Return the SHA-256 of a file; None where it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


@cache
def of_opgen() -> str:
    """Return the SHA-256 of opgen's own code, headers and templates."""
    folders = [PACKAGE / stage for stage in _STAGES]
    found = sorted((f"{file.parent.name}/{file.name}", file) for folder in folders for file in folder.rglob("*.*"))
    return of_json([(name, of_file(file)) for name, file in found if file.suffix in _SUFFIXES])
