"""The TensorFlow adapter: values, gradients, graphs, shapes, failures, and the ATen adjoint behind it."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from opgen.build.toolchain import find_tensorflow, find_torch
from opgen.pipeline import build

needs_torch = pytest.mark.skipif(find_torch() is None, reason="PyTorch is not installed")
pytestmark = [
    pytest.mark.compiler,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.skipif(find_tensorflow() is None, reason="TensorFlow is not installed"),
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


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tensorflow")
    (root / "ops.py").write_text(RESIDUALS)
    build(root / "ops.py", output=root / "tf_packages")
    sys.path.insert(0, str(root))
    return root


@pytest.fixture(scope="module")
def tf(folder: Path) -> Any:
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def op(folder: Path) -> Any:
    return lambda name: getattr(importlib.import_module(f"tf_packages.{name}"), name)


def run(code: str, folder: Path) -> str:
    """Run Python in a process of its own and return what it prints."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("adjoint", ["auto", "direct", pytest.param("gmres", marks=needs_torch)])
def test_the_table(tf: Any, op: Any, adjoint: str) -> None:
    x = tf.constant([1.0, 2, 3, 4, 5], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = op("cuberoot")(x, adjoint=adjoint)
    np.testing.assert_allclose(y, (x.numpy() ** 2 * (1 + x.numpy())) ** (1 / 3), rtol=4e-16)
    np.testing.assert_allclose(tape.gradient(y, x), TABLE, rtol=1e-12)


@needs_torch
@pytest.mark.parametrize("graph", [False, True])
def test_adjoints_agree_for_systems_auxiliaries_and_broadcast_inputs(tf: Any, op: Any, graph: bool) -> None:
    rng = np.random.default_rng(0)
    cases = {
        "kepler": (rng.uniform(0.1, 6, (5, 1)), rng.uniform(0.1, 0.8, 4)),
        "pair": (rng.uniform(4, 5, (3, 4)), np.array(1.5)),
    }
    for name, inputs in cases.items():
        found = []
        for adjoint in ("direct", "gmres"):

            def gradient(*x: Any, name: str = name, adjoint: str = adjoint) -> Any:
                with tf.GradientTape() as tape:
                    tape.watch(x)
                    outputs = op(name)(*x, adjoint=adjoint)
                    J = sum(tf.reduce_sum((i + 1) * o**2) for i, o in enumerate(outputs))
                return tape.gradient(J, x)

            found.append((tf.function(gradient) if graph else gradient)(*map(tf.constant, inputs)))
        for direct, gmres, x in zip(*found, inputs, strict=True):
            assert direct.shape == x.shape
            np.testing.assert_allclose(direct, gmres, rtol=1e-10)


def test_python_numbers_arrays_and_variables(tf: Any, op: Any) -> None:
    kepler = op("kepler")
    want = kepler(np.array([1.0, 2.0]), 0.5).E
    for M in (tf.constant([1.0, 2.0], tf.float64), tf.Variable([1.0, 2.0], dtype=tf.float64)):
        for e in (0.5, np.float64(0.5), np.array(0.5), tf.constant(0.5, tf.float64), [0.5]):
            np.testing.assert_array_equal(kepler(M, e).E, want)
    assert kepler(tf.constant([1.0, 2.0]), 0.5).E.dtype == tf.float32
    assert kepler(tf.constant(1.0), 0).E.shape == ()
    assert kepler(tf.zeros((0, 3)), 0.5).E.shape == (0, 3)


def test_wrong_arguments(tf: Any, op: Any) -> None:
    kepler, parab = op("kepler"), op("parab")
    for bad in (tf.constant([1]), tf.constant([1.0], tf.float16), tf.constant(["a"]), tf.constant([True])):
        with pytest.raises(TypeError, match=r"parab: M has dtype \w+; give a float32 or float64 tensor"):
            parab(bad)
    with pytest.raises(
        TypeError, match="kepler: M is float64 but e is float32; convert one, a call has a single dtype"
    ):
        kepler(tf.constant([1.0], tf.float64), tf.constant(0.5))
    with pytest.raises(TypeError, match="kepler: e is a str"):
        kepler(tf.constant([1.0]), "0.5")
    with pytest.raises(TypeError, match=r"kepler: takes 2 inputs \(M, e\), not 1"):
        kepler(tf.constant([1.0]))
    with pytest.raises(ValueError, match="parab: on_failure is 'shrug'"):
        parab(tf.constant([1.0]), on_failure="shrug")
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"kepler: argument 2 has shape \[2\], which does not broadcast to \[3\]"
    ):
        kepler(tf.ones(3), tf.ones(2))
    with pytest.raises(ValueError, match="kepler: inputs of sizes 3 and 2 along axis 0 do not broadcast"):
        tf.function(lambda: kepler(tf.ones(3), tf.ones(2)))()


def test_failures(tf: Any, op: Any) -> None:
    parab = op("parab")
    x = tf.constant([4.0, -1.0, 9.0], tf.float64)
    sentence = (
        r"parab: 1 of 3 points did not converge; first at index \[1\] \(M = -1\): residual 1 after 50 iterations; "
        r'give a guess or bounds, or on_failure="nan"'
    )
    for call in (parab, tf.function(parab)):
        with pytest.raises(tf.errors.InvalidArgumentError, match=sentence):
            call(x)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = call(x, on_failure="nan")
        np.testing.assert_array_equal(y, [2, np.nan, 3])
        np.testing.assert_array_equal(tape.gradient(y, x), [0.25, 0, 1 / 6])
    solution = parab.solve(x)
    assert solution.converged.numpy().tolist() == [True, False, True]
    assert solution.iterations.dtype == tf.int32
    assert solution.residual_norm.numpy()[1] == pytest.approx(1)


@pytest.mark.parametrize("adjoint", ["direct", pytest.param("gmres", marks=needs_torch)])
def test_singular_points_fail_under_either_adjoint(tf: Any, op: Any, adjoint: str) -> None:
    a, b = tf.constant([5.0, 4.0], tf.float64), tf.constant([4.0, 4.0], tf.float64)
    for policy in ("raise", "nan"):
        with tf.GradientTape() as tape:
            tape.watch(a)
            p = op("pair")(a, b, adjoint=adjoint, on_failure=policy).p
        if policy == "raise":
            with pytest.raises(
                tf.errors.InvalidArgumentError, match=r"pair: F_y is singular at 1 of 2 points; first at index \[1\]"
            ):
                tape.gradient(p, a)
        else:
            np.testing.assert_allclose(tape.gradient(p, a), [4 / 3, 0], rtol=1e-12)


def test_shape_inference(tf: Any, op: Any) -> None:
    kepler = op("kepler")

    def inferred(first: Any, second: Any) -> Any:
        specs = [tf.TensorSpec(s, tf.float32) for s in (first, second)]
        shape = tf.function(lambda M, e: kepler(M, e).E).get_concrete_function(*specs).output_shapes
        return shape.as_list() if shape.rank is not None else None

    assert inferred([3], []) == [3]
    assert inferred([2, 1], [1, 3]) == [2, 3]
    assert inferred([None, 3], [2, 1]) == [2, 3]
    assert inferred([None], [1]) == [None]
    assert inferred([None, None], [4]) == [None, 4]
    assert inferred(None, [4]) is None
    assert inferred([0], [1]) == [0]
    graph = tf.function(lambda M: kepler(M, 0.5).E, input_signature=[tf.TensorSpec(None, tf.float64)])
    assert graph(tf.ones((2, 3), tf.float64)).shape == (2, 3)


def test_gradient_of_the_residual(tf: Any, op: Any) -> None:
    """A non-root is penalised, say: the residual is an operator like another."""
    M, E = tf.constant([1.0, 2.0], tf.float64), tf.constant([0.7, 0.9], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch([M, E])
        F = op("kepler").residual(M, 0.5, E)
    np.testing.assert_allclose(F, E - 0.5 * np.sin(E) - M, rtol=1e-15)
    by_M, by_E = tape.gradient(F, [M, E])
    np.testing.assert_allclose(by_M, [-1, -1])
    np.testing.assert_allclose(by_E, 1 - 0.5 * np.cos(E), rtol=1e-15)
    p, q = op("pair").residual(tf.constant(5.0), tf.constant(4.0), (tf.constant(1.0), tf.constant(3.0)))
    assert (float(p), float(q)) == (-1, -1)


def test_initial_chooses_the_root_and_has_no_gradient(tf: Any, op: Any) -> None:
    x, start = tf.constant([4.0]), tf.constant([-1.5])
    with tf.GradientTape() as tape:
        tape.watch([x, start])
        y = op("parab")(x, initial=start)
    assert y.numpy() == [-2]
    gradient = tape.gradient(y, [x, start])
    assert gradient[0].numpy() == [-0.25]
    assert gradient[1] is None


def test_autograph_and_threads_are_left_in_peace(tf: Any, op: Any, recwarn: pytest.WarningsRecorder) -> None:
    """No AutoGraph message; parallel branches of one graph."""
    kepler = op("kepler")

    @tf.function
    def many(M: Any) -> Any:
        return tf.add_n([kepler(M + i, 0.5).E for i in range(8)])

    M = tf.random.uniform((30_000,), dtype=tf.float64)
    np.testing.assert_array_equal(many(M), many(M))
    assert not recwarn.list


@needs_torch
@pytest.mark.parametrize("order", ["import tensorflow, torch", "import torch, tensorflow", "import tensorflow", ""])
def test_gmres_in_either_import_order_and_without_torch(folder: Path, order: str) -> None:
    code = f"""{order}
import sys, numpy as np
had = 'torch' in sys.modules
from tf_packages.cuberoot import cuberoot
import tensorflow as tf
x = tf.constant([1.0, 2, 3, 4, 5], tf.float64)
with tf.GradientTape() as tape:
    tape.watch(x); y = cuberoot(x, adjoint="gmres")
np.testing.assert_allclose(tape.gradient(y, x), {TABLE}, rtol=1e-12)
assert had or 'torch' not in sys.modules
print('done')"""
    assert run(code, folder).strip() == "done"


def test_direct_adjoint_loads_no_torch(folder: Path) -> None:
    code = """
import tensorflow as tf
from tf_packages.cuberoot import cuberoot
x = tf.constant([1.0])
with tf.GradientTape() as tape:
    tape.watch(x); y = cuberoot(x)
tape.gradient(y, x)
print('libtorch' in open('/proc/self/maps').read())"""
    assert run(code, folder).strip() == "False"


@needs_torch
def test_another_torch_is_a_sentence_that_names_both(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "tf_packages" / "cuberoot", tmp_path / "moved" / "cuberoot")
    stamp = tmp_path / "moved" / "cuberoot" / "lib" / "libcuberoot_aten.txt"
    version, _, rest = stamp.read_text().partition("\n")
    stamp.write_text("1.2.3\n" + rest)
    code = """
import tensorflow as tf
from moved.cuberoot import cuberoot
x = tf.constant([1.0])
with tf.GradientTape() as tape:
    tape.watch(x); y = cuberoot(x, adjoint="gmres")
try:
    tape.gradient(y, x)
except tf.errors.InvalidArgumentError as error:
    print(error)"""
    message = run(code, tmp_path)
    assert f"cuberoot: its ATen adjoint was built against torch 1.2.3, but torch {version} is installed" in message
    assert "run opgen build again" in message


def test_a_copied_package_works_elsewhere(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "tf_packages" / "kepler", tmp_path / "elsewhere" / "kepler")
    code = "import tensorflow as tf; from elsewhere.kepler import kepler; print(float(kepler(tf.constant(1.0), 0.5).E))"
    assert float(run(code, tmp_path)) == pytest.approx(1.49870113, rel=1e-6)


def test_two_residuals_of_one_name_in_one_process(folder: Path, tmp_path: Path) -> None:
    """An edited residual, rebuilt while a notebook runs, is another operator."""
    (tmp_path / "ops.py").write_text(RESIDUALS.replace("x**2 - y**3", "8 * x**2 - y**3"))
    build(tmp_path / "ops.py", output=tmp_path / "second", targets=("numpy", "tf"), only=("cuberoot",))
    code = f"""
import sys; sys.path[:0] = [{str(folder)!r}, {str(tmp_path)!r}]
import tensorflow as tf
from tf_packages.cuberoot import cuberoot as one
from second.cuberoot import cuberoot as two
x = tf.constant(2.0, tf.float64)
print(float(two(x) / one(x)))"""
    assert float(run(code, tmp_path)) == pytest.approx(2)


def test_a_copy_of_a_package_in_one_process(folder: Path, tmp_path: Path) -> None:
    """TensorFlow takes a name once; the copy shares what the first registered."""
    shutil.copytree(folder / "tf_packages" / "kepler", tmp_path / "copied" / "kepler")
    code = f"""
import sys; sys.path[:0] = [{str(folder)!r}, {str(tmp_path)!r}]
import tensorflow as tf
from tf_packages.kepler import kepler as one
from copied.kepler import kepler as two
M = tf.constant([1.0, 2.0], tf.float64)
def slope(op):
    with tf.GradientTape() as tape:
        tape.watch(M); E = op(M, 0.5).E
    return tape.gradient(E, M)
assert (slope(one).numpy() == slope(two).numpy()).all()
jitted = [tf.function(lambda M, op=op: op(M, 0.5).E, jit_compile=True)(M).numpy() for op in (one, two)]
assert (jitted[0] == jitted[1]).all()
print('done')"""
    assert run(code, folder).strip() == "done"


def test_tensors_of_two_frameworks_are_refused(tf: Any, op: Any) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="kepler: tf and torch tensors in one call; convert one"):
        op("kepler")(tf.constant([1.0]), torch.tensor([0.5]))


@needs_torch
def test_second_derivatives_agree_under_either_adjoint(tf: Any, op: Any) -> None:
    """The kernel's formulas against ATen's double backward."""
    rng = np.random.default_rng(1)
    M, e = tf.constant(rng.uniform(0.5, 5, 6)), tf.constant(0.6, tf.float64)
    found = []
    for adjoint in ("direct", "gmres"):
        with tf.GradientTape() as outer:
            outer.watch([M, e])
            with tf.GradientTape() as inner:
                inner.watch([M, e])
                out = op("kepler")(M, e, adjoint=adjoint)
                J = tf.reduce_sum(out.E**2 * out.r)
            first = inner.gradient(J, [M, e])
            K = tf.reduce_sum(first[0] ** 2) + first[1] ** 2
        with tf.autodiff.ForwardAccumulator(M, tf.ones_like(M)) as forward:
            E = op("kepler")(M, e, adjoint=adjoint).E
        found.append([*first, *outer.gradient(K, [M, e]), forward.jvp(E)])
    for direct, gmres in zip(*found, strict=True):
        np.testing.assert_allclose(direct, gmres, rtol=1e-9)
