// The solution of one pack of points: roots of F, or values of f.
//
// float32 is solved in float32 where that is enough: one unknown, no auxiliary outputs. A root whose condition number says that
// digits were lost gets a last Newton step in double, so results are as good as the dtype can hold either way.
#ifndef OPGEN_SOLVING_H
#define OPGEN_SOLVING_H

#include <opgen/pointwise.h>

namespace opgen {

// Steps of this many packs are interleaved: what one waits for, the others do not.
template <class Op>
constexpr int group = Op::explicit_ ? 1 : Op::unknowns < 3 ? 8 : Op::unknowns < 5 ? 4 : 2;

// The solution of one pack of points.
template <class Op, class R>
struct Solving {
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  static constexpr int nx = n > 0 ? n : 1, mx = m > 0 ? m : 1, width = Traits<R>::size;
  using T = typename Traits<R>::Element;
  using Bool = typename Traits<R>::Bool;
  static constexpr bool single = sizeof(T) == sizeof(float);

  R in[nx];
  Iteration<Op, R> iteration;

  template <class X, class Y>
  OPGEN_INLINE void prepare(const X& x, int at, const Y* warm) {
    load<R>(x.row, at, in);
    iteration.fixed = Op::template prologue<R>(in);
    if constexpr (!Op::explicit_) {
      Op::guess(iteration.fixed, iteration.start);
      Op::bounds(iteration.fixed, iteration.lo, iteration.hi);
      R start[k];
      if (warm) {
        load<R>(warm->row, at, start);
        if constexpr (Op::substituted) Op::variables_of(start, start);
      }
      for (int i = 0; i < k; ++i) {
        R& guess = iteration.start[i];
        if (warm) guess = select(finite(start[i]), start[i], guess);
        if constexpr (Op::bounded) {
          const R low = select(guess < iteration.lo[i], iteration.lo[i], guess);
          guess = select(low > iteration.hi[i], iteration.hi[i], low);
        }
      }
      iteration.begin();
    }
  }

  // The roots after `steps` steps and more, and where they are roots; |F| there if it will be `reported`.
  OPGEN_INLINE Bool solve(double tol, int64_t steps, int64_t limit, bool reported, R (&result)[k + mx], R& iterations,
                          R& residual) {
    const Bool valid = all_finite(in, n);
    Bool ok = valid;
    if constexpr (Op::explicit_) {
      Op::evaluate(iteration.fixed, result);
      iterations = residual = R(0.0);
      for (int i = 0; i < k; ++i) ok = ok & finite(result[i]);
    } else {
      auto root = iteration.solve(tol, steps, limit < pack_iterations ? limit : pack_iterations);
      ok = ok & root.converged;
      if constexpr (single) {
        if (!all(root.sound | !ok)) ok = ok & (root.sound | refine(root));
      }
      if (!Op::linear && __builtin_expect(!all(ok | !valid), 0)) {
        ok = finish(root, valid, single ? std::fmax(1e-3 * tol, default_tolerance<>) : tol, limit, ok);
      }
      for (int i = 0; i < k; ++i) result[i] = root.y[i];
      if constexpr (Op::substituted) Op::unknowns_of(root.y, result);
      iterations = select(valid, root.iterations, R(0.0));
      residual = select(valid, root.residual, R(nan));
      if (reported) residual = select(ok, norm(result), residual);
    }
    if constexpr (m > 0) {
      R y[k], a[m];
      for (int i = 0; i < k; ++i) y[i] = result[i];
      Op::auxiliary(iteration.fixed, y, a);
      for (int i = 0; i < m; ++i) result[k + i] = a[i];
    }
    return ok;
  }

 private:
  __attribute__((noinline)) R norm(const R* y) const {
    R F[k], squares = R(0.0);
    Op::residual(iteration.fixed, y, F);
    if constexpr (k == 1) return abs(F[0]);
    for (int i = 0; i < k; ++i) squares = squares + F[i] * F[i];
    return sqrt(squares);
  }

  // A step from here in double, in the lanes that need one; false where it is no small one.
  template <class Root>
  __attribute__((noinline)) Bool refine(Root& root) const {
    using Double = Pack<double>;
    alignas(64) double x[nx][width], y[1][width], moved[1][width], small[1][width];
    for (int j = 0; j < width; ++j) {
      for (int i = 0; i < n; ++i) x[i][j] = lane(in[i], j);
      y[0][j] = lane(root.y[0], j);
    }
    for (int at = 0; at < width; at += Traits<Double>::size) {
      Double inputs[nx], v[1], F[1], J[1][1], s[1];
      for (int i = 0; i < n; ++i) inputs[i] = Double::load(x[i] + at);
      v[0] = Double::load(y[0] + at);
      Op::linearise(Op::template prologue<Double>(inputs), v, F, J, s);
      const Double d = -F[0] / J[0][0];
      (v[0] + d).store(moved[0] + at);
      select(abs(d) <= 1e-4 * abs(v[0]), Double(1.0), Double(0.0)).store(small[0] + at);
    }
    Bool near = none<R>();
    for (int j = 0; j < width; ++j) {
      if (lane(root.sound, j) || small[0][j] == 0.0) continue;
      set_lane(root.y[0], j, moved[0][j]);
      set_lane(near, j, true);
    }
    return near;
  }

  // Hands the lanes that are left to the safeguarded solver, from the best point that Newton has found.
  template <class Root>
  __attribute__((noinline)) Bool finish(Root& root, const Bool& valid, double tol, int64_t limit, Bool ok) const {
    for (int j = 0; j < width; ++j) {
      if (lane(ok, j) || !lane(valid, j)) continue;
      double x[nx], y[k], lo[k], hi[k];
      for (int i = 0; i < n; ++i) x[i] = lane(in[i], j);
      const auto fixed = Op::template prologue<double>(x);
      for (int i = 0; i < k; ++i) lo[i] = -infinity, hi[i] = infinity;
      Op::bounds(fixed, lo, hi);
      const bool tried = std::isfinite(lane(root.residual, j));
      for (int i = 0; i < k; ++i) y[i] = tried ? lane(root.y[i], j) : lane(iteration.start[i], j);
      const int64_t used = static_cast<int64_t>(lane(root.iterations, j));
      if (used > limit) continue;
      const auto safe = safeguarded<Op>(fixed, y, lo, hi, tol, limit - used, limit >= Op::max_iterations);
      for (int i = 0; i < k; ++i) set_lane(root.y[i], j, safe.y[i]);
      set_lane(root.residual, j, safe.residual);
      // The hunt for a change of sign goes on when iterations are used up, and is not counted.
      set_lane(root.iterations, j, std::fmin(static_cast<double>(used) + safe.iterations, static_cast<double>(limit)));
      set_lane(ok, j, safe.converged);
    }
    return ok;
  }
};

}  // namespace opgen
#endif
