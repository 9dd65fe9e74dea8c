"""The command line: one sentence for every failure, and an exit status that says whose it was."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer
from typer.main import get_command

from opgen import __version__
from opgen.commands.build import build
from opgen.commands.clean import clean
from opgen.commands.doctor import doctor
from opgen.commands.examples import epilog
from opgen.commands.init import init
from opgen.commands.inspect import inspect
from opgen.commands.list import list_
from opgen.commands.package import package
from opgen.commands.report import report
from opgen.commands.screen import DEBUG, note, paint, say
from opgen.commands.test import test
from opgen.commands.watch import watch
from opgen.errors import CompileError, OpgenError

OWN_FAULT, MISUSE, INTERRUPTED, BROKEN_PIPE = 1, 2, 130, 141
# How typer ends the sentence about a misspelt word.
_NEAR = re.compile(r"[ .]*\(?(?:Possible options:|Did you mean) ([^)?]+)\)?\??")

app = typer.Typer(
    help="Turn a SymPy residual F(x, y) = 0 into a differentiable operator for TensorFlow, PyTorch, JAX and NumPy.",
    epilog="Start with: opgen init, opgen build residual.py. Exit status: 0 done, 1 a fault of opgen or a failed test, "
    "2 the residual or the command line, 3 the toolchain, 4 the compiler.",
    rich_markup_mode=None,  # rich would double the time that --help takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (init, inspect, build, watch, test, list_, clean, report, package, doctor):
    name = command.__name__.rstrip("_")
    app.command(name=name, epilog=epilog(name))(command)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"opgen {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def opgen(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and every stage; may stand after the command too.")
    ] = False,
) -> None:
    """Show the help where no command is named."""
    if context.invoked_subcommand is None:
        say(context.get_help())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    words, debug = _without_debug(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a sign still gets the rest
    try:
        status = _run(words, debug)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has gone, and what Python flushes at its end would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt as stop:
        note(f"opgen: interrupted; {str(stop) or 'nothing was changed'}")
        return INTERRUPTED
    except Exception as error:
        if debug:
            import traceback

            traceback.print_exception(error)
        sentence, status = _explain(error, debug)
        note(f"{paint('opgen:', 'error', sys.stderr)} {' '.join(sentence.split())}")
    return status


def _without_debug(words: Sequence[str]) -> tuple[list[str], bool]:
    """Take --debug out wherever it stands: it belongs to all commands."""
    end = words.index("--") if "--" in words else len(words)
    return [*(word for word in words[:end] if word != "--debug"), *words[end:]], "--debug" in words[:end]


def _run(words: list[str], debug: bool) -> int:
    # Typer's own entry would print errors in its own form.
    group = get_command(app)
    if "_OPGEN_COMPLETE" in os.environ:  # a shell asks what could come next
        group.main(words, "opgen", standalone_mode=False)
        return 0
    try:
        with group.make_context("opgen", words) as context:
            context.meta[DEBUG] = debug
            group.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0


def _explain(error: Exception, debug: bool) -> tuple[str, int]:
    """Return the sentence about an error, and its exit status."""
    if isinstance(error, CompileError) and debug:
        note(error.log)
    if isinstance(error, OpgenError):
        return str(error), error.exit_code
    message = getattr(error, "format_message", None)  # Typer's errors; where it keeps their class has changed
    if message is not None:
        context = getattr(error, "ctx", None)
        text = _NEAR.sub(lambda near: f"; did you mean {near[1].replace(', ', ' or ')}?", str(message())).rstrip(". ")
        advice = "" if text.endswith("?") else f"; see {context.command_path if context else 'opgen'} --help"
        return f"{text[:1].lower()}{text[1:]}{advice}", MISUSE
    again = "" if debug else "; please report it with what this command prints with --debug"
    said = f": {error}" if str(error) else ""
    return f"unexpected {type(error).__name__}{said}{again}", OWN_FAULT
