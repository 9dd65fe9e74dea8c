// Products of a matrix with the vectors of many systems at once, which lie side by side: a block has a row for every entry of
// a vector, and a column for every system of a bundle.
//
// A tile of the result, `rows` x two registers, is kept in registers while the columns of the matrix run; each step loads two
// registers of the block and multiplies them with `rows` entries of the matrix, which is read where it lies, in either order
// and in its own type. Steps go in blocks of `depth`, so that as much of the block stays in the first-level cache. Every
// column of the result is rounded in the same way, whatever stands in the others.
#ifndef OPGEN_COUPLED_GROUP_PRODUCT_H
#define OPGEN_COUPLED_GROUP_PRODUCT_H

#include <opgen/linear/registers.h>
#include <opgen/parallel.h>

#include <algorithm>

namespace opgen::coupled {

constexpr int wide = 4 * lanes;  // systems of a bundle: two registers of floats, four of doubles

// A matrix of float or double with any strides, in elements.
template <class M>
struct Factor {
  const M* data;
  int64_t rows, columns, down, right;

  Factor transposed() const { return {data, columns, rows, right, down}; }
};

template <class T, class M>
class BundleProduct {
 public:
  // c = m v, or c += m v; v has a row for every column of m.
  static void run(const Factor<M>& m, const T* v, T* c, bool add, int threads) {
    constexpr int64_t piece = 32 * height;
    const bool small = static_cast<double>(m.rows) * static_cast<double>(m.columns) * wide < 1e6;
    parallel_for((m.rows + piece - 1) / piece, small ? 1 : threads, [&](int64_t p) {
      const int64_t end = std::min(m.rows, (p + 1) * piece);
      if (m.columns == 0 && !add) std::fill(c + p * piece * wide, c + end * wide, T(0));
      for (int64_t k = 0; k < m.columns; k += depth) {
        const bool more = add || k > 0;
        const int64_t steps = std::min(depth, m.columns - k);
        int64_t i = p * piece;
        for (; i + height <= end; i += height) tiles<height>(m, i, k, steps, v, c, more);
        if (end - i >= 4) tiles<4>(m, i, k, steps, v, c, more), i += 4;
        if (end - i >= 2) tiles<2>(m, i, k, steps, v, c, more), i += 2;
        if (end - i >= 1) tiles<1>(m, i, k, steps, v, c, more);
      }
    });
  }

 private:
  using R = linear::Register<T>;
  using Vector = typename R::Vector;
  static constexpr int height = lanes == 8 ? 8 : 6;  // what the registers hold
  static constexpr int64_t depth = 128;

  template <int rows>
  static void tiles(const Factor<M>& m, int64_t i, int64_t k, int64_t steps, const T* v, T* c, bool add) {
    for (int q = 0; q < wide; q += 2 * R::width) {
      tile<rows>(m.data + i * m.down + k * m.right, m.down, m.right, steps, v + k * wide + q, c + i * wide + q, add);
    }
  }

  template <int rows>
  __attribute__((noinline)) static void tile(const M* m, int64_t down, int64_t right, int64_t steps, const T* v, T* c, bool add) {
    Vector sums[rows][2] = {};
    for (int64_t k = 0; k < steps; ++k, m += right, v += wide) {
      const Vector first = R::load(v), second = R::load(v + R::width);
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) {
        const T entry = static_cast<T>(m[i * down]);
        sums[i][0] += entry * first;
        sums[i][1] += entry * second;
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 2
      for (int q = 0; q < 2; ++q) {
        T* const to = c + i * wide + q * R::width;
        R::store(add ? R::load(to) + sums[i][q] : sums[i][q], to);
      }
    }
  }
};

template <class T, class M>
void multiply(const Factor<M>& m, const T* v, T* c, bool add, int threads) {
  BundleProduct<T, M>::run(m, v, c, add, threads);
}

}  // namespace opgen::coupled
#endif
