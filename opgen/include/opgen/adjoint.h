// The direct adjoint of a pointwise operator, and the pullback of its residual.
//
// y(x) is defined by F(x, y) = 0, so dF = F_x dx + F_y dy = 0 and dy = -F_y^-1 F_x dx. For a scalar J with cotangent
// g = dJ/dy, the adjoint u solves F_y^T u = g, and then dJ/dx = -u^T F_x. An auxiliary output a(x, y) with cotangent h adds
// a_y^T h to g and a_x^T h to dJ/dx.
#ifndef OPGEN_ADJOINT_H
#define OPGEN_ADJOINT_H

#include <opgen/pointwise.h>

namespace opgen {

// The sums of the gradients of broadcast operands: one copy a slice, added up in the order of the slices.
template <int writes>
struct Sums {
  double* memory[writes > 0 ? writes : 1] = {};
  int64_t extent[writes > 0 ? writes : 1] = {};
  Sums() = default;
  Sums(const Sums&) = delete;
  ~Sums() {
    for (double* m : memory) free(m);
  }
};

// Runs body(reads, writes, at) on packs of points: `reads` operands go in, `writes` gradients come out, each stored or summed
// into memory of its own extent.
template <int reads, int writes, int width, class Body>
int pullback(const char* name, const opgen_points& points, const Call<reads + writes>& call, int threads,
             opgen_report* report, Failure& failure, Body&& body) {
  Grid<reads + writes> grid;
  if (!grid.merge(points, call.arrays)) return bad_call(report, name, "more than 32 axes that cannot be merged");
  const auto wanted = [&](int i) { return call.arrays[reads + i] && call.arrays[reads + i]->data; };
  bool summed[writes > 0 ? writes : 1] = {};
  int64_t largest = 0;
  Sums<writes> sums;
  for (int i = 0; i < writes; ++i) {
    summed[i] = wanted(i) && (grid.broadcast(reads + i) || grid.total == 0);
    if (summed[i]) {
      sums.extent[i] = 1;
      for (int d = 0; d < grid.rank; ++d) {
        if (grid.strides[reads + i][d] != 0) sums.extent[i] *= grid.shape[d];
      }
      if (sums.extent[i] > largest) largest = sums.extent[i];
    }
  }
  int64_t most = INT64_MAX;
  if (largest > 0) most = (int64_t{1} << 23) / largest < max_slices ? (int64_t{1} << 23) / largest : max_slices;
  const Slices slices(grid.total, most);
  for (int i = 0; i < writes; ++i) {
    if (!summed[i]) continue;
    const size_t copies = slices.count > 0 ? static_cast<size_t>(slices.count) : 1;
    const size_t size = copies * static_cast<size_t>(sums.extent[i]);
    sums.memory[i] = static_cast<double*>(calloc(size > 0 ? size : 1, sizeof(double)));
    if (!sums.memory[i]) return bad_call(report, name, "out of memory for the sums of a broadcast gradient");
  }
  failure = for_blocks(slices, threads, [&](int64_t slice, int64_t begin, int64_t count, Failure& failed) {
    Rows<reads> in;
    Rows<writes> out;
    in.read(grid, 0, points.dtype, call.arrays, begin, count);
    for (int at = 0; at < count; at += width) body(in.row, out.row, at, begin, count, failed);
    for (int i = 0; i < writes; ++i) {
      if (!wanted(i)) continue;
      if (summed[i]) {
        accumulate(grid, reads + i, sums.memory[i] + slice * sums.extent[i], begin, count, out.row[i]);
      } else {
        scatter(grid, reads + i, points.dtype, call.arrays[reads + i]->data, begin, count, out.row[i]);
      }
    }
  });
  for (int i = 0; i < writes; ++i) {
    if (!summed[i]) continue;
    double* const total = sums.memory[i];
    for (int64_t s = 1; s < slices.count; ++s) {
      for (int64_t j = 0; j < sums.extent[i]; ++j) total[j] += total[s * sums.extent[i] + j];
    }
    if (points.dtype == OPGEN_FLOAT32) {
      write_run(total, 1, sums.extent[i], static_cast<float*>(call.arrays[reads + i]->data));
    } else {
      write_run(total, 1, sums.extent[i], static_cast<double*>(call.arrays[reads + i]->data));
    }
  }
  return OPGEN_OK;
}

template <class Op>
struct Adjoint {
  using Kernel = Pointwise<Op>;
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  static constexpr int nx = Kernel::nx;
  using R = typename Kernel::R;
  using Bool = typename Traits<R>::Bool;
  static constexpr int width = Kernel::width;

  // What is known of a pack of points: whether y is a root there, and whether that root is isolated.
  struct Standing {
    Bool root, regular;
  };

  // dJ/dx from the root y and the cotangents of y and of the auxiliaries (an absent one is zero). What failed in the forward
  // pass adds nothing; a root without a gradient is a failure of its own.
  static int adjoint(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                     const opgen_array* cotangents, const opgen_array* gradients, const opgen_options& options,
                     opgen_report* report) {
    constexpr int reads = n + k + k + m;
    Call<reads + n> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(cotangents, k + m);
    call.add(gradients, n);
    const Precision known(points.dtype, options.tol);
    Failure failure;
    const int status = pullback<reads, n, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double (*in)[block], double (*out)[block], int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], g[k + m], gradient[nx];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, g);
          R conditioning = R(1.0);
          if constexpr (Op::explicit_) {
            Op::adjoint(x, y, g, gradient);
          } else {
            conditioning = Op::adjoint(x, y, g, gradient);
          }
          const Standing is = standing(x, y, conditioning, known);
          note_singular(is, begin + at, count - at, failed);
          for (int i = 0; i < n; ++i) Traits<R>::store(select(is.regular, gradient[i], 0.0), &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }

  // One byte a point: whether y is an isolated root, the only kind that has a gradient.
  static int isolated(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                      unsigned char* flags, const opgen_options& options, opgen_report* report) {
    Call<n + k> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    const Precision known(points.dtype, options.tol);
    Failure failure;
    const int status = pullback<n + k, 0, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double (*in)[block], double (*)[block], int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], conditioning = R(1.0);
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          if constexpr (!Op::explicit_) {
            R F[k], J[k][k], s[k];
            Op::linearise(Op::template prologue<R>(x), y, F, J, s);
            conditioning = lu_solve(J, F);
          }
          const Standing is = standing(x, y, conditioning, known);
          note_singular(is, begin + at, count - at, failed);
          for (int j = 0; j < width && at + j < count; ++j) flags[begin + at + j] = lane(is.regular, j);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }

  // How well y and F are known: y was rounded to the dtype, F is computed in double.
  struct Precision {
    double root, eps, doubtful;
    Precision(int dtype, double tol) {
      const bool single = dtype == OPGEN_FLOAT32;
      eps = single ? 1.1920929e-7 : default_tolerance;
      root = 1e3 * std::fmax(tol, eps);
      doubtful = single ? 1e-2 : 1e-6;
    }
  };

  static Standing standing(const R (&x)[nx], const R (&y)[k], R conditioning, const Precision& known) {
    Standing is;
    is.root = all_finite(x, n) & all_finite(y, k);
    if constexpr (Op::explicit_) {
      is.regular = is.root;
    } else {
      R F[k], J[k][k], s[k];
      Op::linearise(Op::template prologue<R>(x), y, F, J, s);
      for (int i = 0; i < k; ++i) is.root = is.root & (abs(F[i]) <= known.root * s[i]) & (s[i] < infinity);
      is.regular = is.root & (conditioning > 0.0);
      if constexpr (!Op::linear) {
        if constexpr (k == 1) conditioning = abs(J[0][0] * y[0]) / s[0];
        const Bool doubtful = is.regular & !(conditioning > known.doubtful);
        if (any(doubtful)) is.regular = examine(x, y, doubtful, is.regular, known.eps);
      }
    }
    return is;
  }

  static void note_singular(const Standing& is, int64_t begin, int64_t count, Failure& failed) {
    if (all(is.regular | !is.root)) return;
    for (int j = 0; j < width && j < count; ++j) {
      if (lane(is.root, j) && !lane(is.regular, j)) failed.add(begin + j, Cause::singular, 0, 0);
    }
  }

  // Whether the doubtful lanes' roots are isolated to working precision. F is known to +-r, r = eps s, so y is known to
  // +-d, d = |J^-1| r; if J changes by as much as itself over that distance, the gradient means nothing (this is the
  // condition of the Newton-Kantorovich theorem, with 1/2 in place of its constant).
  __attribute__((noinline)) static Bool examine(const R (&x)[nx], const R (&y)[k], const Bool& doubtful, Bool regular,
                                                double eps) {
    for (int j = 0; j < width; ++j) {
      if (!lane(doubtful, j)) continue;
      double in[nx], at[k], F[k], J[k][k], s[k];
      for (int i = 0; i < n; ++i) in[i] = lane(x[i], j);
      for (int i = 0; i < k; ++i) at[i] = lane(y[i], j);
      const auto fixed = Op::template prologue<double>(in);
      Op::linearise(fixed, at, F, J, s);
      bool ok = true;
      for (int corner = 0; corner < 2 * k && ok; ++corner) {  // r with one sign turned, and its opposite
        double r[k];
        for (int i = 0; i < k; ++i) r[i] = eps * s[i] * (corner % k == i ? -1 : 1) * (corner < k ? 1 : -1);
        ok = steady(fixed, at, J, r);
      }
      set_lane(regular, j, ok);
    }
    return regular;
  }

  // Whether |J^-1 (J(y + d) - J(y))| <= 1/2 with d = J^-1 r, entries in units of d.
  static bool steady(const typename Op::template Prologue<double>& fixed, const double (&y)[k], const double (&J)[k][k],
                     double (&d)[k]) {
    double A[k][k], moved[k], F[k], there[k][k], s[k];
    memcpy(A, J, sizeof A);
    if (!(lu_solve(A, d) > 0)) return false;
    for (int i = 0; i < k; ++i) moved[i] = y[i] + d[i];
    Op::linearise(fixed, moved, F, there, s);
    for (int c = 0; c < k; ++c) {
      double column[k];
      memcpy(A, J, sizeof A);
      for (int i = 0; i < k; ++i) column[i] = there[i][c] - J[i][c];
      lu_solve(A, column);
      for (int i = 0; i < k; ++i) {
        const double unit = std::fabs(d[i]) > 0 ? std::fmin(std::fabs(d[c] / d[i]), 1) : 1;
        if (!(std::fabs(column[i]) * unit <= 0.5)) return false;
      }
    }
    return true;
  }

  // v^T F_x and v^T F_y: the pullback of the residual itself.
  static int residual_pullback(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                               const opgen_array* cotangents, const opgen_array* gradients, const opgen_options& options,
                               opgen_report* report) {
    constexpr int reads = n + k + k;
    Call<reads + n + k> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(cotangents, k);
    call.add(gradients, n + k);
    Failure failure;
    const int status = pullback<reads, n + k, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double (*in)[block], double (*out)[block], int at, int64_t, int64_t, Failure&) {
          R x[nx], y[k], v[k], gradient[nx + k];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, v);
          Op::residual_pullback(x, y, v, gradient);
          for (int i = 0; i < n + k; ++i) Traits<R>::store(gradient[i], &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }
};

}  // namespace opgen

// Defines the kernel's C functions for the generated operator `Op`.
#define OPGEN_POINTWISE_KERNEL(Op)                                                                                      \
  extern "C" OPGEN_EXPORT int opgen_solve(                                                                              \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* initial, const opgen_array* outputs,    \
      int32_t* iterations, unsigned char* converged, const opgen_options* options, opgen_report* report) {              \
    return opgen::Pointwise<Op>::solve(*points, inputs, initial, outputs, iterations, converged, *options, report);     \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_residual(const opgen_points* points, const opgen_array* inputs,                     \
                                             const opgen_array* unknowns, const opgen_array* outputs,                   \
                                             const opgen_options* options, opgen_report* report) {                      \
    return opgen::Pointwise<Op>::residual(*points, inputs, unknowns, outputs, *options, report);                        \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_adjoint(                                                                            \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,                               \
      const opgen_array* cotangents, const opgen_array* gradients, const opgen_options* options,                        \
      opgen_report* report) {                                                                                           \
    return opgen::Adjoint<Op>::adjoint(*points, inputs, unknowns, cotangents, gradients, *options, report);             \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_isolated(                                                                           \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns, unsigned char* flags,         \
      const opgen_options* options, opgen_report* report) {                                                             \
    return opgen::Adjoint<Op>::isolated(*points, inputs, unknowns, flags, *options, report);                            \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_residual_pullback(                                                                  \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,                               \
      const opgen_array* cotangents, const opgen_array* gradients, const opgen_options* options,                        \
      opgen_report* report) {                                                                                           \
    return opgen::Adjoint<Op>::residual_pullback(*points, inputs, unknowns, cotangents, gradients, *options, report);   \
  }
#endif
