"""Put the page of an operator together."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from opgen.analyse.coupled import CoupledModel
from opgen.analyse.model import Model
from opgen.build.manifest import Manifest
from opgen.errors import UsageError
from opgen.lower.program import Program
from opgen.render.page import Listing, PageView, Stage, Typeset, render_page
from opgen.report import drawing, formulas
from opgen.report.drawing import Plot
from opgen.report.operator import open_operator
from opgen.report.sample import fit
from opgen.report.sections import Sections

_KINDS = {".cc": "C++", ".h": "C++", ".py": "Python", ".txt": "Text"}
_FIRST = ("src/kernel.cc", "src/aten_adjoint.cc")


@dataclass(frozen=True)
class Subject:
    """The operator that a report is about, as the stages of the chain left it.

    Attributes:
        facts: What was found about it: pairs of a heading and a sentence.
        record: What its package remembers of its build.
        folder: Its package.
    """

    model: Model | CoupledModel
    program: Program
    facts: tuple[tuple[str, str], ...]
    record: Manifest
    folder: Path


def check() -> None:
    """See that what a report needs is installed.

    Raises:
        UsageError: Something is not.
    """
    drawing.check()
    formulas.mathml("x")
    try:
        import pygments  # noqa: F401
    except ImportError:
        raise UsageError("a report needs Pygments, which is not installed", "pip install 'opgen[report]'") from None


def report(subject: Subject, tell: Callable[[str], None]) -> tuple[str, list[Plot]]:
    """Measure an operator and write the page about it.

    Args:
        subject: The operator.
        tell: Told what is being done.

    Returns:
        The page, and the drawings on it.
    """
    program, model, record = subject.program, subject.model, subject.record
    operator = fit(open_operator(subject.folder.resolve(), program.name), program.sample)
    has_aten = any(name.endswith("_aten.so") for name in record.libraries)
    made = Sections(operator, model, program.sample, record.targets, has_aten, tell)
    sections = tuple(made.all())
    tell("writing the page")
    light, dark = _highlighting()
    doc = " ".join(program.doc.split())
    page = PageView(
        name=program.name,
        title=doc or "; ".join(program.mathematics.equations),
        call=f"{', '.join(operator.outputs)} = {program.name}({', '.join(program.input_names)})",
        tags=_tags(subject),
        tiles=tuple(made.tiles),
        formulas=tuple(Typeset(f.label, f.mathml, f.text, f.long) for f in formulas.formulas(model)),
        adjoint=formulas.adjoint_formula(model.explicit),
        stages=_stages(subject),
        warnings=tuple(sentence for heading, sentence in subject.facts if heading == "warning"),
        sections=sections,
        listings=tuple(_listings(subject)),
        code_light=light,
        code_dark=dark,
        versions=_versions(record),
    )
    return render_page(page), made.plots


def _tags(subject: Subject) -> tuple[str, ...]:
    program = subject.program
    linear = () if program.explicit else ("linear",) if program.linear else ("not linear",)
    return (program.kind, *linear, *subject.record.targets, "float32, float64")


def _stages(subject: Subject) -> tuple[Stage, ...]:
    """Say what each stage of the chain made of the operator."""
    model, program, record = subject.model, subject.program, subject.record
    spec, source, environment = model.spec, subject.record.source, subject.record.environment
    given = ("guess", "bounds", "exact", "sample")
    said = [name for name in given if any(value is not None for value in getattr(spec, name))]
    where = f"{source.file.name}, line {spec.source.line}" if source.file and spec.source.line else None
    where = where or (source.file.name if source.file else f"the text {source.text!r}")
    found = tuple(pair for pair in subject.facts if pair[0] not in ("operations", "warning"))
    costs = tuple((heading, sentence) for heading, sentence in subject.facts if heading == "operations")
    lines = sum(len(_text(subject, path).splitlines()) for path in record.files)
    compiled = [path for path in record.files if path.endswith(".cc")]
    against = {
        name: "".join(f", linked to {n} {v}" for n, v in made.against) for name, made in record.libraries.items()
    }
    asked = ", ".join([*said, *(["auxiliary"] if spec.auxiliary else [])])
    libraries = tuple((name, _size(subject, name) + against[name]) for name in sorted(record.libraries))
    chain: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
        (
            "load",
            "Spec",
            (
                ("read from", where),
                ("inputs", ", ".join(program.input_names)),
                ("given", asked or "the formula alone"),
                ("sha256", source.digest[:16]),
            ),
        ),
        ("analyse", "Model", (("kind", program.kind), *found)),
        ("lower", "Program", (*costs, ("digest", program.digest[:16]))),
        ("render", "Tree", (("files", f"{len(record.files)}, {lines:,} lines"), ("for", ", ".join(record.targets)))),
        ("write", "Written", (("built because", "; ".join(record.reasons) or "it was not built before"),)),
        (
            "plan",
            "Plan",
            (
                ("compiler", environment.compiler or "none"),
                ("flags", " ".join(record.flags)),
                ("processor", f"-march={environment.march}" if environment.march else "any"),
                ("compiles", ", ".join(sorted(compiled))),
            ),
        ),
        ("build", "Artifact", libraries),
    )
    return tuple(Stage(*stage) for stage in chain)


def _size(subject: Subject, library: str) -> str:
    return f"{(subject.folder / 'lib' / library).stat().st_size / 1000:.0f} kB"


def _text(subject: Subject, path: str) -> str:
    return (subject.folder / path).read_text(encoding="utf-8")


def _listings(subject: Subject) -> Sequence[Listing]:
    """Highlight the residual file, the C++ and the Python."""
    source, files = subject.model.spec.source, subject.record.files
    ordered = [*(p for p in _FIRST if p in files), *(p for p in sorted(files, key=_rank) if p not in _FIRST)]
    made = [_listing(source.file or "the formula", source.text, ".txt" if source.expr else ".py")]
    made += [_listing(path, _text(subject, path), Path(path).suffix) for path in ordered if Path(path).suffix in _KINDS]
    return made


def _rank(path: str) -> tuple[bool, bool, str]:
    return (not path.startswith(("src/", "include/")), Path(path).name.startswith("test_"), path)


def _listing(path: str, text: str, suffix: str) -> Listing:
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.c_cpp import CppLexer
    from pygments.lexers.python import PythonLexer
    from pygments.lexers.special import TextLexer

    lexer = {"C++": CppLexer, "Python": PythonLexer}.get(_KINDS[suffix], TextLexer)()
    html = highlight(text, lexer, HtmlFormatter(nowrap=True))
    return Listing(path, len(text.splitlines()), f'<pre tabindex="0"><code>{html}</code></pre>')


def _highlighting() -> tuple[str, str]:
    """Return rules for the colours of code, in the light and in the dark."""
    from pygments.formatters.html import HtmlFormatter

    rules = []
    for style in ("default", "github-dark"):
        text = HtmlFormatter(style=style).get_style_defs(".code")
        # The page has its own background, and no line numbers.
        lines = [line for line in text.splitlines() if re.match(r"\.code \.\w+ \{", line)]
        rules.append("\n".join(re.sub(r";?\s*background-color: #\w+", "", line) for line in lines))
    return rules[0], rules[1]


def _versions(record: Manifest) -> tuple[tuple[str, str], ...]:
    found = [("Python", platform.python_version())]
    for name in ("numpy", "sympy", "torch", "tensorflow", "tensorflow-cpu", "jax"):
        try:
            found.append((name, metadata.version(name)))
        except metadata.PackageNotFoundError:
            continue
    return (
        ("processor", f"{_processor()}, {len(os.sched_getaffinity(0))} threads"),
        ("load", f"{os.getloadavg()[0]:.1f} processes at work or waiting, on average over the last minute"),
        ("system", platform.platform()),
        ("compiler", record.environment.compiler or "none"),
        ("versions", ", ".join(map(" ".join, found))),
    )


def _processor() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        match = None
    return match[1] if match else platform.machine()
