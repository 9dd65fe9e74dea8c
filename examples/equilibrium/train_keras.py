"""Train a layer in equilibrium to tell two spirals apart, with Keras."""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import keras
import numpy as np
from spirals import FEATURES, NORM, spirals, weights

import opgen

equilibrium = opgen.load(Path(__file__).with_name("equilibrium.py"))


def bounded(W):
    """Scale W back to the largest norm that is allowed."""
    return W * keras.ops.minimum(1.0, NORM / keras.ops.norm(W, 2))


class Equilibrium(keras.layers.Layer):
    """The states that a layer settles in; it owns W, U and b."""

    def build(self, _shape):
        W, U, b = weights()
        self.W = self.add_weight(shape=W.shape, initializer=lambda *_, **__: W.astype(np.float32), constraint=bounded)
        self.U = self.add_weight(shape=U.shape, initializer=lambda *_, **__: U.astype(np.float32))
        self.b = self.add_weight(shape=b.shape, initializer=lambda *_, **__: b.astype(np.float32))

    def call(self, x):
        return equilibrium(x, self.W, self.U, self.b)


def main() -> float:
    keras.utils.set_random_seed(1)
    x, label = (a.astype(np.float32) for a in spirals())
    model = keras.Sequential([keras.Input((FEATURES,)), Equilibrium(), keras.layers.Dense(1)])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"], jit_compile=False)
    history = model.fit(x, label, batch_size=64, epochs=40, verbose=0).history
    losses = history["loss"]
    test, truth = spirals(1000, seed=1)
    right = float(np.mean((model.predict(test.astype(np.float32), verbose=0)[:, 0] > 0) == truth))
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; {100 * right:.1f} % of new points told apart")
    return losses[-1] / losses[0] if right > 0.95 else 1.0


if __name__ == "__main__":
    sys.exit(main() > 0.1)
