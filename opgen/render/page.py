"""The page of a report: view -> HTML."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache

import jinja2

from opgen import __version__
from opgen.render.render import FOLDERS


@dataclass(frozen=True)
class Tile:
    """A number worth seeing first, and what it is."""

    value: str
    what: str


@dataclass(frozen=True)
class Typeset:
    """A formula: MathML, and the same as text."""

    label: str
    mathml: str
    text: str
    long: bool


@dataclass(frozen=True)
class Stage:
    """A stage of the chain and what it said: pairs of a heading and a sentence."""

    name: str
    makes: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Figure:
    """A drawing as an element of the page, and the sentence below it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows below a header; numbers stand to the right."""

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Section:
    """A part of the page."""

    anchor: str
    heading: str
    words: tuple[str, ...]
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True)
class Listing:
    """A source file, highlighted."""

    path: str
    lines: int
    html: str


@dataclass(frozen=True)
class PageView:
    """The holes of page.html."""

    name: str
    title: str
    call: str
    tags: tuple[str, ...]
    tiles: tuple[Tile, ...]
    formulas: tuple[Typeset, ...]
    adjoint: str
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    listings: tuple[Listing, ...]
    code_light: str
    code_dark: str
    versions: tuple[tuple[str, str], ...]
    opgen_version: str = __version__


def render_page(view: PageView) -> str:
    """Write the page; all text is escaped, what is markup already says so in the template."""
    fields = {f.name: getattr(view, f.name) for f in dataclasses.fields(view)}
    return _environment().get_template("report/page.html.jinja").render(fields)


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader([str(f) for f in FOLDERS]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=True,
    )
