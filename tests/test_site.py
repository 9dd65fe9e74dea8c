"""The documentation is a site: every page has its place, every link and anchor a target, and nothing is fetched."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}


def build(root: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a repository as `make docs` does."""
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", root / "mkdocs.yml"]
    return subprocess.run([*command, "--site-dir", site], capture_output=True, text=True)


def copied(folder: Path) -> Path:
    """Copy what the site is made of, to make mistakes in it."""
    for name in ("docs", "examples", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "generated"))
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    return folder


class Loads(HTMLParser):
    """Collects what a page makes the browser load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value or "" for name, value in attrs if name == LOADED.get(tag)]


def test_the_site_builds_and_fetches_nothing(tmp_path: Path) -> None:
    done = build(ROOT, tmp_path / "site")
    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").rglob("*.md")))
    for page in pages:
        loads = Loads()
        loads.feed(page.read_text(encoding="utf-8"))
        assert loads.found
        assert not [address for address in loads.found if re.match(r"(\w+:)?//", address)], page
    for sheet in (tmp_path / "site").rglob("*.css"):
        assert not re.search(r"url\([\"']?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


@pytest.mark.parametrize(
    ("page", "text", "complaint"),
    [
        ("docs/jax.md", "[lost](nowhere.md)", "'nowhere.md'"),
        ("docs/jax.md", "[lost](dense.md#nowhere)", "'#nowhere'"),
        ("docs/jax.md", "[lost](../opgen/nowhere.py)", "nowhere.py"),
        ("docs/unlisted.md", "# A page", "unlisted.md"),
    ],
)
def test_what_leads_nowhere_stops_the_build(tmp_path: Path, page: str, text: str, complaint: str) -> None:
    root = copied(tmp_path)
    with (root / page).open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    done = build(root, tmp_path / "site")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_the_catalogue_of_messages_is_current() -> None:
    page: str = runpy.run_path(str(ROOT / "docs" / "catalogue.py"))["page"]()
    assert (ROOT / "docs" / "errors.md").read_text(encoding="utf-8") == page, "python docs/catalogue.py rewrites it"
    for message in (
        "residual has ... for ... (...); give as many equations as unknowns",  # of opgen, with a name for its half
        "op: takes ... inputs (...), not ...",  # of a generated package
        "the root is not isolated there and has no gradient; move the inputs",  # of a kernel
    ):
        assert f"- `{message}`\n" in page
    assert "exit status 4" in page
