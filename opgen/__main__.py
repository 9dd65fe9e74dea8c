"""Run the command line: python -m opgen."""

import sys

from opgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
