"""Print measurements as Markdown: python benchmarks/run.py [speed] [builds] [accuracy] [grids] [--large]."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
sys.path.insert(0, str(Path(__file__).parent))

TABLES = ("speed", "builds", "accuracy", "grids")


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"from {', '.join(TABLES)}; all if none is named")
    parser.add_argument("--large", action="store_true", help="time 1e7 points too")
    asked = parser.parse_args()
    if unknown := set(asked.tables) - set(TABLES):
        parser.error(f"there is no table {', '.join(sorted(unknown))}; choose from {', '.join(TABLES)}")
    wanted = asked.tables or TABLES
    with tempfile.TemporaryDirectory() as folder:
        if "builds" in wanted:
            import builds

            print(f"## Builds\n\n{builds.report()}", flush=True)
        if "speed" in wanted:
            import speed

            print(f"## Speed\n\n{speed.report(folder, asked.large)}", flush=True)
        if "accuracy" in wanted:
            import accuracy

            print(f"## Accuracy\n\n{accuracy.report(folder)}", flush=True)
        if "grids" in wanted:
            import grids

            print(f"## Grids\n\n{grids.report(folder)}", flush=True)


if __name__ == "__main__":
    main()
