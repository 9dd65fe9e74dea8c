// The inverses of the blocks that couple the fields at each point.
#ifndef OPGEN_LINEAR_MULTIGRID_INVERSE_H
#define OPGEN_LINEAR_MULTIGRID_INVERSE_H

#include <opgen/linear/multigrid_operator.h>

namespace opgen::linear::multigrid {

class Inverse {
 public:
  // Entry (row, column) of all points; zero beyond the ends of rows.
  const double* of(int row, int column) const { return base_ + (row * fields_ + column) * distance_; }

  // False if a block is singular or not finite.
  bool set(const Operator& A, int threads) {
    const int k = fields_ = A.fields;
    distance_ = A.at.field() + skew(A.at.field());
    base_ = A.at.take(memory_, k * k * distance_);
    std::vector<const double*> block(k * k, nullptr);
    for (size_t e = 0; e < A.entries.size(); ++e)
      if (A.entries[e].here()) block[A.entries[e].row * k + A.entries[e].column] = A.of(e);
    std::vector<char> bad(A.at.n[0], 0);
    parallel_for(A.at.n[0], threads, [&](int64_t i) {
      std::vector<double> work(2 * k * k);
      for (int64_t j = 0; j < A.at.n[1]; ++j)
        for (const int parity : {0, 1}) {
          const int64_t first = A.at.row(i, j) + parity * A.at.half, last = first + (A.at.n[2] + 1 - parity) / 2;
          double check = 0.0;
          if (k == 1) {
#pragma omp simd reduction(+ : check)
            for (int64_t p = first; p < last; ++p) {
              const double v = 1.0 / block[0][p];
              base_[p] = v;
              check += v * 0.0;
            }
          } else {
            for (int64_t p = first; p < last; ++p) check += invert(block, p, work.data());
          }
          if (!(check == 0.0)) bad[i] = 1;
        }
    });
    return std::find(bad.begin(), bad.end(), 1) == bad.end();
  }

  // Of the moduli of D^-1 A.
  double largest_row_sum(const Operator& A, int threads) const {
    std::vector<double> largest(A.at.n[0], 0.0);
    parallel_for(A.at.n[0], threads, [&](int64_t i) {
      std::vector<double> sum(A.at.count);
      for (int64_t j = 0; j < A.at.n[1]; ++j)
        for (int f = 0; f < fields_; ++f)
          for (const int parity : {0, 1}) {
            std::fill(sum.begin(), sum.end(), 0.0);
            for (size_t e = 0; e < A.entries.size(); ++e) {
              const double* c = A.half(e, i, j, parity);
              const double* inverse = of(f, A.entries[e].row) + A.at.row(i, j) + parity * A.at.half;
              for (int64_t k = 0; c && k < A.at.count; ++k) sum[k] += std::abs(inverse[k] * c[k]);
            }
            largest[i] = std::max(largest[i], *std::max_element(sum.begin(), sum.end()));
          }
    });
    return *std::max_element(largest.begin(), largest.end());
  }

 private:
  // Gauss-Jordan with row exchanges, equations being scaled first. 0, or NaN if it fails.
  double invert(const std::vector<const double*>& block, int64_t p, double* a) {
    const int k = fields_;
    double* v = a + k * k;
    for (int r = 0; r < k; ++r) {
      double largest = 0.0;
      for (int c = 0; c < k; ++c) {
        a[r * k + c] = block[r * k + c] ? block[r * k + c][p] : 0.0;
        largest = std::max(largest, std::abs(a[r * k + c]));
      }
      for (int c = 0; c < k; ++c) {
        a[r * k + c] /= largest;
        v[r * k + c] = r == c ? 1.0 / largest : 0.0;
      }
    }
    double check = 0.0;
    for (int c = 0; c < k; ++c) {
      int pivot = c;
      for (int r = c + 1; r < k; ++r)
        if (std::abs(a[r * k + c]) > std::abs(a[pivot * k + c])) pivot = r;
      if (!(std::abs(a[pivot * k + c]) > 1e-14)) check = NAN;
      if (pivot != c) {
        std::swap_ranges(a + c * k, a + c * k + k, a + pivot * k);
        std::swap_ranges(v + c * k, v + c * k + k, v + pivot * k);
      }
      const double scale = 1.0 / a[c * k + c];
      for (int j = 0; j < k; ++j) {
        a[c * k + j] *= scale;
        v[c * k + j] *= scale;
      }
      for (int r = 0; r < k; ++r) {
        const double factor = a[r * k + c];
        if (r == c || factor == 0.0) continue;
        for (int j = 0; j < k; ++j) {
          a[r * k + j] -= factor * a[c * k + j];
          v[r * k + j] -= factor * v[c * k + j];
        }
      }
    }
    for (int e = 0; e < k * k; ++e) {
      base_[e * distance_ + p] = v[e];
      check += v[e] * 0.0;
    }
    return check;
  }

  int fields_ = 1;
  int64_t distance_ = 0;
  Buffer memory_;
  double* base_ = nullptr;
};

}  // namespace opgen::linear::multigrid
#endif
