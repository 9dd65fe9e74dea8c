// A linear system whose matrix has its entries near the diagonal: `lower` diagonals below and `upper` above it.
//
// Gaussian elimination with partial pivoting on a window of lower + 1 rows. At step c the window holds rows c .. c + lower,
// in them columns c .. c + lower + upper, each row beginning with column c:
//
//     * * * * .          The largest entry of the first column becomes the pivot. Eliminating the column makes every other
//     * * * * *          row begin with a zero; the row moves left by one place as it is updated, so that the next step
//     * * * * *          finds the same picture, and the fill that pivoting brings lands where the zero was.
//
// So a row needs lower + upper + 1 places, both before and after. The multipliers of a step are kept apart, one after the
// other: A = P_0 L_0 P_1 L_1 ... U, with L_c the identity but for column c, and all loops run along rows.
//
// Source: Martin and Wilkinson, Numer. Math. 9 (1967).
#ifndef OPGEN_LINEAR_BAND_H
#define OPGEN_LINEAR_BAND_H

#include <opgen/linear/condition.h>

#include <cmath>
#include <utility>
#include <vector>

namespace opgen::linear {

class Band {
 public:
  // 0 <= lower, upper; diagonals beyond the corners are not kept.
  Band(int64_t n, int64_t lower, int64_t upper)
      : n_(n), lower_(std::min(lower, std::max<int64_t>(n - 1, 0))), upper_(std::min(upper, std::max<int64_t>(n - 1, 0))),
        width_(lower_ + upper_ + 1), rows_(n * width_), multipliers_(n * lower_), pivots_(n) {}

  int64_t size() const { return n_; }

  void clear() { std::fill(rows_.begin(), rows_.end(), 0.0); }

  // Entry of the matrix, before factor(): row - lower <= column <= row + upper.
  double& at(int64_t row, int64_t column) { return rows_[row * width_ + column - std::max<int64_t>(row - lower_, 0)]; }

  // A = P L U in place. False if a pivot is zero or anything is not finite; clear() and at() then start anew.
  bool factor() {
    norm_ = 0;
    factored_ = false;
    const double norm = column_norm();
    if (!std::isfinite(norm)) return false;
    for (int64_t c = 0; c < n_; ++c)
      if (!eliminate(c)) return false;
    norm_ = norm;
    return factored_ = true;
  }

  // b becomes A^-1 b.
  void solve(double* b) const {
    for (int64_t c = 0; c < n_; ++c) {
      std::swap(b[c], b[pivots_[c]]);
      axpy(-b[c], multipliers_.data() + c * lower_, b + c + 1, below(c));
    }
    for (int64_t c = n_ - 1; c >= 0; --c) {
      const double* row = rows_.data() + c * width_;
      b[c] = (b[c] - dot(row + 1, b + c + 1, right(c))) / row[0];
    }
  }

  // b becomes A^-T b.
  void solve_transposed(double* b) const {
    for (int64_t c = 0; c < n_; ++c) {
      const double* row = rows_.data() + c * width_;
      b[c] /= row[0];
      axpy(-b[c], row + 1, b + c + 1, right(c));
    }
    for (int64_t c = n_ - 1; c >= 0; --c) {
      b[c] -= dot(multipliers_.data() + c * lower_, b + c + 1, below(c));
      std::swap(b[c], b[pivots_[c]]);
    }
  }

  // After factor(): about 1 / (|A|_1 |A^-1|_1), at a cost of some ten solves; 0 if the matrix is singular.
  double reciprocal_condition() const { return factored_ ? linear::reciprocal_condition(n_, norm_, *this) : 0; }

 private:
  int64_t below(int64_t c) const { return std::min(lower_, n_ - 1 - c); }
  int64_t right(int64_t c) const { return std::min(width_, n_ - c) - 1; }

  double column_norm() const {
    std::vector<double> sums(n_ + width_, 0.0);
    for (int64_t r = 0; r < n_; ++r) add_moduli(rows_.data() + r * width_, &sums[std::max<int64_t>(r - lower_, 0)], width_);
    return largest_modulus(sums.data(), n_);
  }

  bool eliminate(int64_t c) {
    const int64_t rows = below(c);
    double* pivot_row = rows_.data() + c * width_;
    int64_t pivot = 0;
    for (int64_t i = 1; i <= rows; ++i)
      if (std::abs(pivot_row[i * width_]) > std::abs(pivot_row[pivot * width_])) pivot = i;
    pivots_[c] = c + pivot;
    if (pivot != 0) std::swap_ranges(pivot_row, pivot_row + width_, pivot_row + pivot * width_);
    if (pivot_row[0] == 0 || !std::isfinite(pivot_row[0])) return false;
    for (int64_t i = 1; i <= rows; ++i) {
      double* row = pivot_row + i * width_;
      const double factor = row[0] / pivot_row[0];
      multipliers_[c * lower_ + i - 1] = factor;
      int64_t j = 1;
      for (; j + lanes <= width_; j += lanes) store(load(row + j) - factor * load(pivot_row + j), row + j - 1);
      for (; j < width_; ++j) row[j - 1] = row[j] - factor * pivot_row[j];
      row[width_ - 1] = 0;
    }
    return true;
  }

  int64_t n_, lower_, upper_, width_;
  std::vector<double> rows_, multipliers_;
  std::vector<int64_t> pivots_;
  double norm_ = 0;
  bool factored_ = false;
};

}  // namespace opgen::linear
#endif
