// Dense linear systems: P A = L U with partial pivoting.
//
// To eliminate a range of columns, in all rows from its first on: eliminate the left half of the range; then, the matrix
// seen as blocks with A_11 = L_11 U_11 and A_21 = L_21 U_11 done,
//
//     [ A_11  A_12 ]      U_12 = L_11^-1 A_12          a triangular solve, halved in the same way
//     [ A_21  A_22 ]      A_22 := A_22 - L_21 U_12     a product, where nearly all of the work is
//
// and eliminate the right half in A_22. Ranges of up to eight columns are eliminated row by row, in registers. Rows are
// exchanged over their whole length, so what has been eliminated stays in order.
//
// Source: Toledo, SIAM J. Matrix Anal. Appl. 18 (1997).
#ifndef OPGEN_LINEAR_DENSE_H
#define OPGEN_LINEAR_DENSE_H

#include <opgen/linear/condition.h>
#include <opgen/linear/product.h>

#include <vector>

namespace opgen::linear {

class Dense {
 public:
  explicit Dense(int64_t n) : n_(n), leading_(((n + panel - 1) / panel | 1) * panel), memory_(n * leading_), pivots_(n) {}

  int64_t size() const { return n_; }

  // Row i of the matrix, before factor().
  double* row(int64_t i) { return memory_.data() + i * leading_; }
  const double* row(int64_t i) const { return memory_.data() + i * leading_; }
  int64_t leading() const { return leading_; }
  // After factor(): which row was exchanged with row i, one after the other.
  int64_t pivot(int64_t i) const { return pivots_[i]; }

  // False if a pivot is zero or anything is not finite; all rows must then be filled anew.
  bool factor(int threads) {
    factored_ = false;
    norm_ = column_norm();
    factored_ = std::isfinite(norm_) && eliminate(0, n_, threads);
    return factored_;
  }

  // b becomes A^-1 b.
  void solve(double* b) const {
    for (int64_t i = 0; i < n_; ++i) std::swap(b[i], b[pivots_[i]]);
    for (int64_t i = 1; i < n_; ++i) b[i] -= dot(row(i), b, i);
    for (int64_t i = n_ - 1; i >= 0; --i) b[i] = (b[i] - dot(row(i) + i + 1, b + i + 1, n_ - i - 1)) / row(i)[i];
  }

  // b becomes A^-T b.
  void solve_transposed(double* b) const {
    for (int64_t i = 0; i < n_; ++i) {
      b[i] /= row(i)[i];
      axpy(-b[i], row(i) + i + 1, b + i + 1, n_ - i - 1);
    }
    for (int64_t i = n_ - 1; i > 0; --i) axpy(-b[i], row(i), b, i);
    for (int64_t i = n_ - 1; i >= 0; --i) std::swap(b[i], b[pivots_[i]]);
  }

  // The matrix's 1-norm, before factor() took it apart.
  double norm() const { return norm_; }

  // After factor(): about 1 / (|A|_1 |A^-1|_1), at a cost of some ten solves; 0 if the matrix is singular.
  double reciprocal_condition() const { return factored_ ? linear::reciprocal_condition(n_, norm_, *this) : 0; }

 private:
  // A row begins on a cache line and has an odd number of them: rows a power of two apart would compete for few places.
  static constexpr int panel = Lines::line;

  double column_norm() const {
    std::vector<double> sums(n_, 0.0);
    for (int64_t i = 0; i < n_; ++i) add_moduli(row(i), sums.data(), n_);
    return largest_modulus(sums.data(), n_);
  }

  bool eliminate(int64_t first, int64_t last, int threads) {
    if (last - first <= panel) return eliminate_panel(first, last);
    const int64_t middle = halfway(first, last);
    if (!eliminate(first, middle, threads)) return false;
    solve_lower(first, middle, middle, last, threads);
    subtract_product(middle, n_, first, middle, middle, last, threads);
    return eliminate(middle, last, threads);
  }

  static int64_t halfway(int64_t first, int64_t last) {
    return first + ((last - first) / 2 + panel - 1) / panel * panel;
  }

  // Rows top .. bottom of columns left .. right -= (their columns first .. last) (rows first .. last).
  void subtract_product(int64_t top, int64_t bottom, int64_t first, int64_t last, int64_t left, int64_t right, int threads) {
    if (top < bottom)
      multiply<double>(Transpose::no, Transpose::no, bottom - top, right - left, last - first, -1, row(top) + first,
                       leading(), row(first) + left, leading(), 1, row(top) + left, leading(), threads);
  }

  // Rows first .. last of columns left .. right := L^-1 of them, L being unit lower triangular in columns first .. last.
  void solve_lower(int64_t first, int64_t last, int64_t left, int64_t right, int threads) {
    if (last - first <= panel) {
      for (int64_t i = first + 1; i < last; ++i)
        for (int64_t j = first; j < i; ++j) axpy(-row(i)[j], row(j) + left, row(i) + left, right - left);
      return;
    }
    const int64_t middle = halfway(first, last);
    solve_lower(first, middle, left, right, threads);
    subtract_product(middle, last, first, middle, left, right, threads);
    solve_lower(middle, last, left, right, threads);
  }

  void exchange(int64_t i, int64_t j) {
    double *a = row(i), *b = row(j);
    for (int64_t k = 0; k < leading(); k += lanes) {
      const Vec kept = load(a + k);
      store(load(b + k), a + k);
      store(kept, b + k);
    }
  }

  // Columns first .. last, at most a line, of all rows from `first` on. Each row's line is updated as a whole by the pivot
  // row's, of which what is left of the diagonal is taken to be zero; that also yields the next column's largest entry.
  bool eliminate_panel(int64_t first, int64_t last) {
    int64_t pivot = first;
    for (int64_t i = first; i < n_; ++i)
      if (std::abs(row(i)[first]) > std::abs(row(pivot)[first])) pivot = i;
    for (int64_t c = first; c < last; ++c) {
      pivots_[c] = pivot;
      if (pivot != c) exchange(pivot, c);
      const double inverse = 1 / row(c)[c];
      if (!std::isfinite(inverse) || inverse == 0) return false;
      const int64_t column = c - first;
      double right[panel];
      for (int j = 0; j < panel; ++j) right[j] = j > column ? row(c)[first + j] : 0;
      Vec update[panel / lanes];
      for (int j = 0; j < panel / lanes; ++j) update[j] = load(right + j * lanes);
      const bool more = c + 1 < last;
      double largest = -1;
      pivot = c + 1;
      for (int64_t i = c + 1; i < n_; ++i) {
        double* line = row(i) + first;
        const double factor = line[column] * inverse;
        for (int j = 0; j < panel / lanes; ++j) store(load(line + j * lanes) - factor * update[j], line + j * lanes);
        line[column] = factor;
        if (more && std::abs(line[column + 1]) > largest) {
          largest = std::abs(line[column + 1]);
          pivot = i;
        }
      }
    }
    return true;
  }

  int64_t n_, leading_;
  Lines memory_;
  std::vector<int64_t> pivots_;
  double norm_ = 0;
  bool factored_ = false;
};

}  // namespace opgen::linear
#endif
