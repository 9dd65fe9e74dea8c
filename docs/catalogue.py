"""Collect every message that opgen and its operators can give from the sources, and write docs/errors.md.

`python docs/catalogue.py` rewrites the page; tests/test_site.py fails when it is not current.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from opgen import errors

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
VARIES = "..."
MOST = 3  # forms of one sentence: beyond these its parts are written as what varies
OWN = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type) and issubclass(cls, errors.OpgenError)}
GENERATED = ("TypeError", "ValueError", "NotImplementedError", "ImportError", "RuntimeError", "warn")
STRING = r'"((?:[^"\\\n]|\\.)*)"'
LITERAL = re.compile(rf"{STRING}(?:\s*{STRING})*")
SIGNATURE = re.compile(r"[{}]| \* |\btol=0")  # of an operation, as TensorFlow and PyTorch are told it
FORMAT = re.compile(r"%(?:\.?\*?\d*)(?:ll|z)?[sdgu]")


class Texts:
    """The texts that an expression of a function may stand for, `...` where they vary."""

    def __init__(self, scope: ast.AST, module: ast.Module) -> None:
        self.assigned: dict[str, list[ast.expr]] = defaultdict(list)
        for node in [*module.body, *(() if scope is module else ast.walk(scope))]:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                self.assigned[node.targets[0].id].append(node.value)
            elif isinstance(node, ast.NamedExpr):
                self.assigned[node.target.id].append(node.value)

    def of(self, node: ast.expr, seen: frozenset[str] = frozenset()) -> list[str]:
        """List the texts of an expression; a name stands for what the function assigns to it."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.JoinedStr(values=parts):
                return self._joined([self.of(part, seen) for part in parts])
            case ast.BoolOp(op=ast.Or(), values=parts):
                return list(dict.fromkeys(text for part in parts for text in self.of(part, seen)))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([self.of(left, seen), self.of(right, seen)])
            case ast.IfExp(body=body, orelse=other):
                return list(dict.fromkeys([*self.of(body, seen), *self.of(other, seen)]))
            case ast.FormattedValue(value=ast.Name(id="NAME") | ast.Attribute(attr="NAME")):
                return ["op"]
            case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
                return self.of(value, seen)
            case ast.Name(id=name) if name in self.assigned and name not in seen:
                found = [self.of(value, seen | {name}) for value in self.assigned[name]]
                return list(dict.fromkeys(itertools.chain(*found)))
        return [VARIES]

    @staticmethod
    def _joined(parts: list[list[str]]) -> list[str]:
        if len(parts) and _product(parts) > MOST:
            parts = [part if len(part) == 1 else [VARIES] for part in parts]
        return ["".join(chosen) for chosen in itertools.product(*parts)]


def _product(parts: list[list[str]]) -> int:
    count = 1
    for part in parts:
        count *= len(part)
    return count


def calls(tree: ast.Module) -> Iterator[tuple[ast.AST, ast.Call]]:
    """Yield every call with the innermost function around it."""

    def walk(node: ast.AST, scope: ast.AST) -> Iterator[tuple[ast.AST, ast.Call]]:
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            if isinstance(child, ast.Call):
                yield scope, child
            yield from walk(child, inner)

    return walk(tree, tree)


def messages(files: Iterable[Path], classes: Iterable[str]) -> dict[str, set[str]]:
    """Collect the sentences with which the classes are made in Python files."""
    wanted, found = frozenset(classes), defaultdict(set)
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for scope, call in calls(tree):
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name not in wanted or not call.args or isinstance(call.args[0], ast.Starred):
                continue
            texts = Texts(scope, tree)
            parts = [texts.of(argument) for argument in call.args[: 1 if name == "warn" else 2]]
            for what, advice in itertools.product(parts[0], parts[1] if len(parts) > 1 else [""]):
                sentence = "; ".join(part for part in (what, advice) if part)
                if re.search(r"[A-Za-z]{2}", sentence.replace(VARIES, "").removeprefix("op:")):
                    found[name].add(re.sub(r"(\.\.\.)+", VARIES, " ".join(sentence.split())))
    return found


def written(headers: Iterable[Path]) -> set[str]:
    """Collect the parts of sentences in C++ headers: literals of three words and more."""
    found = set()
    for header in headers:
        code = re.sub(r"//[^\n]*|^\s*#[^\n]*|static_assert\([^;]*;", "", header.read_text(encoding="utf-8"), flags=re.M)
        for literal in LITERAL.finditer(code):
            text = "".join(part for part in re.findall(STRING, literal[0])).replace('\\"', '"').replace("\\n", " ")
            text = re.sub(r"(\.\.\.)+", VARIES, FORMAT.sub(VARIES, text)).strip(" ;:,([")
            if (
                len(re.findall(r"\b[A-Za-z]+\b", text)) >= 3
                and re.match(r"\.\.\. |[A-Za-z_]+:? [^,]*\w", text)
                and not SIGNATURE.search(text)
            ):
                found.add(text)
    return found


def listing(sentences: Iterable[str]) -> str:
    """Write sentences as a list of code, in the order of their first letters."""

    def code(text: str) -> str:
        return f"`` {text} ``" if "`" in text else f"`{text}`"

    def folded(text: str) -> str:
        return re.sub(r"^(op: )?\W*", "", text).casefold()

    return "\n".join(f"- {code(text)}" for text in sorted(sentences, key=lambda text: (folded(text), text)))


def page() -> str:
    """Write the whole page."""
    commands = messages(sorted((ROOT / "opgen").rglob("*.py")), OWN)
    packages = messages(sorted((ROOT / "generated").glob("*/*.py")), GENERATED)
    kernels = written(sorted((ROOT / "opgen" / "include").rglob("*.h")))
    text = [
        "# Every message",
        "This page is made from the sources by `docs/catalogue.py`; `...` stands for what varies. "
        "[failures.md](failures.md) explains the messages of calls, with causes and cures. "
        "Between what is wrong and what to do, a message of opgen says where: `in FILE` or `at FILE:LINE`.",
    ]
    text.append("## opgen")
    for name in sorted(commands, key=lambda name: (OWN[name].exit_code, name)):
        text.append(f"### {name}, exit status {OWN[name].exit_code}")
        text.append((OWN[name].__doc__ or "").splitlines()[0])
        text.append(listing(commands[name]))
    text += ["## Calls and imports of an operator", "`op` stands for the operator's name."]
    for name in sorted(packages):
        text += ["### Warnings" if name == "warn" else f"### {name}", listing(packages[name])]
    text += [
        "## Parts of the sentences of kernels and adapters",
        "A sentence about failing points is put together from these: how many points and where, the inputs there, why, "
        "and what to do. It comes as a `SolveError` from NumPy, an `InvalidArgumentError` from TensorFlow, a "
        "`RuntimeError` from PyTorch and JAX.",
        listing(kernels),
    ]
    return "\n\n".join(text) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
