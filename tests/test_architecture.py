"""The order of the house: what may import what, how long files are, and what they do not mention."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "opgen"
MODULES = {path.relative_to(ROOT).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}

# What shows formulas.
SHOWN = (
    "opgen/commands/summary.py",
    "opgen/commands/coupled_summary.py",
    "opgen/commands/formulas.py",
    "opgen/commands/latex.py",
    "opgen/report/formulas.py",
)
# Where a package may be imported.
HOMES = {
    "sympy": ("opgen/loading/", "opgen/analyse/", "opgen/lower/", *SHOWN),
    "jinja2": ("opgen/render/",),
    "subprocess": ("opgen/build/process.py",),
    "typer": ("opgen/cli.py", "opgen/commands/"),
    "matplotlib": ("opgen/report/drawing.py",),
    "wheel": ("opgen/package/",),
    "elftools": ("opgen/package/",),
}
# Who may talk to the user and end the process.
FRONT = ("opgen/cli.py", "opgen/__main__.py", "opgen/commands/")
# The chain: a stage knows those before it.
STAGES = (
    *("loading", "analyse", "lower", "render", "write", "build", "pipeline", "api"),
    *("report", "package", "commands", "cli"),
)
# What all of them may know.
COMMON = ("errors", "__version__")

# What users see.
FOLDERS = ("opgen", "templates", "docs", "generated", "examples")

# The longest files, and why they are not shorter.
LONG = {
    "opgen/include/opgen/coupled/newton.h": "one method with what it falls back to",
    "opgen/include/opgen/coupled/system.h": "one system: its memory, and every sweep over it",
    "opgen/include/opgen/coupled/stencil.h": "a matrix, its boundary and the choice of its solver",
}


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the modules that a file imports at run time, wherever in it; `from a import b` as a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("package", HOMES)
def test_package_is_imported_only_where_it_belongs(package: str) -> None:
    found = [
        f"{name}:{line}"
        for name, path in MODULES.items()
        if not name.startswith(HOMES[package])
        for line, module in imports(path)
        if module.partition(".")[0] == package
    ]
    assert not found


def test_only_the_front_prints_and_exits() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, path in MODULES.items()
        if not name.startswith(FRONT)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout.write", "input")
    ]
    assert not found


def stage(module: str) -> str:
    """Name the part of opgen that a module belongs to: opgen.lower.graph -> lower."""
    parts = module.removesuffix(".py").replace("/", ".").split(".")
    return parts[1] if len(parts) > 1 else ""


def test_no_stage_knows_a_later_one() -> None:
    found = [
        f"{name}:{line} imports {module}"
        for name, path in MODULES.items()
        if stage(name) in STAGES
        for line, module in imports(path)
        if module.startswith("opgen.") and stage(module) not in COMMON
        if STAGES.index(stage(module)) > STAGES.index(stage(name))
    ]
    assert not found


def test_every_module_has_its_place_in_the_chain() -> None:
    assert {stage(name) for name in MODULES} <= {*STAGES, *COMMON, "__init__", "__main__"}


def test_files_are_short() -> None:
    limits = {name: (path, 300) for name, path in MODULES.items()}
    limits |= {path.relative_to(ROOT).as_posix(): (path, 250) for path in (PACKAGE / "include").rglob("*.h")}
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, (path, _) in limits.items()}
    too_long = {name: length for name, length in lengths.items() if length > limits[name][1] and name not in LONG}
    assert not too_long
    assert not [name for name in LONG if name not in lengths], "LONG names a file that is gone"


def listed(*options: str) -> list[Path] | None:
    """List files as git sees them; None where there is no git."""
    try:
        done = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return [ROOT / name for name in done.stdout.split("\0") if name]


def test_no_source_is_ignored() -> None:
    """A pattern such as build/ would keep opgen/build out of commits and wheels."""
    ignored = listed("--others", "--ignored", "--exclude-standard", "opgen", "templates")
    if ignored is None:
        pytest.skip("there is no git, or this is no checkout")
    assert not [path for path in ignored if "__pycache__" not in path.parts]


def test_no_path_of_one_machine_is_mentioned() -> None:
    path = re.compile(r"(?<![\w.])/(?:work|tmp|home|root)/")
    found = []
    files = listed("--cached", "--others", "--exclude-standard")
    if files is None:
        files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    for file in files:
        if file.is_file() and file.relative_to(ROOT).parts[0] in FOLDERS:
            try:
                lines = file.read_text(encoding="utf-8").splitlines()
            except UnicodeDecodeError:
                continue
            found += [f"{file.relative_to(ROOT)}:{i}: {line}" for i, line in enumerate(lines, 1) if path.search(line)]
    assert not found
