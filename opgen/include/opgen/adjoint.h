// The direct adjoint of a pointwise operator, and the pullback of its residual.
//
// y(x) is defined by F(x, y) = 0, so dF = F_x dx + F_y dy = 0 and dy = -F_y^-1 F_x dx. For a scalar J with cotangent
// g = dJ/dy, the adjoint u solves F_y^T u = g, and then dJ/dx = -u^T F_x. An auxiliary output a(x, y) with cotangent h adds
// a_y^T h to g and a_x^T h to dJ/dx.
#ifndef OPGEN_ADJOINT_H
#define OPGEN_ADJOINT_H

#include <opgen/pointwise.h>

namespace opgen {

// A point counts as a root here if its residual is small for the dtype that its value was rounded to.
inline double root_tolerance(int dtype, double tol) {
  return 1e3 * std::fmax(tol, dtype == OPGEN_FLOAT32 ? 1.1920929e-7 : default_tolerance);
}

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
  static constexpr int width = Kernel::width;

  // dJ/dx from the root y and the cotangents of y and of the auxiliaries (an absent one is zero).
  static int adjoint(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                     const opgen_array* cotangents, const opgen_array* gradients, const opgen_options& options,
                     opgen_report* report) {
    constexpr int reads = n + k + k + m;
    Call<reads + n> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(cotangents, k + m);
    call.add(gradients, n);
    const double tol = root_tolerance(points.dtype, options.tol);
    Failure failure;
    const int status = pullback<reads, n, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double (*in)[block], double (*out)[block], int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], g[k + m], gradient[nx];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, g);
          const auto p = Op::template prologue<R>(x);
          auto root = all_finite(x, n) & all_finite(y, k);
          // What failed in the forward pass adds nothing; a root without a gradient is a failure of its own.
          auto regular = root;
          if constexpr (Op::explicit_) {
            Op::adjoint(x, y, g, gradient);
          } else {
            R F[k], J[k][k], s[k];
            Op::linearise(p, y, F, J, s);
            for (int i = 0; i < k; ++i) root = root & (abs(F[i]) <= tol * s[i]) & (s[i] < infinity);
            R conditioning = Op::adjoint(x, y, g, gradient);
            regular = root & (conditioning > 0.0);
            if constexpr (!Op::linear) {
              if constexpr (k == 1) conditioning = abs(J[0][0] * y[0]) / s[0];
              const auto doubtful = regular & !(conditioning > 1e-6);
              if (any(doubtful)) regular = isolated(x, y, doubtful, regular);
            }
            if (!all(regular | !root)) {
              for (int j = 0; j < width && at + j < count; ++j) {
                if (lane(root, j) && !lane(regular, j)) failed.add(begin + at + j, Cause::singular, 0, 0);
              }
            }
          }
          for (int i = 0; i < n; ++i) Traits<R>::store(select(regular, gradient[i], 0.0), &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }

  // Whether the doubtful lanes' roots are isolated to working precision. F is known to +-r, r = 16 eps s, so y is known to
  // +-d, d = |J^-1| r; if J changes by as much as itself over that distance, the gradient means nothing (this is the
  // condition of the Newton-Kantorovich theorem, with 1/2 in place of its constant).
  template <class Bool>
  __attribute__((noinline)) static Bool isolated(const R (&x)[nx], const R (&y)[k], const Bool& doubtful, Bool regular) {
    for (int lane_ = 0; lane_ < width; ++lane_) {
      if (!lane(doubtful, lane_)) continue;
      double in[nx], at[k], F[k], J[k][k], s[k];
      for (int i = 0; i < n; ++i) in[i] = lane(x[i], lane_);
      for (int i = 0; i < k; ++i) at[i] = lane(y[i], lane_);
      const auto p = Op::template prologue<double>(in);
      Op::linearise(p, at, F, J, s);
      bool ok = true;
      for (int corner = 0; corner < 2 * k && ok; ++corner) {
        double A[k][k], d[k], moved[k], Fm[k], Jm[k][k], sm[k];
        memcpy(A, J, sizeof A);
        for (int i = 0; i < k; ++i) d[i] = default_tolerance * s[i] * (corner == i || corner == i + k ? -1 : 1);
        if (corner >= k) {
          for (int i = 0; i < k; ++i) d[i] = -d[i];
        }
        ok = lu_solve(A, d) > 0;
        for (int i = 0; i < k; ++i) moved[i] = at[i] + d[i];
        Op::linearise(p, moved, Fm, Jm, sm);
        for (int c = 0; c < k && ok; ++c) {  // column c of J^-1 (J(y + d) - J(y))
          double column[k], B[k][k];
          memcpy(B, J, sizeof B);
          for (int i = 0; i < k; ++i) column[i] = Jm[i][c] - J[i][c];
          lu_solve(B, column);
          for (int i = 0; i < k && ok; ++i) {
            const double weight = std::fabs(d[i]) > 0 ? std::fabs(d[c] / d[i]) : 1;
            ok = std::fabs(column[i]) * std::fmin(weight, 1) <= 0.5;
          }
        }
      }
      set_lane(regular, lane_, ok);
    }
    return regular;
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
  extern "C" OPGEN_EXPORT int opgen_residual_pullback(                                                                  \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,                               \
      const opgen_array* cotangents, const opgen_array* gradients, const opgen_options* options,                        \
      opgen_report* report) {                                                                                           \
    return opgen::Adjoint<Op>::residual_pullback(*points, inputs, unknowns, cotangents, gradients, *options, report);   \
  }
#endif
