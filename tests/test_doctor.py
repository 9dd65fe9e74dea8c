"""opgen doctor: each trouble is found, and the command that is named mends it."""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
from building.fake import Fake, fake_compiler, use

from opgen.build import manifest
from opgen.build.cache import open_cache
from opgen.cli import main
from opgen.commands.operators import command, operators
from opgen.commands.packages import find
from opgen.commands.storage import storage
from opgen.pipeline import build

LAW = "from sympy import symbols\nx, y = symbols('x y', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = fake_compiler(tmp_path / "tools")
    use(made, tmp_path / "cache", monkeypatch)
    monkeypatch.chdir(tmp_path)
    Path("law.py").write_text(LAW)
    build(Path("law.py"), targets=("numpy",))
    return made


def found(output: str = "generated", **installed: str | None) -> dict[str, tuple[str, str, str]]:
    return {check.what: (check.state, check.found, check.mend) for check in operators(Path(output), installed)}


def change(**entries: Any) -> None:
    path = Path("generated/law/manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def against(**versions: str) -> None:
    record = json.loads(Path("generated/law/manifest.json").read_text())
    for library in record["libraries"].values():
        library["against"] = versions
    change(libraries=record["libraries"])


def test_a_sound_operator(fake: Fake) -> None:
    assert found()["op law"] == ("ok", "its libraries fit this machine (generated/law)", "")


def test_a_library_that_is_gone_or_damaged(fake: Fake) -> None:
    library = Path("generated/law/lib/liblaw.so")
    library.write_bytes(b"other")
    assert found()["op law"] == ("broken", "lib/liblaw.so is not the one that was built", "opgen build law.py")
    library.unlink()
    assert found()["op law"][:2] == ("broken", "lib/liblaw.so is missing")
    # The command that is named mends it.
    assert main([*found()["op law"][2].split()[1:], "--target", "numpy"]) == 0
    assert found()["op law"][0] == "ok"


def test_another_processor(fake: Fake) -> None:
    record = json.loads(Path("generated/law/manifest.json").read_text())
    change(environment=record["environment"] | {"processor": ["warpdrive"]})
    state, what, mend = found()["op law"]
    assert (state, mend) == ("broken", "opgen build law.py")
    assert what == "it was built for a processor with warpdrive, which this one lacks"


def test_another_machine(fake: Fake) -> None:
    header = bytearray(64)
    header[:4], header[18:20] = b"\x7fELF", (183).to_bytes(2, "little")
    Path("generated/law/lib/liblaw.so").write_bytes(header)
    if os.uname().machine == "x86_64":
        assert "liblaw.so is for aarch64 machines, and this is x86_64" in found()["op law"][1]


def test_a_framework_that_was_upgraded_or_removed(fake: Fake) -> None:
    against(tensorflow="2.20.0")
    assert found(tensorflow="2.20.0")["op law"][0] == "ok"
    assert found(tensorflow="2.21.0")["op law"] == (
        "old",
        "liblaw.so was built against tensorflow 2.20.0, and 2.21.0 is installed",
        "opgen build law.py",
    )
    assert found()["op law"][:2] == (
        "broken",
        "tensorflow 2.20.0, which liblaw.so was built against, is not installed",
    )
    # What uses PyTorch's own C++ fits one version only.
    record = json.loads(Path("generated/law/manifest.json").read_text())
    shutil.copy("generated/law/lib/liblaw.so", "generated/law/lib/liblaw_aten.so")
    change(libraries={"liblaw_aten.so": record["libraries"]["liblaw.so"] | {"against": {"torch": "2.12.0"}}})
    state, what, _ = found(torch="2.13.0")["op law"]
    assert state == "broken"
    assert what == "liblaw_aten.so, its gmres adjoint, was built against torch 2.12.0, and 2.13.0 is installed"


def test_a_manifest_that_cannot_be_read(fake: Fake) -> None:
    change(libraries=3)
    assert found()["op law"] == ("broken", "its manifest cannot be read", "opgen build FILE --force")


def test_a_residual_file_that_is_gone(fake: Fake) -> None:
    Path("law.py").unlink()
    assert "law.py is gone" in found()["op law"][1]


def test_commands_name_all_that_is_needed(fake: Fake, tmp_path: Path) -> None:
    build("x² - y", text=True, name="square", output=Path("my ops"), targets=("numpy",))
    build(Path("law.py"), name="other", output=Path("my ops"), targets=("numpy",))
    packages = {package.name: package for package in find(Path("my ops"))}
    records = {name: manifest.read(package.folder) for name, package in packages.items()}
    assert command(records["square"], packages["square"]) == "opgen build --expr 'x² - y' --name square -o 'my ops'"
    assert command(records["other"], packages["other"]) == "opgen build law.py --name other -o 'my ops'"
    assert found("nowhere") == {}
    assert found("law.py")["operators"][:2] == ("broken", "'law.py' is a file")


def kept(output: str = "generated") -> dict[str, tuple[str, str, str]]:
    return {check.what: (check.state, check.found, check.mend) for check in storage(open_cache(), Path(output))}


def test_sound_storage(fake: Fake, tmp_path: Path) -> None:
    checks = kept()
    assert {what: check[0] for what, check in checks.items()} == {
        "cache": "ok",
        "temporary files": "ok",
        "output": "ok",
    }
    assert "opgen clean --cache empties it" in checks["cache"][1]
    assert kept("new/folder")["output"][1] == "'new/folder' can be made"


def test_a_damaged_cache(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    entries = [path.parent for path in (tmp_path / "cache").glob("??/*/build.json")]
    (entries[0] / "build.json").write_text("{")
    made = next(path for path in sorted(entries[1].iterdir()) if path.name != "build.json")
    made.write_bytes(b"")
    state, what, mend = kept()["cache"]
    assert (state, mend) == ("broken", "opgen clean --cache")
    assert "damaged: 2 entries, such as " in what
    assert main(mend.split()[1:]) == 0
    assert kept()["cache"][0] == "ok"


def test_a_full_disk(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    about = namedtuple("about", "f_bavail f_frsize f_files f_favail f_flag")
    monkeypatch.setattr("os.statvfs", lambda folder: about(1000, 1000, 10, 10, 0))
    assert kept()["cache"][:2] == ("broken", f"only 1.0 MB are free in '{open_cache().root}'")
    assert kept()["temporary files"][2] == "export TMPDIR=FOLDER on another disk"
    monkeypatch.setattr("os.statvfs", lambda folder: about(10**9, 1000, 10, 0, 0))
    assert "out of inodes" in kept()["output"][1]
    monkeypatch.setattr("os.statvfs", lambda folder: about(10**9, 1000, 10, 10, os.ST_NOEXEC))
    assert kept()["output"][1].endswith("is mounted noexec: libraries there cannot be loaded")
    assert kept()["cache"][0] == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folders_that_cannot_be_written(fake: Fake, tmp_path: Path) -> None:
    generated = tmp_path / "generated"
    generated.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert kept()["output"][:2] == ("broken", f"'generated': '{generated}' cannot be written: permission denied")
    finally:
        generated.chmod(0o755)


def test_a_cache_that_cannot_be_written(fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OPGEN_CACHE", str(tmp_path / "file" / "cache"))
    state, what, mend = kept()["cache"]
    assert (state, "export OPGEN_CACHE=FOLDER" in mend) == ("broken", True)
    assert "file/cache' cannot be written" in what


def test_the_compilers_library(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    text = fake.program.read_text()
    fake.program.write_text(text.replace("#define __AVX2__ 1", "#define _LIBCPP_VERSION 18"))
    main(["doctor", "--json"])
    checks = {check["what"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    # This compiler compiles nothing, which is found too, and before.
    assert checks["C++ compiler"]["state"] == "broken"
    from opgen.commands.doctor import _standard_library

    (check,) = _standard_library((str(fake.program),))
    assert (check.state, check.mend) == ("broken", f"export CXX='{fake.program} -stdlib=libstdc++'")
    fake.program.write_text('#!/bin/sh\ncase "$*" in *c++20*) exit 1;; esac\n')
    (check,) = _standard_library((str(fake.program),))
    assert (check.what, check.state) == ("C++20", "missing")


def test_the_whole_of_it(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    against(tensorflow="0.1")
    main(["doctor"])
    out = capsys.readouterr().out
    assert "op law" in out
    assert "\nop law: opgen build law.py\n" in out
