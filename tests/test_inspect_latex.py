"""opgen inspect --latex: what it prints is read back, and means what the operator computes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import sympy as sp

from opgen.analyse import analyse
from opgen.cli import main
from opgen.commands.latex import latex
from opgen.loading import load_file, load_text
from opgen.loading.text import parse

EXAMPLES = Path(__file__).parent.parent / "examples"


def lines(text: str) -> list[str]:
    """Return the lines of the environment, those that go on in the next joined."""
    assert text.count("\\begin{align}") == text.count("\\end{align}") == 1
    body = text.partition("\\begin{align}\n")[2].partition("\n\\end{align}")[0]
    return re.sub(r" \\\\\n  &\\quad ", " ", body).split(" \\\\\n")


def formulas(text: str) -> dict[str, sp.Expr]:
    """Read the lines that are formulas back, by their left-hand sides."""
    found = {}
    for line in lines(text):
        left, right = line.strip().split(" &= ")
        if not re.search(r"\\(bar|lambda|mu|mathsf)", line) and "mathrm{d}" not in left:
            found[left] = parse("{" + right.removesuffix(" = 0") + "}")[0]
    return found


def same(found: sp.Expr, wanted: sp.Expr) -> bool:
    # SymPy sets k1 as k with an index.
    names = {s: sp.Symbol(s.name.replace("_", ""), positive=True) for e in (found, wanted) for s in e.free_symbols}
    return sp.simplify(found.xreplace(names) - wanted.xreplace(names)) == 0


@pytest.mark.parametrize("name", ["cuberoot", "kepler", "sagitta", "ramberg_osgood"])
def test_formulas_are_read_back(name: str) -> None:
    (spec, *_) = load_file(EXAMPLES / name / f"{name}.py").specs
    model = analyse(spec)
    found = list(formulas(latex(spec)).values())
    wanted = [model.residuals[0], *(() if model.explicit else model.by_unknown[0]), *model.by_input[0]]
    for value, by_unknown, by_input in zip(
        model.auxiliary, model.auxiliary_by_unknown, model.auxiliary_by_input, strict=True
    ):
        wanted += [value, *(slope for slope in (*by_unknown, *by_input) if slope != 0)]
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert same(one, other)


def test_the_total_derivative_and_the_adjoint() -> None:
    (spec,) = load_text("y**2 - a*x", "root").specs
    text = latex(spec)
    (total,) = [line for line in lines(text) if "mathrm{d} x" in line]
    assert same(parse(total.rpartition(" = ")[2])[0], parse("a/(2*y)")[0])
    assert r"\frac{\partial F}{\partial y} \lambda &= \bar{y}" in text
    assert r"\bar{x} &= -\frac{\partial F}{\partial x} \lambda" in text


def test_letters_of_the_user_are_not_used_twice() -> None:
    (spec,) = load_text("y**2 - F*lambda", "root").specs
    text = latex(spec)
    assert r"R(F, \lambda, y) &= " in text
    assert r"\frac{\partial R}{\partial y} \mu &= \bar{y}" in text


def test_exponentials_are_no_power_of_a_symbol() -> None:
    (spec,) = load_text("y - e*exp(-y) - Tr", "op").specs
    assert r"\mathrm{e}^{- y}" in latex(spec)
    assert r"\mathit{Tr}" in latex(spec)


def test_systems_are_vectors_and_matrices() -> None:
    (spec, *_) = load_file(EXAMPLES / "robertson" / "robertson.py").specs
    text = latex(spec)
    model = analyse(spec)
    (matrix,) = [line for line in lines(text) if line.strip().startswith(r"\mathbf{F}_{\mathbf{y}} &=")]
    rows = [row.split(" & ") for row in re.findall(r"\\begin{pmatrix} (.*) \\end{pmatrix}", matrix)[0].split(r" \\ ")]
    for row, wanted in zip(rows, model.by_unknown, strict=True):
        for entry, value in zip(row, wanted, strict=True):
            assert same(parse("{" + entry + "}")[0], value)
    assert r"\mathbf{F}_{\mathbf{y}}^{\mathsf{T}} \boldsymbol{\lambda} &= \bar{\mathbf{y}}" in text


def test_fields_show_their_stencil() -> None:
    (spec, *_) = load_file(EXAMPLES / "bratu" / "bratu.py").specs
    text = latex(spec)
    assert r"\frac{\partial F_{i}}{\partial {u}_{i - 1}} &= \frac{1}{h^{2}}" in text
    assert (
        r"\frac{\partial F_{i}}{\partial {u}_{i}} &= \mathrm{e}^{{u}_{i}} {\mathit{lam}}_{i} - \frac{2}{h^{2}}" in text
    )
    assert r"\left(\frac{\partial F}{\partial u}\right)^{\mathsf{T}} \lambda &= \bar{u}" in text


def test_sums_say_what_they_run_over() -> None:
    (spec,) = load_file(EXAMPLES / "linear_solve" / "linear_solve.py").specs
    entries = [line for line in lines(latex(spec)) if r"\quad" in line]
    assert entries
    assert all(re.search(r"\\quad [a-z] = 0, \\dots, n - 1$", line) for line in entries)


def test_long_sums_are_broken() -> None:
    (spec,) = load_text(" + ".join(f"sin({n}*y)*exp(x*{n})" for n in range(1, 12)), "long").specs
    text = latex(spec)
    assert r"  &\quad + " in text
    assert all(len(line) < 200 for line in text.splitlines())
    assert same(next(iter(formulas(text).values())), spec.equations[0])


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*/*.py")), ids=lambda path: path.stem)
def test_every_example_is_balanced(file: Path) -> None:
    if file.stem != file.parent.name:
        pytest.skip("a program that uses the operator")
    for spec in load_file(file).specs:
        text = latex(spec)
        for opening, closing in (("{", "}"), (r"\left", r"\right"), (r"\begin", r"\end")):
            assert text.count(opening) == text.count(closing)
        assert all(
            line.count("&=") + line.count("&\\quad") == 1
            for line in lines(text)
            if "pmatrix" not in line and "cases" not in line
        )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(tmp_path: Path) -> None:
    specs = load_file(EXAMPLES / "bratu" / "bratu.py").specs + load_file(EXAMPLES / "kepler" / "kepler.py").specs
    body = "\n\n".join(map(latex, specs))
    document = f"\\documentclass{{article}}\n\\usepackage{{amsmath}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "paper.tex").write_text(document)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--latex", "--expr", r"x^2 - \frac{y^3}{1+x}"]) == 0
    out = capsys.readouterr().out
    assert r"F(x, y) &= x^{2} - \frac{y^{3}}{x + 1} = 0" in out
    assert main(["inspect", "--latex", "--json", "--expr", "x-y"]) == 2
    assert capsys.readouterr().err == "opgen: --latex is given with --json; leave out one of them\n"
