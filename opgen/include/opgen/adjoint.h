// The direct adjoint of a pointwise operator, and the pullback of its residual.
//
// y(x) is defined by F(x, y) = 0, so dF = F_x dx + F_y dy = 0 and dy = -F_y^-1 F_x dx. For a scalar J with cotangent
// g = dJ/dy, the adjoint u solves F_y^T u = g, and then dJ/dx = -u^T F_x. An auxiliary output a(x, y) with cotangent h adds
// a_y^T h to g and a_x^T h to dJ/dx.
#ifndef OPGEN_ADJOINT_H
#define OPGEN_ADJOINT_H

#include <opgen/isolated.h>

namespace opgen {

template <class Op>
struct Adjoint : Isolated<Op> {
  using Base = Isolated<Op>;
  using typename Base::Precision;
  using typename Base::R;
  using typename Base::Standing;
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries, nx = Base::nx, width = Base::width;

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
        [&](const double* const* in, double* const* out, int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], g[k + m], gradient[nx];
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          load<R>(in + n + k, at, g);
          const auto fixed = Op::template prologue<R>(x);
          R F[k], s[k], slope;
          const R conditioning = Op::adjoint(fixed, y, g, gradient, F, s, &slope);
          const Standing is = Base::judged(x, y, F, s, slope, conditioning, known);
          Base::note_singular(is, begin + at, count - at, failed);
          for (int i = 0; i < n; ++i) Traits<R>::store(select(is.regular, gradient[i], 0.0), &out[i][at]);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
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
        [&](const double* const* in, double* const* out, int at, int64_t, int64_t, Failure&) {
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
#endif
