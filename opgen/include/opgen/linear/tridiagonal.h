// One long tridiagonal system, lower[i] x[i-1] + diagonal[i] x[i] + upper[i] x[i+1] = b[i], on all lanes and threads.
//
// The rows are cut into chunks of K rows; each lane of a register eliminates a chunk of its own. In a chunk whose
// predecessor ends with the unknown e, elimination without pivoting makes row k (k = 0 .. K - 1) into
//
//     p_k x_k + u_k x_(k+1) + s_k e = z_k        f_k = l_k / p_(k-1),  p_k = d_k - f_k u_(k-1),
//                                                s_k = -f_k s_(k-1),   z_k = b_k - f_k z_(k-1);   s_0 = l_0, z_0 = b_0.
//
// Back substitution from x_(K-1), written out for the first unknown, is a sum that the same sweep can add up on its way:
//
//     x_0 = F - S e + c_(K-1) x_(K-1)            F = sum g_k z_k,  S = sum g_k s_k  over k < K - 1,
//                                                g_k = c_k / p_k,  c_(k+1) = -g_k u_k,  c_0 = 1.
//
// The last row of a chunk and the first unknown of the next, put together, are a tridiagonal system in the last unknowns
// of all chunks (the Schur complement that remains of the matrix); it is small and solved with pivoting. Then every chunk is
// a system of its own, solved by a second sweep down, from z_0 = b_0 - l_0 e, and one up. So of the first sweep only 1 / p_k
// is kept. The transposed matrix has the same p_k, and the transposed Schur complement: it needs no factors of its own.
//
// Arrays are read and written row by row in blocks of lanes x lanes entries, transposed in registers.
//
// Without pivoting a p_k that is large beside its row tells of a small one before it and of lost digits. Then, and for
// small systems, the whole is done with pivoting.
//
// Source: Wang, ACM Trans. Math. Softw. 7 (1981), for elimination in chunks.
#ifndef OPGEN_LINEAR_TRIDIAGONAL_H
#define OPGEN_LINEAR_TRIDIAGONAL_H

#include <opgen/linear/band.h>
#include <opgen/linear/diagonal.h>

#include <atomic>
#include <optional>

namespace opgen::linear {

class Tridiagonal {
 public:
  explicit Tridiagonal(int64_t n) : n_(n) {
    const int64_t groups = n < smallest ? 0 : (n + lanes * longest - 1) / (lanes * longest);
    if (groups == 0) return;
    // An odd number of blocks: chunks an even number of cache lines apart would compete for the same few places.
    rows_ = (n + lanes * groups - 1) / (lanes * groups);
    rows_ = (rows_ + lanes - 1) / lanes | 1;
    rows_ *= lanes;
    groups_ = (n + lanes * rows_ - 1) / (lanes * rows_);
    inverses_.reserve(groups_ * rows_ * lanes);
  }

  int64_t size() const { return n_; }

  // False if the matrix is singular or not finite. The diagonals beside the main one are not copied: they must stay for
  // solve() and solve_transposed().
  bool factor(Diagonal lower, Diagonal diagonal, Diagonal upper, int threads) {
    return eliminate<false>(lower, diagonal, upper, nullptr, nullptr, threads);
  }

  // x = A^-1 b; x may be b.
  void solve(const double* b, double* x, int threads) const {
    if (pivoted_) return solve_band(b, x, false);
    substitute(rows_below(), rows_above(), b, x, false, threads);
  }

  // x = A^-T b. Row i of the transposed matrix has upper[i - 1] and lower[i + 1] beside its diagonal.
  void solve_transposed(const double* b, double* x, int threads) const {
    if (pivoted_) return solve_band(b, x, true);
    substitute({upper_, -1, 1, n_, 0}, {lower_, 1, 0, n_ - 1, 0}, b, x, true, threads);
  }

  // factor() and solve() in one, in less time than both.
  bool factor_and_solve(Diagonal lower, Diagonal diagonal, Diagonal upper, const double* b, double* x, int threads) {
    return eliminate<true>(lower, diagonal, upper, b, x, threads);
  }

 private:
  static constexpr int64_t smallest = 8 * lanes;   // shorter systems are done with pivoting
  static constexpr int64_t longest = 504;          // rows of a chunk: what a sweep keeps of a group of chunks stays in L1
  static constexpr double growth = 1e4;            // of p_k beside its row: digits that may be lost

  Rows rows_below() const { return {lower_, 0, 1, n_, 0}; }
  Rows rows_above() const { return {upper_, 0, 0, n_ - 1, 0}; }

  // What the first sweep finds in the chunks of a group, one per lane; names as above.
  struct Ends {
    Vec p, s, S, c, z, F, u;
  };

  // The first sweep over a group: `factored` if 1 / p_k is known. `bad`: lanes with growth.
  template <bool factored, bool right_hand_side>
  Ends sweep(const Rows& lower, const Rows& diagonal, const Rows& upper, const Rows& b, int64_t group,
             std::conditional_t<factored, const double, double>* inverses, Bits& bad) const {
    const Vec zero{}, one = zero + 1;
    Vec q = one, u = zero, s = zero - 1, S = zero, z = zero, F = zero, g = zero, c = one, c_next = one, p = one;
    for (int64_t k = 0; k < rows_; k += lanes) {
      const int64_t row = group * lanes * rows_ + k;
      Block L, D, U, B;
      lower.load(L, row, rows_);
      upper.load(U, row, rows_);
      if constexpr (!factored) diagonal.load(D, row, rows_);
      if constexpr (right_hand_side) b.load(B, row, rows_);
#pragma GCC unroll 8
      for (int i = 0; i < lanes; ++i) {
        c = c_next;
        const Vec f = L[i] * q;
        if constexpr (right_hand_side) {
          F += g * z;
          z = B[i] - f * z;
        }
        if constexpr (factored) {
          q = linear::load(inverses + (k + i) * lanes);
        } else {
          S += g * s;
          s = -f * s;
          p = D[i] - f * u;  // not (L u) q: with equal entries its rounding would be the same in every row
          bad |= ~(absolute(p) < growth * (absolute(L[i]) + absolute(D[i]) + absolute(U[i])));
          q = one / p;
          store(q, inverses + (k + i) * lanes);
        }
        u = U[i];
        g = c * q;
        c_next = -g * u;
      }
    }
    return {p, s, S, c, z, F, u};
  }

  // Given e of the last chunks' ends, the unknowns of a group: down with z, up with x.
  void finish(const Rows& lower, const Rows& upper, const Rows& b, const double* ends, int64_t group, double* x) const {
    Vec kept[longest + 2 * lanes];  // z_k / p_k
    const double* inverses = inverses_.data() + group * rows_ * lanes;
    Vec q = Vec{} + 1, z, e;
    for (int l = 0; l < lanes; ++l) {
      const int64_t chunk = group * lanes + l;
      z[l] = chunk > 0 ? ends[chunk - 1] : 0;
      e[l] = ends[chunk];
    }
    const int64_t row = group * lanes * rows_;
    for (int64_t k = 0; k < rows_; k += lanes) {
      Block L, B;
      lower.load(L, row + k, rows_);
      b.load(B, row + k, rows_);
#pragma GCC unroll 8
      for (int i = 0; i < lanes; ++i) {
        z = B[i] - L[i] * q * z;
        q = linear::load(inverses + (k + i) * lanes);
        kept[k + i] = z * q;
      }
    }
    Vec above = e;
    for (int64_t k = rows_ - lanes; k >= 0; k -= lanes) {
      Block U, X;
      upper.load(U, row + k, rows_);
#pragma GCC unroll 8
      for (int i = lanes - 1; i >= 0; --i) {
        if (k + i < rows_ - 1) above = kept[k + i] - U[i] * linear::load(inverses + (k + i) * lanes) * above;
        X[i] = above;
      }
      transpose<double, lanes>(X);
      for (int l = 0; l < lanes; ++l) {
        const int64_t i = row + k + l * rows_;
        if (i + lanes <= n_) store(X[l], x + i);
        else for (int j = 0; j < n_ - i; ++j) x[i + j] = X[l][j];
      }
    }
  }

  template <bool right_hand_side>
  bool eliminate(Diagonal lower, Diagonal diagonal, Diagonal upper, const double* b, double* x, int threads) {
    lower_ = lower;
    upper_ = upper;
    pivoted_ = false;
    if (groups_ == 0) return pivot(diagonal) && (!right_hand_side || (solve_band(b, x, false), true));
    const int64_t chunks = groups_ * lanes;
    std::vector<double> p(chunks), s(chunks), S(chunks + 1), c(chunks + 1), z(chunks), F(chunks + 1), u(chunks);
    std::atomic<bool> failed{false};
    const Rows below = rows_below(), on = {diagonal, 0, 0, n_, 1}, above = rows_above(), right = {b, 0, 0, n_, 0};
    parallel_for(groups_, threads, [&](int64_t group) {
      Bits bad{};
      const Ends ends =
          sweep<false, right_hand_side>(below, on, above, right, group, inverses_.data() + group * rows_ * lanes, bad);
      const int64_t at = group * lanes;
      store(ends.p, &p[at]), store(ends.s, &s[at]), store(ends.S, &S[at]), store(ends.c, &c[at]);
      store(ends.z, &z[at]), store(ends.F, &F[at]), store(ends.u, &u[at]);
      if (any_bit(bad)) failed = true;
    });
    if (!failed) {
      // x_0 of the next chunk, F - S e + c e_next, in the last row of this one, p e + u x_0 + s e_before = z.
      fresh(reduced_, chunks);
      for (int64_t i = 0; i < chunks; ++i) {
        if (i > 0) reduced_->at(i, i - 1) = s[i];
        reduced_->at(i, i) = p[i] - u[i] * S[i + 1];
        if (i + 1 < chunks) reduced_->at(i, i + 1) = u[i] * c[i + 1];
        z[i] -= u[i] * F[i + 1];
      }
      failed = !reduced_->factor();
    }
    if (failed) return pivot(diagonal) && (!right_hand_side || (solve_band(b, x, false), true));
    if constexpr (right_hand_side) {
      reduced_->solve(z.data());
      parallel_for(groups_, threads, [&](int64_t group) { finish(below, above, right, z.data(), group, x); });
    }
    return true;
  }

  static void fresh(std::optional<Band>& band, int64_t n) {
    if (band) band->clear();
    else band.emplace(n, 1, 1);
  }

  void substitute(const Rows& lower, const Rows& upper, const double* b, double* x, bool transposed, int threads) const {
    const int64_t chunks = groups_ * lanes;
    std::vector<double> z(chunks), F(chunks + 1), u(chunks);
    const Rows right = {b, 0, 0, n_, 0};
    parallel_for(groups_, threads, [&](int64_t group) {
      Bits bad{};
      const Ends ends =
          sweep<true, true>(lower, right, upper, right, group, inverses_.data() + group * rows_ * lanes, bad);
      store(ends.z, &z[group * lanes]), store(ends.F, &F[group * lanes]), store(ends.u, &u[group * lanes]);
    });
    for (int64_t i = 0; i < chunks; ++i) z[i] -= u[i] * F[i + 1];
    transposed ? reduced_->solve_transposed(z.data()) : reduced_->solve(z.data());
    parallel_for(groups_, threads, [&](int64_t group) { finish(lower, upper, right, z.data(), group, x); });
  }

  bool pivot(const Diagonal& diagonal) {
    pivoted_ = true;
    fresh(band_, n_);
    for (int64_t i = 0; i < n_; ++i) {
      if (i > 0) band_->at(i, i - 1) = lower_[i];
      band_->at(i, i) = diagonal[i];
      if (i + 1 < n_) band_->at(i, i + 1) = upper_[i];
    }
    return band_->factor();
  }

  void solve_band(const double* b, double* x, bool transposed) const {
    if (x != b) std::copy(b, b + n_, x);
    transposed ? band_->solve_transposed(x) : band_->solve(x);
  }

  int64_t n_, groups_ = 0, rows_ = 0;
  Lines inverses_;  // 1 / p_k, by group and row
  Diagonal lower_ = 0.0, upper_ = 0.0;
  std::optional<Band> reduced_, band_;
  bool pivoted_ = false;  // band_ holds the matrix
};

}  // namespace opgen::linear
#endif
