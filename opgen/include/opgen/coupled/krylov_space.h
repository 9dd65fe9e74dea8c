// GMRES for one of several systems that take their steps together, in single precision.
//
// A x = r is solved with x = |r| V y, where the columns of V are an orthonormal basis of r, A r, A^2 r, ... and y minimises
// | e_1 - H y |, H being what remains of A in that basis. What is linear in x is that of the columns combined with the same y.
// The products with A are made outside, of all systems at once.
//
// Source: Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986).
#ifndef OPGEN_COUPLED_KRYLOV_SPACE_H
#define OPGEN_COUPLED_KRYLOV_SPACE_H

#include <opgen/linear/arnoldi.h>

#include <cmath>
#include <vector>

namespace opgen::coupled {

class KrylovSpace {
 public:
  static constexpr int most = 40;  // columns

  // n: unknowns; sums: how many numbers are kept beside every column.
  KrylovSpace(int64_t n, int64_t sums)
      : n_(n), sums_(sums), small_(most * (most + 1) / 2 + 3 * most + 1),
        squares_{small_.data(), small_.data() + most * (most + 1) / 2, small_.data() + most * (most + 1) / 2 + most,
                 small_.data() + most * (most + 1) / 2 + 2 * most} {}

  // |r - A x| / |r|, as the recurrence has it.
  double remaining() const { return remaining_; }
  // |A| |x| / |r|, |A| being the largest |A v| of the basis: large where A is nearly singular. After finish().
  double growth() const { return largest_ * std::sqrt(growth_); }
  int64_t used() const { return squares_.used; }

  void start(const double* r, double norm) {
    norm_ = norm;
    at_ = 0;
    remaining_ = 1;
    largest_ = 0;
    squares_.start(1);
    float* const v = grown(basis_, 0, n_);
    for (int64_t i = 0; i < n_; ++i) v[i] = static_cast<float>(r[i] / norm);
  }

  const float* last() const { return basis_[static_cast<size_t>(at_)].data(); }
  float* sums() { return grown(sum_columns_, at_, sums_); }
  float* next() { return grown(basis_, at_ + 1, n_); }

  // Takes next() = A last() into the space. Says whether there is need of more: until remaining() <= tol.
  bool extend(double tol) {
    constexpr double eps = 1e-6;  // of single precision, with room for the sums
    float* const w = next();
    double h[most + 1], square = 0;
    for (int64_t i = 0; i <= at_; ++i) {
      const float* const v = basis_[static_cast<size_t>(i)].data();
      h[i] = dot(v, w);
      const auto factor = static_cast<float>(h[i]);
      for (int64_t p = 0; p < n_; ++p) w[p] -= factor * v[p];
      square += h[i] * h[i];
    }
    double left = std::sqrt(dot(w, w));
    const double size = std::sqrt(square + left * left);
    if (!(size - size == 0)) return false;
    largest_ = std::fmax(largest_, size);
    if (left <= eps * size) left = 0;
    const int64_t before = squares_.used;
    remaining_ = squares_.append(h, left, size);
    if (left == 0 || squares_.used == before || remaining_ <= tol || squares_.used == most) return false;
    const auto scale = static_cast<float>(1 / left);
    for (int64_t p = 0; p < n_; ++p) w[p] *= scale;
    ++at_;
    return true;
  }

  // x and the sums that it makes, where they are asked for.
  void finish(double* x = nullptr, double* sums = nullptr) {
    squares_.solve();
    growth_ = 0;
    for (int64_t j = 0; j < squares_.used; ++j) growth_ += squares_.g[j] * squares_.g[j];
    if (!x) return;
    combine(basis_, n_, x);
    if (sums) combine(sum_columns_, sums_, sums);
  }

 private:
  using Columns = std::vector<std::vector<float>>;

  static float* grown(Columns& columns, int64_t number, int64_t length) {
    while (static_cast<int64_t>(columns.size()) <= number) columns.emplace_back(static_cast<size_t>(length));
    return columns[static_cast<size_t>(number)].data();
  }
  double dot(const float* a, const float* b) const {
    constexpr int many = 32;
    float part[many] = {};
    int64_t i = 0;
    for (; i + many <= n_; i += many) {
      for (int j = 0; j < many; ++j) part[j] += a[i + j] * b[i + j];
    }
    double all = 0;
    for (; i < n_; ++i) all += static_cast<double>(a[i]) * b[i];
    for (const float p : part) all += p;
    return all;
  }
  void combine(const Columns& columns, int64_t length, double* to) const {
    std::fill(to, to + length, 0.0);
    for (int64_t j = 0; j < squares_.used; ++j) {
      const double factor = norm_ * squares_.g[j];
      const float* const from = columns[static_cast<size_t>(j)].data();
      for (int64_t i = 0; i < length; ++i) to[i] += factor * from[i];
    }
  }

  int64_t n_, sums_, at_ = 0;
  double norm_ = 0, remaining_ = 1, largest_ = 0, growth_ = 0;
  Columns basis_, sum_columns_;
  std::vector<double> small_;
  linear::LeastSquares squares_;
};

}  // namespace opgen::coupled
#endif
