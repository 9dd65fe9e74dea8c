"""Make drawings fit to stand in a page: in its colours, with names of their own, and described in words."""

from __future__ import annotations

import io
import re
from xml.etree import ElementTree as xml

# What matplotlib draws in this colour takes that of the text around it, in the light and in the dark.
INK = "#010203"
_SVG, _XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
_DROPPED = ("metadata", "title")
_FONT = re.compile(r"font:\s*([\w.]+px)[^;]*")


def inline(text: str, name: str, title: str, description: str) -> str:
    """Turn a file that matplotlib wrote into an element of the page.

    Args:
        text: The file.
        name: Put before every id, as ids are shared by the whole page.
        title: What the drawing is.
        description: What is to be seen in it.
    """
    xml.register_namespace("", _SVG)
    xml.register_namespace("xlink", _XLINK)
    root = xml.fromstring(text)
    for child in list(root):
        if child.tag.removeprefix(f"{{{_SVG}}}") in _DROPPED:
            root.remove(child)
    used = {value for element in root.iter() for value in element.attrib.values()}
    wanted = set(re.findall(r"#([\w-]+)", " ".join(used)))
    for element in root.iter():
        _adapt(element, name, wanted)
    for key in ("width", "height"):
        root.attrib.pop(key, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title {name}-description")
    for number, (tag, words) in enumerate((("title", title), ("desc", description))):
        about = xml.Element(f"{{{_SVG}}}{tag}", {"id": f"{name}-{'title' if tag == 'title' else 'description'}"})
        about.text = words
        root.insert(number, about)
    return xml.tostring(root, encoding="unicode")


def _adapt(element: xml.Element, name: str, wanted: set[str]) -> None:
    """Rename ids that are used, drop the others, and leave ink and fonts to the page."""
    own = element.attrib.get("id")
    if own is not None:
        if own in wanted:
            element.set("id", f"{name}-{own}")
        else:
            del element.attrib["id"]
    for key, value in list(element.attrib.items()):
        if key == "id":
            continue
        new = value.replace(INK, "currentColor")
        new = re.sub(r"url\(#([\w-]+)\)", rf"url(#{name}-\1)", new)
        if key in ("href", f"{{{_XLINK}}}href") and value.startswith("#"):
            new = f"#{name}-{value[1:]}"
        if key == "style":
            new = _FONT.sub(r"font-size: \1", new)
        element.set(key, new)


def save(figure: object) -> str:
    """Write a figure as SVG, the same bytes every time."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})  # type: ignore[attr-defined]
    return stream.getvalue()
