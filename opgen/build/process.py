"""The one door to other programs: nothing else in opgen starts a process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opgen.errors import ToolchainError


@dataclass(frozen=True)
class Finished:
    """A program that ran to its end.

    Attributes:
        code: Exit status; negative for the signal that ended it.
        output: What it printed to either stream.
        seconds: How long it took.
    """

    code: int
    output: str
    seconds: float


class Runner:
    """Run programs from several threads, and stop all of them at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether stop was called."""
        return self._stopped

    def run(self, command: Sequence[str], folder: Path | None = None) -> Finished:
        """Run a command, without a shell, and capture what it prints.

        Raises:
            ToolchainError: It cannot be started.
        """
        start = time.monotonic()
        with self._lock:
            if self._stopped:
                return Finished(-signal.SIGTERM, "", 0.0)
            process = _start(command, folder)
            self._live.add(process)
        try:
            output, _ = process.communicate()
        except BaseException:
            _kill(process)
            raise
        finally:
            with self._lock:
                self._live.discard(process)
        return Finished(process.returncode, output.decode(errors="replace"), time.monotonic() - start)

    def stop(self) -> None:
        """End every program that still runs, and start no more."""
        with self._lock:
            self._stopped = True
            for process in self._live:
                _kill(process)


def run(command: Sequence[str], folder: Path | None = None) -> Finished:
    """Run one command; see Runner.run."""
    return Runner().run(command, folder)


def attached(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command on the terminal of this process, which it shares, and return its exit status.

    Args:
        command: The program and its arguments.
        environment: Variables that differ from this process's.

    Raises:
        ToolchainError: It cannot be started.
    """
    try:
        return subprocess.call(list(command), stdin=subprocess.DEVNULL, env={**os.environ, **environment})
    except OSError as error:
        raise _not_started(command, error) from None


def _start(command: Sequence[str], folder: Path | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(command),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "LC_ALL": "C"},  # messages in one language, so that errors are found in them
            start_new_session=True,  # a group of its own: a compiler driver is stopped with its children
        )
    except OSError as error:
        raise _not_started(command, error) from None


def _not_started(command: Sequence[str], error: OSError) -> ToolchainError:
    return ToolchainError(
        f"'{command[0]}' cannot be started: {error.strerror}", "check that it is a program for this machine"
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
