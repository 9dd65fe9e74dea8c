// Linear systems of which only products are known: GMRES for any matrix, conjugate gradients for a symmetric definite one.
//
// apply(x, y) makes y = A x; precondition(r, z) makes z = M^-1 r with M near A. Vectors have n entries and lie apart.
//
// GMRES solves (A M^-1) (M x) = b, so that the residual it minimises is the true one, r = b - A x. The Arnoldi process
// builds an orthonormal basis V of span{r, B r, B^2 r, ...}, B = A M^-1, a column at a time, B V_j = V_(j+1) H_j; of all
// x + M^-1 V y the one is sought that makes | |r| e_1 - H y | smallest. Every column is orthogonalised twice, for once
// loses orthogonality to rounding, in three passes over V: what ends the first time also begins the second. A column that
// brings nothing new is the happy breakdown: the space is closed under B, and x solves the system if B is regular.
//
// Conjugate gradients minimise (x - x*)^T A (x - x*) over the same spaces and keep only the last direction p. If A is
// negative definite, or M, then p^T A p, or r^T M^-1 r, is negative instead of positive; but should either sign change, the
// matrix is not definite, and the process has broken down.
//
// Success is judged on b - A x computed anew, never on a recurrence for it.
//
// Source: Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986); Giraud, Langou and Rozloznik, Comput. Math. Appl. 50
// (2005), for orthogonalising twice; Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49 (1952).
#ifndef OPGEN_LINEAR_KRYLOV_H
#define OPGEN_LINEAR_KRYLOV_H

#include <opgen/linear/arnoldi.h>

#include <type_traits>

namespace opgen::linear {

struct Outcome {
  enum Status { converged, stagnated, limit, not_finite, breakdown };
  int64_t iterations;  // products with A, besides those that check
  double residual;     // |b - A x| / |b|
  Status status;
};

struct KrylovOptions {
  double tol = 1e-10;    // on |b - A x| / |b|
  int64_t restart = 50;  // columns that GMRES keeps
  int64_t max_iterations = 1000;
  int threads = 0;
  bool started = false;  // x holds a start; else it is zero
};

// M = I, at no cost.
struct NoPreconditioner {};

// Memory that grows and is kept from one solve to the next.
using Workspace = Lines;

// One system A x = b and what both methods do with it.
template <class Apply, class Precondition>
class Krylov {
 public:
  Krylov(int64_t n, const Apply& apply, const Precondition& precondition, const double* b, double* x,
         const KrylovOptions& options, Workspace& workspace)
      : n_(n), chunks_(n), apply_(apply), precondition_(precondition), b_(b), x_(x), options_(options),
        workspace_(workspace) {}

  Outcome gmres() {
    if (trivial()) return outcome_;
    const int64_t m = std::max<int64_t>(1, std::min({options_.restart, n_, options_.max_iterations}));
    reserve((m + 3) * stride_ + m * (m + 1) / 2 + 5 * (m + 1) + chunks_.count * (m + 1));
    double *V = take((m + 1) * stride_), *z = take(stride_), *trial = take(stride_);
    double *h = take(m + 1), *again = take(m + 1);
    LeastSquares least{take(m * (m + 1) / 2), take(m + 1), take(m + 1), take(m + 1)};
    const Basis basis{V, stride_, take(chunks_.count * (m + 1)), chunks_, options_.threads};
    double remaining = first_residual(V, 1);  // V's first column is the residual of x, divided by its norm below
    outcome_.residual = remaining / size_;
    for (;;) {
      if (!std::isfinite(remaining)) return ends(Outcome::not_finite);
      if (outcome_.residual <= options_.tol) return ends(Outcome::converged);
      if (outcome_.iterations >= options_.max_iterations) return ends(Outcome::limit);

      double next = remaining;
      least.start(remaining);
      for (int64_t j = 0; j < m && outcome_.iterations < options_.max_iterations; ++j) {
        double *column = V + j * stride_, *w = column + stride_;
        each([&](int64_t at, int64_t length) { divide(next, column + at, length); });
        apply_(preconditioned(column, z), w);
        ++outcome_.iterations;
        const double whole = norm(basis.pass(j + 1, w, nullptr, h), w, n_);
        basis.pass(j + 1, w, h, again);
        next = norm(basis.pass(j + 1, w, again, nullptr), w, n_);
        if (!std::isfinite(next)) break;
        for (int64_t k = 0; k <= j; ++k) h[k] += again[k];
        if (least.append(h, next, whole) <= options_.tol * size_ || least.closed) break;
      }

      // x + M^-1 V y. A step that does not make the residual smaller is not taken.
      const bool finite = std::isfinite(next), complete = least.closed || least.used == n_;
      const double before = remaining;
      least.solve();
      basis.combine(least.used, least.g, trial);
      const double* step = preconditioned(trial, z);
      each([&](int64_t at, int64_t length) { combine(1, step + at, x_ + at, trial + at, length); });
      apply_(trial, V);
      const double after = subtract(V, 1);
      if (after < before) {
        std::copy(trial, trial + n_, x_);
        remaining = after;
        outcome_.residual = after / size_;
        if (outcome_.residual <= options_.tol) return ends(Outcome::converged);
      }
      if (!finite || !std::isfinite(after)) return ends(Outcome::not_finite);
      if (complete && remaining > 0.5 * before) return ends(Outcome::stagnated);
      if (remaining > 0.999 * before && outcome_.iterations < options_.max_iterations) return ends(Outcome::stagnated);
      if (!(after < before)) return ends(Outcome::limit);
    }
  }

  // r, and so alpha and beta, are relative to |b|.
  Outcome conjugate_gradients() {
    if (trivial()) return outcome_;
    reserve(4 * stride_);
    double *r = take(stride_), *z = take(stride_), *p = take(stride_), *q = take(stride_);
    double remaining = first_residual(r, size_), checked = HUGE_VAL;
    double largest = remaining, rz_before = 0, sign_of_rz = 0, sign_of_pq = 0;
    bool fresh = true;  // r is the true residual
    const auto check = [&] {
      if (fresh) return;
      apply_(x_, r);
      remaining = subtract(r, size_);
      fresh = true;
    };
    const auto ends_at = [&](Outcome::Status status) {
      check();
      outcome_.residual = remaining;
      return ends(remaining <= options_.tol ? Outcome::converged : status);
    };
    const auto changed = [](double value, double& sign) {
      if (sign == 0) sign = value;
      return !(value * sign > 0);
    };
    for (;;) {
      // Below the rounding of the largest r so far its recurrence tells nothing.
      if (!(remaining > std::max(options_.tol, std::numeric_limits<double>::epsilon() * largest))) {
        check();
        if (!(remaining > options_.tol)) return ends_at(Outcome::not_finite);
        if (remaining > 0.5 * checked) return ends_at(Outcome::stagnated);
        largest = checked = remaining;
        rz_before = 0;
      }
      largest = std::max(largest, remaining);
      if (!std::isfinite(remaining)) return ends_at(Outcome::not_finite);
      if (outcome_.iterations >= options_.max_iterations) return ends_at(Outcome::limit);
      const double* zr = preconditioned(r, z);
      const double rz = trusted_dot(r, zr, n_, options_.threads);
      if (!std::isfinite(rz)) return ends_at(Outcome::not_finite);
      if (changed(rz, sign_of_rz)) return ends_at(Outcome::breakdown);
      const double beta = rz_before == 0 ? 0 : rz / rz_before;
      rz_before = rz;
      each([&](int64_t at, int64_t length) {
        if (beta == 0) std::copy(zr + at, zr + at + length, p + at);
        else combine(beta, p + at, zr + at, p + at, length);
      });
      apply_(p, q);
      ++outcome_.iterations;
      const double pq = trusted_dot(p, q, n_, options_.threads);
      if (!std::isfinite(pq)) return ends_at(Outcome::not_finite);
      if (changed(pq, sign_of_pq)) return ends_at(Outcome::breakdown);
      const double alpha = rz / pq;
      remaining = norm(chunks_.total(options_.threads, [&](int64_t at, int64_t length) {
        axpy(alpha * size_, p + at, x_ + at, length);
        axpy(-alpha, q + at, r + at, length);
        return dot(r + at, r + at, length);
      }), r, n_);
      fresh = false;
    }
  }

 private:
  bool trivial() {
    if (!options_.started) std::fill(x_, x_ + n_, 0.0);
    size_ = norm(b_, n_, options_.threads);
    stride_ = ((n_ + lanes - 1) / lanes | 1) * lanes;
    outcome_ = {0, size_, std::isfinite(size_) ? Outcome::converged : Outcome::not_finite};
    if (size_ == 0) std::fill(x_, x_ + n_, 0.0);
    return size_ == 0 || !std::isfinite(size_);
  }

  Outcome ends(Outcome::Status status) {
    outcome_.status = status;
    return outcome_;
  }

  void reserve(int64_t size) {
    workspace_.reserve(size);
    memory_ = workspace_.data();
  }
  double* take(int64_t size) { return (memory_ += size) - size; }

  template <class Body>
  void each(Body&& body) const {
    chunks_.each(options_.threads, [&](int64_t, int64_t at, int64_t length) { body(at, length); });
  }

  // r = (b - A x) / scale for the x of the start; returns its norm.
  double first_residual(double* r, double scale) {
    if (options_.started) apply_(x_, r);
    else std::fill(r, r + n_, 0.0);
    return subtract(r, scale);
  }

  // r = (b - r) / scale; returns its norm.
  double subtract(double* r, double scale) const {
    return norm(chunks_.total(options_.threads, [&](int64_t at, int64_t length) {
      combine(-1, r + at, b_ + at, r + at, length);
      if (scale != 1) divide(scale, r + at, length);
      return dot(r + at, r + at, length);
    }), r, n_);
  }

  // M^-1 r: z, or r itself.
  const double* preconditioned(const double* r, double* z) {
    if constexpr (std::is_same_v<Precondition, NoPreconditioner>) return r;
    else return precondition_(r, z), z;
  }

  int64_t n_, stride_ = 0;
  Chunks chunks_;
  const Apply& apply_;
  const Precondition& precondition_;
  const double* b_;
  double* x_;
  const KrylovOptions& options_;
  Workspace& workspace_;
  double* memory_ = nullptr;
  double size_ = 0;
  Outcome outcome_{};
};

template <class Apply, class Precondition>
Outcome gmres(int64_t n, const Apply& apply, const Precondition& precondition, const double* b, double* x,
              const KrylovOptions& options, Workspace& workspace) {
  return Krylov<Apply, Precondition>(n, apply, precondition, b, x, options, workspace).gmres();
}

// A and M are symmetric, and each is definite, of either sign.
template <class Apply, class Precondition>
Outcome conjugate_gradients(int64_t n, const Apply& apply, const Precondition& precondition, const double* b, double* x,
                            const KrylovOptions& options, Workspace& workspace) {
  return Krylov<Apply, Precondition>(n, apply, precondition, b, x, options, workspace).conjugate_gradients();
}

}  // namespace opgen::linear
#endif
