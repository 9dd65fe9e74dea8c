// The factors of a Jacobian that all systems of a group have in common, as A y = b has with one A for many b.
#ifndef OPGEN_COUPLED_GROUP_FACTOR_H
#define OPGEN_COUPLED_GROUP_FACTOR_H

#include <opgen/coupled/condition.h>
#include <opgen/coupled/group_bundle.h>
#include <opgen/linear/dense.h>

namespace opgen::coupled {

// A linear operator whose sums are all of unknowns: its Jacobian follows from the slopes and matrices of one system.
template <class Op>
constexpr bool may_share_factor() {
  bool fits = Op::linear && groupable<Op>();
  Op::Nests::each([&](auto nest) {
    using N = decltype(nest);
    if constexpr (N::stage == Stage::sum && N::active_formula && N::of_equation && is_product<N>()) {
      fits = fits && Op::arrays[N::read[N::product.vector].array].role == Role::unknown;
    }
  });
  return fits;
}

template <class Op>
class SharedFactor {
 public:
  // From the system in column 0 of a bundle that has been linearised.
  SharedFactor(const Bundle<Op>& bundle, int threads) : matrix_(bundle.unknowns()), slopes_(bundle.slopes(0)) {
    const int64_t n = matrix_.size();
    for (int64_t i = 0; i < n; ++i) std::fill_n(matrix_.row(i), n, 0.0);
    bundle.jacobian(0, matrix_);
    if (!matrix_.factor(threads)) return;
    std::vector<double> grown = rough_vector(n);
    matrix_.solve(grown.data());
    usable_ = linear::largest_modulus(grown.data(), n) * matrix_.norm() < doubtful_above;  // else each is looked at alone
  }

  // Which systems of a bundle that has been linearised have this Jacobian.
  void find(const Bundle<Op>& bundle, bool (&same)[wide]) const {
    for (int l = 0; l < wide; ++l) same[l] = usable_ && bundle.slopes(l) == slopes_;
  }

  // x becomes A^-1 x.
  void solve(Block<double>& x) const {
    const int64_t n = matrix_.size();
    for (int64_t i = 0; i < n; ++i) swap(x, i, matrix_.pivot(i));
    for (int64_t begin = 0; begin < n; begin += block_rows) {
      const int64_t end = std::min(n, begin + block_rows);
      subtract(part(begin, end, 0, begin), x, 0, begin);
      for (int64_t i = begin; i < end; ++i) eliminate(x, i, begin, i, [&](int64_t j) { return matrix_.row(i)[j]; });
    }
    for (int64_t begin = (n - 1) / block_rows * block_rows; begin >= 0; begin -= block_rows) {
      const int64_t end = std::min(n, begin + block_rows);
      subtract(part(begin, end, end, n), x, end, begin);
      for (int64_t i = end - 1; i >= begin; --i) {
        eliminate(x, i, i + 1, end, [&](int64_t j) { return matrix_.row(i)[j]; });
        divide(x, i);
      }
    }
  }
  // x becomes A^-T x.
  void solve_transposed(Block<double>& x) const {
    const int64_t n = matrix_.size();
    for (int64_t begin = 0; begin < n; begin += block_rows) {
      const int64_t end = std::min(n, begin + block_rows);
      subtract(part(0, begin, begin, end).transposed(), x, 0, begin);
      for (int64_t i = begin; i < end; ++i) {
        eliminate(x, i, begin, i, [&](int64_t j) { return matrix_.row(j)[i]; });
        divide(x, i);
      }
    }
    for (int64_t begin = (n - 1) / block_rows * block_rows; begin >= 0; begin -= block_rows) {
      const int64_t end = std::min(n, begin + block_rows);
      subtract(part(end, n, begin, end).transposed(), x, end, begin);
      for (int64_t i = end - 1; i >= begin; --i) eliminate(x, i, i + 1, end, [&](int64_t j) { return matrix_.row(j)[i]; });
    }
    for (int64_t i = n - 1; i >= 0; --i) swap(x, i, matrix_.pivot(i));
  }

 private:
  static constexpr int64_t block_rows = 32;

  Factor<double> part(int64_t top, int64_t bottom, int64_t left, int64_t right) const {
    return {matrix_.row(0) + top * matrix_.leading() + left, bottom - top, right - left, matrix_.leading(), 1};
  }
  // Rows of x from `to` on -= factor (rows from `from` on).
  static void subtract(const Factor<double>& factor, Block<double>& x, int64_t from, int64_t to) {
    if (factor.rows == 0 || factor.columns == 0) return;
    alignas(64) double product[block_rows * wide];
    multiply<double>(factor, static_cast<const double*>(x.row(from)), product, false, 1);
    double* const rows = x.row(to);
    for (int64_t i = 0; i < factor.rows * wide; ++i) rows[i] -= product[i];
  }
  template <class Entry>
  static void eliminate(Block<double>& x, int64_t i, int64_t begin, int64_t end, Entry&& entry) {
    double* const to = x.row(i);
    for (int64_t j = begin; j < end; ++j) {
      const double factor = entry(j);
      const double* const from = x.row(j);
      for (int l = 0; l < wide; ++l) to[l] -= factor * from[l];
    }
  }
  void divide(Block<double>& x, int64_t i) const {
    for (int l = 0; l < wide; ++l) x.row(i)[l] /= matrix_.row(i)[i];
  }
  static void swap(Block<double>& x, int64_t i, int64_t j) {
    if (i != j) std::swap_ranges(x.row(i), x.row(i) + wide, x.row(j));
  }

  linear::Dense matrix_;
  std::vector<double> slopes_;
  bool usable_ = false;
};

}  // namespace opgen::coupled
#endif
