"""Say what an edit changed: the parts of an operator that differ, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from opgen.commands.screen import paint

if TYPE_CHECKING:
    from opgen.loading import Spec

_NOT_MEANT = ("name", "source")


def meanings(specs: Iterable[Spec]) -> dict[str, dict[str, object]]:
    """Return what operators mean, part by part, as texts and lists of texts."""
    from opgen.commands.chain import as_data

    return {
        spec.name: {part: value for part, value in as_data(spec).items() if part not in _NOT_MEANT} for spec in specs
    }


def differences(before: Mapping[str, object] | None, now: Mapping[str, object]) -> Iterator[str]:
    """Yield lines as `diff` writes them, each part under its name; nothing for an operator that is new."""
    for part, value in now.items() if before is not None else ():
        old, new = _lines((before or {}).get(part)), _lines(value)
        if old != new:
            yield f"  {part}"
            yield from (paint(f"  - {line}", "removed") for line in old if line not in new)
            yield from (paint(f"  + {line}", "added") for line in new if line not in old)


def _lines(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [_text(entry) for entry in values]


def _text(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return "none" if value is None else str(value)
