"""A compiler that compiles nothing, quickly: it answers as one does, keeps a log, and can be slow or fail."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# $FAKE_VERSION, $FAKE_DELAY (seconds), $FAKE_FAIL (a file's name) change what it does.
_SCRIPT = """#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/log"
case "$*" in
*--version*) echo "fake++ ${FAKE_VERSION:-1.0}"; exit ;;
*-march=nonsense*) echo "error: bad value 'nonsense' for '-march='" >&2; exit 1 ;;
*-dM*) echo "#define __AVX2__ 1"; echo "#define __cplusplus 201703L"; exit ;;
*-print-file-name=*) echo libmvec.so; exit ;;
esac
echo $$ > "$here/pid"
[ -n "$FAKE_DELAY" ] && sleep "$FAKE_DELAY"
if [ -n "$FAKE_FAIL" ]; then
  case "$*" in *$FAKE_FAIL*)
    echo "$FAKE_FAIL: In function 'f':"; echo "$FAKE_FAIL:3:5: error: no luck today"; exit 1 ;;
  esac
fi
all="$*"
while [ "$1" != -o ]; do shift; done
echo "made by: $all" > "$2"
"""


@dataclass(frozen=True)
class Fake:
    """The compiler's program and what it was asked."""

    program: Path

    @property
    def folder(self) -> Path:
        return self.program.parent

    def calls(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def compiled(self) -> list[str]:
        """Return the calls that made something."""
        return [call for call in self.calls() if " -o " in call]

    def forget(self) -> None:
        (self.folder / "log").unlink(missing_ok=True)


def fake_compiler(folder: Path) -> Fake:
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "fake++"
    program.write_text(_SCRIPT)
    program.chmod(0o755)
    return Fake(program)


def use(fake: Fake, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", str(fake.program))
    monkeypatch.setenv("OPGEN_CACHE", str(cache))
    for name in ("OPGEN_MARCH", "FAKE_VERSION", "FAKE_DELAY", "FAKE_FAIL"):
        monkeypatch.delenv(name, raising=False)


# Builds a file with the package that is tested; prints reasons, and whether SymPy had to be imported.
SCRIPT = """
import sys
from pathlib import Path
from opgen.pipeline import build
for op in build(Path(sys.argv[1]), targets=("numpy",), progress=lambda line: print(line, flush=True)):
    print("built", op.name, list(op.reasons))
print("modules", [name for name in ("sympy", "jinja2", "numpy", "torch", "tensorflow") if name in sys.modules])
"""


def command(file: Path) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(file)]
