"""Fixtures and options for all tests."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

Build = Callable[..., Any]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="rewrite generated/ from examples/")


def has_compiler() -> bool:
    command = os.environ.get("CXX", "").split()
    return bool(shutil.which(command[0]) if command else shutil.which("c++") or shutil.which("g++"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not has_compiler():
        skip = pytest.mark.skip(reason="no C++ compiler: CXX is not set to one, and PATH has no c++ or g++")
        for item in items:
            if item.get_closest_marker("compiler"):
                item.add_marker(skip)


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Build the operators of a residual file, or of its text, and return the function, or a named tuple of them.

    Libraries come from the user's cache, so that later runs, and other workers, do not compile them again.
    """
    from opgen import load

    folder = tmp_path_factory.mktemp("operators")
    texts: dict[tuple[str, str], Path] = {}

    def make(source: str | Path, name: str = "operator", **options: Any) -> Any:
        if isinstance(source, str):
            file = texts.setdefault((name, source), folder / f"text{len(texts)}" / f"{name}.py")
            file.parent.mkdir(exist_ok=True)
            file.write_text(source, encoding="utf-8")
            source = file
        # Two residuals may give their operators the same name.
        return load(source, output=folder / "generated" / f"{source.parent.name}_{source.stem}", **options)

    return make


@pytest.fixture(scope="session")
def coupled_kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Build the zoo of coupled operators for NumPy and return their kernels by name."""
    import importlib

    from coupled_kernel import CoupledKernel

    from opgen.pipeline import build

    root = tmp_path_factory.mktemp("coupled")
    built = build(Path(__file__).with_name("coupled_zoo.py"), output=root / "coupled_packages", targets=("numpy",))
    sys.path.insert(0, str(root))
    return {b.name: CoupledKernel(importlib.import_module(f"coupled_packages.{b.name}")) for b in built}
