// The safeguarded solver of one unknown, for a point that damped Newton leaves behind.
#ifndef OPGEN_SCALAR_H
#define OPGEN_SCALAR_H

#include <opgen/newton.h>
#include <string.h>

namespace opgen {

// Halfway between two ends, in magnitude where they are of one sign and far apart.
inline double halfway(double a, double b) {
  if (a * b > 0 && (std::fabs(a) > 8 * std::fabs(b) || std::fabs(b) > 8 * std::fabs(a))) {
    return std::copysign(std::sqrt(std::fabs(a)) * std::sqrt(std::fabs(b)), a);
  }
  return 0.5 * a + 0.5 * b;
}

// The number with as many doubles below it down to a as above it up to b: no interval can be halved so more than 64 times.
inline double middle_double(double a, double b) {
  const auto rank = [](double x) {
    int64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits < 0 ? INT64_MIN - bits : bits;
  };
  const int64_t low = rank(a), high = rank(b);
  int64_t bits = (low & high) + ((low ^ high) >> 1);
  if (bits < 0) bits = INT64_MIN - bits;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

inline bool opposite(double a, double b) { return (a < 0 && b > 0) || (a > 0 && b < 0); }  // a product may underflow

// One unknown. Three ways to go on, from the best to the last:
//   bracketed: F changes sign between two known points; Newton where it stays between them and halves them, else halving;
//   damped:    Newton from the best point, the step cut by a quadratic model of F along it while |F| does not fall;
//   searching: |F| has a minimum here that is no root; look to both sides, farther each time, for less or a change of sign.
// A bracket ends at a root, or at a pole or a jump where there is none; then, and where the others have used up their
// iterations, changes of sign are hunted from the start outwards over all that the bounds allow.
template <class Op>
class Safeguarded {
 public:
  using Fixed = typename Op::template Prologue<double>;

  Safeguarded(const Fixed& fixed, double lo, double hi, double tol) : fixed_(fixed), lo_(lo), hi_(hi), tol_(tol) {}

  Iterate<double, 1> solve(double start, int64_t max_iterations, bool persistent) {
    double y = start, below, above;
    steps_ = persistent ? 200 : max_iterations;
    if (ends(below, above) && bisect(below, above, start)) return best_;
    if (!evaluate(y) && std::isfinite(lo_) && std::isfinite(hi_)) y = halfway(lo_, hi_);
    for (int64_t iteration = 0;; ++iteration) {
      const bool finite = evaluate(y);
      ++best_.iterations;
      if (finite && is_root(y)) return accept(y);
      const bool lower = finite && !(best_.residual <= std::fabs(F_[0]));
      if (iteration >= max_iterations) {
        if (lower) keep(y);
        break;
      }
      y = next(y, finite, lower);
    }
    const double used = best_.iterations;
    if (persistent && hunt(start)) return best_;
    best_.iterations = used;  // a hunt in vain is no iteration
    return zero_root();
  }

 private:
  bool evaluate(double y) {
    const double at[1] = {y};
    Op::linearise(fixed_, at, F_, J_, s_);
    return std::isfinite(F_[0]);
  }

  // An open end is no root, even if all terms underflow there; and where they do away from zero, F says nothing of y.
  bool is_root(double y) const {
    if (y == 0 ? Op::open[0] : !(tol_ * s_[0] > 0)) return false;
    return std::isfinite(s_[0]) && std::fabs(F_[0]) <= tol_ * s_[0];
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

  // Finite bounds, if F has different signs there. An end where F is infinite or none at all, a pole or the logarithm of
  // zero, is moved inwards until F has a value.
  bool ends(double& below, double& above) {
    if (!Op::bounded || !(lo_ < hi_) || !std::isfinite(lo_) || !std::isfinite(hi_)) return false;
    double at[2] = {lo_, hi_}, F[2];
    for (int i = 0; i < 2; ++i) {
      double moved = 1e-300;
      while (!evaluate(at[i]) && moved < 1e-3) {
        moved = moved < 1e-18 ? moved * 1e18 : moved * 1e3;
        at[i] = i == 0 ? lo_ + moved * (hi_ - lo_) : hi_ - moved * (hi_ - lo_);
      }
      F[i] = F_[0];
    }
    below = F[0] < 0 ? at[0] : at[1];
    above = F[0] < 0 ? at[1] : at[0];
    return opposite(F[0], F[1]) || (F[0] != F[1] && (F[0] == 0 || F[1] == 0));
  }

  // Closes in on the change of sign between two points, F(below) <= 0 <= F(above), in at most 200 evaluations: Newton's step
  // where it falls between them, after which the distance must have halved, else a bisection. Where the points become
  // neighbours and F is not small beside its terms there is a jump, and where |F| has grown a pole, and no root.
  bool bisect(double below, double above, double start = nan) {
    const bool between = start > std::fmin(below, above) && start < std::fmax(below, above);
    double y = between ? start : halfway(below, above), width = infinity;
    evaluate(below);
    most_ = std::fabs(F_[0]);
    evaluate(above);
    most_ = std::fmax(most_, std::fabs(F_[0]));
    for (int64_t step = 0; step < steps_; ++step) {
      const bool finite = evaluate(y);
      ++best_.iterations;
      if (finite && std::fabs(F_[0]) <= most_ && is_root(y)) return accept(y).converged;
      if (finite && !(best_.residual <= std::fabs(F_[0]))) keep(y);
      if (F_[0] != F_[0]) return false;
      (F_[0] < 0 ? below : above) = y;
      const double a = std::fmin(below, above), b = std::fmax(below, above);
      const double newton = -F_[0] / J_[0][0], trial = y + newton, half = step < 60 ? halfway(a, b) : middle_double(a, b);
      const bool fast = finite && trial > a && trial < b && std::fabs(newton) < 0.5 * width;
      width = fast ? std::fabs(newton) : b - a;
      y = fast && step < 100 ? trial : half;
      if (y == a || y == b) return at_end(a) || at_end(b);
    }
    return false;
  }
  bool at_end(double y) {
    return evaluate(y) && std::fabs(F_[0]) <= most_ && is_root(y) && accept(y).converged;
  }

  // Looks for changes of sign on both sides of the start, at distances that grow twofold and then faster, and closes in on each.
  bool hunt(double start) {
    if (!std::isfinite(start)) start = 1;
    const double unit = 1e-3 * std::fmax(std::fabs(start), 1e-3);
    double last[2], F[2];
    evaluate(start);
    last[0] = last[1] = start;
    F[0] = F[1] = F_[0];
    for (int reach = 0; reach < 40; ++reach) {
      for (int side = 0; side < 2; ++side) {
        const int doublings = reach < 24 ? reach : 24 + 4 * (reach - 24) * (reach - 24);
        const double step = std::ldexp(side == 0 ? unit : -unit, doublings);
        const double y = inside<Op>(0, start, step, lo_, hi_);
        if (y == last[side]) continue;
        evaluate(y);
        ++best_.iterations;
        const double there = F_[0];
        if (opposite(F[side], there) && bisect(there < 0 ? y : last[side], there < 0 ? last[side] : y)) return true;
        last[side] = y;
        F[side] = there;
      }
    }
    return false;
  }

  double next(double y, bool finite, bool lower) {
    const double newton = -F_[0] / J_[0][0];
    const bool crossed = opposite(base_F_, F_[0]);  // an infinite F has a sign too
    if (crossed && (searches_ > 0 || cuts_ > 0) && F_[0] == F_[0]) {  // a root, or a pole, between here and the best point
      const double other = best_.y[0];
      if (lower) keep(y);
      if (bisect(base_F_ < 0 ? other : y, base_F_ < 0 ? y : other)) return best_.y[0];
      searches_ = searches_ < 1 ? 1 : searches_;
      step_ = 0.2 * std::fmax(std::fabs(best_.y[0]), 1);
      return inside<Op>(0, best_.y[0], step_, lo_, hi_);
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

  const Fixed& fixed_;
  const double lo_, hi_, tol_;
  double F_[1], J_[1][1], s_[1];
  Iterate<double, 1> best_{{nan}, false, -1, nan};  // evaluations after the first
  double base_F_ = nan, base_J_ = nan, step_ = nan;  // at the best point
  int64_t steps_ = 0;  // for one bracket
  double most_ = infinity;  // |F| at its ends
  int cuts_ = 0, slow_ = 0, searches_ = 0;
};

template <class Op>
Iterate<double, 1> safeguarded(const typename Op::template Prologue<double>& fixed, const double (&start)[1],
                               const double* lo, const double* hi, double tol, int64_t max_iterations,
                               bool persistent) {
  return Safeguarded<Op>(fixed, lo[0], hi[0], tol).solve(start[0], max_iterations, persistent);
}

}  // namespace opgen
#endif
