"""opgen test: run the tests that were generated with operators."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from opgen.commands.screen import GENERATED, Output, Quiet, built_names

_NAMES = "Operators; all that are built if none is named."
PYTEST_FAILED, PYTEST_MISUSED, PYTEST_NOTHING_RUN = 1, 4, 5


def test(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]... [-- PYTEST OPTIONS]",
            help="Operators; all that are built if none is named.",
            autocompletion=built_names,
        ),
    ] = None,  # noqa: PT028 - not a test
    output: Output = GENERATED,  # noqa: PT028
    quiet: Quiet = False,  # noqa: PT028
) -> None:
    """Run the generated tests; what follows -- goes to pytest."""
    import os
    import signal
    import sys
    from importlib.util import find_spec

    from opgen.build.process import attached
    from opgen.commands.packages import named
    from opgen.errors import InternalError, ToolchainError, UsageError

    # No operator's name starts with a dash, so that the first that does came after --.
    operators = list(itertools.takewhile(lambda word: not word.startswith("-"), names or []))
    options = (names or [])[len(operators) :]
    packages = named(output, operators)
    if not packages:
        raise UsageError(f"'{output}' holds no operator to test", "build one with opgen build")
    if find_spec("pytest") is None:
        raise ToolchainError("pytest is not installed", f"{sys.executable} -m pip install pytest")
    files = [package.folder / f"test_{package.name}.py" for package in packages]
    for file in files:
        if not file.is_file():
            raise UsageError(f"there is no '{file}'", "write it anew with opgen build --force")
    parent = str(output.resolve().parent)
    path = os.pathsep.join(filter(None, (parent, os.environ.get("PYTHONPATH"))))
    # The settings of a project around the folder are not meant for these tests.
    isolated = ["-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={parent}", f"--confcutdir={output.resolve()}"]
    status = attached(
        [sys.executable, "-m", "pytest", "-qqq" if quiet else "-q", *isolated, *options, *map(str, files)],
        {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if status == PYTEST_MISUSED:
        raise UsageError(f"pytest does not accept {' '.join(options)}", "see pytest --help")
    if status == PYTEST_NOTHING_RUN:
        raise UsageError("no test was run", f"see what {' '.join(options)} leaves" if options else "")
    if status < 0:
        name = signal.Signals(-status).name
        raise InternalError(f"the tests were ended by {name}", "see which with opgen test NAME -- -v")
    if status:
        raise typer.Exit(PYTEST_FAILED)
