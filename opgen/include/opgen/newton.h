// The iteration of a pack of points: Newton's method, or Chebyshev's where F'' costs little.
//
// Nearly every point needs the same few steps, which are known beforehand; they are taken without a look at what they achieve.
// From then on each evaluation is looked at, until F is small or foretold to be.
#ifndef OPGEN_NEWTON_H
#define OPGEN_NEWTON_H

#include <opgen/damped.h>

namespace opgen {

// The steps of an iteration from where F, J and, for a curved one, c = F'' are known.
template <class R, int k>
struct Step {
  R d[k];        // where to go
  R newton[k];   // Newton's own step, -J^-1 F
  R remainder;   // half of what is left of F after the step
};

template <class Op, class R, int k>
OPGEN_INLINE Step<R, k> step_of(const R (&F)[k], R (&J)[k][k], [[maybe_unused]] const R& c) {
  Step<R, k> step;
  if constexpr (Op::curved) {
    // Chebyshev's: F + J d + c d^2 / 2 vanishes up to third order for d = n - c n^2 / (2 J), n Newton's step.
    const R inverse = -1.0 / J[0][0];
    step.newton[0] = F[0] * inverse;
    const R bend = 0.5 * c * step.newton[0] * inverse;
    step.d[0] = step.newton[0] + step.newton[0] * select(abs(bend) <= 0.25, bend, 0.0);
    step.remainder = bend * bend;
  } else {
    OPGEN_UNROLL for (int i = 0; i < k; ++i) step.newton[i] = -F[i];
    lu_solve(J, step.newton);
    OPGEN_UNROLL for (int i = 0; i < k; ++i) step.d[i] = step.newton[i];
  }
  return step;
}

// The iteration of one pack of points.
template <class Op, class R>
struct Iteration {
  static constexpr int k = Op::unknowns;
  typename Op::template Prologue<R> fixed;
  R start[k], lo[k], hi[k];
  R y[k], weight[k];
  R merit;  // |F| where the step to y began

  OPGEN_INLINE void begin() {
    merit = R(infinity);
    OPGEN_UNROLL for (int i = 0; i < k; ++i) {
      y[i] = start[i];
      weight[i] = R(0.0);
    }
  }

  // How large F is; the weights are those of the start.
  OPGEN_INLINE R size_of(const R (&F)[k], const R (&s)[k], bool first) {
    if constexpr (k == 1) return abs(F[0]);
    R size = R(0.0);
    OPGEN_UNROLL for (int i = 0; i < k; ++i) {
      if (first) weight[i] = 1.0 / (s[i] + 1e-300);
      size = size + (F[i] * weight[i]) * (F[i] * weight[i]);
    }
    return size;
  }

  OPGEN_INLINE void go(const R (&d)[k]) {
    OPGEN_UNROLL for (int i = 0; i < k; ++i) y[i] = inside<Op>(i, y[i], d[i], lo[i], hi[i]);
  }

  // A step without a look at what it achieves, which would double its cost: for steps that nearly every point needs.
  OPGEN_INLINE void step(bool first) {
    R F[k], J[k][k], s[k], c;
    Op::expand(fixed, y, F, J, s, &c);
    if (first) merit = size_of(F, s, true);
    go(step_of<Op>(F, J, c).d);
  }

  // Newton, or Chebyshev's method where F'' is cheap. A lane in which a step does not lower |F| is left to damped Newton from its
  // start again; the others go on, so that no lane's result depends on its neighbours.
  //
  // With F'' the last evaluation is spared: once the step is so short that its cube is nothing, and F after it, foretold to third
  // order, is far below the tolerance, it is taken and done with.
  OPGEN_INLINE Iterate<R, k> solve(double tol, int64_t iteration, int64_t max_iterations) {
    Iterate<R, k> result;
    result.converged = none<R>();
    result.iterations = result.residual = R(0.0);
    auto left = none<R>();
    OPGEN_UNROLL for (int i = 0; i < k; ++i) result.y[i] = y[i];
    for (bool first = iteration == 0;; ++iteration, first = false) {
      R F[k], J[k][k], s[k], c;
      Op::expand(fixed, y, F, J, s, &c);
      const R size = size_of(F, s, first);
      auto done = is_root<Op>(y, F, s, tol);
      auto next = step_of<Op>(F, J, c);
      const auto lower = size < merit;
      R last[k];
      if constexpr (Op::curved) {
        const auto brief = abs(next.newton[0]) <= short_step<R> * abs(y[0]);
        done = done | (lower & brief & (8.0 * size * next.remainder <= tol * s[0]) & (s[0] < infinity));
        last[0] = select(brief, next.d[0], 0.0);
      } else {
        OPGEN_UNROLL for (int i = 0; i < k; ++i) last[i] = correction(y[i], next.d[i]);
      }
      const auto fresh = done & !(result.converged | left);
      if (any(fresh)) {
        OPGEN_UNROLL for (int i = 0; i < k; ++i) {
          result.y[i] = select(fresh, inside<Op>(i, y[i], last[i], lo[i], hi[i]), result.y[i]);
        }
        if constexpr (sizeof(typename Traits<R>::Element) == sizeof(float)) {
          result.sound = result.sound | (fresh & (s[0] <= 2.0 * abs(J[0][0] * y[0])));
        }
        result.residual = select(fresh, size, result.residual);
        result.iterations = select(fresh, R(static_cast<double>(iteration)), result.iterations);
        result.converged = result.converged | fresh;
        if (all(result.converged)) break;
      }
      left = left | !(lower | result.converged);
      if (iteration >= max_iterations || all(result.converged | left)) break;
      merit = size;
      go(next.d);
    }
    if (__builtin_expect(!all(result.converged), 0)) again(result, tol, max_iterations);
    return result;
  }

 private:
  __attribute__((noinline, cold)) void again(Iterate<R, k>& result, double tol, int64_t max_iterations) const {
    const Iterate<R, k> slow = damped<Op, R>(fixed, start, lo, hi, tol, max_iterations);
    for (int i = 0; i < k; ++i) result.y[i] = select(result.converged, result.y[i], slow.y[i]);
    result.iterations = select(result.converged, result.iterations, slow.iterations);
    result.residual = select(result.converged, result.residual, slow.residual);
    result.converged = result.converged | slow.converged;
  }
};

}  // namespace opgen
#endif
