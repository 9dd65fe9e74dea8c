// The solver for the points that damped Newton leaves behind, one at a time.
#ifndef OPGEN_SAFEGUARD_H
#define OPGEN_SAFEGUARD_H

#include <opgen/scalar.h>

namespace opgen {

// Several unknowns: Levenberg-Marquardt on the residual scaled by the size of its terms,
//   (J^T W J + lambda D) d = -J^T W F,  W = diag(1/s_i^2),  D = diag(J^T W J),
// lambda falling to zero, and so the step to Newton's, as it succeeds (More, Lecture Notes in Mathematics 630, 1978).
template <class Op, int k = Op::unknowns, class = typename std::enable_if<(k > 1)>::type>
Iterate<double, k> safeguarded(const typename Op::template Prologue<double>& fixed, const double (&start)[k],
                               const double* lo, const double* hi, double tol, int64_t max_iterations, bool) {
  Iterate<double, k> best{{}, false, 0, nan};
  double base[k], base_F[k] = {}, base_J[k][k] = {}, weight[k] = {}, y[k], merit = infinity, lambda = 0;
  for (int i = 0; i < k; ++i) best.y[i] = y[i] = base[i] = start[i];
  for (int64_t iteration = 0;; ++iteration) {
    double F[k], J[k][k], s[k], own = 0, trial = 0, norm = 0;
    Op::linearise(fixed, y, F, J, s);
    bool converged = true;
    for (int i = 0; i < k; ++i) {
      converged = converged && std::isfinite(s[i]) && std::fabs(F[i]) <= tol * s[i];
      const double own_weight = 1 / (s[i] + 1e-300);
      own += F[i] * own_weight * (F[i] * own_weight);
      trial += merit < infinity ? F[i] * weight[i] * (F[i] * weight[i]) : F[i] * own_weight * (F[i] * own_weight);
      norm += F[i] * F[i];
    }
    best.iterations = static_cast<double>(iteration);
    const bool lower = trial < merit;
    if (lower || converged) {
      merit = own;
      for (int i = 0; i < k; ++i) {
        best.y[i] = base[i] = y[i];
        base_F[i] = F[i];
        weight[i] = 1 / (s[i] + 1e-300);
        for (int j = 0; j < k; ++j) base_J[i][j] = J[i][j];
      }
      best.residual = std::sqrt(norm);
      lambda = lambda < 1e-8 ? 0 : 0.1 * lambda;
    } else {
      lambda = lambda == 0 ? 1e-3 : 10 * lambda;
    }
    if (converged) {
      double d[k];
      for (int i = 0; i < k; ++i) d[i] = -F[i];
      lu_solve(J, d);
      for (int i = 0; i < k; ++i) best.y[i] = inside<Op>(i, y[i], correction(y[i], d[i]), lo[i], hi[i]);
      best.converged = true;
      return best;
    }
    if (iteration >= max_iterations || !(merit < infinity)) return best;

    double A[k][k], d[k];
    bool full = lambda == 0;
    if (full) {
      for (int i = 0; i < k; ++i) {
        d[i] = -base_F[i];
        for (int j = 0; j < k; ++j) A[i][j] = base_J[i][j];
      }
      lu_solve(A, d);
      for (int i = 0; i < k; ++i) full = full && std::isfinite(d[i]);
      if (!full) lambda = 1e-3;
    }
    if (!full) {
      for (int i = 0; i < k; ++i) {
        d[i] = 0;
        for (int m = 0; m < k; ++m) d[i] -= base_J[m][i] * weight[m] * weight[m] * base_F[m];
        for (int j = 0; j < k; ++j) {
          A[i][j] = 0;
          for (int m = 0; m < k; ++m) A[i][j] += base_J[m][i] * weight[m] * weight[m] * base_J[m][j];
        }
      }
      for (int i = 0; i < k; ++i) A[i][i] += lambda * (A[i][i] > 0 ? A[i][i] : 1);
      lu_solve(A, d);
    }
    for (int i = 0; i < k; ++i) y[i] = inside<Op>(i, base[i], d[i], lo[i], hi[i]);
  }
}

}  // namespace opgen
#endif
