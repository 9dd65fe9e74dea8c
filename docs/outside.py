"""A hook of MkDocs: pages may link to files of the repository outside docs/, as where the repository is browsed.

Such files are taken into the site under repository/, and the links to them are turned there. A folder without a README
becomes a page that shows its files.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PREFIX = "repository/"
IN_NAV = ("README.md", "CHANGELOG.md", "examples/README.md")
LANGUAGES = {".py": "python", ".c": "c", ".cc": "cpp", ".h": "cpp", ".txt": "cmake"}
LINK = re.compile(r"(?<=\]\()([^)#:\s]+)(?=[)#])")


def origin(uri: str) -> str:
    """Return the path in the repository of a page of the site."""
    return uri.removeprefix(PREFIX) if uri.startswith(PREFIX) else "docs/" + uri


def address(path: str) -> str:
    """Return the place in the site of a file of the repository; a folder's is that of its README."""
    if (ROOT / path).is_dir():
        path = posixpath.join(path, "README.md")
    return path.removeprefix("docs/") if path.startswith("docs/") else PREFIX + path


def resolved(path: str, link: str) -> str | None:
    """Return the path in the repository that a link on the page at `path` leads to; None where nothing is there."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    return target if not target.startswith("..") and (ROOT / target).exists() else None


def listing(folder: Path) -> str:
    """Return a page with the files of a folder."""
    text = [f"# {folder.relative_to(ROOT)}"]
    for file in sorted(folder.iterdir()):
        if file.suffix in LANGUAGES:
            text.append(f"## {file.name}\n\n~~~~{LANGUAGES[file.suffix]}\n{file.read_text(encoding='utf-8')}~~~~")
    return "\n\n".join(text) + "\n"


def targets(path: str) -> Iterator[str]:
    """Yield the places in the site that the page at a path of the repository links to."""
    for link in LINK.findall((ROOT / path).read_text(encoding="utf-8")):
        if (target := resolved(path, link)) is not None:
            yield address(target)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Take in what pages link to outside docs/, and what that links to."""
    waiting = [PREFIX + path for path in IN_NAV]
    for page in files.documentation_pages():
        waiting += targets(origin(page.src_uri))
    while waiting:
        uri = waiting.pop()
        if not uri.startswith(PREFIX) or files.get_file_from_path(uri) is not None:
            continue
        source = ROOT / origin(uri)
        if source.is_file():
            file = File.generated(config, uri, abs_src_path=str(source))
        else:
            file = File.generated(config, uri, content=listing(source.parent))
        if origin(uri) not in IN_NAV:
            file.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(file)
        if uri.endswith(".md") and source.is_file():
            waiting += targets(origin(uri))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links of a page to where their targets lie in the site."""
    uri = page.file.src_uri

    def turned(match: re.Match[str]) -> str:
        target = resolved(origin(uri), match[1])
        return match[1] if target is None else posixpath.relpath(address(target), posixpath.dirname(uri) or ".")

    return LINK.sub(turned, markdown)
