// The forward pass of an operator that acts on every point alone, over all points of a call.
#ifndef OPGEN_SOLVE_H
#define OPGEN_SOLVE_H

#include <opgen/solving.h>

namespace opgen {

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
