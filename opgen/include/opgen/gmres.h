// Restarted GMRES for a batch of linear systems of which only the products are known.
//
// Solve A x = b as (A M^-1) (M x) = b, the right-preconditioned form: the residual that is minimised is the true one,
// r = b - A x. From a start x0 with r0 = b - A x0 the Arnoldi process builds an orthonormal basis V of the Krylov space
// span{r0, B r0, B^2 r0, ...}, B = A M^-1, one column at a time:
//
//     w = B v_j,   h_j = V^T w,   h_(j+1,j) v_(j+1) = w - V h_j        so that   B V_j = V_(j+1) H_j
//
// and x = x0 + M^-1 V y has the residual V_(j+1) (|r0| e_1 - H_j y), whose norm is smallest for the y of a small least
// squares problem. Givens rotations turn the Hessenberg matrix H_j into a triangle R while it grows; the rotated right-
// hand side g then holds the residual norm in its last entry. After `restart` columns the process starts again at x.
//
//   * V^T w and V h are products with the whole basis, done twice: once loses orthogonality to rounding, twice not.
//   * h_(j+1,j) = 0 is the happy breakdown: the space is closed under B, and x solves the system unless R is singular.
//   * Each system of the batch stops on its own; from then on its vectors are zero and its solution is not touched.
//   * Success is judged on b - A x computed anew, never on the recurrence for its norm.
//   * How small b - A x can become depends on the terms A_i1 x_1, A_i2 x_2, ... that rounding acts on. The sum of their squares
//     is the mean of (A (s x))_i^2 over all signs s of the entries of x: a product with random signs tells their size.
//
// Source: Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986); Saad, Iterative Methods (2003), 6.5 and 9.3; for the
// two passes Giraud, Langou and Rozloznik, Comput. Math. Appl. 50 (2005).
#ifndef OPGEN_GMRES_H
#define OPGEN_GMRES_H

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cmath>
#include <functional>
#include <limits>
#include <random>

#include "opgen/gmres_hessenberg.h"

namespace opgen {

// A product v -> A v for all systems at once, [N, n] -> [N, n]. Row i of the result may depend on row i of v only.
using LinearMap = std::function<at::Tensor(const at::Tensor&)>;

enum class GmresStatus : int64_t { converged = 0, max_iterations = 1, stagnated = 2, not_finite = 3 };

inline const char* advice(GmresStatus status) {
  switch (status) {
    case GmresStatus::converged: return "the residual is within its tolerance";
    case GmresStatus::max_iterations: return "the iteration limit was reached: allow more, or give a preconditioner";
    case GmresStatus::stagnated: return "the residual no longer shrinks: the matrix is singular or ill-conditioned";
    case GmresStatus::not_finite: return "a NaN or an infinity came up: look at the right-hand side and the matrix";
  }
  return "unknown status";
}

struct GmresOptions {
  double tol = 1e-10;             // on |b - A x| / |b|
  int64_t restart = 50;           // columns kept; n is enough for any system
  int64_t max_iterations = 1000;  // products with A per system, over all restarts
  double rounding = 0;            // |b - A x| may also be so many times the size of the terms of A x, up to `worst` |b|
  double worst = 1e-3;
};

struct GmresResult {
  at::Tensor solution;    // [N, n]
  at::Tensor iterations;  // [N] int64, on the host like all that follows
  at::Tensor residual;    // [N] double, |b - A x| / |b|
  at::Tensor status;      // [N] int64, values of GmresStatus
  at::Tensor dimension;   // [N] int64, the largest Krylov space met; if it is n, the matrix is regular
  at::Tensor terms;       // [N] double, the size of the terms of A x beside |b|; zero where `rounding` did not need it
};

namespace detail {

inline at::Tensor to_host(const at::Tensor& t) { return t.to(at::kCPU, at::kDouble).contiguous(); }
inline at::Tensor host(at::IntArrayRef shape, at::ScalarType type = at::kDouble) { return at::zeros(shape, type); }

// The norm of each row, [N, n] -> [N] on the host. Scaled, or the square of 1e-200 would be a zero.
inline at::Tensor norms(const at::Tensor& v) {
  if (v.size(1) == 1) return to_host(v.select(1, 0).abs());
  at::Tensor scale = v.abs().amax(1, true);
  scale.masked_fill_(scale == 0, 1);
  return to_host(at::linalg_vector_norm(v / scale, 2, at::IntArrayRef{1}) * scale.select(1, 0));
}

// Random signs, [1, n], the same every time.
inline at::Tensor signs(int64_t n) {
  std::mt19937_64 random(n);
  at::Tensor all = host({1, n});
  double* sign = all.data_ptr<double>();
  for (int64_t i = 0; i < n; ++i) sign[i] = random() >> 63 ? 1 : -1;
  return all;
}

// Call f(system) for each of n systems, on all threads.
template <class F>
void each(int64_t n, const F& f) {
  at::parallel_for(0, n, 2048, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i);
  });
}

template <class F>
bool any(int64_t n, const F& f) {
  for (int64_t i = 0; i < n; ++i)
    if (f(i)) return true;
  return false;
}

}  // namespace detail

// Solve A x = b for every row of b, [N, n]. `precondition` is v -> M^-1 v, `initial` a start like b; both may be empty.
inline GmresResult gmres(const LinearMap& product, const at::Tensor& b, const GmresOptions& options = {},
                         const LinearMap& precondition = {}, const at::Tensor& initial = {}) {
  using namespace detail;
  const int64_t N = b.size(0), n = b.size(1);
  const int64_t m = std::max<int64_t>(1, std::min({options.restart, n, options.max_iterations}));
  const double eps = b.scalar_type() == at::kFloat ? std::numeric_limits<float>::epsilon()
                                                   : std::numeric_limits<double>::epsilon();
  GmresResult result{initial.defined() ? initial.clone() : at::zeros_like(b), host({N}, at::kLong), host({N}),
                     host({N}, at::kLong), host({N}, at::kLong), host({N})};
  if (N == 0 || n == 0) return result;

  int64_t* iterations = result.iterations.data_ptr<int64_t>();
  int64_t* dimension = result.dimension.data_ptr<int64_t>();
  GmresStatus* status = reinterpret_cast<GmresStatus*>(result.status.data_ptr<int64_t>());
  double *relative = result.residual.data_ptr<double>(), *terms = result.terms.data_ptr<double>();
  at::Tensor& x = result.solution;
  // A factor of zero freezes a system: where() gives zeros even for its NaN.
  const auto rows = [&](const at::Tensor& t) { return t.to(b.device()).unsqueeze(1); };
  const auto scaled = [&](const at::Tensor& v, const at::Tensor& factor) {
    const at::Tensor f = rows(factor.to(b.scalar_type()));
    return at::where(f > 0, v * f, 0);
  };

  const at::Tensor b_norms = norms(b);
  const double* b_norm = b_norms.data_ptr<double>();
  if (initial.defined()) x.masked_fill_(rows(b_norms == 0), 0);
  at::Tensor r = initial.defined() ? b - product(x) : b;
  const at::Tensor r_norms = norms(r), factors = host({N}), better = host({N}, at::kBool);
  double *r_norm = r_norms.data_ptr<double>(), *factor = factors.data_ptr<double>();
  bool* is_better = better.data_ptr<bool>();

  // Set the status of system i from its true residual. `stuck`: its last cycle brought too little.
  std::vector<uint8_t> open(N);
  const auto goal = [&](int64_t i) { return std::max(options.tol, std::min(options.rounding * terms[i], options.worst)); };
  const auto judge = [&](int64_t i, double norm, bool stuck, bool stuck_for_good) {
    relative[i] = b_norm[i] == 0 ? 0 : norm / b_norm[i];
    const bool limit = iterations[i] >= options.max_iterations;
    if (relative[i] <= goal(i)) status[i] = GmresStatus::converged;
    else if (!std::isfinite(relative[i])) status[i] = GmresStatus::not_finite;
    else if (stuck_for_good || (stuck && !limit)) status[i] = GmresStatus::stagnated;
    else status[i] = GmresStatus::max_iterations;
    open[i] = status[i] == GmresStatus::max_iterations && !limit;
  };
  each(N, [&](int64_t i) { judge(i, r_norm[i], false, false); });

  Hessenberg H(N, m);
  const at::Tensor V = at::empty({m, N, n}, b.options());
  at::Tensor sign;
  while (any(N, [&](int64_t i) { return open[i]; })) {
    each(N, [&](int64_t i) {
      H.start(i, open[i], r_norm[i]);
      factor[i] = open[i] ? 1 / r_norm[i] : 0;
    });
    int64_t columns = 0;
    for (bool running = true; running && columns < m; ++columns) {
      const int64_t j = columns;
      V[j].copy_(scaled(j == 0 ? r : V[j], factors));
      at::Tensor w = product(precondition ? precondition(V[j]) : V[j]);
      const at::Tensor sizes = norms(w), basis = V.narrow(0, 0, j + 1).transpose(0, 1);  // [N, j + 1, n]
      at::Tensor h = at::bmm(w.unsqueeze(1), basis.transpose(1, 2));  // the rows V^T w of each system
      w = w - at::bmm(h, basis).squeeze(1);
      const at::Tensor correction = at::bmm(w.unsqueeze(1), basis.transpose(1, 2));
      w = w - at::bmm(correction, basis).squeeze(1);
      h = to_host(h + correction);
      const at::Tensor nexts = norms(w);
      const double *column = h.data_ptr<double>(), *size = sizes.data_ptr<double>(), *next = nexts.data_ptr<double>();
      each(N, [&](int64_t i) {
        factor[i] = 0;
        if (!H.running[i]) return;
        ++iterations[i];
        const double norm = std::isfinite(next[i]) ? H.append(i, j, column + i * (j + 1), next[i], size[i], eps) : 0;
        dimension[i] = std::max(dimension[i], H.used[i]);
        H.running[i] = std::isfinite(next[i]) && !H.closed[i] && iterations[i] < options.max_iterations &&
                       norm > goal(i) * b_norm[i];
        if (H.running[i]) factor[i] = 1 / next[i];
      });
      running = any(N, [&](int64_t i) { return H.running[i]; });
      if (running && j + 1 < m) V[j + 1].copy_(w);
    }

    // x + M^-1 V y, and its true residual. A step that does not make the residual smaller is not taken.
    const at::Tensor y = host({N, columns});
    double* coefficients = y.data_ptr<double>();
    each(N, [&](int64_t i) { H.solve(i, coefficients + i * columns); });
    const at::Tensor basis = V.narrow(0, 0, columns).transpose(0, 1);
    const at::Tensor step = at::bmm(y.to(b.options()).unsqueeze(1), basis).squeeze(1);
    const at::Tensor x_new = x + (precondition ? precondition(step) : step);
    const at::Tensor r_new = b - product(x_new), new_norms = norms(r_new);
    const double* new_norm = new_norms.data_ptr<double>();
    at::Tensor size;
    const auto unsolved = [&](int64_t i) { return open[i] && new_norm[i] > options.tol * b_norm[i]; };
    if (options.rounding > 0 && any(N, unsolved)) {
      if (!sign.defined()) sign = signs(n).to(b.options());
      size = norms(product(x_new * sign));
    }
    each(N, [&](int64_t i) {
      const double before = r_norm[i], after = new_norm[i];
      is_better[i] = open[i] && after < before;
      if (!open[i]) return;
      if (after < before || !std::isfinite(after)) r_norm[i] = after;
      if (after < before && size.defined()) terms[i] = size.data_ptr<double>()[i] / b_norm[i];
      const bool whole = H.closed[i] || H.used[i] == n;  // then the cycle had all that it can have
      judge(i, r_norm[i], r_norm[i] > 0.999 * before, whole && r_norm[i] > 0.5 * before);
    });
    x = at::where(rows(better), x_new, x);
    r = at::where(rows(better), r_new, r);
  }
  return result;
}

}  // namespace opgen

#endif
