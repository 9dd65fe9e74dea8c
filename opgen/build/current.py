"""Whether a package is current and, if not, why: one sentence for each thing that changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from opgen import __version__
from opgen.build import digest
from opgen.build.manifest import Environment, Manifest, Source
from opgen.build.toolchain import Compiler, Framework

_SHORT = 60


def changes(manifest: Manifest, source: Source, targets: Sequence[str], environment: Environment) -> Iterator[str]:
    """Say what a package was made from or with that is different now."""
    yield from _source_changes(manifest.source, source)
    if tuple(targets) != manifest.targets:
        yield f"the targets changed from {', '.join(manifest.targets)} to {', '.join(targets)}"
    # What is not built for any more, or was not before, needs no second word.
    kept = set(targets) & set(manifest.targets) - {"numpy"}
    yield from _framework_changes(kept, manifest.environment, environment)
    yield from _environment_changes(manifest.environment, environment)


def damages(manifest: Manifest, folder: Path) -> Iterator[str]:
    """Say which files of a package are not as they were made."""
    for path, made in manifest.files.items():
        yield from _damage(path, folder / path, made, "was edited by hand")
    for name, library in manifest.libraries.items():
        yield from _damage(f"lib/{name}", folder / "lib" / name, library.digest, "is not the one that was built")
    for name, made in manifest.texts.items():
        yield from _damage(f"lib/{name}", folder / "lib" / name, made, "is not the one that was built")


def of_source(file: Path | None, text: str | None, name: str | None, unknown: str | None) -> Source:
    """Describe a source as it is now."""
    if file is None:
        return Source(None, text, name, unknown, digest.of_text(text or ""))
    return Source(file, None, name, unknown, digest.of_file(file) or "")


def environment(
    compiler: Compiler | None, tensorflow: Framework | None, torch: Framework | None, jax: Framework | None = None
) -> Environment:
    """Describe what a build depends on besides its source, as it is now."""
    return Environment(
        opgen=__version__,
        code=digest.of_opgen(),
        compiler=compiler.identity if compiler else None,
        march=compiler.march if compiler else "",
        processor=compiler.processor if compiler else (),
        tensorflow=tensorflow.version if tensorflow else None,
        torch=torch.version if torch else None,
        jax=jax.version if jax else None,
    )


def _source_changes(before: Source, now: Source) -> Iterator[str]:
    if before.file != now.file:
        yield f"it was made from {_described(before)}, and now is from {_described(now)}"
        return
    if before.text != now.text:
        yield f"the formula changed from {_described(before)}"
    elif before.digest != now.digest:
        yield f"{_described(now)} changed"
    if before.unknown != now.unknown:
        yield f"the unknown changed from {before.unknown or 'y'} to {now.unknown or 'y'}"
    for file, made in before.dependencies:
        found = digest.of_file(file)
        if found != made:
            yield f"{file.name}, which {_described(now)} imports, {'changed' if found else 'is gone'}"


def _framework_changes(targets: set[str], before: Environment, now: Environment) -> Iterator[str]:
    versions = (
        ("TensorFlow", "tf" in targets, before.tensorflow, now.tensorflow),
        ("JAX", "jax" in targets, before.jax, now.jax),
        ("PyTorch", bool(targets), before.torch, now.torch),  # for its adjoint, whatever the framework
    )
    for name, used, one, other in versions:
        if one == other or not used:
            continue
        if one is None:
            yield f"{name} {other} was installed"
        else:
            yield f"{name} changed from {one} to {other}" if other else f"{name} {one} is no longer installed"


def _environment_changes(before: Environment, now: Environment) -> Iterator[str]:
    if before.opgen != now.opgen:
        yield f"opgen changed from {before.opgen} to {now.opgen}"
    elif before.code != now.code:
        yield "opgen's own code changed"
    if now.compiler is None:  # nothing could be built; what is there is as good as before
        return
    if before.compiler != now.compiler:
        yield f"the compiler changed from {before.compiler} to {now.compiler}"
    if before.march != now.march:
        yield f"-march changed from {before.march or 'none'} to {now.march or 'none'}"
    elif before.processor != now.processor:
        changed = sorted(set(before.processor) ^ set(now.processor))
        yield f"the processor changed ({', '.join(changed)})"


def _damage(name: str, path: Path, made: str, what: str) -> Iterator[str]:
    found = digest.of_file(path)
    if found is None:
        yield f"{name} is missing"
    elif found != made:
        yield f"{name} {what}"


def _described(source: Source) -> str:
    if source.file is not None:
        return source.file.name
    text = source.text or ""
    return f"'{text if len(text) <= _SHORT else text[: _SHORT - 1] + '…'}'"
