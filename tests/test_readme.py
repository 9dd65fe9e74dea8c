"""What README.md and docs/ show is what happens: their blocks are run in order, in a folder of their own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), ROOT / "examples" / "README.md"]
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\w+\.py)\n")
COMPLAINT = re.compile(r"^opgen: ", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)(?:#[^)]*)?\)")


def blocks(page: Path) -> list[tuple[str, str]]:
    """List the blocks of a page as pairs of language and text."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def is_complete(page: Path) -> bool:
    """Say whether a page builds what it uses; the blocks of others are excerpts."""
    return any(language == "console" for language, _ in blocks(page))


def commands(block: str) -> Iterator[tuple[str, str]]:
    """Yield each command of a console block with the output that is shown below it."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def run(command: list[str], folder: Path, fails: bool = False) -> str:
    """Run a command as the reader of a page would, and return what it prints; of one that fails, its complaint."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
    }
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode != 0) == fails, f"{shlex.join(command)}\n{done.stdout}{done.stderr}"
    return done.stderr if fails else done.stdout


def shows(shown: str, printed: str) -> bool:
    """Say whether what a page shows is what was printed; '...' stands for anything."""
    pattern = r"\s+".join(".*?".join(re.escape(part) for part in word.split("...")) for word in shown.split())
    return re.fullmatch(pattern, printed.strip(), re.DOTALL) is not None


@pytest.mark.compiler
@pytest.mark.parametrize("page", [p for p in PAGES if is_complete(p)], ids=lambda p: str(p.relative_to(ROOT)))
def test_blocks_run(page: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("torch")
    for language, text in blocks(page):
        if language == "console":
            for command, output in commands(text):
                words = shlex.split(command)
                words[:1] = {"opgen": [sys.executable, "-m", "opgen"], "python": [sys.executable]}.get(
                    words[0], words[:1]
                )
                printed = run(words, tmp_path, fails=COMPLAINT.search(output) is not None)
                assert not output.strip() or shows(output, printed), f"{command}\n{printed}"
        elif file := FILE.match(text):
            (tmp_path / file[1]).write_text(text, encoding="utf-8")
        else:
            (tmp_path / "block.py").write_text(text, encoding="utf-8")
            run([sys.executable, "block.py"], tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
