"""Call the operator on arrays chunk by chunk: python chunks.py, where `generated` can be imported."""

import tempfile
from pathlib import Path

import dask.array as da
import numpy as np
from scipy.integrate import quad_vec

from generated.kepler import kepler

# A file that need not fit into memory, in slices that do. Each call uses all processors.
with tempfile.TemporaryDirectory() as folder:
    M = np.memmap(Path(folder) / "M", np.float64, "w+", shape=1_000_000)
    M[:] = np.linspace(0, 2 * np.pi, M.size)
    r = np.memmap(Path(folder) / "r", np.float64, "w+", shape=M.shape)
    step = 100_000
    for at in range(0, M.size, step):
        part = slice(at, at + step)
        r[part] = kepler(M[part], 0.3).r
    print(f"mean distance {r.mean():.6f}")
    del M, r

# Dask: every block is a NumPy array, and the outputs become one more axis.
M, e = da.meshgrid(da.linspace(0, 2 * np.pi, 1000, chunks=250), da.linspace(0, 0.9, 400, chunks=100))
both = da.map_blocks(lambda *x: np.stack(kepler(*x)), M, e, dtype=np.float64, chunks=((2,), *M.chunks), new_axis=0)
E, r = both
print(f"largest residual {abs(E - e * da.sin(E) - M).max().compute():.0e}, farthest {r.max().compute():.3f}")

# SciPy: the operator is a function of arrays like any other. The mean distance over time is 1 + e²/2.
e = np.array([0.0, 0.3, 0.6])
mean, _ = quad_vec(lambda M: kepler(M, e).r / (2 * np.pi), 0, 2 * np.pi)
print("mean distances", mean.round(6))
assert np.allclose(mean, 1 + e**2 / 2, rtol=1e-9)
