// Sparse factors of the matrices of stencils, by Eigen; compiled once per machine, linked into every operator that
// needs it.
//
// A symmetric definite matrix becomes L D L^T, its unknowns in an order of approximate minimum degree: no pivoting,
// less than half the work. Any other becomes L U with partial pivoting. Which of the two is judged by the values, and
// the signs of D.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 finds it in its own header for AVX-512
#include "opgen/linear/sparse.h"

#include <Eigen/SparseCholesky>
#include <Eigen/SparseLU>
#include <cmath>
#include <limits>
#include <optional>

namespace opgen::linear {
namespace {

using Matrix = Eigen::SparseMatrix<double, Eigen::ColMajor, int32_t>;
using Vector = Eigen::Map<Eigen::VectorXd>;
using ConstVector = Eigen::Map<const Eigen::VectorXd>;

constexpr double rounding = std::numeric_limits<double>::epsilon();

// Shows the pivots, of which Eigen tells only the product.
struct LU : Eigen::SparseLU<Matrix, Eigen::COLAMDOrdering<int32_t>> {
  double least_pivot() const {
    double least = std::numeric_limits<double>::infinity();
    for (Eigen::Index j = 0; j < cols(); ++j)
      for (SCMatrix::InnerIterator it(m_Lstore, j); it; ++it)
        if (it.index() == j) least = std::min(least, std::abs(it.value()));
    return least;
  }
};
using Cholesky = Eigen::SimplicialLDLT<Matrix, Eigen::Lower, Eigen::AMDOrdering<int32_t>>;

class Factors {
 public:
  // The rows of A are the columns of what is kept: A^T.
  Factors(int64_t n, const int64_t* row_start, const int32_t* columns)
      : n_(n),
        rows_(row_start, row_start + n + 1),
        columns_(columns, columns + row_start[n]),
        scale_(n),
        transpose_(n, n) {
    transpose_.resizeNonZeros(row_start[n]);
    std::copy(rows_.begin(), rows_.end(), transpose_.outerIndexPtr());
    std::copy(columns_.begin(), columns_.end(), transpose_.innerIndexPtr());
    find_twins();
  }

  bool factor(const double* values) {
    double sum = 0.0;
    for (size_t k = 0; k < columns_.size(); ++k) sum += values[k] * 0.0;
    if (!(sum == 0.0)) return false;
    symmetric_ = is_symmetric(values) && factor_symmetric(values);
    return symmetric_ || factor_any(values);
  }

  bool solve(bool transposed, const double* b, double* x) const {
    const ConstVector right(b, n_);
    Eigen::VectorXd solution;
    if (symmetric_) solution = cholesky_->solve(right);
    else if (transposed) solution = scale_.cwiseProduct(lu_->solve(right));
    // A view, which Eigen makes only of what is not constant.
    else solution = const_cast<LU&>(*lu_).transpose().solve(scale_.cwiseProduct(right));
    Vector(x, n_) = solution;
    return solution.allFinite();
  }

 private:
  // Of each entry the one on the other side of the diagonal. None at all unless the places are symmetric.
  void find_twins() {
    std::vector<int64_t> next(rows_.begin(), rows_.end() - 1);
    twins_.resize(columns_.size());
    // Row by row, the entries of a column come in increasing order of their rows.
    for (int64_t i = 0; i < n_; ++i)
      for (int64_t k = rows_[i]; k < rows_[i + 1]; ++k) {
        const int64_t twin = next[columns_[k]]++;
        if (twin >= rows_[columns_[k] + 1] || columns_[twin] != i) return twins_.clear();
        twins_[k] = twin;
      }
  }

  bool is_symmetric(const double* values) const {
    for (size_t k = 0; k < twins_.size(); ++k)
      if (std::abs(values[k] - values[twins_[k]]) > 4 * rounding * std::abs(values[k])) return false;
    return !twins_.empty();
  }

  // False if the matrix is not definite, or if a pivot is what rounding left of its diagonal entry.
  bool factor_symmetric(const double* values) {
    std::copy(values, values + columns_.size(), transpose_.valuePtr());
    if (!cholesky_) cholesky_.emplace().analyzePattern(transpose_);
    cholesky_->factorize(transpose_);
    if (cholesky_->info() != Eigen::Success) return false;
    const Eigen::VectorXd pivots = cholesky_->vectorD();
    const Eigen::VectorXd diagonal = cholesky_->permutationP() * Eigen::VectorXd(transpose_.diagonal());
    const Eigen::ArrayXd left = pivots.array() / diagonal.array();  // 1: all; of one sign if definite
    return (left > 64 * rounding).all() && ((pivots.array() > 0).all() || (pivots.array() < 0).all());
  }

  // Every equation is scaled so that its largest entry is about 1.
  bool factor_any(const double* values) {
    for (int64_t i = 0; i < n_; ++i) {
      double largest = 0.0;
      for (int64_t k = rows_[i]; k < rows_[i + 1]; ++k) largest = std::max(largest, std::abs(values[k]));
      if (largest == 0.0) return false;
      scale_[i] = std::ldexp(1.0, -std::ilogb(largest));
      for (int64_t k = rows_[i]; k < rows_[i + 1]; ++k) transpose_.valuePtr()[k] = scale_[i] * values[k];
    }
    if (!lu_) lu_.emplace().analyzePattern(transpose_);
    lu_->factorize(transpose_);
    return lu_->info() == Eigen::Success && lu_->least_pivot() > 64 * rounding;
  }

  int64_t n_;
  std::vector<int64_t> rows_, twins_;
  std::vector<int32_t> columns_;
  Eigen::VectorXd scale_;
  Matrix transpose_;
  bool symmetric_ = false;
  std::optional<LU> lu_;
  std::optional<Cholesky> cholesky_;
};

}  // namespace
}  // namespace opgen::linear

extern "C" void* opgen_sparse_new(
    int64_t n, const int64_t* row_start, const int32_t* columns, const double* values) {
  auto factors = std::make_unique<opgen::linear::Factors>(n, row_start, columns);
  return factors->factor(values) ? factors.release() : nullptr;
}
extern "C" int opgen_sparse_update(void* factors, const double* values) {
  return static_cast<opgen::linear::Factors*>(factors)->factor(values);
}
extern "C" int opgen_sparse_solve(const void* factors, int transposed, const double* b, double* x) {
  return static_cast<const opgen::linear::Factors*>(factors)->solve(transposed != 0, b, x);
}
extern "C" void opgen_sparse_delete(void* factors) { delete static_cast<opgen::linear::Factors*>(factors); }
