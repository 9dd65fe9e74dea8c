"""Run the command line: python -m opgen, and the program opgen."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> int:
    """Run one command and return its exit status, whenever a signal comes."""
    try:
        signal.signal(signal.SIGTERM, _end)
        from opgen.cli import main as run

        return run()
    except KeyboardInterrupt:  # while modules were imported
        return 128 + signal.SIGINT


def _end(number: int, frame: FrameType | None) -> None:
    """End as by an error, so that compilers that run are stopped and temporary folders removed."""
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
