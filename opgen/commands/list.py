"""opgen list: show what is built, and whether it is current."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from opgen.commands.screen import GENERATED, AsJson, Output, say, say_json, table

if TYPE_CHECKING:
    from opgen.build.manifest import Environment, Manifest
    from opgen.commands.packages import Package


def list_(output: Output = GENERATED, as_json: AsJson = False) -> None:
    """Show the operators that are built, against what, and whether they are current."""
    from opgen.commands.packages import find

    environment = _surroundings()
    entries = [_entry(package, environment) for package in find(output)]
    if as_json:
        say_json({"output": str(output), "operators": entries})
    elif not entries:
        say(f"'{output}' holds no operator; build one with opgen build")
    else:
        rows = []
        for entry in entries:
            against = ", ".join(f"{name} {version}" for name, version in entry["built_against"].items())
            state = "current" if entry["current"] else "; ".join(entry["reasons"])
            rows.append((entry["name"], entry["kind"], ", ".join(entry["targets"]), against or "-", state))
        say(table(("op", "kind", "targets", "built against", "state"), rows))


def _entry(package: Package, environment: Callable[[tuple[str, ...], str | None], Environment]) -> dict[str, Any]:
    from opgen.build import manifest

    record = manifest.read(package.folder)
    if record is None:
        reasons = ["its manifest cannot be read: build it with --force"]
    else:
        reasons = _reasons(record, package, environment(record.targets, record.environment.march or None))
    libraries = record.libraries.values() if record else ()
    return {
        "name": package.name,
        "folder": str(package.folder),
        "kind": record.kind if record else "?",
        "targets": list(record.targets) if record else [],
        "built_against": dict(sorted({pair for library in libraries for pair in library.against})),
        "compiler": record.environment.compiler if record else None,
        "source": str(record.source.file or record.source.text) if record else None,
        "current": not reasons,
        "reasons": reasons,
    }


def _reasons(record: Manifest, package: Package, environment: Environment) -> list[str]:
    """Say why an operator would be built anew."""
    from opgen.build import current

    source = record.source
    if source.file is not None and not source.file.is_file():
        return [f"{source.file.name} is gone"]
    now = current.of_source(source.file, source.text, source.name, source.unknown)
    found = [*current.changes(record, now, record.targets, environment), *current.damages(record, package.folder)]
    return list(dict.fromkeys(found))


def _surroundings() -> Callable[[tuple[str, ...], str | None], Environment]:
    """Look at the tools once, and return what a build for given targets and processor would depend on."""
    from opgen import __version__
    from opgen.build import digest
    from opgen.build.cache import open_cache
    from opgen.build.manifest import Environment
    from opgen.build.toolchain import find_compiler, find_jax, find_tensorflow, find_torch
    from opgen.errors import ToolchainError

    tensorflow, torch, jax = find_tensorflow(), find_torch(), find_jax()

    @cache
    def environment(targets: tuple[str, ...], march: str | None) -> Environment:
        try:
            compiler = find_compiler(open_cache(), march)
        except ToolchainError:
            compiler = None  # what is there is as good as before
        return Environment(
            opgen=__version__,
            code=digest.of_opgen(),
            compiler=compiler.identity if compiler else None,
            march=compiler.march if compiler else "",
            processor=compiler.processor if compiler else (),
            tensorflow=tensorflow.version if tensorflow and "tf" in targets else None,
            torch=torch.version if torch and targets != ("numpy",) else None,
            jax=jax.version if jax and "jax" in targets else None,
        )

    return environment
