// Damped Newton on a pack of points at once: for packs in which some lane does not get on without.
//
// At the base point y_b, with F = F(y_b) and J = F_y(y_b), the step is d = -J^-1 F. The trial y = y_b + d becomes the base if
// it lowers the merit  m(y) = sum_i (F_i(y) / s_i)^2,  s_i the size of the terms of F_i at the base; for systems also if it
// shortens the Newton step, which does not depend on how the equations are scaled (Deuflhard, Newton Methods for Nonlinear
// Problems, 2004, section 3.3). Otherwise, and where F is not finite, the step is cut: to a quarter, or to 1/64 after a wild miss. Evaluating the trial
// gives J there as well, so a step that succeeds costs one evaluation.
//
// A lane has converged when |F_i| <= tol * s_i for all i. The step that follows from that evaluation is already known and is
// taken too: it costs nothing and leaves only the rounding error of F.
#ifndef OPGEN_DAMPED_H
#define OPGEN_DAMPED_H

#include <opgen/lu.h>

namespace opgen {

// A pack leaves its stubborn lanes to the safeguarded solver after this many evaluations.
constexpr int64_t pack_iterations = 12;

template <class R, int k>
struct Iterate {
  R y[k];                           // the root where `converged`, else the best point found
  typename Traits<R>::Bool converged;
  R iterations;                     // evaluations after the first
  R residual;                       // |F| at the last evaluation, the 2-norm for systems
  typename Traits<R>::Bool sound = none<R>();  // the root is known to nearly all digits
};

// The point base + step, kept inside [lo, hi]. An open end is at zero, where the unknown would lose the sign that its symbol
// promises: a step past it is taken in the logarithm instead, base * exp(step / base), which agrees with it to first order.
template <class R>
__attribute__((noinline, cold)) R logarithmic_step(R base, R step) { return base * exp(step / base); }

template <class Op, class R>
OPGEN_INLINE R inside(int i, const R& base, const R& step, const R& lo, const R& hi) {
  const R y = base + step;
  if constexpr (!Op::bounded) {
    return y;
  } else if (Op::open[i]) {
    const auto leaves = (y <= lo) | (y >= hi);
    if (__builtin_expect(any(leaves), 0)) return select(leaves, logarithmic_step(base, step), y);
    return y;
  } else {
    return clamp(y, lo, hi);
  }
}

// About the cube root of eps: the cube of a relative step like this is lost in rounding.
template <class R>
constexpr double short_step = sizeof(typename Traits<R>::Element) == 4 ? 2e-3 : 2e-6;

// The last step is taken only where it is the small correction that it should be.
template <class R>
OPGEN_INLINE R correction(const R& y, const R& step) {
  return select(abs(step) <= short_step<R> * abs(y), step, 0.0);
}

// Whether F is as small as its terms allow. One that has overflowed is as large as its terms, not small beside them; and an
// open end is no root, even if all terms underflow there.
template <class Op, class R>
OPGEN_INLINE auto is_root(const R (&y)[Op::unknowns], const R (&F)[Op::unknowns], const R (&s)[Op::unknowns], double tol) {
  auto root = (abs(F[0]) <= tol * s[0]) & (s[0] < infinity);
  OPGEN_UNROLL for (int i = 1; i < Op::unknowns; ++i) root = root & (abs(F[i]) <= tol * s[i]) & (s[i] < infinity);
  if constexpr (Op::bounded) {
    OPGEN_UNROLL for (int i = 0; i < Op::unknowns; ++i) {
      if (Op::open[i]) root = root & (y[i] != 0.0);
    }
  }
  if constexpr (Op::unknowns == 1) root = root & ((tol * s[0] > 0.0) | (y[0] == 0.0));  // all terms underflow: no sign of a root
  return root;
}

template <class Op, class R>
__attribute__((noinline)) Iterate<R, Op::unknowns> damped(const typename Op::template Prologue<R>& fixed,
                                                          const R (&start)[Op::unknowns], const R* lo, const R* hi,
                                                          double tol, int64_t max_iterations) {
  constexpr int k = Op::unknowns;
  using Bool = typename Traits<R>::Bool;
  Iterate<R, k> result;
  result.converged = none<R>();
  result.iterations = result.residual = R(0.0);
  R base[k], y[k], step[k], weight[k];
  OPGEN_UNROLL for (int i = 0; i < k; ++i) {
    result.y[i] = base[i] = y[i] = start[i];
    step[i] = weight[i] = R(0.0);
  }
  R merit = R(infinity), norm = R(infinity), length = R(infinity);
  int64_t iteration = 0;
  for (;; ++iteration) {
    R F[k], J[k][k], s[k], d[k];
    Op::linearise(fixed, y, F, J, s);

    const Bool converged = is_root<Op>(y, F, s, tol);
    OPGEN_UNROLL for (int i = 0; i < k; ++i) d[i] = -F[i];
    lu_solve(J, d);

    R trial_merit, trial_norm, trial_length = R(0.0);
    if constexpr (k == 1) {
      trial_merit = trial_norm = abs(F[0]);
    } else {
      trial_merit = trial_norm = R(0.0);
      OPGEN_UNROLL for (int i = 0; i < k; ++i) {
        if (iteration == 0) weight[i] = 1.0 / (s[i] + 1e-300);
        trial_norm = trial_norm + F[i] * F[i];
        trial_merit = trial_merit + (F[i] * weight[i]) * (F[i] * weight[i]);
        const R scaled = d[i] / (abs(y[i]) + abs(d[i]) + 1e-300);
        trial_length = trial_length + scaled * scaled;
      }
    }

    const Bool fresh = converged & !result.converged;
    if (any(fresh)) {
      OPGEN_UNROLL for (int i = 0; i < k; ++i) {
        const R last = inside<Op>(i, y[i], correction(y[i], d[i]), lo[i], hi[i]);
        result.y[i] = select(fresh, last, result.y[i]);
      }
      result.residual = select(fresh, trial_norm, result.residual);
      result.iterations = select(fresh, R(static_cast<double>(iteration)), result.iterations);
      result.converged = result.converged | fresh;
      if (all(result.converged)) break;
    }

    Bool lower = trial_merit < merit;
    if constexpr (k > 1) {
      lower = (lower & finite(trial_length)) | (trial_length < 0.8 * length);
      length = select(lower, trial_length, length);
      norm = select(lower, trial_norm, norm);
      // The merit of a new base is in its own weights.
      R own = R(0.0);
      OPGEN_UNROLL for (int i = 0; i < k; ++i) {
        weight[i] = select(lower, 1.0 / (s[i] + 1e-300), weight[i]);
        own = own + (F[i] * weight[i]) * (F[i] * weight[i]);
      }
      merit = select(lower, own, merit);
    } else {
      merit = select(lower, trial_merit, merit);
    }
    OPGEN_UNROLL for (int i = 0; i < k; ++i) base[i] = select(lower, y[i], base[i]);
    if (iteration >= max_iterations) break;
    const R cut = select(trial_merit < 16.0 * merit, R(0.25), R(1.0 / 64));  // NaN is as bad as it gets
    OPGEN_UNROLL for (int i = 0; i < k; ++i) {
      step[i] = select(lower, d[i], cut * step[i]);
      y[i] = inside<Op>(i, base[i], step[i], lo[i], hi[i]);
    }
  }
  if (!all(result.converged)) {
    R reached = merit;
    if constexpr (k > 1) reached = norm;
    OPGEN_UNROLL for (int i = 0; i < k; ++i) result.y[i] = select(result.converged, result.y[i], base[i]);
    result.iterations = select(result.converged, result.iterations, R(static_cast<double>(iteration)));
    result.residual = select(result.converged, result.residual, reached);
  }
  if constexpr (k > 1) result.residual = sqrt(result.residual);
  return result;
}

}  // namespace opgen
#endif
