// Products of row-major matrices of float or double.
//
// C = A B is a sum of outer products: column p of A times row p of B. A block of `rows` x (vectors x width) entries of C is
// kept in registers while p runs; each step loads `vectors` registers of B's row and multiplies them with `rows` entries of
// A's column, one after the other. For that both are copied ("packed") into panels in which they lie in the order of use:
//
//     task        a tile of C of tile_rows x tile_columns entries: what threads are given
//      block      `depth` steps of p: tile_rows x depth entries of A packed, in L2
//       panel     one panel of B packed, depth x (vectors x width) entries, in L1
//        kernel   one panel of A: rows x depth
//
// Tiles and blocks follow from the shape alone, so every entry of C is rounded the same way under any number of threads.
// The panels lie on the stack: nothing is allocated.
//
// Source: Goto and van de Geijn, ACM Trans. Math. Softw. 34 (2008).
#ifndef OPGEN_LINEAR_PRODUCT_H
#define OPGEN_LINEAR_PRODUCT_H

#include <opgen/linear/registers.h>
#include <opgen/parallel.h>

#include <algorithm>

namespace opgen::linear {

enum class Transpose { no, yes };

// A matrix and its leading dimension, or the transposed of one.
template <class T>
struct Operand {
  const T* data;
  int64_t leading;
  Transpose transposed;
};

template <class T>
struct Product {
  static constexpr int width = Register<T>::width;
  static constexpr int rows = lanes == 8 ? 8 : 4, vectors = lanes == 8 ? 2 : 3, columns = vectors * width;
  static constexpr int64_t depth = 1024 / sizeof(T), tile_rows = 64, tile_columns = 4 * columns;
  using Vector = typename Register<T>::Vector;

  int64_t m, n, k;
  T alpha;
  Operand<T> a, b;
  T beta;
  T* c;
  int64_t ldc;

  void run(int threads) const {
    const int64_t across = (n + tile_columns - 1) / tile_columns, down = (m + tile_rows - 1) / tile_rows;
    const bool small = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) < 1e6;
    parallel_for(across * down, small ? 1 : threads,
                 [&](int64_t i) { tile(i / across * tile_rows, i % across * tile_columns); });
  }

 private:
  void tile(int64_t row, int64_t column) const {
    alignas(64) T panels[tile_rows * depth], panel[depth * columns];
    const int64_t high = std::min(tile_rows, m - row), wide = std::min(tile_columns, n - column);
    int64_t p = 0;
    do {
      const int64_t steps = std::min(depth, k - p);
      for (int64_t i = 0; i < high; i += rows)
        pack<rows>(a, a.transposed == Transpose::no, row + i, p, std::min<int64_t>(rows, high - i), steps,
                   panels + i * depth);
      for (int64_t j = 0; j < wide; j += columns) {
        const int64_t used = std::min<int64_t>(columns, wide - j);
        pack<columns>(b, b.transposed == Transpose::yes, column + j, p, used, steps, panel);
        for (int64_t i = 0; i < high; i += rows)
          kernel(panels + i * depth, panel, steps, p == 0 ? beta : T(1), c + (row + i) * ldc + column + j,
                 std::min<int64_t>(rows, high - i), used);
      }
      p += depth;
    } while (p < k);
  }

  // The panel [steps][n] of `used` <= n rows (`along`: the steps lie one after the other) or columns of a matrix, from
  // `first` on, for the steps from p on; zeros beyond `used`.
  template <int n>
  static void pack(const Operand<T>& x, bool along, int64_t first, int64_t p, int64_t used, int64_t steps, T* panel) {
    constexpr int block = std::min<int>(width, rows);
    static_assert(n % block == 0);
    if (!along) {
      const T* source = x.data + p * x.leading + first;
      for (int64_t s = 0; s < steps; ++s, source += x.leading, panel += n) {
        if (used == n) std::memcpy(panel, source, n * sizeof(T));
        else for (int i = 0; i < n; ++i) panel[i] = i < used ? source[i] : T(0);
      }
      return;
    }
    const T* source = x.data + first * x.leading + p;
    for (int g = 0; g < n; g += block) {
      int64_t s = 0;
      for (; g + block <= used && s + block <= steps; s += block) {
        using Narrow = Register<T, block>;
        typename Narrow::Vector square[block];
        for (int i = 0; i < block; ++i) square[i] = Narrow::load(source + (g + i) * x.leading + s);
        transpose<T, block>(square);
        for (int i = 0; i < block; ++i) Narrow::store(square[i], panel + (s + i) * n + g);
      }
      for (; s < steps; ++s)
        for (int i = g; i < g + block; ++i) panel[s * n + i] = i < used ? source[i * x.leading + s] : T(0);
    }
  }

  // c = scale c + alpha (panel of a) (panel of b), of which high x wide entries are wanted.
  void kernel(const T* pa, const T* pb, int64_t steps, T scale, T* to, int64_t high, int64_t wide) const {
    Vector sums[rows][vectors] = {};
    for (int64_t s = 0; s < steps; ++s, pa += rows, pb += columns) {
      Vector right[vectors];
#pragma GCC unroll 8
      for (int j = 0; j < vectors; ++j) right[j] = Register<T>::load(pb + j * width);
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) sums[i][j] += pa[i] * right[j];
      }
    }
    if (high == rows && wide == columns) {
#pragma GCC unroll 8
      for (int i = 0; i < rows; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < vectors; ++j) {
          T* at = to + i * ldc + j * width;
          const Vector sum = alpha * sums[i][j];
          Register<T>::store(scale == T(0) ? sum : scale * Register<T>::load(at) + sum, at);
        }
      }
      return;
    }
    T all[rows][columns];
    std::memcpy(all, sums, sizeof all);
    for (int64_t i = 0; i < high; ++i)
      for (int64_t j = 0; j < wide; ++j)
        to[i * ldc + j] = alpha * all[i][j] + (scale == T(0) ? T(0) : scale * to[i * ldc + j]);
  }
};

// C = alpha op(A) op(B) + beta C, with op(A) m x k, op(B) k x n and C m x n; lda, ldb, ldc: from row to row as stored. With
// beta = 0 C is not read. C must not overlap A or B.
template <class T>
void multiply(Transpose ta, Transpose tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t lda, const T* b,
              int64_t ldb, T beta, T* c, int64_t ldc, int threads) {
  if (m > 0 && n > 0) Product<T>{m, n, k, alpha, {a, lda, ta}, {b, ldb, tb}, beta, c, ldc}.run(threads);
}

}  // namespace opgen::linear
#endif
