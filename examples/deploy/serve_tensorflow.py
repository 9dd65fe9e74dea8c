"""Serve the SavedModel in a process that has never heard of opgen: python serve_tensorflow.py LIBRARY MODEL."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
import tensorflow as tf

library, model = sys.argv[1:]
tf.load_op_library(library)  # before the model: it brings the operators that the graph names
serve = tf.saved_model.load(model).signatures["serving_default"]
found = serve(M=tf.constant([0.5, 1.0, 2.0], tf.float64), e=tf.constant(0.3, tf.float64))
print("r   ", found["r"].numpy())
print("by e", found["by_e"].numpy())
assert not {"opgen", "sympy", "torch", "generated"} & sys.modules.keys()
