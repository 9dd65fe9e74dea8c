// The solver for the points that damped Newton leaves behind, one at a time.
#ifndef OPGEN_SAFEGUARD_H
#define OPGEN_SAFEGUARD_H

#include <opgen/newton.h>

namespace opgen {

// Halfway between two ends, in magnitude where they are of one sign and far apart.
inline double halfway(double a, double b) {
  if (a * b > 0 && (std::fabs(a) > 8 * std::fabs(b) || std::fabs(b) > 8 * std::fabs(a))) {
    return std::copysign(std::sqrt(std::fabs(a)) * std::sqrt(std::fabs(b)), a);
  }
  return a + 0.5 * (b - a);
}

// One unknown. Three ways to go on, from the best to the last:
//   bracketed: F changes sign between two known points; Newton where it stays between them and converges, else halving;
//   damped:    Newton from the best point, the step cut by a quadratic model of F along it while |F| does not fall;
//   searching: |F| has a minimum here that is no root; look to both sides, farther each time, for less or a change of sign.
template <class Op>
Iterate<double, 1> safeguarded(const typename Op::template Prologue<double>& p, const double (&start)[1],
                               const double* lo, const double* hi, double tol, int64_t max_iterations) {
  double F[1], J[1][1], s[1], y = start[0];
  const auto evaluate = [&](double at) {
    const double point[1] = {at};
    Op::linearise(p, point, F, J, s);
    return std::isfinite(F[0]);
  };
  Iterate<double, 1> best{{y}, false, 0, nan};
  double base_F = nan, base_J = nan, step = 0, width = infinity;
  double below = nan, above = nan;  // F(below) < 0 < F(above)
  int cuts = 0, slow = 0, searches = 0;
  const auto limit = [&](double at) { return std::fmin(std::fmax(at, lo[0]), hi[0]); };
  const auto bracket = [&](double at, double value) { (value < 0 ? below : above) = at; };
  const auto bracketed = [&] { return below == below && above == above; };
  if (Op::bounded && std::isfinite(lo[0]) && std::isfinite(hi[0])) {
    // The infinite values at an end, log 0 for one, have a sign too.
    const double point[2] = {lo[0], hi[0]};
    double value[2];
    for (int i = 0; i < 2; ++i) value[i] = evaluate(point[i]), value[i] = F[0];
    if ((value[0] < 0 && value[1] > 0) || (value[0] > 0 && value[1] < 0)) {
      for (int i = 0; i < 2; ++i) bracket(point[i], value[i]);
    }
    if (!evaluate(y)) y = halfway(lo[0], hi[0]);
  }
  for (int64_t iteration = 0;; ++iteration) {
    const bool finite = evaluate(y);
    const double size = std::fabs(F[0]), newton = -F[0] / J[0][0];
    const bool lower = finite && (!(best.residual <= size));
    best.iterations = static_cast<double>(iteration);
    if (finite && std::isfinite(s[0]) && size <= tol * s[0]) {
      best.y[0] = limit(polish(y, newton));
      best.residual = size;
      best.converged = true;
      return best;
    }
    const double last = best.residual, last_y = best.y[0];
    if (lower) best.y[0] = y, best.residual = size;
    if (iteration >= max_iterations) return best;

    if (bracketed()) {
      if (finite) bracket(y, F[0]);
      const double a = std::fmin(below, above), b = std::fmax(below, above), next = y + newton;
      const bool fast = next > a && next < b && std::fabs(newton) < 0.5 * width;
      width = fast ? std::fabs(newton) : b - a;
      y = finite && fast ? next : halfway(a, b);
      continue;
    }
    if (lower) {
      if (last == last && base_F * F[0] < 0 && searches > 0) {  // the search has stepped over a root
        bracket(last_y, base_F), bracket(y, F[0]);
        y = halfway(below, above);
        continue;
      }
      slow = size > 0.9 * last ? slow + 1 : 0;
      base_F = F[0], base_J = J[0][0], step = newton, cuts = searches = 0;
    } else if (searches > 0 && finite && base_F * F[0] < 0) {
      bracket(best.y[0], base_F), bracket(y, F[0]);
      y = halfway(below, above);
      continue;
    } else {
      // Along the step F(t) = F0 (1 - t) + F1 t^2 agrees with F0, its slope and the trial's F1.
      const double ratio = finite ? std::fabs(base_F / F[0]) : 0;
      const double cut = base_F * F[0] < 0 ? std::sqrt(ratio) : 0.5 * ratio;
      step *= std::fmin(std::fmax(cut, 0.1), 0.5);
      ++cuts;
    }
    if (searches > 0 || cuts > 5 || slow > 2 || !std::isfinite(step) || !(std::fabs(base_J) > 0)) {
      const double reach = 0.1 * std::fmax(std::fabs(best.y[0]), 1) * std::ldexp(1, searches / 2);
      step = searches % 2 ? -reach : reach;
      ++searches;
      slow = 0;
    }
    const double from = best.y[0] == best.y[0] ? best.y[0] : start[0], next = from + step;
    y = inside<Op>(0, next, from, lo[0], hi[0]);
  }
}

// Several unknowns: Levenberg-Marquardt on the residual scaled by the size of its terms,
//   (J^T W J + lambda D) d = -J^T W F,  W = diag(1/s_i^2),  D = diag(J^T W J),
// lambda falling to zero, and so the step to Newton's, as it succeeds (More, Lecture Notes in Mathematics 630, 1978).
template <class Op, int k = Op::unknowns, class = typename std::enable_if<(k > 1)>::type>
Iterate<double, k> safeguarded(const typename Op::template Prologue<double>& p, const double (&start)[k],
                               const double* lo, const double* hi, double tol, int64_t max_iterations) {
  Iterate<double, k> best{{}, false, 0, nan};
  double base[k], base_F[k] = {}, base_J[k][k] = {}, weight[k] = {}, y[k], merit = infinity, lambda = 0;
  for (int i = 0; i < k; ++i) best.y[i] = y[i] = base[i] = start[i];
  for (int64_t iteration = 0;; ++iteration) {
    double F[k], J[k][k], s[k], own = 0, trial = 0, norm = 0;
    Op::linearise(p, y, F, J, s);
    bool converged = true;
    for (int i = 0; i < k; ++i) {
      converged = converged && std::isfinite(s[i]) && std::fabs(F[i]) <= tol * s[i];
      own += F[i] / s[i] * (F[i] / s[i]);
      trial += merit < infinity ? F[i] * weight[i] * (F[i] * weight[i]) : F[i] / s[i] * (F[i] / s[i]);
      norm += F[i] * F[i];
    }
    best.iterations = static_cast<double>(iteration);
    const bool lower = trial < merit;
    if (lower || converged) {
      merit = own;
      for (int i = 0; i < k; ++i) {
        best.y[i] = base[i] = y[i];
        base_F[i] = F[i];
        weight[i] = 1 / s[i];
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
      for (int i = 0; i < k; ++i) best.y[i] = inside<Op>(i, polish(y[i], d[i]), y[i], lo[i], hi[i]);
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
    for (int i = 0; i < k; ++i) y[i] = inside<Op>(i, base[i] + d[i], base[i], lo[i], hi[i]);
  }
}

}  // namespace opgen
#endif
