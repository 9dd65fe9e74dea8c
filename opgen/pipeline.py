"""The whole chain: a residual file or a text becomes packages that are built, or is seen to be built already.

Nothing here imports SymPy or Jinja before it is known that something has to be done.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from opgen.build import current, digest, flags, manifest
from opgen.build.built import Built
from opgen.build.cache import Cache, open_cache
from opgen.build.manifest import Manifest, Source
from opgen.build.targets import choose
from opgen.build.toolchain import (
    Compiler,
    Toolchain,
    find_compiler,
    find_eigen,
    find_jax,
    find_tensorflow,
    find_torch,
    has_stable_interface,
)
from opgen.errors import OpgenError, ToolchainError, UsageError, suggest

if TYPE_CHECKING:
    from opgen.build.plan import Plan
    from opgen.loading.define import Explicit, Implicit
    from opgen.loading.spec import Loaded, Spec
    from opgen.render.tree import Tree

__all__ = ["Built", "build", "ignore"]

_FORCED = "it was asked for with --force"
_FIRST = "it was not built before"


def ignore(message: str) -> None:
    """Take a message of progress and do nothing."""


def build(
    source: Path | str | Implicit | Explicit,
    *,
    text: bool = False,
    name: str | None = None,
    unknown: str | None = None,
    output: Path = Path("generated"),
    targets: tuple[str, ...] | None = None,
    only: tuple[str, ...] | None = None,
    march: str | None = None,
    force: bool = False,
    progress: Callable[[str], None] = ignore,
    verbose: bool = False,
) -> tuple[Built, ...]:
    """Build the operators of a residual file, of a formula or of a definition, unless they are current.

    Args:
        source: The file, or the definition, or, with `text`, the formula.
        text: Whether `source` is a formula.
        name: Name of the operator; needed for all but a file.
        unknown: What a formula is solved for.
        output: Folder in which packages lie.
        targets: Frameworks to build for; those that are installed if left out.
        only: Names of the operators to build; all of the file if left out.
        march: Processor to compile for, as -march names it; $OPGEN_MARCH, else the one that is here, if left out.
        force: Build even if nothing changed, and compile even what the cache holds.
        progress: Told what is being done, from one thread at a time.
        verbose: Tell the compiler's commands too.

    Raises:
        OpgenError: Of the class that says what is wrong; the packages are then as they were before.
    """
    definition = None if isinstance(source, (str, Path)) else source
    file = None if text or not isinstance(source, (str, Path)) else Path(source)
    if file is None and name is None:
        raise UsageError("a formula has no name", "give its operator one with --name")
    formula = _written(source) if file is None else None
    asked = current.of_source(file and file.resolve(), formula, name, unknown)
    lock = threading.Lock()

    def tell(message: str) -> None:
        with lock:
            progress(message)

    return _Build(asked, file, definition, Path(output), targets, only, march, force, tell, verbose).run()


@dataclass(frozen=True)
class _Job:
    """One operator that is being built."""

    spec: Spec
    tree: Tree
    plan: Plan
    kind: str
    folder: Path
    before: Manifest | None
    reasons: tuple[str, ...]


@dataclass
class _Build:
    """One call of `build`."""

    source: Source
    file: Path | None  # as the user named it
    definition: Implicit | Explicit | None
    output: Path
    asked_targets: tuple[str, ...] | None
    only: tuple[str, ...] | None
    march: str | None
    force: bool
    progress: Callable[[str], None]
    verbose: bool
    start: float = field(default_factory=time.monotonic)

    def run(self) -> tuple[Built, ...]:
        if self.output.exists() and not self.output.is_dir():
            raise UsageError(f"'{self.output}' is not a folder", "choose another with -o")
        self.tensorflow = find_tensorflow()
        self.jax = find_jax()
        torch = find_torch()
        stable = torch if has_stable_interface(torch) else None
        self.targets = choose(self.asked_targets, {"tf": self.tensorflow, "torch": stable, "jax": self.jax})
        self.torch = torch if self.targets != ("numpy",) else None
        self.cache = open_cache()
        compiler, fault = _compiler(self.cache, self.march)
        self.environment = current.environment(
            compiler,
            self.tensorflow if "tf" in self.targets else None,
            self.torch,
            self.jax if "jax" in self.targets else None,
        )
        if not self.force and (found := self._current()):
            return found
        loaded = self._load()
        if compiler is None:
            raise fault
        return self._make(loaded, Toolchain(compiler, self.tensorflow, self.torch, self.jax, find_eigen()))

    def _current(self) -> tuple[Built, ...]:
        """Return the operators of the source if all of them are current."""
        packages = {
            record.op: (folder, record)
            for folder, record in self._packages()
            if _same(record.source, self.source) and record.source.digest == self.source.digest
        }
        wanted = sorted({name for _, record in packages.values() for name in record.source.siblings})
        names = [name for name in wanted if self.only is None or name in self.only]
        if self.only is not None and set(self.only) - set(names):
            return ()
        for name in names:
            if name not in packages:
                return ()
            folder, record = packages[name]
            for _ in self._reasons(record, folder):
                return ()
        return tuple(self._built(packages[name][1], packages[name][0], ()) for name in names)

    def _packages(self) -> Iterator[tuple[Path, Manifest]]:
        """Yield the packages in the output folder that this source may have made."""
        if self.source.name is not None:
            folders = [self.output / self.source.name]
        else:
            folders = sorted(self.output.iterdir()) if self.output.is_dir() else []
        for folder in folders:
            if record := manifest.read(folder):
                yield folder, record

    def _reasons(self, record: Manifest, folder: Path) -> Iterator[str]:
        yield from current.changes(record, self.source, self.targets, self.environment)
        yield from current.damages(record, folder)

    def _load(self) -> Loaded:
        # Loading imports SymPy, hence only now.
        from opgen.loading import load_file, load_object, load_text

        self.progress("reading the residual")
        if self.file is not None:
            return load_file(self.file, self.source.name)
        if self.definition is not None:
            return load_object(self.definition, self.source.name or "")
        return load_text(self.source.text or "", self.source.name or "", self.source.unknown)

    def _make(self, loaded: Loaded, tools: Toolchain) -> tuple[Built, ...]:
        from opgen.build.build import build as run

        names = tuple(spec.name for spec in loaded.specs)
        for wanted in self.only or ():
            if wanted not in names:
                raise UsageError(f"there is no operator '{wanted}' in {self.file}",
                                 suggest(wanted, names) or f"it defines {', '.join(names)}")  # fmt: skip
        dependencies = tuple((path.resolve(), digest.of_file(path) or "") for path in loaded.dependencies)
        self.source = replace(self.source, dependencies=dependencies, siblings=names)
        jobs = [self._job(spec, tools) for spec in loaded.specs if self.only is None or spec.name in self.only]
        made = run([job.plan for job in jobs], self.cache, self.progress, fresh=self.force, verbose=self.verbose)
        gone = self._gone(names)
        return tuple(self._install(job, made, () if i else gone) for i, job in enumerate(jobs))

    def _job(self, spec: Spec, tools: Toolchain) -> _Job:
        """Take one operator through the chain up to its plan."""
        from opgen.analyse import analyse
        from opgen.build.install import claim
        from opgen.build.plan import plan
        from opgen.lower import lower
        from opgen.render import render

        folder = self.output / spec.name
        before = claim(folder, spec.name, self.source.file)
        self.progress(f"analysing {spec.name}")
        try:
            model = analyse(spec)
            tree = render(lower(model), self.targets)
        except OpgenError as error:
            raise error.at(None if self.file is None else str(self.file), spec.source.line) from None
        planned = plan(tree, tools)
        return _Job(spec, tree, planned, model.kind, folder, before, self._why(folder, before, tree, planned))

    def _why(self, folder: Path, before: Manifest | None, tree: Tree, planned: Plan) -> tuple[str, ...]:
        """Say why an operator has to be built; not at all if what changed does not change it."""
        if before is None:
            return (_FIRST, *((_FORCED,) if self.force else ()))
        keys = {library.name: library.step.key for library in planned.libraries}
        same = before.digest == tree.digest and keys == {name: made.key for name, made in before.libraries.items()}
        found = tuple(current.damages(before, folder))
        if not same:
            found = (*current.changes(before, self.source, self.targets, self.environment), *found)
            found = found or ("what it is made of changed",)
        return (*found, _FORCED) if self.force else found

    def _install(self, job: _Job, made: dict[str, Path], gone: tuple[str, ...]) -> Built:
        from opgen.build.install import install, libraries, texts

        record = Manifest(
            op=job.spec.name,
            kind=job.kind,
            source=self.source,
            targets=self.targets,
            digest=job.tree.digest,
            files={path: digest.of_text(content) for path, content in job.tree.files},
            libraries=libraries(job.plan, made),
            texts=texts(job.plan),
            flags=flags.KERNEL,
            reasons=job.reasons or (job.before.reasons if job.before else ()),
            environment=self.environment,
        )
        with self.cache.lock(digest.of_text(str(job.folder.resolve())), lambda seconds: None):
            install(job.tree, job.plan, made, record, job.folder)
        return self._built(record, job.folder, job.reasons, gone)

    def _built(self, record: Manifest, folder: Path, reasons: tuple[str, ...], gone: tuple[str, ...] = ()) -> Built:
        notes = gone
        if self.targets != ("numpy",) and self.torch is None:
            notes = (*notes, "its ATen adjoint was not built, because PyTorch is not installed (pip install torch)")
        libraries = tuple(sorted(record.libraries))
        return Built(record.op, folder, reasons, libraries, time.monotonic() - self.start, notes)

    def _gone(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Tell of packages of the same file whose operator it no longer defines."""
        if self.file is None:
            return ()
        return tuple(
            f"'{folder}' is left from an operator that {self.file} no longer defines (opgen clean {record.op})"
            for folder, record in self._packages()
            if _same(record.source, self.source) and record.op not in names
        )


def _written(source: str | Path | Implicit | Explicit) -> str:
    if isinstance(source, (str, Path)):
        return str(source)
    from opgen.loading.objects import describe

    return describe(source)


def _compiler(cache: Cache, march: str | None) -> tuple[Compiler | None, ToolchainError]:
    """Find the compiler; that there is none matters only if there is something to compile."""
    try:
        return find_compiler(cache, march), ToolchainError("")
    except ToolchainError as error:
        return None, error


def _same(one: Source, other: Source) -> bool:
    return one.file == other.file and one.name == other.name
