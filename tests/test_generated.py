"""The sources in generated/ are what examples/ give: byte by byte, under any hash seed, in any folder."""

from __future__ import annotations

import difflib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "generated"
# What a build adds to the sources.
BUILT = ("lib", "manifest.json", "__pycache__", ".pytest_cache")

Trees = dict[str, dict[str, str]]

_RENDER = """
import json, sys
from pathlib import Path
from opgen.analyse import analyse
from opgen.loading import load_file
from opgen.lower import lower
from opgen.render import render

trees = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    file = folder / f"{folder.name}.py"
    if file.is_file():
        for spec in load_file(file).specs:
            assert spec.name not in trees, f"two examples define {spec.name}"
            trees[spec.name] = dict(render(lower(analyse(spec)), ("numpy", "tf")).files)
json.dump(trees, sys.stdout)
"""


def rendered(seed: int, folder: Path) -> Trees:
    """Render all examples in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", _RENDER, str(ROOT / "examples")]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    trees: Trees = json.loads(done.stdout)
    return trees


def on_disk() -> Trees:
    """Read generated/ without what a build adds."""
    return {
        folder.name: {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*"))
            if path.is_file() and not set(path.relative_to(folder).parts) & set(BUILT)
        }
        for folder in sorted(GENERATED.glob("*"))
        if folder.is_dir() and folder.name != "__pycache__"
    }


def rewrite(trees: Trees) -> None:
    """Make generated/ what it should be; what a build added to operators that stay is left alone."""
    for name, files in on_disk().items():
        if name not in trees:
            shutil.rmtree(GENERATED / name)
            continue
        for path in files.keys() - trees[name].keys():
            (GENERATED / name / path).unlink()
    for name, files in trees.items():
        for path, text in files.items():
            file = GENERATED / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")


def flat(trees: Trees) -> dict[str, str]:
    """Name every file by its path in generated/."""
    return {f"{op}/{path}": text for op, files in trees.items() for path, text in files.items()}


def differences(want: Trees, have: Trees) -> str:
    """Return a unified diff of two sets of trees."""
    before, after = flat(have), flat(want)
    lines: list[str] = []
    for path in sorted(before.keys() | after.keys()):
        old, new = (side.get(path, "").splitlines(keepends=True) for side in (before, after))
        lines += difflib.unified_diff(old, new, f"generated/{path}", f"rendered/{path}")
        if not old or not new:
            lines.append(f"{path} is {'missing from' if path in after else 'stale in'} generated/\n")
    return "".join(lines)


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    return rendered(0, tmp_path_factory.mktemp("seed0"))


def test_generated_is_what_the_examples_give(trees: Trees, request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--rewrite"):
        rewrite(trees)
    found = differences(trees, on_disk())
    assert not found, f"run make generated, or:\n{found}"


def test_sources_do_not_depend_on_hash_seed_and_folder(trees: Trees, tmp_path: Path) -> None:
    assert not differences(rendered(1, tmp_path), trees)


def test_generated_python_is_clean() -> None:
    if importlib.util.find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "concise", "generated"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
