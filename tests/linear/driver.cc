// What the tests call by ctypes: the linear algebra of opgen/linear on arrays.
#include <opgen/linear/band.h>
#include <opgen/linear/dense.h>
#include <opgen/linear/krylov.h>
#include <opgen/linear/tridiagonal.h>

#define EXPORT extern "C" __attribute__((visibility("default")))

using namespace opgen::linear;

namespace {

template <class Matrix>
void solve_rows(const Matrix& m, int64_t count, double* b, bool transposed) {
  for (int64_t k = 0; k < count; ++k, b += m.size()) transposed ? m.solve_transposed(b) : m.solve(b);
}

Transpose flag(int32_t transposed) { return transposed ? Transpose::yes : Transpose::no; }

Diagonal diagonal(const double* data, int32_t constant) { return constant ? Diagonal(*data) : Diagonal(data); }

}  // namespace

// Of every matrix: a is n x n; b holds `count` right-hand sides of n and becomes the solutions. Returns whether it factored.

// Factored `rounds` times, the memory being used again.
EXPORT int32_t band(int64_t n, int64_t lower, int64_t upper, const double* a, int64_t count, double* b, int32_t transposed,
                    int32_t rounds, double* reciprocal_condition) {
  Band m(n, lower, upper);
  bool factored = false;
  for (int32_t round = 0; round < rounds; ++round) {
    m.clear();
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = std::max<int64_t>(0, i - lower); j <= std::min(n - 1, i + upper); ++j) m.at(i, j) = a[i * n + j];
    factored = m.factor();
  }
  *reciprocal_condition = m.reciprocal_condition();
  if (factored) solve_rows(m, count, b, transposed);
  return factored;
}

EXPORT int32_t dense(int64_t n, const double* a, int64_t count, double* b, int32_t transposed, int32_t threads,
                     double* reciprocal_condition) {
  Dense m(n);
  for (int64_t i = 0; i < n; ++i) std::copy(a + i * n, a + (i + 1) * n, m.row(i));
  const bool factored = m.factor(threads);
  *reciprocal_condition = m.reciprocal_condition();
  if (factored) solve_rows(m, count, b, transposed);
  return factored;
}

// constant: bits 0, 1, 2 for the three diagonals. mode: 0 factor_and_solve, 1 solve, 2 solve_transposed.
EXPORT int32_t tridiagonal(int64_t n, const double* lower, const double* main, const double* upper, int32_t constant,
                           const double* b, double* x, int32_t mode, int32_t threads) {
  Tridiagonal m(n);
  const Diagonal l = diagonal(lower, constant & 1), d = diagonal(main, constant & 2), u = diagonal(upper, constant & 4);
  if (mode == 0) return m.factor_and_solve(l, d, u, b, x, threads);
  if (!m.factor(l, d, u, threads)) return 0;
  mode == 1 ? m.solve(b, x, threads) : m.solve_transposed(b, x, threads);
  return 1;
}

EXPORT void product_double(int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a,
                           int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc,
                           int32_t threads) {
  multiply(flag(ta), flag(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, threads);
}

EXPORT void product_float(int32_t ta, int32_t tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                          int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc, int32_t threads) {
  multiply(flag(ta), flag(tb), m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, threads);
}

// A is a tridiagonal matrix with ones times (lower, upper) beside the main diagonal d: cheap, and of any size; or, where a
// is given, a dense one. M is diagonal, its inverse `inverse`, or none. method: 0 GMRES, 1 conjugate gradients.
EXPORT int32_t krylov(int64_t n, const double* a, const double* d, double lower, double upper, const double* inverse,
                      const double* b, double* x, int32_t method, double tol, int64_t restart, int64_t limit,
                      int32_t started, int32_t threads, int32_t rounds, int64_t* iterations, double* residual) {
  const auto apply = [&](const double* v, double* w) {
    if (a) {
      for (int64_t i = 0; i < n; ++i) w[i] = dot(a + i * n, v, n);
      return;
    }
    for (int64_t i = 0; i < n; ++i)
      w[i] = d[i] * v[i] + (i > 0 ? lower * v[i - 1] : 0) + (i + 1 < n ? upper * v[i + 1] : 0);
  };
  const auto precondition = [&](const double* r, double* z) {
    for (int64_t i = 0; i < n; ++i) z[i] = inverse[i] * r[i];
  };
  KrylovOptions options;
  options.tol = tol, options.restart = restart, options.max_iterations = limit, options.threads = threads;
  options.started = started;
  Workspace workspace;
  Outcome outcome{};
  for (int32_t round = 0; round < rounds; ++round) {
    if (inverse)
      outcome = method == 0 ? gmres(n, apply, precondition, b, x, options, workspace)
                            : conjugate_gradients(n, apply, precondition, b, x, options, workspace);
    else
      outcome = method == 0 ? gmres(n, apply, NoPreconditioner(), b, x, options, workspace)
                            : conjugate_gradients(n, apply, NoPreconditioner(), b, x, options, workspace);
  }
  *iterations = outcome.iterations;
  *residual = outcome.residual;
  return outcome.status;
}
