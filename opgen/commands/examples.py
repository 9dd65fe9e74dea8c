"""What stands under "Examples" in the help of each command."""

from __future__ import annotations

_EXAMPLES: dict[str, tuple[str, ...]] = {
    "init": ("opgen init cuberoot             # writes cuberoot.py", "opgen build cuberoot.py"),
    "inspect": (
        "opgen inspect kepler.py",
        r"opgen inspect --expr 'x^2 - \frac{y^3}{1+x}'",
        "opgen inspect kepler.py --latex > kepler.tex",
        "opgen inspect kepler.py --stage sources | less",
    ),
    "build": (
        "opgen build kepler.py sagitta.py",
        "opgen build kepler.py --target torch,numpy -o ops",
        "opgen build --expr 'x² = y³/(1+x)' --name cuberoot",
        r"opgen build --expr 'M = E - e \sin E' --name kepler --unknown E",
        "opgen build kepler.py --json | jq .built[].folder",
    ),
    "watch": ("opgen watch kepler.py", "opgen watch *.py --target numpy"),
    "test": ("opgen test", "opgen test kepler -- -k gradient -x"),
    "list": ("opgen list", "opgen list --json | jq '.operators[] | select(.current | not) | .name'"),
    "clean": ("opgen clean kepler", "opgen clean --cache"),
    "doctor": ("opgen doctor", "CXX=clang++ opgen doctor", "opgen doctor --json"),
    "report": ("opgen report kepler",),
    "package": ("opgen package kepler",),
}


def epilog(command: str) -> str | None:
    """Return the end of a command's help, in the form in which it is not wrapped."""
    lines = _EXAMPLES.get(command)
    return None if lines is None else "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
