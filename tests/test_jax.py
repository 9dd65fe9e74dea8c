"""The JAX adapter: values, every derivative, every transformation, dtypes, failures, and the ATen adjoint behind it."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opgen.build.toolchain import find_jax, find_torch
from opgen.pipeline import build

needs_torch = pytest.mark.skipif(find_torch() is None, reason="PyTorch is not installed")
pytestmark = [
    pytest.mark.compiler,
    pytest.mark.xdist_group("jax"),
    pytest.mark.skipif(find_jax() is None, reason="JAX is not installed"),
]
RESIDUALS = """
import sympy as sp
import opgen
M, e, E, a, b, p, q = sp.symbols("M e E a b p q", real=True)
x, y = sp.symbols("x y", positive=True)
cuberoot = opgen.Implicit(residual=x**2 - y**3 / (1 + x), unknown=y, inputs=[x])
kepler = opgen.Implicit(residual=E - e * sp.sin(E) - M, unknown=E, inputs=[M, e], guess=M + e * sp.sin(M),
                        bounds=(M - e, M + e), auxiliary={"r": 1 - e * sp.cos(E)})
parab = opgen.Implicit(residual=E**2 - M, unknown=E, inputs=[M], guess=1.0)
pair = opgen.Implicit(residual=[p + q - a, p * q - b], unknown=[p, q], inputs=[a, b], guess={p: a, q: 0})
"""
TABLE = [1.0499342082457277, 1.0175237711585172, 1.008922214940025, 1.0054028553482124, 1.0036219820057994]
SENTENCE = (
    r"parab: 1 of 3 points did not converge; first at index \[1\] \(M = -1\): residual 1 after 50 iterations; "
    r'give a guess or bounds, or on_failure="nan"'
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("jax")
    (root / "ops.py").write_text(RESIDUALS)
    build(root / "ops.py", output=root / "jax_packages", targets=("numpy", "jax"))
    sys.path.insert(0, str(root))
    return root


@pytest.fixture(scope="module")
def jax(folder: Path) -> Iterator[Any]:
    jax = pytest.importorskip("jax")
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


@pytest.fixture(scope="module")
def op(jax: Any) -> Callable[[str], Any]:
    return lambda name: getattr(importlib.import_module(f"jax_packages.{name}"), name)


def run(code: str, folder: Path) -> str:
    """Run Python in a process of its own and return what it prints."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# The same operators in terms of JAX's own functions, which it differentiates itself.


def pair_closed(a: Any, b: Any) -> tuple[Any, Any]:
    root = (a * a - 4 * b) ** 0.5
    return (a + root) / 2, (a - root) / 2


def kepler_closed(M: Any, e: Any) -> tuple[Any, Any]:
    """From the root, each step of Newton's method makes one more order of its derivatives right."""
    import jax
    import jax.numpy as jnp

    def newton(E: Any) -> Any:
        return E - (E - e * jnp.sin(E) - M) / (1 - e * jnp.cos(E))

    start = M + e * jnp.sin(M)
    root = jax.lax.stop_gradient(jax.lax.fori_loop(0, 9, lambda _, E: jax.lax.stop_gradient(newton(E)), start))
    E = newton(newton(root))
    return E, 1 - e * jnp.cos(E)


CLOSED = {"pair": pair_closed, "kepler": kepler_closed}


def draw(name: str, *shapes: tuple[int, ...], seed: int = 0) -> list[Any]:
    import jax.numpy as jnp

    rng = np.random.default_rng(seed)
    ranges = {"pair": ((5, 6), (3, 4)), "kepler": ((0.2, 6), (0.1, 0.7)), "cuberoot": ((0.5, 5),)}[name]
    return [jnp.asarray(rng.uniform(*r, shape)) for r, shape in zip(ranges, shapes, strict=True)]


def agree(jax: Any, got: Any, want: Any, rtol: float = 1e-9) -> None:
    got, want = jax.tree.leaves(got), jax.tree.leaves(want)
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


def total(jax: Any, f: Any) -> Any:
    """A scalar function that treats every output otherwise, with second derivatives of its own."""
    return lambda *x: sum(jax.numpy.sum(jax.numpy.sin((i + 1) * y)) for i, y in enumerate(jax.tree.leaves(f(*x))))


# What is done to a function of two inputs.
TRANSFORMATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "value": lambda jax, f: f,
    "grad": lambda jax, f: jax.grad(total(jax, f), (0, 1)),
    "jvp": lambda jax, f: lambda a, b: jax.jvp(f, (a, b), (0 * a + 1, 0.3 * b))[1],
    "jacfwd": lambda jax, f: jax.jacfwd(f, (0, 1)),
    "jacrev": lambda jax, f: jax.jacrev(f, (0, 1)),
    "hessian": lambda jax, f: jax.hessian(total(jax, f), (0, 1)),
    "forward over forward": lambda jax, f: jax.jacfwd(jax.jacfwd(f, (0, 1)), (0, 1)),
    "reverse over forward": lambda jax, f: jax.jacrev(jax.jacfwd(f, (0, 1)), (0, 1)),
    "reverse over reverse": lambda jax, f: jax.jacrev(jax.jacrev(f, (0, 1)), (0, 1)),
}


@pytest.mark.parametrize("adjoint", ["auto", "direct", pytest.param("gmres", marks=needs_torch)])
def test_the_table(jax: Any, op: Any, adjoint: str) -> None:
    x = jax.numpy.arange(1.0, 6)
    y, pullback = jax.vjp(lambda x: op("cuberoot")(x, adjoint=adjoint), x)
    np.testing.assert_allclose(y, (x**2 * (1 + x)) ** (1 / 3), rtol=4e-16)
    np.testing.assert_allclose(pullback(jax.numpy.ones(5))[0], TABLE, rtol=1e-12)


@pytest.mark.parametrize("compiled", [False, True])
def test_numerical_derivatives(jax: Any, op: Any, compiled: bool) -> None:
    from jax.test_util import check_grads

    for name, shapes in {"cuberoot": ((4,),), "kepler": ((6,), ()), "pair": ((1, 2), (3, 1))}.items():
        f = jax.jit(op(name)) if compiled else op(name)
        check_grads(f, draw(name, *shapes), order=2, modes=["fwd", "rev"])


@pytest.mark.parametrize("kind", TRANSFORMATIONS)
@pytest.mark.parametrize("name", CLOSED)
def test_derivatives_broadcasting_and_vmap(jax: Any, op: Any, name: str, kind: str) -> None:
    """Against the same transformation of functions that JAX differentiates itself."""

    def transformed(f: Any) -> Any:
        return TRANSFORMATIONS[kind](jax, lambda *x: tuple(f(*x)))

    def compare(wrap: Callable[[Any], Any], *x: Any, run: Any = jax.jit) -> None:
        agree(jax, run(wrap(transformed(op(name))))(*x), jax.jit(wrap(transformed(CLOSED[name])))(*x))

    compare(lambda f: f, *draw(name, (2, 1), (3,)), run=lambda f: f)
    compare(lambda f: f, *draw(name, (), (3,)))
    for axes, shapes in {(0, None): ((4, 2), (2,)), (None, 0): ((2,), (4, 2)), (-1, 0): ((2, 1, 3), (3, 2))}.items():
        compare(lambda f, axes=axes: jax.vmap(f, axes), *draw(name, *shapes))  # type: ignore[misc]
    compare(lambda f: jax.vmap(jax.vmap(f, (None, 0)), (0, None), out_axes=-1), *draw(name, (2,), (3,)))


@pytest.mark.parametrize("kind", ["value", "grad", "jvp"])
def test_derivatives_through_vmap(jax: Any, op: Any, kind: str) -> None:
    """An input that the batch shares gets one gradient, their sum."""
    for axes, shapes in {(0, None): ((4, 2), (2,)), (None, 0): ((2,), (4, 1))}.items():

        def batched(f: Any, axes: Any = axes) -> Any:
            return total(jax, jax.vmap(TRANSFORMATIONS[kind](jax, lambda *z: tuple(f(*z))), axes))

        x = draw("pair", *shapes)
        for twice in (jax.grad, jax.jacfwd, *((jax.hessian,) if kind == "value" else ())):
            agree(
                jax, jax.jit(twice(batched(op("pair")), (0, 1)))(*x), jax.jit(twice(batched(pair_closed), (0, 1)))(*x)
            )


def test_batches_of_cotangents_and_tangents_alone(jax: Any, op: Any) -> None:
    """Some batched, some not, and derivatives by them."""
    a, b = draw("pair", (2, 3), (3,))
    rng = np.random.default_rng(1)
    many, one = jax.numpy.asarray(rng.standard_normal((5, 2, 3))), jax.numpy.asarray(rng.standard_normal((2, 3)))

    def pulled(f: Any) -> Any:
        def J(a: Any, b: Any, many: Any, one: Any) -> Any:
            pullback = jax.vjp(lambda *x: tuple(f(*x)), a, b)[1]
            return total(jax, jax.vmap(pullback, ((0, None),)))((many, one))

        return jax.grad(J, (0, 1, 2, 3))

    def pushed(f: Any) -> Any:
        def J(a: Any, b: Any, v: Any, w: Any) -> Any:
            return total(jax, jax.vmap(lambda v, w: jax.jvp(f, (a, b), (v, w))[1], (0, None)))(v, w)

        return jax.grad(J, (0, 1, 2, 3))

    agree(jax, pulled(op("pair"))(a, b, many, one), pulled(pair_closed)(a, b, many, one))
    agree(jax, pushed(lambda *x: tuple(op("pair")(*x)))(a, b, many, b), pushed(pair_closed)(a, b, many, b))


def test_scan_and_map(jax: Any, op: Any) -> None:
    def scanned(f: Any) -> Any:
        def step(c: Any, x: Any) -> Any:
            p, q = f(c + 5, x)
            return p - 0.1 * c - 3, q

        return lambda c, x: jax.lax.scan(step, c, x)[1].sum()

    (x,) = draw("pair", (), (4,))[1:]
    for transform in (jax.grad, jax.hessian):
        got, want = (transform(scanned(f), (0, 1))(0.1, x) for f in (op("pair"), pair_closed))
        agree(jax, got, want)
    mapped = jax.lax.map(lambda z: op("pair")(*z).p, (x + 3, x))
    np.testing.assert_allclose(mapped, pair_closed(x + 3, x)[0], rtol=1e-12)


def test_third_derivatives_are_refused(jax: Any, op: Any) -> None:
    thrice = jax.grad(jax.grad(jax.grad(op("cuberoot"))))
    with pytest.raises(NotImplementedError, match="cuberoot: third derivatives are not generated; differentiate at"):
        thrice(2.0)
    by_other = jax.grad(lambda t: t**2 * jax.grad(jax.grad(op("cuberoot")))(2.0))  # of third order, but not in x
    np.testing.assert_allclose(by_other(3.0), 6 * jax.grad(jax.grad(op("cuberoot")))(2.0))


def test_derivatives_of_the_residual(jax: Any, op: Any) -> None:
    """A non-root is penalised, say: the residual is an operator like another."""
    from jax.test_util import check_grads

    kepler, pair = op("kepler"), op("pair")
    M, E = jax.numpy.array([1.0, 2.0]), jax.numpy.array([0.7, 0.9])
    np.testing.assert_allclose(kepler.residual(M, 0.5, E), E - 0.5 * np.sin(E) - M, rtol=1e-15)
    p, q = pair.residual(5.0, M, (1.0, jax.numpy.asarray(3.0)))
    np.testing.assert_array_equal((p, q), ([-1, -1], [2, 1]))
    check_grads(kepler.residual, (M, jax.numpy.asarray(0.5), E), order=1, modes=["fwd", "rev"])
    check_grads(lambda a, b, p, q: pair.residual(a, b, (p, q)), (M, E, M[:1], E[0]), order=1, modes=["fwd", "rev"])
    slopes = jax.vmap(jax.grad(kepler.residual, (0, 1, 2)), (None, None, 0))(1.0, 0.5, E)
    for got, want in zip(slopes, (-1 + 0 * E, -np.sin(E), 1 - 0.5 * np.cos(E)), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-15)
    with pytest.raises(NotImplementedError, match="kepler: second derivatives of its residual are not generated"):
        jax.hessian(kepler.residual, 2)(1.0, 0.5, 0.7)


@needs_torch
@pytest.mark.parametrize("compiled", [False, True])
def test_adjoints_agree(jax: Any, op: Any, compiled: bool) -> None:
    for name, shapes in {"kepler": ((5, 1), (4,)), "pair": ((3, 4), ())}.items():
        found = []
        for adjoint in ("direct", "gmres"):
            gradient = jax.grad(total(jax, lambda *x, a=adjoint, n=name: op(n)(*x, adjoint=a)), (0, 1))
            found.append((jax.jit(gradient) if compiled else gradient)(*draw(name, *shapes)))
        agree(jax, *found, rtol=1e-10)
    one_output = [jax.grad(lambda M, a=a: op("kepler")(M, 0.5, adjoint=a).r)(1.0) for a in ("direct", "gmres")]
    np.testing.assert_allclose(*one_output, rtol=1e-12)


def test_numbers_lists_and_numpy_arrays_follow(jax: Any, op: Any) -> None:
    jnp, kepler = jax.numpy, op("kepler")
    M = jnp.array([1.0, 2.0])
    want = kepler(np.array([1.0, 2.0]), 0.5).E
    for e in (0.5, np.float64(0.5), np.array(0.5), jnp.array(0.5), [0.5], [jnp.array(0.5)], (0.5, 0.5)):
        np.testing.assert_array_equal(kepler(M, e).E, want)
    np.testing.assert_array_equal(jax.jit(kepler)(M, 0.5).E, want)
    single = M.astype("float32")
    for f in (kepler, jax.jit(kepler)):
        assert f(single, 0.5).E.dtype == f(single, 0).r.dtype == np.float32
    assert jax.grad(lambda e: kepler(single, e).E.sum())(0.5).dtype == np.float64
    assert kepler(jnp.array(1.0), 0.5).E.shape == jax.jit(kepler)(1.0, 0).E.shape == ()
    assert isinstance(kepler(M, 0.5).E, jax.Array)


def test_empty(jax: Any, op: Any) -> None:
    empty = jax.numpy.zeros((0, 3))
    assert op("kepler")(empty, 0.5).E.shape == (0, 3)
    f = lambda M, e: op("kepler")(M, e).E.sum()  # noqa: E731
    by_M, by_e = jax.grad(f, (0, 1))(empty, 0.5)
    assert (by_M.shape, by_e) == ((0, 3), 0)
    assert jax.hessian(f, 1)(empty, 0.5) == 0


def test_wrong_arguments(jax: Any, op: Any) -> None:
    jnp, kepler, parab = jax.numpy, op("kepler"), op("parab")
    for bad in ([1], [True], [1j]):
        with pytest.raises(TypeError, match=r"parab: M has dtype \w+; give a float32 or float64 tensor"):
            parab(jnp.array(bad))
    for dtype in ("float16", "bfloat16"):
        with pytest.raises(TypeError, match=f"kepler: e has dtype {dtype}"):
            kepler(jnp.ones(2), jnp.ones(2, dtype))
    for bad in ("0.5", None, True, object()):
        with pytest.raises(TypeError, match="kepler: e is a"):
            kepler(jnp.ones(2), bad)
    for bad in (["a"], [True], jnp.array(True)):
        with pytest.raises(TypeError, match="kepler: e has dtype"):
            kepler(jnp.ones(2), bad)
    with pytest.raises(TypeError, match="kepler: e is a list of rows of unequal length"):
        kepler(jnp.ones(2), [[0.1], [0.1, 0.2]])
    with pytest.raises(TypeError, match="kepler: M is float64 but e is float32; convert one"):
        kepler(jnp.ones(1), jnp.ones(1, "float32"))
    with pytest.raises(TypeError, match=r"kepler: takes 2 inputs \(M, e\), not 1"):
        kepler(jnp.ones(1))
    with pytest.raises(ValueError, match="parab: on_failure is 'shrug'"):
        parab(jnp.ones(1), on_failure="shrug")
    with pytest.raises(ValueError, match=r"kepler: the shapes of M \[3\], e \[2\] do not broadcast"):
        jax.jit(kepler)(jnp.ones(3), jnp.ones(2))
    with pytest.raises(ValueError, match="parab: initial does not broadcast"):
        parab(jnp.ones(3), initial=jnp.ones((2, 3)))


@pytest.mark.parametrize("compiled", [False, True])
def test_failures(jax: Any, op: Any, compiled: bool) -> None:
    parab = op("parab")
    x = jax.numpy.array([4.0, -1.0, 9.0])

    def call(policy: str) -> Any:
        f = lambda x: parab(x, on_failure=policy)  # noqa: E731
        return jax.jit(f) if compiled else f

    with pytest.raises(RuntimeError, match=SENTENCE):
        jax.block_until_ready(call("raise")(x))
    y, pullback = jax.vjp(call("nan"), x)
    np.testing.assert_array_equal(y, [2, np.nan, 3])
    np.testing.assert_array_equal(pullback(jax.numpy.ones(3))[0], [0.25, 0, 1 / 6])
    np.testing.assert_array_equal(jax.jvp(call("nan"), (x,), (x,))[1], [1, 0, 1.5])
    solution = (jax.jit(parab.solve) if compiled else parab.solve)(x)
    assert solution.converged.tolist() == [True, False, True]
    assert solution.iterations.dtype == np.int32
    assert solution.residual_norm[1] == pytest.approx(1)
    np.testing.assert_allclose(jax.grad(lambda x: parab.solve(x).value.sum())(x), [0.25, 0, 1 / 6])


def test_an_eager_call_fails_where_it_stands(jax: Any, op: Any) -> None:
    """Not where its result is looked at, however many points there are."""
    for size in (1, 200_000):
        with pytest.raises(RuntimeError, match=r"parab: .* did not converge"):
            op("parab")(-jax.numpy.ones(size))
    with pytest.raises(RuntimeError, match=r"parab: .*an input is not finite; mend the input"):
        jax.vmap(op("parab"))(jax.numpy.array([1.0, np.nan]))


@pytest.mark.parametrize("adjoint", ["direct", pytest.param("gmres", marks=needs_torch)])
def test_singular_points_fail_under_either_adjoint(jax: Any, op: Any, adjoint: str) -> None:
    a, b = jax.numpy.array([5.0, 4.0]), jax.numpy.array([4.0, 4.0])

    def gradient(policy: str) -> Any:
        return jax.grad(lambda a: op("pair")(a, b, adjoint=adjoint, on_failure=policy).p.sum())(a)

    with pytest.raises(RuntimeError, match=r"pair: F_y is singular at 1 of 2 points; first at index \[1\]"):
        gradient("raise")
    np.testing.assert_allclose(gradient("nan"), [4 / 3, 0], rtol=1e-12)


def test_initial_chooses_the_root_and_has_no_gradient(jax: Any, op: Any) -> None:
    f = lambda x, start: op("parab")(x, initial=start).sum()  # noqa: E731
    x = jax.numpy.array([4.0])
    assert f(x, -1.5) == -2
    by_x, by_start = jax.grad(f, (0, 1))(x, jax.numpy.array([-1.5]))
    assert (by_x.item(), by_start.item()) == (-0.25, 0)
    starts = jax.numpy.array([-1.5, 1.0])
    np.testing.assert_array_equal(jax.vmap(f, (None, 0))(x, starts), [-2, 2])
    np.testing.assert_array_equal(jax.vmap(jax.grad(f), (None, 0))(x, starts), [[-0.25], [0.25]])


def test_a_million_points_are_the_kernels(jax: Any, op: Any) -> None:
    """More points than one thread takes; not one bit differs."""
    x = np.random.default_rng(0).uniform(0.5, 5, 1_000_000)
    np.testing.assert_array_equal(jax.jit(op("cuberoot"))(x), op("cuberoot")(x))


def test_without_64_bits(folder: Path) -> None:
    """JAX's own default: arrays of NumPy become float32."""
    code = """
import sys
import numpy as np
from jax_packages.kepler import kepler
import jax, jax.numpy as jnp
from jax.test_util import check_grads
M = jnp.array([1.0, 2.0])
for e in (0.5, np.float64(0.5), np.array(0.5), np.float32(0.5), [0.5], jnp.array(0.5)):
    assert kepler(M, e).E.dtype == np.float32
np.testing.assert_array_equal(kepler(M, 0.5).E, kepler(np.array([1, 2], np.float32), np.float32(0.5)).E)
check_grads(jax.jit(kepler), (M, jnp.asarray(0.5)), order=2, modes=["fwd", "rev"], atol=0.05, rtol=0.05)
print(kepler.solve(M, 0.5).residual_norm.dtype, jax.hessian(lambda M: kepler(M, 0.5).E)(1.0).dtype)
print(sorted({"opgen", "sympy", "tensorflow", "torch"} & set(sys.modules)))"""
    assert run(code, folder).split() == ["float32", "float32", "[]"]


@needs_torch
def test_gmres_without_torch_imported(folder: Path) -> None:
    code = """
import sys
import jax, jax.numpy as jnp
from jax_packages.kepler import kepler
print(jax.grad(lambda M: kepler(M, 0.5, adjoint="gmres").E)(1.0), "torch" in sys.modules)
print("libtorch" in open("/proc/self/maps").read())"""
    value, imported, mapped = run(code, folder).split()
    assert float(value) == pytest.approx(1.0373623, rel=1e-5)
    assert (imported, mapped) == ("False", "True")


def test_export(folder: Path, tmp_path: Path) -> None:
    """With unknown sizes, loaded in a process that imports the package and no more."""
    code = f"""
import jax, jax.numpy as jnp
from jax import export
from jax_packages.cuberoot import jax_op, jax_primitives
from jax_packages.cuberoot import cuberoot
f = jax.jit(jax.vmap(jax.value_and_grad(cuberoot)))
checks = [export.DisabledSafetyCheck.custom_call(name) for name in jax_primitives.TARGETS]
shape = jax.ShapeDtypeStruct(export.symbolic_shape("n"), jnp.float32)
open({str(tmp_path / "f")!r}, "wb").write(export.export(f, disabled_checks=checks)(shape).serialize())"""
    run(code, folder)
    code = f"""
from jax import export
import jax.numpy as jnp
import jax_packages.cuberoot.jax_op
print(*export.deserialize(open({str(tmp_path / "f")!r}, "rb").read()).call(jnp.ones(3))[1])"""
    assert [float(word) for word in run(code, folder).split()] == pytest.approx(TABLE[:1] * 3, rel=1e-6)


def test_copies_and_namesakes_in_one_process(folder: Path, tmp_path: Path) -> None:
    """An edited residual, rebuilt while a notebook runs, is another operator; a copied package is the same."""
    (tmp_path / "residuals").mkdir()
    edited = tmp_path / "residuals" / "ops.py"  # not where the copy would look for its own
    edited.write_text(RESIDUALS.replace("x**2 - y**3", "8 * x**2 - y**3"))
    build(edited, output=tmp_path / "second", targets=("numpy", "jax"), only=("cuberoot",))
    shutil.copytree(folder / "jax_packages" / "cuberoot", tmp_path / "third" / "cuberoot")
    code = f"""
import sys; sys.path[:0] = [{str(folder)!r}, {str(tmp_path)!r}]
import jax
from jax_packages.cuberoot import cuberoot as one
from second.cuberoot import cuberoot as two
from third.cuberoot import cuberoot as three
f = jax.jit(lambda x: (two(x) / one(x), three(x) / one(x)))
print(*f(2.0))"""
    assert [float(word) for word in run(code, tmp_path).split()] == pytest.approx([2, 1])
