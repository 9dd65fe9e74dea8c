"""The files of a generated package."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Tree:
    """Paths inside a package, sorted, each with its text."""

    op: str
    files: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        paths = [path for path, _ in self.files]
        if paths != sorted(set(paths)):
            raise ValueError(f"{self.op}: paths are not sorted or not unique")

    def __getitem__(self, path: str) -> str:
        return dict(self.files)[path]

    def __contains__(self, path: str) -> bool:
        return any(p == path for p, _ in self.files)

    @property
    def digest(self) -> str:
        """Sum up all paths and texts."""
        total = hashlib.sha256()
        for path, text in self.files:
            total.update(f"{path}\0{len(text)}\0{text}".encode())
        return total.hexdigest()
