// The forward pass of an operator that acts on every point alone: roots of F, or values of f.
//
// float32 is solved in float32 where that is enough: one unknown, no auxiliary outputs. A root whose condition number says that
// digits were lost gets a last Newton step in double, so results are as good as the dtype can hold either way.
#ifndef OPGEN_SOLVE_H
#define OPGEN_SOLVE_H

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
        if (__builtin_expect(!all(root.sound | !ok), 0)) ok = ok & refine(root);
      }
      if (!Op::linear && __builtin_expect(!all(ok | !valid), 0)) ok = finish(root, valid, tol, limit, ok);
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

  // One step from here in double; false where it is no small one.
  template <class Root>
  __attribute__((noinline)) Bool refine(Root& root) const {
    Bool small = none<R>();
    for (int j = 0; j < width; ++j) {
      double x[nx], y[1], F[1], J[1][1], s[1];
      for (int i = 0; i < n; ++i) x[i] = lane(in[i], j);
      y[0] = lane(root.y[0], j);
      Op::linearise(Op::template prologue<double>(x), y, F, J, s);
      const double d = -F[0] / J[0][0];
      set_lane(small, j, std::fabs(d) <= 0.01 * std::fabs(y[0]));
      set_lane(root.y[0], j, y[0] + d);
    }
    return small;
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
      if (used >= limit) continue;
      const auto safe = safeguarded<Op>(fixed, y, lo, hi, tol, limit - used);
      for (int i = 0; i < k; ++i) set_lane(root.y[i], j, safe.y[i]);
      set_lane(root.residual, j, safe.residual);
      set_lane(root.iterations, j, static_cast<double>(used) + safe.iterations);
      set_lane(ok, j, safe.converged);
    }
    return ok;
  }
};

template <class Op>
struct Pointwise {
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  static constexpr int nx = n > 0 ? n : 1, mx = m > 0 ? m : 1;
  static constexpr bool single_suffices = !Op::explicit_ && k == 1 && m == 0 && !Op::linear;

  // Solves F(x, y) = 0 at every point, or evaluates y = f(x). Outputs: k unknowns, m auxiliaries, and the residual norm,
  // which may be absent, as may `iterations` and `converged` (one entry a point, in the order of the points).
  static int solve(const opgen_points& points, const opgen_array* inputs, const opgen_array* initial,
                   const opgen_array* outputs, int32_t* iterations, unsigned char* converged,
                   const opgen_options& options, opgen_report* report) {
    if constexpr (single_suffices) {
      if (points.dtype == OPGEN_FLOAT32) {
        return run<float>(points, inputs, initial, outputs, iterations, converged, options, report);
      }
    }
    return run<double>(points, inputs, initial, outputs, iterations, converged, options, report);
  }

  template <class T>
  static int run(const opgen_points& points, const opgen_array* inputs, const opgen_array* initial, const opgen_array* outputs,
                 int32_t* iterations, unsigned char* converged, const opgen_options& options, opgen_report* report) {
    using R = Pack<T>;
    constexpr int width = Traits<R>::size, packs = group<Op> * width <= block ? group<Op> : block / width;
    static_assert(block % (packs * width) == 0, "a block is whole groups of packs");
    constexpr int outs = k + m + 1;
    Call<n + k + outs> call;
    call.add(inputs, n);
    call.add(initial, k);
    call.add(outputs, outs);
    Grid<n + k + outs> grid;
    if (!grid.merge(points, call.arrays)) return bad_call(report, Op::name, "more than 32 axes that cannot be merged");
    const double tol = std::fmax(options.tol, default_tolerance<T>);
    const int64_t asked = options.max_iterations > 0 ? options.max_iterations : Op::max_iterations;
    const int64_t limit = Op::linear && asked > linear_iterations ? linear_iterations : asked;
    const int64_t usual = sizeof(T) == sizeof(float) ? Op::steps_single : Op::steps_double;
    const int64_t steps = initial || options.tol > default_tolerance<T> ? 0 : usual < limit ? usual : limit;
    const bool reported = outputs[k + m].data != nullptr, kept = options.on_failure == OPGEN_KEEP;
    const Streams<outs> streams(grid, n + k, points.dtype, call.arrays);
    const Failure failure = for_blocks(Slices(grid.total, INT64_MAX), options.threads,
                                       [&](int64_t, int64_t begin, int64_t count, Failure& failed) {
      Rows<n, T> x;
      Rows<k, T> warm;
      Results<outs, T> out(streams);
      x.read(grid, 0, points.dtype, call.arrays, begin, count);
      if (initial) warm.read(grid, n, points.dtype, call.arrays, begin, count);
      out.place(grid, n + k, points.dtype, call.arrays, begin, count);
      for (int at = 0; at < count; at += packs * width) {
        Solving<Op, R> pack[packs];
        for (int g = 0; g < packs; ++g) pack[g].prepare(x, at + g * width, initial ? &warm : nullptr);
        if constexpr (!Op::explicit_) {
          for (int64_t step = 0; step < steps; ++step) {
            for (int g = 0; g < packs; ++g) pack[g].iteration.step(step == 0);
          }
        }
        for (int g = 0; g < packs; ++g) {
          const int here = at + g * width;
          R result[k + mx], taken, residual;
          const auto ok = pack[g].solve(tol, steps, limit, reported, result, taken, residual);
          if (__builtin_expect(!all(ok), 0)) {
            note_failures(ok, pack[g].in, taken, residual, begin + here, count - here, failed);
            for (int i = 0; i < k + m && !kept; ++i) result[i] = select(ok, result[i], nan);
          }
          for (int i = 0; i < k + m; ++i) Traits<R>::store(result[i], &out.row[i][here]);
          if (reported) Traits<R>::store(residual, &out.row[k + m][here]);
          const int left = static_cast<int>(count) - here < width ? static_cast<int>(count) - here : width;
          if (iterations) {
            for (int j = 0; j < left; ++j) iterations[begin + here + j] = static_cast<int32_t>(lane(taken, j));
          }
          if (converged) {
            for (int j = 0; j < left; ++j) converged[begin + here + j] = lane(ok, j);
          }
        }
      }
      out.write(grid, n + k, points.dtype, call.arrays, begin, count);
    });
    return conclude<Op>(failure, points, inputs, options, report);
  }

  template <class Bool, class R>
  __attribute__((noinline)) static void note_failures(const Bool& ok, const R (&in)[nx], const R& iterations,
                                                      const R& residual, int64_t begin, int64_t count, Failure& failed) {
    for (int j = 0; j < Traits<R>::size && j < count; ++j) {
      if (lane(ok, j)) continue;
      bool valid = true;
      for (int i = 0; i < n; ++i) valid = valid && std::isfinite(lane(in[i], j));
      const Cause cause = !valid ? Cause::input : Op::explicit_ ? Cause::value : Cause::iterations;
      failed.add(begin + j, cause, lane(residual, j), static_cast<int64_t>(lane(iterations, j)));
    }
  }

  // F(x, y) at every point; y - f(x) for an explicit operator.
  static int residual(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                      const opgen_array* outputs, const opgen_options& options, opgen_report* report) {
    using R = Pack<>;
    Call<n + 2 * k> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(outputs, k);
    Grid<n + 2 * k> grid;
    if (!grid.merge(points, call.arrays)) return bad_call(report, Op::name, "more than 32 axes that cannot be merged");
    const Streams<k> streams(grid, n + k, points.dtype, call.arrays);
    for_blocks(Slices(grid.total, INT64_MAX), options.threads, [&](int64_t, int64_t begin, int64_t count, Failure&) {
      Rows<n + k> xy;
      Results<k> out(streams);
      xy.read(grid, 0, points.dtype, call.arrays, begin, count);
      out.place(grid, n + k, points.dtype, call.arrays, begin, count);
      for (int at = 0; at < count; at += Traits<R>::size) {
        R in[nx], y[k], F[k];
        load<R>(xy.row, at, in);
        load<R>(xy.row + n, at, y);
        Op::residual(Op::template prologue<R>(in), y, F);
        for (int i = 0; i < k; ++i) Traits<R>::store(F[i], &out.row[i][at]);
      }
      out.write(grid, n + k, points.dtype, call.arrays, begin, count);
    });
    report->failed = 0;
    report->first = -1;
    report->message[0] = 0;
    return OPGEN_OK;
  }
};

}  // namespace opgen
#endif
