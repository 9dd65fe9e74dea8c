// Dense linear systems of a few unknowns, one per lane, in registers or on the stack.
#ifndef OPGEN_LU_H
#define OPGEN_LU_H

#include <opgen/math.h>

namespace opgen {

// Solves A z = b in place (b becomes z) by Gaussian elimination with partial pivoting, A being destroyed. Every lane has its
// own pivots: below the diagonal each row is compared with the pivot row and exchanged by `select`, never by a branch.
// Returns the smallest pivot relative to the largest: 0, or NaN, if A is singular.
template <int k, class R>
OPGEN_INLINE R lu_solve(R (&A)[k][k], R (&b)[k]) {
  if constexpr (k == 1) {
    const R pivot = A[0][0];
    b[0] = b[0] / pivot;
    return select(pivot == 0.0, R(0.0), R(1.0));
  } else {
    R smallest = R(infinity), largest = R(0.0);
#pragma GCC unroll 8
    for (int c = 0; c < k; ++c) {
#pragma GCC unroll 8
      for (int r = c + 1; r < k; ++r) {
        const auto swap = abs(A[r][c]) > abs(A[c][c]);
#pragma GCC unroll 8
        for (int j = c; j < k; ++j) {
          const R upper = A[c][j], lower = A[r][j];
          A[c][j] = select(swap, lower, upper);
          A[r][j] = select(swap, upper, lower);
        }
        const R upper = b[c], lower = b[r];
        b[c] = select(swap, lower, upper);
        b[r] = select(swap, upper, lower);
      }
      const R pivot = abs(A[c][c]);
      smallest = min(smallest, pivot);
      largest = max(largest, pivot);
      const R inverse = 1.0 / A[c][c];
      A[c][c] = inverse;
#pragma GCC unroll 8
      for (int r = c + 1; r < k; ++r) {
        const R factor = A[r][c] * inverse;
#pragma GCC unroll 8
        for (int j = c + 1; j < k; ++j) A[r][j] = A[r][j] - factor * A[c][j];
        b[r] = b[r] - factor * b[c];
      }
    }
#pragma GCC unroll 8
    for (int c = k - 1; c >= 0; --c) {
#pragma GCC unroll 8
      for (int j = c + 1; j < k; ++j) b[c] = b[c] - A[c][j] * b[j];
      b[c] = b[c] * A[c][c];
    }
    return smallest / largest;
  }
}

}  // namespace opgen
#endif
