"""Execute a residual file as the small Python program that it is, and collect the operators that it defines."""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import site
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import sympy as sp

from opgen.errors import OpgenError, SpecError, UsageError, suggest
from opgen.loading.convert import to_spec
from opgen.loading.define import Explicit, Implicit
from opgen.loading.fault import explain
from opgen.loading.spec import Loaded, Source, Spec, is_name, short

_MODULE = "_opgen_residual"
_OPTIONS = (
    *("unknown", "inputs", "guess", "bounds", "exact", "sample", "constants", "auxiliary", "boundary"),
    *("tol", "max_iterations", "adjoint", "doc"),
)
# sys.path and sys.modules belong to the whole process: one file is executed at a time.
_ONE_AT_A_TIME = threading.RLock()


def load_file(path: str | Path, name: str | None = None) -> Loaded:
    """Load the operators that a residual file defines.

    Args:
        path: The file.
        name: Name of the operator where the file defines only one.

    Raises:
        SpecError: The file cannot be read or executed, or what it defines is not an operator.
        UsageError: The name does not fit.
    """
    path = Path(path)
    if name is not None and not is_name(name):
        raise UsageError(f"name '{name}' is not a Python identifier", "choose another with --name")
    text = _read(path)
    module, dependencies = _execute(path, text)
    specs = _specs(module, path, text, name)
    return Loaded(specs, dependencies)


def _read(path: Path) -> str:
    if path.is_dir():
        raise SpecError(f"'{path}' is a folder", "name a residual file in it")
    if not path.exists():
        raise SpecError(f"there is no file '{path}'", _nearby(path))
    if path.suffix != ".py":
        raise SpecError(f"'{path}' is not a Python file", "residual files end in .py")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise SpecError(f"'{path}' cannot be read: {reason}", "check its permissions") from None
    except UnicodeDecodeError as error:
        raise SpecError(f"'{path}' is not UTF-8 text (byte {error.start})", "save it as UTF-8") from None
    if not text.strip():
        raise SpecError(f"'{path}' is empty", "define residual in it, or start from opgen init")
    return text


def _nearby(path: Path) -> str:
    """Suggest the file that was meant."""
    if not path.parent.is_dir():
        return f"there is no folder '{path.parent}' either"
    names = sorted(other.name for other in path.parent.glob("*.py"))
    folder = "this folder" if path.parent == Path() else f"'{path.parent}'"
    held = f"{folder} holds {', '.join(names[:5])}" if names else f"{folder} holds no .py file; start from opgen init"
    return suggest(path.name, names) or held


def _execute(path: Path, text: str) -> tuple[ModuleType, tuple[Path, ...]]:
    """Run the file in a fresh module and return it with the local files that it imported."""
    module = ModuleType(_MODULE)
    module.__file__ = str(path)
    with _ONE_AT_A_TIME, _guest(path.resolve().parent, module) as before, contextlib.redirect_stdout(sys.stderr):
        try:
            exec(compile(text, str(path), "exec", dont_inherit=True), module.__dict__)
        except (Exception, SystemExit) as error:
            raise explain(error, path, module.__dict__, _is_local) from None
        imported = {file for name, file in _sources() if name not in before}
    imported.discard(path.resolve())
    return module, tuple(sorted(imported))


@contextlib.contextmanager
def _guest(folder: Path, module: ModuleType) -> Iterator[dict[str, ModuleType]]:
    """Let a file of a folder import its neighbours afresh, and leave the process as it was found."""
    path, bytecode = sys.path[:], sys.dont_write_bytecode
    # Neighbours imported earlier step aside, so that they are read again, with the edits since.
    hidden = {name: sys.modules.pop(name) for name, file in _sources() if file.is_relative_to(folder)}
    before = dict(sys.modules)
    sys.modules[_MODULE] = module
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield before
    finally:
        sys.path[:], sys.dont_write_bytecode = path, bytecode
        sys.modules.pop(_MODULE, None)
        for name, file in _sources():
            if name not in before and file.is_relative_to(folder):
                del sys.modules[name]
        sys.modules.update(hidden)


def _sources() -> list[tuple[str, Path]]:
    """Return name and file of each imported module that the user may edit."""
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name not in ("__main__", _MODULE) and isinstance(file, str) and file.endswith(".py") and _is_local(file):
            found.append((name, Path(file).resolve()))
    return found


def _library_folders() -> tuple[Path, ...]:
    """Return the folders of installed code, opgen's own among them."""
    folders = [sysconfig.get_path(key) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent.parent)]
    return tuple(Path(folder).resolve() for folder in folders)


_LIBRARIES = _library_folders()


@functools.cache
def _is_local(file: str) -> bool:
    """Return whether a file belongs to the user and not to Python, an installed package or opgen."""
    path = Path(file).resolve()
    return path.is_file() and not any(path.is_relative_to(folder) for folder in _LIBRARIES)


def _specs(module: ModuleType, path: Path, text: str, name: str | None) -> tuple[Spec, ...]:
    """Convert everything that an executed file defines."""
    variables = {key: value for key, value in vars(module).items() if not key.startswith("__")}
    order = [symbol for value in variables.values() for symbol in _symbols(value)]
    definitions: list[tuple[str, Implicit | Explicit, int | None]] = []
    if "residual" in variables and not isinstance(variables["residual"], (Implicit, Explicit)):
        definitions.append((name or path.stem, _short_form(module, variables, path), _line_of("residual", text)))
    seen: set[int] = set()
    for variable, value in variables.items():
        if isinstance(value, (Implicit, Explicit)) and id(value) not in seen:
            seen.add(id(value))
            definitions.append((variable if value.name is None else value.name, value, value.place.line))
    if not definitions:
        raise _nothing_defined(variables).at(str(path))
    if name is not None and len(definitions) > 1:
        names = ", ".join(short(definition[0]) for definition in definitions)
        raise UsageError(f"name '{name}' is given for {len(definitions)} operators ({names})", "leave out --name")
    specs: list[Spec] = []
    for own_name, definition, line in definitions:
        source = Source(path.name, text, line, expr=False)
        try:
            _check_name(name or own_name, path, [spec.name for spec in specs])
            specs.append(to_spec(definition, name or own_name, source, order))
        except OpgenError as error:
            elsewhere = definition.place.file != str(path) and definition.place.file != __file__
            raise error.at(definition.place.file if elsewhere else str(path), line) from None
    return tuple(specs)


def _check_name(name: object, path: Path, taken: list[str]) -> None:
    if not isinstance(name, str):
        raise SpecError(f"name is {short(name)}", "give a text")
    if not is_name(name):
        what = "file name" if name == path.stem else "name"
        better = "".join(letter if f"a{letter}".isidentifier() else "_" for letter in name)
        better = better if is_name(better) else f"op_{better}"
        raise SpecError(f"{what} '{name}' is not a Python identifier", f"give the operator another: --name {better}")
    if name in taken:
        raise SpecError(f"two operators are named '{name}'", "rename one of them")


def _short_form(module: ModuleType, variables: dict[str, object], path: Path) -> Implicit:
    """Read the short form: the options of Implicit as variables of the module."""
    # After `from sympy import *` the module has SymPy's own `adjoint`, which the user never meant.
    options = {key: variables[key] for key in _OPTIONS if key in variables and variables[key] is not vars(sp).get(key)}
    # An input may be called like an option: a symbol of the same name is the input.
    options = {key: value for key, value in options.items() if not (isinstance(value, sp.Symbol) and value.name == key)}
    if "unknown" not in options and "unknowns" in variables:
        raise SpecError("'unknowns' is defined, but means nothing", "did you mean 'unknown'?").at(str(path))
    options.setdefault("doc", inspect.cleandoc(module.__doc__ or ""))
    return Implicit(variables["residual"], **options)


def _symbols(value: object) -> Iterator[sp.Symbol | sp.IndexedBase]:
    """Yield the symbols and arrays that a variable binds, those of lists and tuples in order."""
    if isinstance(value, (sp.Symbol, sp.IndexedBase)):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _symbols(item)


def _line_of(variable: str, text: str) -> int | None:
    """Return the line of the last statement that binds a variable."""
    lines = [
        node.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and node.id == variable and isinstance(node.ctx, ast.Store)
    ]
    return max(lines, default=None)


def _nothing_defined(variables: dict[str, object]) -> SpecError:
    what = "no residual is defined"
    for key, value in variables.items():
        near = suggest(key, ["residual"])
        if near and not isinstance(value, ModuleType):
            return SpecError(f"{what}, only '{key}'", near)
    return SpecError(what, "define residual, or objects of opgen.Implicit or opgen.Explicit")
