"""Every compiler and linker flag.

Never -ffast-math or -Ofast: linked into a shared library it makes the whole process flush denormal numbers to zero, and
lets the compiler assume that there is no NaN.
"""

from __future__ import annotations

import sys

# Nobody reads errno or the floating-point exception flags after a kernel; giving them up lets loops be vectorised.
KERNEL = (
    "-std=c++17",
    "-O2",
    "-ftree-vectorize",
    "-fopenmp-simd",
    "-fno-math-errno",
    "-fno-trapping-math",
)
# Eigen's factorisations; its own warnings are not ours to mend.
SPARSE = ("-std=c++17", "-O2", "-DNDEBUG")
WITH_SPARSE = "-DOPGEN_SPARSE"  # the kernel may call them
TENSORFLOW = ("-std=c++17", "-O2")
# Of PyTorch's stable interface only what is there since 2.10: the library runs in every release since.
TORCH = ("-std=c++17", "-O1", "-DTORCH_TARGET_VERSION=0x020A000000000000")
JAX = ("-std=c++17", "-O1")  # it only passes pointers on
# The residual in ATen is calls into ATen: optimising it takes longer than it saves.
ATEN = ("-std=c++20", "-O1", "-DAT_PER_OPERATOR_HEADERS")

COMPILE = ("-fPIC", "-fvisibility=hidden", "-pthread", "-Wall", "-Wextra", "-c")
# Functions are bound inside each library, so that two operators in one process never meet; one that is missing is an
# error here and not where the operator is used. There is no soname: libraries of one name would be taken for the same.
LINK = ("-shared", "-pthread") + (
    ("-Wl,-Bsymbolic-functions", "-Wl,-z,defs", "-Wl,--as-needed") if sys.platform.startswith("linux") else ()
)
VECTOR_LIBRARY = "-lmvec"  # before -lm
MATHEMATICS = "-lm"
LOADER = "-ldl"
