"""What makes the command line pleasant: colours where they are wanted, completion, examples, quiet, signals."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from building.fake import Fake, fake_compiler, use

from opgen.cli import app, main

LAW = "from sympy import symbols\nx, y = symbols('x y', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"
COMMANDS = [command.name for command in app.registered_commands]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake_compiler(tmp_path / "tools")
    use(made, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("law.py").write_text(LAW)
    return made


def on_terminal(*words: str, **environment: str) -> str:
    """Run a command whose output goes to a terminal, and return what came there."""
    ours, theirs = pty.openpty()
    keep = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "TERM")}
    process = subprocess.Popen(
        [sys.executable, "-m", "opgen", *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env=keep | {"TERM": "xterm", "COLUMNS": "100"} | environment,
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other side is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    process.wait(60)
    return said.decode().replace("\r\n", "\n")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_mathematics_is_coloured_on_a_terminal_only(fake: Fake) -> None:
    coloured = on_terminal("inspect", "law.py")
    assert "\x1b[1;35my\x1b[0m" in coloured  # the unknown
    assert "\x1b[36mx\x1b[0m" in coloured  # the input
    assert "\x1b[1mlaw\x1b[0m" in coloured
    bare = on_terminal("inspect", "law.py", NO_COLOR="1")
    assert "\x1b" not in bare
    assert plain(coloured) == bare
    assert "\x1b" not in on_terminal("inspect", "law.py", TERM="dumb")
    piped = subprocess.run([sys.executable, "-m", "opgen", "inspect", "law.py"], capture_output=True, text=True)
    assert "\x1b" not in piped.stdout + piped.stderr


def test_errors_are_marked_on_a_terminal(fake: Fake) -> None:
    assert on_terminal("inspect", "absent.py").startswith("\x1b[1;31mopgen:\x1b[0m there is no file 'absent.py'")


def test_progress_is_gone_when_it_is_done(fake: Fake) -> None:
    said = on_terminal("build", "law.py", "--target", "numpy")
    assert "\x1b[K" in said
    assert said.rpartition("\x1b[K")[2].startswith("law: built in ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"\n  Examples:\n(    .*\n)*    (\S+ )?opgen {name}", out), out


@pytest.mark.parametrize("name", ["build", "watch", "init", "clean", "test"])
def test_quiet_and_its_short_form(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--help"])
    assert "-q, --quiet" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["list", "inspect", "doctor", "build", "clean"])
def test_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([name, "--help"])
    assert "--json" in capsys.readouterr().out


def test_quiet_says_nothing_but_errors(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "-q", "law.py", "--target", "numpy"]) == 0
    assert main(["clean", "-q"]) == 0
    assert main(["init", "-q", "other"]) == 0
    assert capsys.readouterr() == ("", "")
    assert not Path("generated").exists()
    assert Path("other.py").exists()
    assert main(["build", "-q", "absent.py"]) == 2
    assert capsys.readouterr().err.startswith("opgen: there is no file 'absent.py'")


def completed(words: str, at: int) -> list[str]:
    environment = {"_OPGEN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}
    command = [sys.executable, "-m", "opgen"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.split()


def test_completion(fake: Fake) -> None:
    main(["build", "-q", "law.py", "--target", "numpy"])
    assert completed("opgen in", 1) == ["init", "inspect"]
    assert completed("opgen test l", 2) == ["law"]
    assert completed("opgen clean ", 2) == ["law"]
    assert "--target" in completed("opgen build --t", 2)
    # Which shell there is, is not to be found out where tests run.
    told = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    command = [sys.executable, "-m", "opgen", "--show-completion", "bash"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60, env=told)
    assert "_OPGEN_COMPLETE" in shown.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_half_done(fake: Fake, tmp_path: Path, number: int, status: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "opgen", "build", "law.py", "--target", "numpy"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "FAKE_DELAY": "50"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while not (fake.folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == status
    assert "Traceback" not in said
    assert not Path("generated").exists()
    assert not list((tmp_path / "cache" / "staging").iterdir())
    state = Path(f"/proc/{(fake.folder / 'pid').read_text().strip()}/stat")
    assert not state.exists() or ") Z " in state.read_text()
    # Nothing is in the way of the next build.
    assert main(["build", "law.py", "--target", "numpy"]) == 0


def test_a_signal_before_anything_is_imported(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, builtins\nreal = builtins.__import__\n"
        "def slow(name, *rest):\n"
        "    if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "    return real(name, *rest)\n"
        "builtins.__import__ = slow\nimport opgen.__main__\nsys.exit(opgen.__main__.main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert (done.returncode, done.stderr) == (130, "")


def test_json_of_what_is_built(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    main(["build", "law.py", "--target", "numpy", "--json"])
    assert json.loads(capsys.readouterr().out)["built"][0]["name"] == "law"
