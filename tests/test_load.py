"""Residual files: what is read from them, and the sentence for everything that can be wrong in one."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import sympy as sp

from opgen.errors import OpgenError, SpecError, UnsupportedError, UsageError
from opgen.loading import Spec, load_file

HEAD = "import sympy as sp\nimport opgen\nx, y, z, k = sp.symbols('x y z k', real=True)\n"
x, y, z, k = sp.symbols("x y z k", real=True)


def write(folder: Path, text: str, name: str = "op.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, body: str, name: str | None = None) -> tuple[Spec, ...]:
    return load_file(write(folder, HEAD + body), name).specs


def only(folder: Path, body: str) -> Spec:
    (spec,) = load(folder, body)
    return spec


# What is read


def test_short_form(tmp_path: Path) -> None:
    text = "from sympy import symbols\nx, y = symbols('x y', positive=True)\nresidual = x**2 - y**3 / (1 + x)\n"
    loaded = load_file(write(tmp_path, text, "cuberoot.py"))
    (spec,) = loaded.specs
    px, py = sp.symbols("x y", positive=True)
    assert (spec.name, spec.explicit, spec.unknowns, spec.inputs) == ("cuberoot", False, (py,), (px,))
    assert spec.equations == (px**2 - py**3 / (1 + px),)
    assert (spec.guess, spec.bounds, spec.exact, spec.sample) == ((None,), (None,), (None,), (None,))
    assert (spec.tol, spec.max_iterations, spec.adjoint, spec.doc, spec.auxiliary) == (None, 50, "auto", "", ())
    assert (spec.source.file, spec.source.text, spec.source.line, spec.source.expr) == ("cuberoot.py", text, 3, False)
    assert loaded.dependencies == ()
    assert load_file(tmp_path / "cuberoot.py", "root").specs[0].name == "root"


def test_full_form(tmp_path: Path) -> None:
    kepler, sagitta = load(
        tmp_path,
        """M, e, E, R, c = sp.symbols("M e E R c", real=True)
kepler = opgen.Implicit(
    residual=E - e * sp.sin(E) - M, unknown=E, inputs=[M, e], guess=M + e * sp.sin(M), bounds=(M - e, M + e),
    exact=None, sample={M: (0, 2 * sp.pi), "e": (0, 0.9)}, constants={}, auxiliary={"r": 1 - e * sp.cos(E)},
    tol=None, max_iterations=50, adjoint="auto", doc="Kepler's equation.",
)
again = kepler
sagitta = opgen.Explicit({"s": R - sp.sqrt(R**2 - c**2 / 4)}, inputs=[R, c])
""",
    )
    M, e, E, R, c, s = sp.symbols("M e E R c s", real=True)
    assert (kepler.name, kepler.unknowns, kepler.inputs, kepler.source.line) == ("kepler", (E,), (M, e), 5)
    assert kepler.guess == (M + e * sp.sin(M),)
    assert kepler.bounds == ((M - e, M + e),)
    assert kepler.sample == ((0.0, float(2 * sp.pi)), (0.0, 0.9))
    assert kepler.auxiliary == (("r", 1 - e * sp.cos(E)),)
    assert kepler.doc == "Kepler's equation."
    assert (sagitta.name, sagitta.explicit, sagitta.unknowns, sagitta.inputs) == ("sagitta", True, (s,), (R, c))
    assert sagitta.equations == (R - sp.sqrt(R**2 - c**2 / 4),)
    assert sagitta.source.line == 11


def test_both_forms_in_one_file(tmp_path: Path) -> None:
    assert [s.name for s in load(tmp_path, "residual = x - y\nother = opgen.Explicit({'s': x})")] == ["op", "other"]


def test_explicit_outputs_may_be_symbols_and_several(tmp_path: Path) -> None:
    spec = only(tmp_path, "f = opgen.Explicit({z: x + k, 'w': x * k}, auxiliary={'t': z + x})")
    assert spec.unknowns == (z, sp.Symbol("w", real=True))
    assert (spec.inputs, spec.auxiliary) == ((x, k), (("t", z + x),))


def test_system(tmp_path: Path) -> None:
    spec = only(
        tmp_path,
        "residual = [sp.Eq(y + z, x), y - z * k]\nunknown = [y, z]\nguess = {'y': x / 2}\n"
        "bounds = {z: (0, sp.oo)}\nexact = {y: x, z: k}\ndoc = 'Two.'",
    )
    assert spec.equations == (y + z - x, y - z * k)
    assert (spec.unknowns, spec.inputs) == ((y, z), (x, k))
    assert (spec.guess, spec.bounds, spec.exact) == ((x / 2, None), (None, (sp.S.Zero, sp.oo)), (x, k))


def test_inputs_follow_the_order_of_definition(tmp_path: Path) -> None:
    body = "b, a = sp.symbols('b a')\nresidual = a + b + x + y + sum(sp.symbols('q p'))"
    assert [s.name for s in only(tmp_path, body).inputs] == ["x", "b", "a", "p", "q"]


def test_constants_are_folded_everywhere(tmp_path: Path) -> None:
    spec = only(tmp_path, "residual = k*x - y\nconstants = {k: 2}\nguess = k\nauxiliary = {'r': k + y}")
    assert (spec.equations, spec.inputs, spec.guess, spec.auxiliary) == ((2 * x - y,), (x,), (2,), (("r", y + 2),))


def test_unused_inputs_are_allowed(tmp_path: Path) -> None:
    assert only(tmp_path, "residual = x - y\ninputs = [x, k]").inputs == (x, k)


def test_open_bounds(tmp_path: Path) -> None:
    bounds = only(tmp_path, "residual = x - y\nbounds = (None, float('inf'))").bounds
    assert bounds == ((-sp.oo, sp.oo),)


def test_a_symbol_may_be_called_like_an_option(tmp_path: Path) -> None:
    spec = only(tmp_path, "tol, guess = sp.symbols('tol guess')\nresidual = tol + guess - y")
    assert [s.name for s in spec.inputs] == ["tol", "guess"]


def test_docstring_is_the_doc_of_the_short_form(tmp_path: Path) -> None:
    path = write(tmp_path, '"""Doubles x."""\n' + HEAD + "residual = y - 2*x")
    assert load_file(path).specs[0].doc == "Doubles x."


def test_name_for_an_object(tmp_path: Path) -> None:
    assert load(tmp_path, "a = opgen.Explicit({'s': x})", "b")[0].name == "b"
    assert load(tmp_path, "a = opgen.Explicit({'s': x}, name='c')")[0].name == "c"


def test_cancelled_symbols_are_seen(tmp_path: Path) -> None:
    assert only(tmp_path, "residual = (x + k)*y - k*y - 1").inputs == (x,)


def test_large_powers_are_not_multiplied_out(tmp_path: Path) -> None:
    assert only(tmp_path, "residual = ((x + y + k)**50 + 1)**50 - z").unknowns == (y,)


# The file as a program


def test_imports_of_neighbours(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    helper = write(tmp_path, "factor = 2\n", "near_helper.py")
    path = write(tmp_path, HEAD + "from near_helper import factor\nprint('hello')\nresidual = factor*x - y\n")
    before = (list(sys.path), sys.dont_write_bytecode, set(sys.modules))
    loaded = load_file(path)
    assert loaded.dependencies == (helper.resolve(),)
    assert loaded.specs[0].equations == (2 * x - y,)
    helper.write_text("factor = 3\n")
    assert load_file(path).specs[0].equations == (3 * x - y,)
    assert (list(sys.path), sys.dont_write_bytecode, set(sys.modules)) == before
    assert not list(tmp_path.rglob("__pycache__"))
    assert capfd.readouterr() == ("", "hello\nhello\n")


def test_neighbours_imported_before_are_seen_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = write(tmp_path, "factor = 2\n", "early_helper.py")
    monkeypatch.syspath_prepend(str(tmp_path))
    import early_helper  # type: ignore[import-not-found]

    helper.write_text("factor = 5\n")
    loaded = load_file(write(tmp_path, HEAD + "from early_helper import factor\nresidual = factor*x - y\n"))
    assert loaded.specs[0].equations == (5 * x - y,)
    assert loaded.dependencies == (helper.resolve(),)
    assert sys.modules["early_helper"] is early_helper
    del sys.modules["early_helper"]


def test_definition_in_a_neighbour_is_located_there(tmp_path: Path) -> None:
    write(tmp_path, HEAD + "bad = opgen.Implicit(x - y, max_iterations=0)\n", "far_helper.py")
    with pytest.raises(SpecError, match=r"max_iterations is 0 at .*far_helper\.py:4; give at least 1"):
        load(tmp_path, "from far_helper import bad")


def test_utf8_with_mark(tmp_path: Path) -> None:
    path = tmp_path / "θ.py"
    path.write_text("import sympy as sp\nθ, y = sp.symbols('θ y')\nresidual = θ - y", encoding="utf-8-sig")
    assert load_file(path).specs[0].name == "θ"


FILES: list[tuple[str, bytes | None, str]] = [
    ("cuberot.py", None, r"there is no file '.*cuberot\.py'; did you mean 'cuberoot\.py'\?"),
    ("zzzzzzzz.py", None, r"there is no file '.*zzzzzzzz\.py'; '.*' holds cuberoot\.py"),
    ("no/such.py", None, r"there is no file '.*such\.py'; there is no folder '.*no' either"),
    ("a.txt", b"x", r"'.*a\.txt' is not a Python file; residual files end in \.py"),
    ("a.py", b" \n", r"'.*a\.py' is empty; define residual in it, or start from opgen init"),
    ("a.py", b"x = '\xff'", r"'.*a\.py' is not UTF-8 text \(byte 5\); save it as UTF-8"),
    ("a.py", b"x = '\0'", r"null bytes.* a(t|n) .*a\.py|null bytes"),
    ("a.py", b"x = = 1", r"SyntaxError: invalid syntax at .*a\.py:1; correct the Python near column 5"),
    ("a.py", b"def f():\nreturn 1", r"IndentationError: .* at .*a\.py:2"),
    (
        "a.py",
        b"\nraise SystemExit(3)",
        r"the file ended Python by SystemExit at .*a\.py:2; a residual file only defines",
    ),
    ("a.py", b"\n\n1/0", r"ZeroDivisionError: division by zero at .*a\.py:3"),
    ("a.py", b"assert False", r"AssertionError at .*a\.py:1"),
    ("a.py", b"import no_such_thing", r"ModuleNotFoundError: No module named 'no_such_thing' at .*a\.py:1; install it"),
    ("a.py", b"y = sqrt(2)", r"NameError: name 'sqrt' is not defined at .*a\.py:1; add 'from sympy import sqrt'"),
    ("a.py", b"alpha = 1\nb = alhpa", r"NameError: name 'alhpa' is not defined at .*a\.py:2; did you mean 'alpha'\?"),
    ("a.py", b"b = lenn('a')", r"NameError: .* did you mean 'len'\?"),
    ("a.py", b"b = qqqqqqqqq", r"NameError: .*; define it before it is used"),
    ("a.py", b"import sympy\nsympy.symbls('x')", r"AttributeError: .* at .*a\.py:2; did you mean 'symbols'\?"),
    ("a.py", b"from sympy import symbls", r"ImportError: cannot import .* at .*a\.py:1; did you mean 'symbols'\?"),
    ("a.py", b"import opgen\nopgen.Implicit(residul=1)", r"TypeError: .*'residul' at .*:2; did you mean 'residual'\?"),
    ("a.py", b"import opgen\nopgen.Explicit({}, qqqq=1)", r"TypeError: .*'qqqq' at .*:2; it takes outputs, inputs"),
    ("a.py", b"def f():\n    f()\nf()", r"RecursionError: .* at .*a\.py:2; does a function call itself without end\?"),
    (
        "a.py",
        b"import sympy as sp\nx = sp.Symbol('x')\nif x > 0:\n    pass",
        r"TypeError: cannot determine truth value.* at .*a\.py:3; use sympy\.Piecewise, Min or Max",
    ),
    ("a.py", b"x = 1", r"no residual is defined in .*a\.py; define residual, or objects of opgen\.Implicit"),
    ("a.py", b"residuals = 1", r"no residual is defined, only 'residuals' in .*a\.py; did you mean 'residual'\?"),
    ("a.py", b"Residual = 1", r"no residual is defined, only 'Residual' in .*a\.py; did you mean 'residual'\?"),
    (
        "a.py",
        b"residual = 1\nunknowns = 2",
        r"'unknowns' is defined, but means nothing in .*; did you mean 'unknown'\?",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), FILES)
def test_file_messages(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is None:
        write(tmp_path, "x = 1", "cuberoot.py")
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError) as caught:
        load_file(tmp_path / name)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_folder(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"is a folder; name a residual file in it"):
        load_file(tmp_path)


def test_fault_in_a_neighbour_is_located_there(tmp_path: Path) -> None:
    write(tmp_path, "\nraise ValueError('no good')\n", "broken_helper.py")
    with pytest.raises(SpecError, match=r"ValueError: no good at .*broken_helper\.py:2"):
        load(tmp_path, "import broken_helper")


def test_interrupt_passes(tmp_path: Path) -> None:
    path = list(sys.path)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path, "raise KeyboardInterrupt")
    assert sys.path == path


def test_names(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"file name 'my-op' is not a Python identifier at .*; .*--name my_op"):
        load_file(write(tmp_path, HEAD + "residual = x - y", "my-op.py"))
    with pytest.raises(SpecError, match=r"file name '2nd' is not a Python identifier at .*; .*--name op_2nd"):
        load_file(write(tmp_path, HEAD + "residual = x - y", "2nd.py"))
    assert load_file(tmp_path / "my-op.py", "fine").specs[0].name == "fine"
    with pytest.raises(UsageError, match=r"name 'a b' is not a Python identifier; choose another with --name"):
        load_file(tmp_path / "my-op.py", "a b")
    with pytest.raises(UsageError, match=r"name 'c' is given for 2 operators \(a, b\); leave out --name"):
        load(tmp_path, "a = opgen.Explicit({'s': x})\nb = opgen.Explicit({'s': x})", "c")
    with pytest.raises(SpecError, match=r"two operators are named 'op' at .*:5; rename one of them"):
        load(tmp_path, "residual = x - y\nop = opgen.Explicit({'s': x})")
    with pytest.raises(SpecError, match=r"name is 3 at .*:4; give a text"):
        load(tmp_path, "a = opgen.Explicit({'s': x}, name=3)")


# What a definition may not be: body, exception, message (the line is 4 unless the row says another)

BODIES: list[tuple[str, type[OpgenError], str]] = [
    # residual
    ("residual = None", SpecError, "residual is None at {}; give a SymPy expression"),
    ("residual = 'x - y'", SpecError, "residual is the text 'x - y' at {}; write it with SymPy symbols"),
    ("residual = x == y", SpecError, "residual is False, not an expression at {}; Python's == compares at once"),
    ("residual = sp.Eq(x, x)", SpecError, "residual is True, not an expression at {}"),
    ("residual = x < y", SpecError, "residual is the relation x < y at {}; only equations can be solved"),
    ("residual = sp.Matrix([x - y])", UnsupportedError, "residual is a matrix at {}; give a list of expressions"),
    ("def residual(x, y): return x", SpecError, "residual is a Python function or class"),
    ("residual = object", SpecError, "residual is a Python function or class at {}; give the SymPy expression"),
    ("residual = {x - y}", SpecError, "residual is a set, which has no order at {}; give a list"),
    ("residual = []", SpecError, "residual is an empty list at {}; give at least one"),
    ("residual = [[x - y]]", SpecError, "residual is [x - y] of type list at {}; give a SymPy expression"),
    ("residual = 1j + y", SpecError, "residual holds the imaginary unit I in y + 1.0*I at {}; operators are real"),
    ("residual = y - sp.I*x", SpecError, "residual holds the imaginary unit I"),
    ("residual = y - x/sp.S(0)", SpecError, "residual holds zoo in"),
    ("residual = y - sp.oo*x", SpecError, "residual holds -oo in -oo*x + y at {}; is something"),
    ("residual = y - sp.nan", SpecError, "residual holds nan in nan at {}; is something divided by zero?"),
    (
        "residual = sp.sqrt(-1 - x**2)*1 + 0*y",
        SpecError,
        "residual is not real: sqrt(-x**2 - 1) at {}; check the signs",
    ),
    (
        "residual = y - 10**400*x",
        SpecError,
        "residual holds a number that is too large at {}; keep numbers below 1e308",
    ),
    ("residual = y - sp.Function('f')(x)", SpecError, "residual holds the undefined function f(x) at {}; use a symbol"),
    ("residual = y - sp.Derivative(x**2, x)", UnsupportedError, "residual holds a derivative, Derivative(x**2, x) at"),
    ("residual = y - sp.Integral(x**2, x)", UnsupportedError, "residual holds an integral, Integral(x**2, x) at {};"),
    ("residual = y - sp.Sum(x**k, (k, 0, z))", UnsupportedError, "residual holds a sum, Sum(x**k, (k, 0, z)) at {}"),
    ("residual = y - sp.Product(x**k, (k, 0, z))", UnsupportedError, "residual holds a product"),
    ("residual = y - sp.Limit(x, x, 0)", UnsupportedError, "residual holds a limit"),
    ("residual = y - x + sp.O(x**2)", UnsupportedError, "residual holds an order term, O(x**2)"),
    ("residual = y - sp.MatrixSymbol('A', 2, 2)[0, 0]", UnsupportedError, "residual holds a matrix, A at {}"),
    ("residual = sp.Symbol('c', commutative=False) - y", SpecError, "symbol 'c' does not commute at {}"),
    ("residual = sp.Symbol('c', imaginary=True) - y", SpecError, "symbol 'c' is declared not real at {}"),
    ("residual = sp.Symbol('c\\n') - y", SpecError, "symbol name 'c\\n' cannot be printed at {}; give it another name"),
    (
        "residual = x - x",
        SpecError,
        "residual has no symbol named 'y' and no unknown is named (its symbols: none) at {}",
    ),
    ("unknown = y\nresidual = y - y", SpecError, "residual is identically zero at {5}; any value would solve it"),
    ("unknown = y\nresidual = (x + 1)*y - x*y - y", SpecError, "residual is identically zero at {5}"),
    ("residual = (x + 1)*y - x*y - y + x", SpecError, "residual (x) does not depend on the unknown y at {}; name what"),
    (
        "residual = x - z",
        SpecError,
        "residual has no symbol named 'y' and no unknown is named (its symbols: x, z) at {}",
    ),
    ("residual = y - 2", SpecError, "operator 'op' has no input at {}; an operator is a function"),
    # unknowns and inputs
    (
        "residual = [x - y, x + y]",
        SpecError,
        "residual has 2 equations for 1 unknown (y) at {}; give as many equations as unknowns",
    ),
    ("residual = x - y\nunknown = [y, z]", SpecError, "residual has 1 equation for 2 unknowns (y, z) at {}"),
    ("residual = [x - y, k - y]\nunknown = [y, z]", SpecError, "unknown 'z' stands in no equation at {}; remove it"),
    (
        "residual = [x - y, k - x]\nunknown = [y, z]",
        SpecError,
        "equation 2 (k - x) does not depend on any of the unknowns",
    ),
    ("residual = [x - y, y + x]\nunknown = [y, y]", SpecError, "'y' is listed as an unknown twice at {}; each name"),
    ("residual = x - y\nunknown = {y}", SpecError, "unknown is a set, which has no order at {}; give a list"),
    ("residual = x - y\nunknown = []", SpecError, "unknown is an empty list at {}; give at least one"),
    ("residual = x - y\nunknown = 3", SpecError, "unknown names 3 of type int at {}; give symbols or their names"),
    (
        "residual = x - z\nunknown = 'zz'",
        SpecError,
        "unknown names 'zz', which is no symbol of the residual at {}; did",
    ),
    (
        "residual = x - z\nunknown = 'ww'",
        SpecError,
        "unknown names 'ww', which is no symbol of the residual at {}; the",
    ),
    (
        "K = sp.Symbol('K', real=True)\nresidual = k*x - y\ninputs = [x, K]",
        SpecError,
        "symbol 'k' is neither unknown nor input at {5}; did you mean 'K'?",
    ),
    ("residual = k*x - y\ninputs = x", SpecError, "symbol 'k' is neither unknown nor input at {}; add it to inputs or"),
    ("residual = x - y\ninputs = [x, x]", SpecError, "'x' is listed as an input twice"),
    ("residual = x - y\ninputs = [x, y]", SpecError, "'y' is listed as an unknown and as an input at {}; each name"),
    ("residual = x - y\ninputs = []", SpecError, "symbol 'x' is neither unknown nor input at {}; add it"),
    (
        "residual = x*k - y*sp.Symbol('k', positive=True)",
        SpecError,
        "two different symbols are named 'k', one declared with positive=True, one with real=True at {}; SymPy tells",
    ),
    (
        "residual = x - y\nsample = {sp.Symbol('x'): (0, 1)}",
        SpecError,
        "two different symbols are named 'x', one declared with no assumptions, one with real=True",
    ),
    # options per unknown
    ("residual = x - y\nguess = y", SpecError, "guess for 'y' contains the unknown 'y' at {}; it may use inputs only"),
    ("residual = x - y\nguess = k", SpecError, "guess for 'y' uses 'k', which is not an input at {}; the inputs are x"),
    ("residual = x - y\nguess = 'x'", SpecError, "guess for 'y' is the text 'x' at {}"),
    ("residual = x - y\nguess = [1]", SpecError, "guess for 'y' is [1] of type list at {}; give a SymPy expression"),
    (
        "residual = x - y\nguess = {x: 1}",
        SpecError,
        "guess names 'x', which is not an unknown at {}; the unknowns are y",
    ),
    (
        "residual = [x - y, x - z]\nunknown = [y, z]\nguess = x",
        SpecError,
        "guess is x for 2 unknowns at {}; give a dict by unknown (y, z)",
    ),
    ("residual = x - y\nexact = y", SpecError, "exact for 'y' contains the unknown 'y'"),
    ("residual = x - y\nbounds = 3", SpecError, "bounds for 'y' are 3 at {}; give a pair (lower, upper)"),
    ("residual = x - y\nbounds = (1, 2, 3)", SpecError, "bounds for 'y' are (1, 2, 3)"),
    ("residual = x - y\nbounds = (2, 1)", SpecError, "bounds of 'y' are (2, 1) at {}; give the lower one first"),
    ("residual = x - y\nbounds = (1, 1)", SpecError, "bounds of 'y' are (1, 1)"),
    ("residual = x - y\nbounds = (sp.oo, 1)", SpecError, "bounds for 'y' holds oo in oo"),
    ("residual = x - y\nbounds = (y, 1)", SpecError, "bounds for 'y' contains the unknown 'y'"),
    # other options
    ("residual = x - y\nsample = (0, 1)", SpecError, "sample is (0, 1) of type tuple at {}; give a dict"),
    ("residual = x - y\nsample = {x: 1}", SpecError, "sample range of 'x' is 1 at {}; give a pair (lower, upper)"),
    ("residual = x - y\nsample = {x: (1, 0)}", SpecError, "sample range of 'x' is (1, 0) at {}; give finite numbers"),
    (
        "residual = x - y\nsample = {x: (0, float('inf'))}",
        SpecError,
        "sample range of 'x' holds inf at {}; give finite",
    ),
    ("residual = x - y\nsample = {x: (0, sp.oo)}", SpecError, "sample range of 'x' holds oo"),
    ("residual = x - y\nsample = {x: (0, k)}", SpecError, "sample range of 'x' is k at {}; give a number"),
    (
        "residual = x - y\nsample = {y: (0, 1)}",
        SpecError,
        "sample names 'y', which is not an input at {}; the inputs are",
    ),
    (
        "residual = x - y\nsample = {'xx': (0, 1)}",
        SpecError,
        "sample names 'xx', which is no symbol of the residual at {}",
    ),
    ("residual = x - y\nconstants = {x: k}", SpecError, "constant 'x' is k at {}; give a number"),
    ("residual = x - y\nconstants = {y: 1}", SpecError, "'y' is both an unknown and a constant at {}; each name can"),
    ("residual = x - y\nconstants = {x: 1}\ninputs = [x]", SpecError, "'x' is both an input and a constant"),
    (
        "residual = x/k - y\nconstants = {k: 0}",
        SpecError,
        "residual with its constants holds zoo in",
    ),
    ("residual = x - y\nauxiliary = 3", SpecError, "auxiliary is 3 of type int at {}; give a dict"),
    ("residual = x - y\nauxiliary = {'a b': x}", SpecError, "auxiliary name 'a b' is not a Python identifier at {}"),
    ("residual = x - y\nauxiliary = {'x': x}", SpecError, "'x' is listed as an input and as an auxiliary output at {}"),
    ("residual = x - y\nauxiliary = {'r': 'x'}", SpecError, "auxiliary 'r' is the text 'x' at {}"),
    (
        "residual = x - y\nauxiliary = {'r': k}\ninputs = [x]",
        SpecError,
        "symbol 'k' is neither unknown nor input at {}",
    ),
    ("residual = x - y\ntol = -1", SpecError, "tol is -1 at {}; give a positive number or None"),
    ("residual = x - y\ntol = 'small'", SpecError, "tol is the text 'small' at {}"),
    ("residual = x - y\nmax_iterations = 0", SpecError, "max_iterations is 0 at {}; give at least 1"),
    ("residual = x - y\nmax_iterations = 2.5", SpecError, "max_iterations is 2.5 at {}; give a whole number"),
    ("residual = x - y\nmax_iterations = True", SpecError, "max_iterations is True at {}; give a whole number"),
    ("residual = x - y\nadjoint = 'gmers'", SpecError, "adjoint is 'gmers' at {}; did you mean 'gmres'?"),
    ("residual = x - y\nadjoint = 'x'", SpecError, "adjoint is 'x' at {}; choose from auto, direct, gmres"),
    ("residual = x - y\nadjoint = 3", SpecError, "adjoint is 3 at {}; give a text"),
    ("residual = x - y\ndoc = 3", SpecError, "doc is 3 at {}; give a text"),
    # explicit
    ("f = opgen.Explicit(x + 1)", SpecError, "outputs is x + 1 of type Add at {}; give a dict"),
    ("f = opgen.Explicit({})", SpecError, "outputs is empty at {}; give at least one output"),
    ("f = opgen.Explicit({'a b': x})", SpecError, "output name 'a b' is not a Python identifier at {}"),
    ("f = opgen.Explicit({3: x})", SpecError, "outputs names 3 of type int at {}; give symbols or names"),
    ("f = opgen.Explicit({'s': sp.Eq(x, k)})", SpecError, "output is the relation Eq(x, k) at {}"),
    (
        "f = opgen.Explicit({z: x + z})",
        SpecError,
        "output 'z' stands on the right-hand side of an explicit operator at {}",
    ),
    ("f = opgen.Explicit({'s': x}, inputs=[k])", SpecError, "symbol 'x' is neither unknown nor input at {}"),
    (
        "residual = x - y\nboundary = {y: opgen.Dirichlet(0)}",
        SpecError,
        "boundary is given, but nothing is indexed at {}; only fields, u[i], have one",
    ),
    ("f = opgen.Implicit(x - y, boundary=opgen.Periodic())", SpecError, "boundary is given, but nothing is indexed"),
]


@pytest.mark.parametrize(("body", "kind", "message"), BODIES, ids=lambda value: str(value)[:40])
def test_body_messages(tmp_path: Path, body: str, kind: type[OpgenError], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path, body)
    place = re.search(r"\{(\d?)\}", message)
    line = place[1] if place and place[1] else "4"
    expected = re.sub(r"\{\d?\}", lambda _: f"{tmp_path / 'op.py'}:{line}", message)
    assert expected in str(caught.value), str(caught.value)
    assert type(caught.value) is kind
    assert caught.value.file == str(tmp_path / "op.py")
    assert "\n" not in str(caught.value)


def test_a_star_import_of_sympy_defines_no_option(tmp_path: Path) -> None:
    (tmp_path / "law.py").write_text('from sympy import *\nx, y = symbols("x y")\nresidual = y * exp(y) - x\n')
    (spec,) = load_file(tmp_path / "law.py").specs
    assert spec.adjoint == "auto"
    assert [s.name for s in spec.inputs] == ["x"]
