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
class Safeguarded {
 public:
  using Fixed = typename Op::template Prologue<double>;

  Safeguarded(const Fixed& fixed, double lo, double hi, double tol) : fixed_(fixed), lo_(lo), hi_(hi), tol_(tol) {}

  Iterate<double, 1> solve(double start, int64_t max_iterations) {
    double y = start;
    bracket_ends();
    if (!evaluate(y) && std::isfinite(lo_) && std::isfinite(hi_)) y = halfway(lo_, hi_);
    for (int64_t iteration = 0;; ++iteration) {
      const bool finite = evaluate(y);
      best_.iterations = static_cast<double>(iteration);
      const bool allowed = !Op::open[0] || y != 0;  // an open end is no root, even if all terms underflow there
      if (finite && allowed && std::isfinite(s_[0]) && std::fabs(F_[0]) <= tol_ * s_[0]) return accept(y);
      const bool lower = finite && !(best_.residual <= std::fabs(F_[0]));
      if (iteration >= max_iterations) {
        if (lower) keep(y);
        return zero_root();
      }
      y = next(y, finite, lower);
    }
  }

 private:
  bool evaluate(double y) {
    const double at[1] = {y};
    Op::linearise(fixed_, at, F_, J_, s_);
    return std::isfinite(F_[0]);
  }

  // Newton only halves its way to a multiple root at zero, and never arrives.
  Iterate<double, 1> zero_root() {
    if (!Op::open[0] && std::fabs(best_.y[0]) < 1e-6 && lo_ <= 0 && hi_ >= 0 && evaluate(0) && F_[0] == 0) {
      best_.y[0] = best_.residual = 0;
      best_.converged = true;
    }
    return best_;
  }
  Iterate<double, 1> accept(double y) {
    best_.y[0] = inside<Op>(0, y, correction(y, -F_[0] / J_[0][0]), lo_, hi_);
    best_.residual = std::fabs(F_[0]);
    best_.converged = true;
    return best_;
  }
  void keep(double y) {
    best_.y[0] = y;
    best_.residual = std::fabs(F_[0]);
  }

  bool bracketed() const { return below_ == below_ && above_ == above_; }
  void bracket(double y, double F) { (F < 0 ? below_ : above_) = y; }

  // Finite bounds, if F has different signs there, log 0 = -inf among them.
  void bracket_ends() {
    if (!Op::bounded || !std::isfinite(lo_) || !std::isfinite(hi_)) return;
    evaluate(lo_);
    const double at_lo = F_[0];
    evaluate(hi_);
    if (at_lo * F_[0] < 0) bracket(lo_, at_lo), bracket(hi_, F_[0]);
  }

  double next(double y, bool finite, bool lower) {
    const double newton = -F_[0] / J_[0][0];
    if (bracketed()) return between(y, newton, finite, lower);
    const bool crossed = base_F_ * F_[0] < 0;  // an infinite F has a sign too
    if (crossed && (searches_ > 0 || cuts_ > 0)) {  // there is a root, or a pole, between here and the best point
      bracket(best_.y[0], base_F_), bracket(y, F_[0]);
      if (lower) keep(y);
      return halfway(below_, above_);
    }
    if (lower) {
      slow_ = std::fabs(F_[0]) > 0.9 * best_.residual ? slow_ + 1 : 0;
      keep(y);
      base_F_ = F_[0], base_J_ = J_[0][0], step_ = newton, cuts_ = searches_ = 0;
    } else {
      // Along the step F(t) = F0 (1 - t) + F1 t^2 agrees with F0, its slope and the trial's F1.
      const double ratio = finite ? std::fabs(base_F_ / F_[0]) : 0;
      step_ *= std::fmin(std::fmax(crossed ? std::sqrt(ratio) : 0.5 * ratio, 0.1), 0.5);
      ++cuts_;
    }
    if (searches_ > 0 || cuts_ > 2 || slow_ > 2 || !std::isfinite(step_) || !(std::fabs(base_J_) > 0)) {
      const double reach = 0.1 * std::fmax(std::fabs(best_.y[0]), 1) * std::ldexp(1, searches_);
      step_ = searches_ % 2 ? -reach : reach;
      ++searches_;
      slow_ = 0;
    }
    return inside<Op>(0, best_.y[0], step_, lo_, hi_);
  }

  double between(double y, double newton, bool finite, bool lower) {
    if (lower) keep(y);
    if (F_[0] == F_[0]) bracket(y, F_[0]);
    const double a = std::fmin(below_, above_), b = std::fmax(below_, above_);
    if (!(b - a > 2 * epsilon * (std::fabs(a) + std::fabs(b)))) {  // a pole or a jump, not a root: look elsewhere
      below_ = above_ = nan;
      searches_ = 1;
      step_ = 0.2 * std::fmax(std::fabs(best_.y[0]), 1);
      return inside<Op>(0, best_.y[0], step_, lo_, hi_);
    }
    const double trial = y + newton;
    const bool fast = finite && trial > a && trial < b && std::fabs(newton) < 0.5 * width_;
    width_ = fast ? std::fabs(newton) : b - a;
    return fast ? trial : halfway(a, b);
  }

  const Fixed& fixed_;
  const double lo_, hi_, tol_;
  double F_[1], J_[1][1], s_[1];
  Iterate<double, 1> best_{{nan}, false, 0, nan};
  double base_F_ = nan, base_J_ = nan, step_ = nan;  // at the best point
  double below_ = nan, above_ = nan;                 // F(below_) < 0 < F(above_)
  double width_ = infinity;
  int cuts_ = 0, slow_ = 0, searches_ = 0;
};

template <class Op>
Iterate<double, 1> safeguarded(const typename Op::template Prologue<double>& fixed, const double (&start)[1],
                               const double* lo, const double* hi, double tol, int64_t max_iterations) {
  return Safeguarded<Op>(fixed, lo[0], hi[0], tol).solve(start[0], max_iterations);
}

// Several unknowns: Levenberg-Marquardt on the residual scaled by the size of its terms,
//   (J^T W J + lambda D) d = -J^T W F,  W = diag(1/s_i^2),  D = diag(J^T W J),
// lambda falling to zero, and so the step to Newton's, as it succeeds (More, Lecture Notes in Mathematics 630, 1978).
template <class Op, int k = Op::unknowns, class = typename std::enable_if<(k > 1)>::type>
Iterate<double, k> safeguarded(const typename Op::template Prologue<double>& fixed, const double (&start)[k],
                               const double* lo, const double* hi, double tol, int64_t max_iterations) {
  Iterate<double, k> best{{}, false, 0, nan};
  double base[k], base_F[k] = {}, base_J[k][k] = {}, weight[k] = {}, y[k], merit = infinity, lambda = 0;
  for (int i = 0; i < k; ++i) best.y[i] = y[i] = base[i] = start[i];
  for (int64_t iteration = 0;; ++iteration) {
    double F[k], J[k][k], s[k], own = 0, trial = 0, norm = 0;
    Op::linearise(fixed, y, F, J, s);
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
