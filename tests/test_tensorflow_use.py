"""TensorFlow beyond a first gradient: higher order, forward mode, loops, XLA, SavedModel, Keras, distribution."""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from test_tensorflow import RESIDUALS, run

from opgen.build.toolchain import find_tensorflow
from opgen.pipeline import build

pytestmark = [
    pytest.mark.compiler,
    pytest.mark.xdist_group("tensorflow"),
    pytest.mark.skipif(find_tensorflow() is None, reason="TensorFlow is not installed"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("use")
    (root / "ops.py").write_text(RESIDUALS)
    build(root / "ops.py", output=root / "use_packages", targets=("numpy", "tf"), only=("kepler", "pair", "parab"))
    sys.path.insert(0, str(root))
    return root


@pytest.fixture(scope="module")
def tf(folder: Path) -> Any:
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def kepler(tf: Any) -> Any:
    return importlib.import_module("use_packages.kepler").kepler


def J(tf: Any, kepler: Any, M: Any, e: Any) -> Any:
    """Make a scalar of both outputs."""
    out = kepler(M, e)
    return tf.reduce_sum(out.E**2) + tf.reduce_sum(tf.sin(out.r) * out.E)


def gradient(tf: Any, kepler: Any, M: Any, e: Any) -> Any:
    with tf.GradientTape() as tape:
        tape.watch([M, e])
        value = J(tf, kepler, M, e)
    return tape.gradient(value, [M, e])


@pytest.fixture(scope="module")
def inputs(tf: Any) -> tuple[Any, Any]:
    return tf.constant(np.linspace(0.3, 5, 4)), tf.constant(0.5, tf.float64)


def test_nested_tapes_give_the_hessian(tf: Any, kepler: Any, inputs: tuple[Any, Any]) -> None:
    M, e = inputs
    with tf.GradientTape(persistent=True) as outer:
        outer.watch([M, e])
        by_M, by_e = gradient(tf, kepler, M, e)
    h = 1e-5
    up, down = gradient(tf, kepler, M, e + h), gradient(tf, kepler, M, e - h)
    np.testing.assert_allclose(outer.gradient(by_e, e), (up[1] - down[1]) / (2 * h), rtol=1e-8)
    np.testing.assert_allclose(outer.gradient(by_e, M), (up[0] - down[0]) / (2 * h), rtol=1e-8)
    hessian = outer.jacobian(by_M, M).numpy()
    up, down = gradient(tf, kepler, M + h, e), gradient(tf, kepler, M - h, e)
    np.testing.assert_allclose(np.diag(hessian), (up[0] - down[0]) / (2 * h), rtol=1e-8)
    assert np.count_nonzero(hessian - np.diag(np.diag(hessian))) == 0


def test_hessians_in_a_graph(tf: Any, kepler: Any, inputs: tuple[Any, Any]) -> None:
    M, e = inputs
    found = tf.function(lambda M, e: tf.hessians(tf.reduce_sum(kepler(M, e).E), M))(M, e)[0]
    E = kepler(M, e).E
    np.testing.assert_allclose(np.diag(found), -0.5 * np.sin(E) / (1 - 0.5 * np.cos(E)) ** 3, rtol=1e-12)


def test_forward_mode_and_its_mixtures(tf: Any, kepler: Any, inputs: tuple[Any, Any]) -> None:
    M, e = inputs
    ones = tf.ones_like(M)
    E = kepler(M, e).E
    first, second = 1 / (1 - 0.5 * np.cos(E)), -0.5 * np.sin(E) / (1 - 0.5 * np.cos(E)) ** 3
    with tf.autodiff.ForwardAccumulator(M, ones) as forward:
        y = kepler(M, e)
    np.testing.assert_allclose(forward.jvp(y.E), first, rtol=1e-13)
    np.testing.assert_allclose(forward.jvp(y.r), 0.5 * np.sin(E) * first, rtol=1e-13)
    with tf.GradientTape() as tape:  # reverse over forward
        tape.watch(M)
        with tf.autodiff.ForwardAccumulator(M, ones) as forward:
            y = kepler(M, e).E
        tangent = forward.jvp(y)
    np.testing.assert_allclose(tape.gradient(tangent, M), second, rtol=1e-12)
    with tf.autodiff.ForwardAccumulator(M, ones) as forward:  # forward over reverse
        with tf.GradientTape() as tape:
            tape.watch(M)
            y = kepler(M, e).E
        by_M = tape.gradient(y, M)
    np.testing.assert_allclose(forward.jvp(by_M), second, rtol=1e-12)


def test_third_order_is_refused(tf: Any, kepler: Any, inputs: tuple[Any, Any]) -> None:
    M, e = inputs
    tapes = [tf.GradientTape() for _ in range(3)]
    for tape in tapes:
        tape.__enter__()
        tape.watch(M)
    y = kepler(M, e).E
    for tape in reversed(tapes[1:]):
        tape.__exit__(None, None, None)
        y = tape.gradient(y, M)
    tapes[0].__exit__(None, None, None)
    with pytest.raises(tf.errors.InvalidArgumentError, match="kepler: third derivatives are not generated"):
        tapes[0].gradient(y, M)


def test_jacobian_and_vectorised_map(tf: Any, kepler: Any, inputs: tuple[Any, Any]) -> None:
    M, e = inputs
    E = kepler(M, e).E
    slope = 1 / (1 - 0.5 * np.cos(E))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([M, e])
        y = kepler(M, e).E
    np.testing.assert_allclose(tape.jacobian(y, M), np.diag(slope), rtol=1e-13)
    np.testing.assert_allclose(tape.jacobian(y, e), slope * np.sin(E), rtol=1e-13)
    batch = tf.constant(np.random.default_rng(0).uniform(0, 6, (5, 4)))
    np.testing.assert_array_equal(tf.vectorized_map(lambda m: kepler(m, e).E, batch), kepler(batch, e).E)

    def by_e(m: Any) -> Any:
        return gradient(tf, kepler, m, e)[1]

    np.testing.assert_allclose(tf.vectorized_map(by_e, batch), [by_e(m) for m in batch], rtol=1e-12)


def test_jit_compile(tf: Any, kepler: Any, inputs: tuple[Any, Any]) -> None:
    """Value, gradient and second order under XLA are those without it, and failures still speak."""
    M, e = inputs

    def everything(M: Any, e: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch([M, e])
            first = gradient(tf, kepler, M, e)
            K = tf.reduce_sum(first[0] ** 2) + first[1]
        return kepler(M, e), first, tape.gradient(K, [M, e])

    compiled = tf.function(everything, jit_compile=True)(M, e)
    for a, b in zip(tf.nest.flatten(compiled), tf.nest.flatten(everything(M, e)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    jitted = tf.function(lambda M: kepler(M, e).E, jit_compile=True)
    with pytest.raises(
        tf.errors.OpError, match=r"kepler: 1 of 2 points failed; first at index \[0\] \(M = nan, e = 0.5\)"
    ):
        jitted(tf.constant([np.nan, 1.0], tf.float64))
    with pytest.raises(ValueError, match="the sizes of its inputs must be known when the function is traced"):
        tf.function(lambda M: kepler(M, e).E, jit_compile=True, input_signature=[tf.TensorSpec([None], tf.float64)])(M)


def test_saved_model_in_a_process_that_only_loads_the_library(
    tf: Any, kepler: Any, folder: Path, tmp_path: Path
) -> None:
    """tf.load_op_library is all that serving needs; the gradient is in the graph."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float64), tf.TensorSpec([], tf.float64)])
        def both(self, M: Any, e: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch([M, e])
                y = kepler(M, e).E
            return [y, *tape.gradient(y, [M, e])]

    module = Module()
    want = module.both(tf.constant([1.0, 2.0], tf.float64), 0.5)
    tf.saved_model.save(module, str(tmp_path / "model"))
    library = folder / "use_packages" / "kepler" / "lib" / "libkepler_tf.so"
    code = f"""
import sys, json, tensorflow as tf
tf.load_op_library({str(library)!r})
loaded = tf.saved_model.load({str(tmp_path / "model")!r})
out = loaded.both(tf.constant([1.0, 2.0], tf.float64), tf.constant(0.5, tf.float64))
assert not any('use_packages' in m for m in sys.modules)
print(json.dumps([o.numpy().tolist() for o in out]))"""
    for got, right in zip(json.loads(run(code, tmp_path)), want, strict=True):
        np.testing.assert_array_equal(got, right)


KERAS = """
import sys
import numpy as np, tensorflow as tf, keras
from use_packages.kepler import kepler
model_file, x = sys.argv[1], np.linspace(0.1, 1, 48, dtype=np.float32)[:, None]
if sys.argv[2] == "load":
    from use_packages.kepler import keras_layer
    loaded = keras.models.load_model(model_file)
    np.testing.assert_array_equal(loaded.predict(x, batch_size=48, verbose=0), np.load(sys.argv[3]))
else:
    keras.utils.set_random_seed(0)
    entry = keras.Input((1,))
    anomaly = keras.layers.Dense(1, kernel_initializer="ones")(entry)
    out = kepler(anomaly, 0.3, on_failure="nan")
    model = keras.Model(entry, keras.layers.Add()([out.E, out.r]))
    assert model.output_shape == (None, 1)
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=sys.argv[4] == "jit")
    reference = kepler(2 * x + 0.5, 0.3)
    losses = model.fit(x, reference.E + reference.r, epochs=40, batch_size=16, verbose=0).history["loss"]
    assert losses[-1] < 1e-2 * losses[0], losses
    model.save(model_file)
    np.save(sys.argv[3], model.predict(x, batch_size=48, verbose=0))
print("done")
"""


@pytest.mark.parametrize("jit", ["jit", "plain"])
def test_a_keras_model_trains_and_is_saved_and_loaded(folder: Path, tmp_path: Path, jit: str) -> None:
    (folder / "keras_use.py").write_text(KERAS)
    for what in ("train", "load"):
        command = [sys.executable, "keras_use.py", str(tmp_path / "m.keras"), what, str(tmp_path / "p.npy"), jit]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        )
        assert done.returncode == 0, done.stderr[-2000:]


def test_mirrored_strategy_over_two_cpu_devices(folder: Path) -> None:
    code = """
import numpy as np, tensorflow as tf
from use_packages.kepler import kepler
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    e = tf.Variable(0.2, dtype=tf.float64)
M = np.linspace(0.1, 6, 16)
data = strategy.experimental_distribute_dataset(tf.data.Dataset.from_tensor_slices(M).batch(16))
@tf.function
def step(batch):
    def replica(m):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(kepler(m, e).E)
        return tape.gradient(loss, e)
    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica, (batch,)), axis=None)
got = float(step(next(iter(data))))
with tf.GradientTape() as tape:
    loss = tf.reduce_sum(kepler(M, e.read_value()).E)
    tape.watch(e)
E = kepler(M, 0.2).E
np.testing.assert_allclose(got, (np.sin(E) / (1 - 0.2 * np.cos(E))).sum(), rtol=1e-12)
print('done')"""
    assert run(code, folder).strip().endswith("done")


WORKER = """
import json, os, sys
import numpy as np, tensorflow as tf
from use_packages.kepler import kepler
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    e = tf.Variable(0.2, dtype=tf.float64)
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
M = tf.constant(np.linspace(0.1, 6, 16)[8 * index : 8 * index + 8])
@tf.function
def step():
    def replica():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(kepler(M, e).E)
        return tape.gradient(loss, e)
    return strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(replica), axis=None)
print(repr(float(step())))
"""


def test_multi_worker_strategy_with_two_processes(folder: Path) -> None:
    (folder / "worker.py").write_text(WORKER)
    sockets = [socket.socket() for _ in range(2)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    cluster = {"worker": [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]}
    for s in sockets:
        s.close()
    workers = []
    for index in range(2):
        config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        environment = {**os.environ, "TF_CONFIG": config, "TF_CPP_MIN_LOG_LEVEL": "3"}
        workers.append(
            subprocess.Popen(
                [sys.executable, "worker.py"], cwd=folder, env=environment, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
    try:
        results = [w.communicate(timeout=180) for w in workers]
    finally:
        for w in workers:
            w.kill()
    assert all(w.returncode == 0 for w in workers), results[0][1][-1500:]
    op = importlib.import_module("use_packages.kepler").kepler
    E = op(np.linspace(0.1, 6, 16), 0.2).E
    for out, _ in results:
        assert float(out.strip().splitlines()[-1]) == pytest.approx(
            (np.sin(E) / (1 - 0.2 * np.cos(E))).sum(), rel=1e-12
        )
