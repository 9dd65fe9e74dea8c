"""What `import opgen` offers besides the words of residual files."""

from __future__ import annotations

import atexit
import importlib.util
import shutil
import sys
import tempfile
from collections import namedtuple
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any

from opgen.build import digest, manifest
from opgen.errors import InternalError
from opgen.pipeline import Built, build

# Packages that this process has loaded: folder -> content.
_loaded: dict[Path, str] = {}


def load(
    path: str | PathLike[str],
    *,
    output: str | PathLike[str] = "generated",
    name: str | None = None,
    targets: Iterable[str] | None = None,
    force: bool = False,
) -> Any:
    """Build the ops of a residual file if needed and return the function, or a tuple of them.

    Args:
        path: The residual file.
        output: Folder in which the generated packages lie.
        name: Name of the op, where the file defines one only.
        targets: Frameworks to build for, such as ["tf", "numpy"]; those installed if left out.
        force: Build even if nothing changed.

    Returns:
        The function; if the file defines several ops, a named tuple of them.

    Raises:
        OpgenError: The residual, the toolchain or the compiler is at fault.
    """
    wanted = None if targets is None else tuple(targets)
    built = build(Path(path), name=name, output=Path(output), targets=wanted, force=force)
    functions = [_function(op) for op in built]
    if len(functions) == 1:
        return functions[0]
    return namedtuple("Operators", [op.name for op in built], rename=True)(*functions)


def _function(op: Built) -> Any:
    """Import a package under a name of its own, whatever else is called generated.<op>."""
    folder = op.folder.resolve()
    record = manifest.read(folder)
    if record is None:
        raise InternalError(f"'{folder}' has no manifest although it was built")
    content = digest.of_json([str(folder), record.digest, {name: made.key for name, made in record.libraries.items()}])
    module_name = f"_opgen_{op.name}_{content[:16]}"
    if module_name not in sys.modules:
        _import(module_name, _place(folder, op.name, content))
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


def _place(folder: Path, name: str, content: str) -> Path:
    """Return the folder to import from.

    The system knows a loaded library by its path: a process that loaded an earlier build would get that one again, so
    it loads later ones from copies.
    """
    if _loaded.setdefault(folder, content) == content:
        return folder
    copies = tempfile.TemporaryDirectory(prefix="opgen-")
    atexit.register(copies.cleanup)
    return Path(shutil.copytree(folder, Path(copies.name) / name, ignore=shutil.ignore_patterns("__pycache__")))
