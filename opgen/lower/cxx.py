"""Nodes -> lines of C++."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from opgen.lower.graph import Node

# A value whose text is longer than this gets a name, for the reader's sake.
LONGEST_INLINE = 72
# A sum goes on in the next line.
LONGEST_LINE = 96

SUM, PRODUCT, UNARY, PRIMARY = range(4)


@dataclass(frozen=True)
class Code:
    """Straight-line code: statements, then the text of each result."""

    lines: tuple[str, ...]
    results: tuple[str, ...]


def invariants(roots: Iterable[Node], known: frozenset[str]) -> tuple[Node, ...]:
    """Find the largest subexpressions that depend on the known symbols alone, in the order of their first use."""
    depends: dict[Node, bool] = {}
    found: dict[Node, None] = {}

    def is_known(node: Node) -> bool:
        if node not in depends:
            if node.op == "symbol":
                depends[node] = node.args[0] in known
            else:
                depends[node] = all(is_known(c) for c in node.children)
        return depends[node]

    def walk(node: Node) -> None:
        if is_known(node):
            condition = node.op in ("compare", "and", "or", "not")
            if not node.atomic and not condition and _symbols(node):
                found.setdefault(node)
            elif condition:
                for child in node.children:
                    walk(child)
            return
        for child in node.children:
            walk(child)

    for root in roots:
        walk(root)
    return tuple(found)


def _symbols(node: Node) -> bool:
    return node.op == "symbol" or any(_symbols(c) for c in node.children)


class Emitter:
    """Writes values as C++, each shared one computed once and named `prefix`0, `prefix`1, ...

    Args:
        roots: everything that will be written, so that it is known what is shared.
        named: values that have a name already.
        prefix: of the names made here.
        real: the C++ type of a value.
    """

    def __init__(self, roots: Sequence[Node], named: Mapping[Node, str], prefix: str, real: str = "Real") -> None:
        self.names = dict(named)
        self.prefix, self.real = prefix, real
        self._uses: Counter[Node] = Counter(roots)
        self._lines: list[str] = []
        self._made = 0
        self._texts: dict[Node, tuple[str, int]] = {}
        seen: set[Node] = set()

        def count(node: Node) -> None:
            if node in seen or node in self.names:
                return
            seen.add(node)
            for child in node.children:
                self._uses[child] += 1
                count(child)

        for root in roots:
            count(root)

    def code(self, roots: Sequence[Node]) -> Code:
        """Write the computation of `roots`, without what was written before."""
        self._lines = []
        results = tuple(self._text(root, SUM) for root in roots)
        return Code(tuple(self._lines), results)

    def _text(self, node: Node, level: int) -> str:
        written, own = self._render(node)
        return written if own >= level else f"({written})"

    def _render(self, node: Node) -> tuple[str, int]:
        if node in self.names:
            return self.names[node], PRIMARY
        if node in self._texts:
            return self._texts[node]
        written, level = self._write(node)
        if not node.atomic and node.op not in CONDITIONS and (self._uses[node] > 1 or len(written) > LONGEST_INLINE):
            name = f"{self.prefix}{self._made}"
            self._made += 1
            self._lines.append(f"const {self.real} {name} = {written};")
            self.names[node] = name
            return name, PRIMARY
        self._texts[node] = written, level
        return self._texts[node]

    def _write(self, node: Node) -> tuple[str, int]:
        a, c, text = node.args, node.children, self._text
        match node.op:
            case "number":
                return literal(float(a[0])), PRIMARY  # type: ignore[arg-type]
            case "symbol":
                return str(a[0]), PRIMARY
            case "truth":
                return ("true" if a[0] else "false"), PRIMARY
            case "neg":
                return "-" + text(c[0], UNARY), UNARY
            case "add":
                out = text(c[0], SUM)
                for term in c[1:]:
                    minus = term.op == "neg" and term not in self.names and self._uses[term] == 1
                    more = f"- {text(term.children[0], PRODUCT)}" if minus else f"+ {text(term, PRODUCT)}"
                    fits = len(out) - out.rfind("\n") + len(more) < LONGEST_LINE
                    out += f" {more}" if fits else f"\n        {more}"
                return out, SUM
            case "mul":
                return " * ".join([text(c[0], PRODUCT), *(text(f, UNARY) for f in c[1:])]), PRODUCT
            case "div":
                return f"{text(c[0], PRODUCT)} / {text(c[1], UNARY)}", PRODUCT
            case "power":
                return f"power<{a[1]}>({text(c[0], SUM)})", PRIMARY
            case "call":
                return f"{a[0]}({', '.join(text(x, SUM) for x in c)})", PRIMARY
            case "select":
                return f"select({', '.join(text(x, SUM) for x in c)})", PRIMARY
            case "compare":
                return f"{text(c[0], SUM)} {a[0]} {text(c[1], SUM)}", SUM
            case "and" | "or":
                return (" & " if node.op == "and" else " | ").join(f"({text(x, SUM)})" for x in c), SUM
            case "not":
                return f"!({text(c[0], SUM)})", PRIMARY
        raise ValueError(f"no C++ for a {node.op}")


CONDITIONS = ("compare", "and", "or", "not")


def literal(value: float) -> str:
    """Write a double so that it reads back exactly.

    Whole numbers below 2^53 keep a decimal point: 3.0, never 3.
    """
    return repr(float(value))


def string(value: str) -> str:
    """Write text as a C++ string literal, whatever it contains."""
    out = []
    for byte in value.encode("utf-8"):
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'
