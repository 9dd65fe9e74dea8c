"""Errors of every example over its sample, against roots and derivatives with 50 digits."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from reference import EXAMPLES, Reference, condition, draw, error, gradient_error, specs
from timing import table

import opgen

POINTS, COMPARED = 100_000, 200


def report(output: str) -> str:
    """Return the table."""
    rows = []
    for name, spec in specs().items():
        file = EXAMPLES / str(spec.source.file).removesuffix(".py") / str(spec.source.file)
        found = opgen.load(file, output=output)
        op = getattr(found, name) if isinstance(found, tuple) else found
        solution = op.solve(*draw(spec, POINTS))
        reference = Reference(spec)
        x = draw(spec, COMPARED, seed=1)
        tensors = [tf.constant(a) for a in x]
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(tensors)
            outputs = tf.nest.flatten(op(*tensors))
        gradients = [[g.numpy() for g in tape.gradient(y, tensors)] for y in outputs]
        values = [y.numpy() for y in outputs]
        single = [a.astype(np.float32) for a in x]
        rounded = [np.asarray(y) for y in tf.nest.flatten(op(*single))]
        worst, worst32 = [0.0] * len(values), [0.0] * len(values)
        slopes_off, magnified = [0.0] * len(values), [0.0] * len(values)
        for i in range(COMPARED):
            point = [a[i] for a in x]
            exact, slopes = reference.at(point, [y[i] for y in values[: reference.k]])
            exact32, _ = reference.at([a[i] for a in single], [y[i] for y in rounded[: reference.k]])
            for o, slope in enumerate(slopes):
                worst[o] = max(worst[o], error(values[o][i], exact[o]))
                worst32[o] = max(worst32[o], error(rounded[o][i], exact32[o]))
                magnified[o] = max(magnified[o], condition(point, exact[o], slope))
                slopes_off[o] = max(slopes_off[o], gradient_error(point, [g[i] for g in gradients[o]], slope))
        iterations = np.asarray(solution.iterations)
        for o, label in enumerate(reference.outputs):
            steps = f"{iterations.mean():.1f}, {iterations.max()}" if o == 0 else ""
            failed = f"{int((~np.asarray(solution.converged)).sum())}" if o == 0 else ""
            numbers = (f"{v:.1e}" for v in (worst[o], worst32[o], magnified[o], slopes_off[o]))
            rows.append((name if o == 0 else "", label, failed, steps, *numbers))
    header = ("operator", "output", f"failed of {POINTS:.0e}", "iterations: mean, most", "error, float64")
    return table((*header, "error, float32", "condition", "error of the gradient"), rows)
