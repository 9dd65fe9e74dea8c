"""One thing that opgen doctor looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        what: Its name.
        state: "ok", "missing", "broken", or "old": it may do, but was made for another version.
        found: Version and place, or what is wrong.
        mend: The command that mends it, or what to do; empty where nothing is wrong.
    """

    what: str
    state: Literal["ok", "missing", "broken", "old"]
    found: str
    mend: str = ""
