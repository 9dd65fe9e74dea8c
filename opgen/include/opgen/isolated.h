// Whether a root is isolated to working precision: only then has it a derivative.
#ifndef OPGEN_ISOLATED_H
#define OPGEN_ISOLATED_H

#include <opgen/pullback.h>

namespace opgen {

template <class Op>
struct Isolated {
  static constexpr int n = Op::inputs, k = Op::unknowns;
  static constexpr int nx = n > 0 ? n : 1;
  using R = Pack<>;
  using Bool = typename Traits<R>::Bool;
  static constexpr int width = Traits<R>::size;

  // What is known of a pack of points: whether y is a root there, and whether that root is isolated.
  struct Standing {
    Bool root, regular;
  };

  // How well y and F are known: y was rounded to the dtype, F is computed in double.
  struct Precision {
    double root, eps, doubtful;
    Precision(int dtype, double tol) {
      const bool single = dtype == OPGEN_FLOAT32;
      eps = single ? 1.1920929e-7 : default_tolerance<>;
      root = 1e3 * std::fmax(tol, eps);
      doubtful = single ? 1e-2 : 1e-6;
    }
  };

  OPGEN_INLINE static Standing standing(const typename Op::template Prologue<R>& fixed, const R (&x)[nx], const R (&y)[k],
                                       const R& conditioning, const Precision& known) {
    R F[k], J[k][k], s[k], v[k];  // v: the variables of the iteration
    for (int i = 0; i < k; ++i) v[i] = y[i];
    if constexpr (Op::explicit_) return judged(x, y, F, s, F[0], conditioning, known);
    if constexpr (!Op::explicit_) {
      if constexpr (Op::substituted) Op::variables_of(y, v);
      Op::linearise(fixed, v, F, J, s);
      if constexpr (Op::substituted) J[0][0] = J[0][0] * v[0] / y[0];  // F_y but for a factor
      return judged(x, y, F, s, J[0][0], conditioning, known);
    }
  }

  // The same from F, the size s of its terms, and for one unknown F_y.
  OPGEN_INLINE static Standing judged(const R (&x)[nx], const R (&y)[k], [[maybe_unused]] const R (&F)[k],
                                     [[maybe_unused]] const R (&s)[k], [[maybe_unused]] const R& slope, const R& conditioning,
                                     [[maybe_unused]] const Precision& known) {
    Standing is;
    is.root = all_finite(x, n) & all_finite(y, k);
    if constexpr (Op::explicit_) {
      is.regular = is.root;
    } else {
      for (int i = 0; i < k; ++i) is.root = is.root & (abs(F[i]) <= known.root * s[i]) & (s[i] < infinity);
      is.regular = is.root & (conditioning > 0.0);
      if constexpr (!Op::linear) {
        Bool fair = conditioning > known.doubtful;
        if constexpr (k == 1) fair = abs(slope * y[0]) > known.doubtful * s[0];
        const Bool doubtful = is.regular & !fair;
        if (__builtin_expect(any(doubtful), 0)) is.regular = examine(x, y, doubtful, is.regular, known.eps);
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
      if constexpr (Op::substituted) Op::variables_of(at, at);
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

  // One number a point: |F_y| for one unknown, else the condition number |F_y| |F_y^-1| in the maximum norm, rows of F_y
  // scaled to one (how equations are scaled says nothing of the root); infinite where F_y is singular.
  static int condition(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                       const opgen_array* outputs, const opgen_options& options, opgen_report* report) {
    Call<n + k + 1> call;
    call.add(inputs, n);
    call.add(unknowns, k);
    call.add(outputs, 1);
    Failure failure;
    return pullback<n + k, 1, width>(
        Op::name, points, call, options.threads, report, failure,
        [&](const double* const* in, double* const* out, int at, int64_t, int64_t, Failure&) {
          R x[nx], y[k], F[k], s[k], result = R(1.0);
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          if constexpr (k == 1 && !Op::explicit_) {
            R none[1 + Op::auxiliaries] = {}, gradient[nx];
            Op::adjoint(Op::template prologue<R>(x), y, none, gradient, F, s, &result);
            result = abs(result);
          } else if constexpr (!Op::explicit_) {
            R J[k][k];
            Op::linearise(Op::template prologue<R>(x), y, F, J, s);
            result = row_scaled_condition(J);
          }
          Traits<R>::store(result, &out[0][at]);
        });
  }

  static R row_scaled_condition(const R (&J)[k][k]) {
    R inverse[k], scaled[k][k];
    for (int i = 0; i < k; ++i) {
      R size = R(0.0);
      for (int j = 0; j < k; ++j) size = size + abs(J[i][j]);
      for (int j = 0; j < k; ++j) scaled[i][j] = J[i][j] / size;
      inverse[i] = R(0.0);
    }
    for (int c = 0; c < k; ++c) {
      R A[k][k], column[k];
      for (int i = 0; i < k; ++i) {
        column[i] = R(i == c ? 1.0 : 0.0);
        for (int j = 0; j < k; ++j) A[i][j] = scaled[i][j];
      }
      lu_solve(A, column);
      for (int i = 0; i < k; ++i) inverse[i] = inverse[i] + abs(column[i]);
    }
    R largest = R(0.0);
    for (int i = 0; i < k; ++i) largest = max(largest, select(finite(inverse[i]), inverse[i], R(infinity)));
    return largest;
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
        [&](const double* const* in, double* const*, int at, int64_t begin, int64_t count, Failure& failed) {
          R x[nx], y[k], conditioning = R(1.0);
          load<R>(in, at, x);
          load<R>(in + n, at, y);
          const auto fixed = Op::template prologue<R>(x);
          if constexpr (!Op::explicit_) {
            R F[k], J[k][k], s[k];
            Op::linearise(fixed, y, F, J, s);
            conditioning = lu_solve(J, F);
          }
          const Standing is = standing(fixed, x, y, conditioning, known);
          note_singular(is, begin + at, count - at, failed);
          for (int j = 0; j < width && at + j < count; ++j) flags[begin + at + j] = lane(is.regular, j);
        });
    return status == OPGEN_OK ? conclude<Op>(failure, points, inputs, options, report) : status;
  }
};

}  // namespace opgen
#endif
