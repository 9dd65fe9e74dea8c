"""Save a model of an orbit and its gradient: python save_tensorflow.py MODEL, where `generated` can be imported."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import tensorflow as tf

from generated.kepler import kepler


class Orbit(tf.Module):
    """The distance of a planet, and what it changes by with the eccentricity."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float64), tf.TensorSpec([], tf.float64)])
    def distance(self, M: tf.Tensor, e: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(e)
            r = kepler(M, e).r
            total = tf.reduce_sum(r)
        return {"r": r, "by_e": tape.gradient(total, e)}


orbit = Orbit()
tf.saved_model.save(orbit, sys.argv[1], signatures={"serving_default": orbit.distance})
