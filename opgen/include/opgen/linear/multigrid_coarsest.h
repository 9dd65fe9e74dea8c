// The coarsest level's system, solved directly.
//
// Gaussian elimination with the pivot on the diagonal unless another is ten times as large, so that symmetric matrices
// stay symmetric. A pivot that is zero but for rounding belongs to a null vector (the constants, if nothing holds the
// solution down at a boundary): its unknown is set to zero, which is one of the solutions if there are any.
#ifndef OPGEN_LINEAR_MULTIGRID_COARSEST_H
#define OPGEN_LINEAR_MULTIGRID_COARSEST_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace opgen::linear::multigrid {

class Coarsest {
 public:
  // Room for a row-major matrix of n unknowns, which the caller fills before `factor`.
  double* matrix(int64_t n) {
    n_ = n;
    a_.assign(n * n, 0.0);
    v_.resize(n);
    return a_.data();
  }
  double* vector() { return v_.data(); }

  // False if there is a NaN or an infinity in the matrix.
  bool factor() {
    const int64_t n = n_;
    order_.resize(n);
    inverse_.assign(n, 0.0);
    double largest = 0.0;
    for (const double a : a_) {
      if (!std::isfinite(a)) return false;
      largest = std::max(largest, std::abs(a));
    }
    const double zero = largest * 8.0 * static_cast<double>(n) * std::numeric_limits<double>::epsilon();
    for (int64_t c = 0; c < n; ++c) {
      int64_t pivot = c;
      for (int64_t r = c + 1; r < n; ++r)
        if (std::abs(a_[r * n + c]) > std::abs(a_[pivot * n + c])) pivot = r;
      if (std::abs(a_[c * n + c]) >= 0.1 * std::abs(a_[pivot * n + c])) pivot = c;
      order_[c] = pivot;
      if (pivot != c) std::swap_ranges(&a_[c * n], &a_[c * n] + n, &a_[pivot * n]);
      const double* row = &a_[c * n];
      if (!(std::abs(row[c]) > zero)) continue;
      inverse_[c] = 1.0 / row[c];
      for (int64_t r = c + 1; r < n; ++r) {
        double* other = &a_[r * n];
        const double factor = other[c] *= inverse_[c];
        if (factor == 0.0) continue;
#pragma omp simd
        for (int64_t j = c + 1; j < n; ++j) other[j] -= factor * row[j];
      }
    }
    // Columns are what substitution reads.
    for (int64_t r = 0; r < n; ++r)
      for (int64_t c = 0; c < r; ++c) std::swap(a_[r * n + c], a_[c * n + r]);
    return true;
  }

  // `vector` becomes the solution.
  void solve() {
    const int64_t n = n_;
    double* v = v_.data();
    for (int64_t c = 0; c < n; ++c) std::swap(v[c], v[order_[c]]);
    for (int64_t c = 0; c < n; ++c) {
      if (inverse_[c] == 0.0) continue;
      const double* column = &a_[c * n];
      const double w = v[c];
#pragma omp simd
      for (int64_t r = c + 1; r < n; ++r) v[r] -= column[r] * w;
    }
    for (int64_t c = n - 1; c >= 0; --c) {
      const double* column = &a_[c * n];
      const double w = v[c] *= inverse_[c];
#pragma omp simd
      for (int64_t r = 0; r < c; ++r) v[r] -= column[r] * w;
    }
  }

 private:
  int64_t n_ = 0;
  std::vector<double> a_, v_, inverse_;
  std::vector<int64_t> order_;
};

}  // namespace opgen::linear::multigrid
#endif
