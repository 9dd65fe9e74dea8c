// Forward mode and second derivatives of a pointwise operator, and the kernel's entry points.
//
// The tangent of y along v solves F_y w = -F_x v. For second derivatives, phi(x) = g^T o' with o' the tangent of the outputs
// along v is both the adjoint's product with v and the tangent's with g, so its derivative by x serves reverse over reverse,
// forward over reverse and reverse over forward alike; forward over forward is the outputs' curvature along two tangents.
// The derivations stand in the generated code.
#ifndef OPGEN_DERIVATIVES_H
#define OPGEN_DERIVATIVES_H

#include <opgen/adjoint.h>
#include <opgen/solve.h>

namespace opgen {

// A z = b for a matrix that is needed again; b becomes z.
template <int k, class R>
OPGEN_INLINE R solve(const R (&A)[k][k], R (&b)[k]) {
  R copy[k][k];
  OPGEN_UNROLL for (int i = 0; i < k; ++i) {
    OPGEN_UNROLL for (int j = 0; j < k; ++j) copy[i][j] = A[i][j];
  }
  return lu_solve(copy, b);
}
template <int k, class R>
OPGEN_INLINE R solve_transposed(const R (&A)[k][k], R (&b)[k]) {
  R copy[k][k];
  OPGEN_UNROLL for (int i = 0; i < k; ++i) {
    OPGEN_UNROLL for (int j = 0; j < k; ++j) copy[i][j] = A[j][i];
  }
  return lu_solve(copy, b);
}

template <class Op>
struct Derivatives : Isolated<Op> {
  using Base = Isolated<Op>;
  using typename Base::Precision;
  using typename Base::R;
  using typename Base::Standing;
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries, nx = Base::nx, width = Base::width;

  // The tangents of unknowns and auxiliaries along the tangents of the inputs (an absent one is zero). A point that failed
  // has tangent zero.
  static int tangent(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                     const opgen_array* tangents, const opgen_array* outputs, const opgen_options& options,
                     opgen_report* report) {
    constexpr int reads = n + k + n, writes = k + m;
    Call<reads + writes> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(tangents, n);
    call.add(outputs, writes);
    const Precision known(points.dtype, options.tol);
    Failure failure;
    const int status = pullback<reads, writes, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double* const* in, double* const* out, int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], v[nx], result[writes];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, v);
          const R conditioning = Op::tangent(x, y, v, result);
          const Standing is = Base::standing(Op::template prologue<R>(x), x, y, conditioning, known);
          Base::note_singular(is, begin + at, count - at, failed);
          for (int i = 0; i < writes; ++i) Traits<R>::store(select(is.regular, result[i], 0.0), &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }

  // The second derivatives of unknowns and auxiliaries along the tangents v and w of the inputs.
  static int curvature(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                       const opgen_array* v, const opgen_array* w, const opgen_array* outputs,
                       const opgen_options& options, opgen_report* report) {
    constexpr int reads = n + k + n + n, writes = k + m;
    Call<reads + writes> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(v, n);
    call.add(w, n);
    call.add(outputs, writes);
    const Precision known(points.dtype, options.tol);
    Failure failure;
    const int status = pullback<reads, writes, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double* const* in, double* const* out, int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], first[nx], second[nx], result[writes];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, first);
          load<R>(in + n + k + n, at, second);
          const R conditioning = Op::curvature(x, y, first, second, result);
          const Standing is = Base::standing(Op::template prologue<R>(x), x, y, conditioning, known);
          Base::note_singular(is, begin + at, count - at, failed);
          for (int i = 0; i < writes; ++i) Traits<R>::store(select(is.regular, result[i], 0.0), &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }

  // F_x v + F_y w: the tangent of the residual itself.
  static int residual_tangent(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                              const opgen_array* tangents, const opgen_array* outputs, const opgen_options& options,
                              opgen_report* report) {
    constexpr int reads = 2 * (n + k);
    Call<reads + k> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(tangents, n + k);
    call.add(outputs, k);
    Failure failure;
    const int status = pullback<reads, k, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double* const* in, double* const* out, int at, int64_t, int64_t, Failure&) {
          R x[nx], y[k], v[n + k], result[k];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, v);
          Op::residual_tangent(x, y, v, result);
          for (int i = 0; i < k; ++i) Traits<R>::store(result[i], &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }

  // The derivative by the inputs of g^T o', o' the tangent of the outputs along v.
  static int second(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                    const opgen_array* cotangents, const opgen_array* tangents, const opgen_array* gradients,
                    const opgen_options& options, opgen_report* report) {
    constexpr int reads = n + k + k + m + n;
    Call<reads + n> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(cotangents, k + m);
    call.add(tangents, n);
    call.add(gradients, n);
    const Precision known(points.dtype, options.tol);
    Failure failure;
    const int status = pullback<reads, n, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double* const* in, double* const* out, int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], g[k + m], v[nx], result[nx];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, g);
          load<R>(in + n + k + k + m, at, v);
          const R conditioning = Op::second(x, y, g, v, result);
          const Standing is = Base::standing(Op::template prologue<R>(x), x, y, conditioning, known);
          Base::note_singular(is, begin + at, count - at, failed);
          for (int i = 0; i < n; ++i) Traits<R>::store(select(is.regular, result[i], 0.0), &out[i][at]);
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
    return opgen::Isolated<Op>::isolated(*points, inputs, unknowns, flags, *options, report);                           \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_condition(                                                                          \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* outputs,   \
      const opgen_options* options, opgen_report* report) {                                                             \
    return opgen::Isolated<Op>::condition(*points, inputs, unknowns, outputs, *options, report);                        \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_residual_pullback(                                                                  \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,                               \
      const opgen_array* cotangents, const opgen_array* gradients, const opgen_options* options,                        \
      opgen_report* report) {                                                                                           \
    return opgen::Adjoint<Op>::residual_pullback(*points, inputs, unknowns, cotangents, gradients, *options, report);   \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_tangent(                                                                            \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* tangents,  \
      const opgen_array* outputs, const opgen_options* options, opgen_report* report) {                                 \
    return opgen::Derivatives<Op>::tangent(*points, inputs, unknowns, tangents, outputs, *options, report);             \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_second(                                                                             \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,                               \
      const opgen_array* cotangents, const opgen_array* tangents, const opgen_array* gradients,                         \
      const opgen_options* options, opgen_report* report) {                                                             \
    return opgen::Derivatives<Op>::second(*points, inputs, unknowns, cotangents, tangents, gradients, *options, report);\
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_curvature(                                                                          \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* v,         \
      const opgen_array* w, const opgen_array* outputs, const opgen_options* options, opgen_report* report) {           \
    return opgen::Derivatives<Op>::curvature(*points, inputs, unknowns, v, w, outputs, *options, report);               \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int opgen_residual_tangent(                                                                   \
      const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* tangents,  \
      const opgen_array* outputs, const opgen_options* options, opgen_report* report) {                                 \
    return opgen::Derivatives<Op>::residual_tangent(*points, inputs, unknowns, tangents, outputs, *options, report);    \
  }

#endif
