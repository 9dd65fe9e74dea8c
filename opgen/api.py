"""What `import opgen` offers besides the words of residual files."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections import namedtuple
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from opgen.build import digest, manifest
from opgen.build.cache import open_cache
from opgen.errors import InternalError, UsageError
from opgen.pipeline import Built
from opgen.pipeline import build as run

if TYPE_CHECKING:
    from opgen.loading.define import Explicit, Implicit

    Source = str | PathLike[str] | Implicit | Explicit


def load(
    source: Source,
    *more: Source,
    output: str | PathLike[str] | None = None,
    name: str | None = None,
    targets: Iterable[str] | None = None,
    force: bool = False,
) -> Any:
    """Build operators if needed and return the function, or a tuple of them.

    Args:
        source: A residual file; or an operator as `opgen.Implicit` or `opgen.Explicit` defines it, in a notebook say,
            which is named after the variable that holds it.
        *more: Further ones.
        output: Folder in which the generated packages lie; if left out, "generated" for those of files, and opgen's
            cache for the others.
        name: Name of the operator, where there is only one.
        targets: Frameworks to build for, such as ["tf", "numpy"]; those installed if left out.
        force: Build even if nothing changed.

    Returns:
        The function; if there are several, a named tuple of them.

    Raises:
        OpgenError: The residual, the toolchain or the compiler is at fault.
    """
    wanted = None if targets is None else tuple(targets)
    sources = (source, *more)
    if name is not None and more:
        raise UsageError(f"name '{name}' is given for {len(sources)} sources", "load them one by one")
    built: list[Built] = []
    for one in sources:
        with _Line() as line:
            if isinstance(one, (str, PathLike)):
                folder = Path("generated" if output is None else output)
                made = run(Path(one), name=name, output=folder, targets=wanted, force=force, progress=line.show)
            else:
                home = _home(one)
                folder = home if output is None else Path(output)
                own = name or one.name or _variable(one)
                made = run(one, name=own, output=folder, targets=wanted, force=force, progress=line.show)
            line.end(made)
        built += made
    functions = [_function(op) for op in built]
    if len(functions) == 1:
        return functions[0]
    return namedtuple("Operators", [op.name for op in built], rename=True)(*functions)


def _variable(definition: Implicit | Explicit) -> str:
    """Find the name under which the caller knows a definition; those of IPython's history start with _."""
    caller: FrameType | None = sys._getframe(1)
    while caller is not None and str(caller.f_globals.get("__name__")).partition(".")[0] == "opgen":
        caller = caller.f_back
    for scope in (caller.f_locals, caller.f_globals) if caller else ():
        for name, value in scope.items():
            if value is definition and not name.startswith("_"):
                return name
    raise UsageError("the operator has no name", 'assign it to a variable before, or give one with name="..."')


def _home(definition: Implicit | Explicit) -> Path:
    """Return the folder in the cache for the packages of equal definitions."""
    from opgen.loading.objects import describe

    return open_cache().root / "operators" / digest.of_text(describe(definition))[:32]


def _function(op: Built) -> Any:
    """Import a package under a name of its own, whatever else is called generated.<op>."""
    folder = op.folder.resolve()
    record = manifest.read(folder)
    if record is None:
        raise InternalError(f"'{folder}' has no manifest although it was built")
    content = digest.of_json([str(folder), record.digest, {name: made.key for name, made in record.libraries.items()}])
    module_name = f"_opgen_{op.name}_{content[:16]}"
    if module_name not in sys.modules:
        _import(module_name, folder)
    return getattr(sys.modules[module_name], op.name)


def _import(name: str, folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise InternalError(f"'{folder}' cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


class _Line:
    """Show on one line what is being done, to a person at a terminal or a notebook, and to nobody else."""

    def __init__(self) -> None:
        notebook = "ipykernel" in sys.modules and type(sys.stderr).__module__.startswith("ipykernel")
        self.seen = notebook or (sys.stderr is not None and sys.stderr.isatty())
        self.width = 0

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.seen:
            text = text[: shutil.get_terminal_size().columns - 1]
            sys.stderr.write(f"\r{text.ljust(self.width)}")
            sys.stderr.flush()
            self.width = len(text)

    def end(self, built: Iterable[Built]) -> None:
        """Leave what was done, if anything was."""
        if done := [op for op in built if op.reasons]:
            self.show(f"{', '.join(op.name for op in done)}: built in {done[0].seconds:.1f} s")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.width:
            sys.stderr.write("\n")
