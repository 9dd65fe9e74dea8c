"""opgen watch: every way of saving a file is seen, and nothing that is wrong with it ends the watch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from building.fake import Fake, fake_compiler, use

from opgen.commands.changes import differences

LAW = "from sympy import symbols\nx, y = symbols('x y', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"
PATIENCE = 60.0  # seconds, on a machine that does much else


class Watch:
    """A watch that runs, and what it has said."""

    def __init__(self, *words: str) -> None:
        self.said = Path("said.txt")
        self.read = 0
        with self.said.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "opgen", "watch", *words, "--target", "numpy"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def says(self, text: str) -> str:
        """Wait until it has said a text, and return what it said since the last time."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            new = self.said.read_text()[self.read :]
            if text in new:
                self.read += new.index(text) + len(text)
                return new
            assert self.process.poll() is None, new
            time.sleep(0.05)
        pytest.fail(f"it never said {text!r}, but: {self.said.read_text()}")

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake_compiler(tmp_path / "tools")
    use(made, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("law.py").write_text(LAW)
    return made


@pytest.fixture
def watch(fake: Fake) -> Iterator[Callable[..., Watch]]:
    started: list[Watch] = []

    def start(*words: str) -> Watch:
        started.append(Watch(*words))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def formula(op: str = "law") -> str:
    return Path(f"generated/{op}/__init__.py").read_text().splitlines()[2].strip()


def test_every_way_of_saving(watch: Callable[..., Watch]) -> None:
    law = Path("law.py")
    it = watch("law.py")
    it.says("law: built in")
    it.says("watching 1 file")

    law.write_text(LAW.replace("x**2", "8*x**2"))  # in place
    it.says("law: built in")
    it.says("  equations\n  - x**2 - y**3/(x + 1)\n  + 8*x**2 - y**3/(x + 1)\n")
    assert formula() == "8*x**2 - y**3/(x + 1) = 0"

    aside = Path("law.py.new")  # aside and renamed, as careful editors do
    aside.write_text(LAW.replace("x**2", "9*x**2"))
    aside.rename(law)
    it.says("  + 9*x**2")

    law.rename("law.py~")  # moved away, as others do, and written anew
    law.write_text(LAW.replace("x**2", "10*x**2"))
    it.says("  + 10*x**2")

    law.write_text(LAW.replace("y**3", "z**3") + "(")  # a slip
    it.says("opgen: SyntaxError: '(' was never closed at law.py:4")
    it.says("(the operator stays as it was)\n")
    assert formula() == "10*x**2 - y**3/(x + 1) = 0"

    law.unlink()
    it.says("law.py is gone; its operators stay")
    law.write_text(LAW.replace("x**2", "11*x**2"))
    it.says("  - 10*x**2 - y**3/(x + 1)\n  + 11*x**2 - y**3/(x + 1)\n")

    law.write_text(law.read_text() + "# a remark\n")
    it.says("law: saved, but means the same as before")
    law.write_text(law.read_text() + "guess = x\n")
    it.says("  guess\n  - none\n  + x\n")
    assert it.interrupt() == 0
    assert it.said.read_text().endswith("\nstopped watching\n")
    assert "Traceback" not in it.said.read_text()


def test_a_compiler_that_fails_leaves_the_operator(
    watch: Callable[..., Watch], fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    it = watch("law.py")
    it.says("watching")
    before = Path("generated/law/manifest.json").read_bytes()
    program = fake.program.read_text()
    fake.program.write_text(program.replace('[ -n "$FAKE_DELAY" ]', 'case "$*" in *kernel.cc*) exit 1;; esac; false'))
    Path("law.py").write_text(LAW.replace("x**2", "8*x**2"))
    it.says("(the operator stays as it was)")
    assert Path("generated/law/manifest.json").read_bytes() == before
    fake.program.write_text(program)
    Path("law.py").write_text(LAW.replace("x**2", "9*x**2"))
    it.says("law: built in")
    assert formula() == "9*x**2 - y**3/(x + 1) = 0"
    assert it.interrupt() == 0


def test_neighbours_and_several_files(watch: Callable[..., Watch]) -> None:
    Path("constants").mkdir()
    Path("constants/gas.py").write_text("R = 8\n")
    Path("gas.py").write_text("import sys\nsys.path.append('constants')\n")  # not what is imported
    Path("other.py").write_text("from numbers_of_mine import a\n" + LAW.replace("x**2", "a*x**2"))
    Path("numbers_of_mine.py").write_text("a = 2\n")
    it = watch("law.py", "other.py")
    it.says("watching 2 files")
    assert formula("other").startswith("2*x**2")
    Path("numbers_of_mine.py").write_text("a = 3\n")
    it.says("  + 3*x**2")
    assert formula("law").startswith("x**2")
    Path("numbers_of_mine.py").write_text("a = \n")  # a slip in the neighbour, mended there
    it.says("numbers_of_mine.py:1")
    Path("numbers_of_mine.py").write_text("a = 4\n")
    it.says("  + 4*x**2")
    Path("law.py").write_text(LAW.replace("x**2", "5*x**2"))
    it.says("  + 5*x**2")
    assert it.interrupt() == 0


def test_a_folder_that_is_replaced(watch: Callable[..., Watch]) -> None:
    """As a version control system does, or a mounted disk."""
    Path("deep").mkdir()
    file = Path("deep/law.py")
    file.write_text(LAW)
    it = watch("deep/law.py")
    it.says("watching")
    Path("deep").rename("deep2")
    it.says("is gone")
    Path("deep").mkdir()
    file.write_text(LAW.replace("x**2", "6*x**2"))
    it.says("  + 6*x**2")
    assert it.interrupt() == 0


def test_interrupting_a_build_leaves_nothing(
    watch: Callable[..., Watch], fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FAKE_DELAY", "50")
    it = watch("law.py")
    it.says("compiling law")
    deadline = time.monotonic() + PATIENCE
    while not (fake.folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert it.interrupt() == 130
    assert it.said.read_text().endswith("opgen: interrupted; the operators stay as they were\n")
    assert not Path("generated").exists()
    assert not list((tmp_path / "cache" / "staging").iterdir())
    pid = int((fake.folder / "pid").read_text())
    state = Path(f"/proc/{pid}/stat")
    assert not state.exists() or ") Z " in state.read_text()


def test_quiet_says_errors_only(watch: Callable[..., Watch]) -> None:
    it = watch("-q", "law.py")
    deadline = time.monotonic() + PATIENCE
    while not Path("generated/law/manifest.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    Path("law.py").write_text("residual = 1\n")
    it.says("opgen: ")
    assert it.said.read_text().count("\n") == 1
    assert it.interrupt() == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["absent.py"], "opgen: there is no file 'absent.py' to watch; write it, or start one with opgen init"),
        (["law.py", "law2.py", "--name", "a"], "opgen: --name a is given for 2 files; build them one by one"),
        (["law.py", "--target", "numpi"], "opgen: there is no target 'numpi'; did you mean 'numpy'?"),
    ],
)
def test_what_cannot_be_watched(
    fake: Fake, words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from opgen.cli import main

    assert main(["watch", *words]) == 2
    assert capsys.readouterr().err.strip() == sentence


def test_differences_are_told_by_part() -> None:
    before = {"equations": ["a", "b"], "guess": [None], "tol": None, "same": [[1, 2]]}
    now = {"equations": ["a", "c"], "guess": ["x"], "tol": 0.1, "same": [[1, 2]]}
    assert list(differences(before, now)) == [
        *("  equations", "  - b", "  + c"),
        *("  guess", "  - none", "  + x"),
        *("  tol", "  - none", "  + 0.1"),
    ]
    assert list(differences(None, now)) == []
