"""What a build tells of each operator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Built:
    """An operator that is built.

    Attributes:
        name: Its name.
        folder: Its package.
        reasons: Why it was built, a sentence each; empty if it was current.
        libraries: Files in its lib folder.
        seconds: How long the build took, all operators of the file together.
        notes: What the user may want to know besides.
    """

    name: str
    folder: Path
    reasons: tuple[str, ...]
    libraries: tuple[str, ...]
    seconds: float
    notes: tuple[str, ...]
