// The entry points of a kernel whose operator acts on every point alone. `Op` is the generated class: its formulas, and
// constants that say which of them there are.
#ifndef OPGEN_POINTWISE_H
#define OPGEN_POINTWISE_H

#include <opgen/parallel.h>
#include <opgen/points.h>
#include <opgen/safeguard.h>
#include <opgen/status.h>
#include <stdlib.h>

namespace opgen {

// About 50 microseconds of work: below it, waking a thread costs more than it saves.
constexpr int64_t serial_points = 8192;
// Rounding of broadcast gradients depends on how the points are cut into slices, hence on the shapes alone, never on the
// number of threads.
constexpr int64_t slice_points = 8192;
constexpr int64_t max_slices = 64;
// One step solves a linear system; a second takes off what rounding has left.
constexpr int64_t linear_iterations = 2;
constexpr double default_tolerance = 16 * epsilon;

// The points of one call, cut into slices of whole blocks.
struct Slices {
  int64_t total, size, count;
  Slices(int64_t points, int64_t most) : total(points) {
    size = slice_points;
    if (most < 1) most = 1;
    if ((total + size - 1) / size > most) size = ((total + most - 1) / most + block - 1) / block * block;
    count = (total + size - 1) / size;
  }
};

// Runs body(begin, count, failure) for every block, slices in parallel, and collects the failures.
template <class Body>
Failure for_blocks(const Slices& slices, int threads, Body&& body) {
  Failure failure;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  parallel_for(slices.count, slices.total <= serial_points ? 1 : threads, [&](int64_t slice) {
    Failure mine;
    const int64_t end = slices.total < (slice + 1) * slices.size ? slices.total : (slice + 1) * slices.size;
    for (int64_t begin = slice * slices.size; begin < end; begin += block) {
      body(slice, begin, end - begin < block ? end - begin : static_cast<int64_t>(block), mine);
    }
    if (mine.count > 0) {
      pthread_mutex_lock(&mutex);
      failure.merge(mine);
      pthread_mutex_unlock(&mutex);
    }
  });
  return failure;
}

inline int bad_call(opgen_report* report, const char* name, const char* what) {
  report->failed = 0;
  report->first = -1;
  Sentence(report->message).add("%s: %s", name, what);
  return OPGEN_BAD_CALL;
}

// Operands of a block, one row of doubles each. Rows past the last point repeat it: every lane computes something sensible.
template <int rows>
struct Rows {
  alignas(64) double row[rows > 0 ? rows : 1][block];
  template <class G>
  void read(const G& grid, int first, int dtype, const opgen_array* const* arrays, int64_t begin, int64_t count) {
    for (int a = 0; a < rows; ++a) {
      if (!arrays[first + a] || !arrays[first + a]->data) {
        memset(row[a], 0, sizeof row[a]);
        continue;
      }
      gather(grid, first + a, dtype, arrays[first + a]->data, begin, count, row[a]);
      for (int64_t i = count; i < block; ++i) row[a][i] = row[a][count - 1];
    }
  }
};

template <class R, int n>
OPGEN_INLINE void load(const double (*rows)[block], int at, R (&to)[n]) {
  for (int i = 0; i < n; ++i) to[i] = Traits<R>::load(&rows[i][at]);
}

template <class R, int n>
OPGEN_INLINE auto all_finite(const R (&x)[n], int used) {
  auto ok = !none<R>();
  for (int i = 0; i < used; ++i) ok = ok & finite(x[i]);
  return ok;
}

// What one call says of its arrays.
template <int operands>
struct Call {
  const opgen_array* arrays[operands > 0 ? operands : 1];
  int used = 0;
  void add(const opgen_array* list, int count) {
    for (int i = 0; i < count; ++i) arrays[used++] = list ? &list[i] : nullptr;
  }
};

template <class Op>
struct Pointwise {
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  static constexpr int nx = n > 0 ? n : 1, mx = m > 0 ? m : 1;
  using R = Pack<Op::registers>;
  static constexpr int width = Traits<R>::size;
  static_assert(block % width == 0, "a block is whole packs");

  // Solves F(x, y) = 0 at every point, or evaluates y = f(x). Outputs: k unknowns, m auxiliaries, and the residual norm,
  // which may be absent, as may `iterations` and `converged` (one entry a point, in the order of the points).
  static int solve(const opgen_points& points, const opgen_array* inputs, const opgen_array* initial,
                   const opgen_array* outputs, int32_t* iterations, unsigned char* converged,
                   const opgen_options& options, opgen_report* report) {
    constexpr int outs = k + m + 1;
    Call<n + k + outs> call;
    call.add(inputs, n);
    call.add(initial, k);
    call.add(outputs, outs);
    Grid<n + k + outs> grid;
    if (!grid.merge(points, call.arrays)) return bad_call(report, Op::name, "more than 32 axes that cannot be merged");
    const double tol = options.tol > 0 ? std::fmax(options.tol, default_tolerance) : default_tolerance;
    const int64_t asked = options.max_iterations > 0 ? options.max_iterations : Op::max_iterations;
    const int64_t limit = Op::linear && asked > linear_iterations ? linear_iterations : asked;
    const Failure failure = for_blocks(Slices(grid.total, INT64_MAX), options.threads,
                                       [&](int64_t, int64_t begin, int64_t count, Failure& failed) {
      Rows<n> x;
      Rows<k> warm;
      Rows<outs> out;
      double iterated[block], good[block];
      x.read(grid, 0, points.dtype, call.arrays, begin, count);
      if (initial) warm.read(grid, n, points.dtype, call.arrays, begin, count);
      for (int at = 0; at < count; at += width) {
        R in[nx], start[k], result[k + mx], steps, residual;
        for (int i = 0; i < k; ++i) start[i] = R(0.0);
        load<R>(x.row, at, in);
        if (initial) load<R>(warm.row, at, start);
        const auto ok = solve_pack(in, initial != nullptr, start, tol, limit, result, steps, residual);
        if (!all(ok)) note_failures(ok, in, steps, residual, begin + at, count - at, failed);
        for (int i = 0; i < k + m; ++i) {
          const R value = options.on_failure == OPGEN_KEEP ? result[i] : select(ok, result[i], nan);
          Traits<R>::store(value, &out.row[i][at]);
        }
        Traits<R>::store(residual, &out.row[k + m][at]);
        if (iterations) Traits<R>::store(steps, &iterated[at]);
        if (converged) Traits<R>::store(select(ok, R(1.0), R(0.0)), &good[at]);
      }
      for (int64_t i = 0; iterations && i < count; ++i) iterations[begin + i] = static_cast<int32_t>(iterated[i]);
      for (int64_t i = 0; converged && i < count; ++i) converged[begin + i] = good[i] != 0;
      for (int i = 0; i < outs; ++i) {
        if (outputs[i].data) scatter(grid, n + k + i, points.dtype, outputs[i].data, begin, count, out.row[i]);
      }
    });
    return conclude<Op>(failure, points, inputs, options, report);
  }

  // One pack: the roots, and where they are roots.
  static auto solve_pack(const R (&in)[nx], bool warm, R (&start)[k], double tol, int64_t limit, R (&result)[k + mx],
                         R& iterations, R& residual) {
    const auto valid = all_finite(in, n);
    const auto p = Op::template prologue<R>(in);
    auto ok = valid;
    if constexpr (Op::explicit_) {
      Op::evaluate(p, result);
      iterations = residual = R(0.0);
      for (int i = 0; i < k; ++i) ok = ok & finite(result[i]);
    } else {
      R guess[k], lo[k], hi[k];
      Op::guess(p, guess);
      Op::bounds(p, lo, hi);
      for (int i = 0; i < k; ++i) {
        if (warm) guess[i] = select(finite(start[i]), start[i], guess[i]);
        if constexpr (Op::bounded) {
          const R low = select(guess[i] < lo[i], lo[i], guess[i]);
          guess[i] = select(low > hi[i], hi[i], low);
        }
      }
      const int64_t first = limit < pack_iterations ? limit : pack_iterations;
      auto root = newton<Op>(p, guess, lo, hi, tol, first);
      ok = ok & root.converged;
      if (!Op::linear && !all(ok | !valid)) {
        for (int j = 0; j < width; ++j) {
          if (!lane(ok, j) && lane(valid, j)) ok = finish(in, guess, tol, limit, j, root, ok);
        }
      }
      for (int i = 0; i < k; ++i) result[i] = root.y[i];
      iterations = select(valid, root.iterations, R(0.0));
      residual = select(valid, root.residual, R(nan));
    }
    if constexpr (m > 0) {
      R y[k], a[m];
      for (int i = 0; i < k; ++i) y[i] = result[i];
      Op::auxiliary(p, y, a);
      for (int i = 0; i < m; ++i) result[k + i] = a[i];
    }
    return ok;
  }

  // Hands lane j to the safeguarded solver, from the best point that Newton has found.
  template <class Root, class Bool>
  __attribute__((noinline)) static Bool finish(const R (&in)[nx], const R (&guess)[k], double tol, int64_t limit, int j,
                                               Root& root, Bool ok) {
    if constexpr (!Op::explicit_) {
      double x[nx], y[k], lo[k], hi[k];
      for (int i = 0; i < n; ++i) x[i] = lane(in[i], j);
      const auto p = Op::template prologue<double>(x);
      for (int i = 0; i < k; ++i) lo[i] = -infinity, hi[i] = infinity;
      Op::bounds(p, lo, hi);
      const bool tried = std::isfinite(lane(root.residual, j));
      for (int i = 0; i < k; ++i) y[i] = tried ? lane(root.y[i], j) : lane(guess[i], j);
      const int64_t used = static_cast<int64_t>(lane(root.iterations, j));
      if (used <= limit) {
        const auto safe = safeguarded<Op>(p, y, lo, hi, tol, limit - used, limit >= Op::max_iterations);
        for (int i = 0; i < k; ++i) set_lane(root.y[i], j, safe.y[i]);
        set_lane(root.residual, j, safe.residual);
        set_lane(root.iterations, j, static_cast<double>(used) + safe.iterations);
        set_lane(ok, j, safe.converged);
      }
    }
    return ok;
  }

  template <class Bool>
  __attribute__((noinline)) static void note_failures(const Bool& ok, const R (&in)[nx], const R& iterations,
                                                      const R& residual, int64_t begin, int64_t count, Failure& failed) {
    for (int j = 0; j < width && j < count; ++j) {
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
    Call<n + 2 * k> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(outputs, k);
    Grid<n + 2 * k> grid;
    if (!grid.merge(points, call.arrays)) return bad_call(report, Op::name, "more than 32 axes that cannot be merged");
    for_blocks(Slices(grid.total, INT64_MAX), options.threads, [&](int64_t, int64_t begin, int64_t count, Failure&) {
      Rows<n + k> xy;
      Rows<k> out;
      xy.read(grid, 0, points.dtype, call.arrays, begin, count);
      for (int at = 0; at < count; at += width) {
        R in[nx], y[k], F[k];
        load<R>(xy.row, at, in);
        load<R>(xy.row + n, at, y);
        Op::residual(Op::template prologue<R>(in), y, F);
        for (int i = 0; i < k; ++i) Traits<R>::store(F[i], &out.row[i][at]);
      }
      for (int i = 0; i < k; ++i) scatter(grid, n + k + i, points.dtype, outputs[i].data, begin, count, out.row[i]);
    });
    report->failed = 0;
    report->first = -1;
    report->message[0] = 0;
    return OPGEN_OK;
  }
};

}  // namespace opgen
#endif
