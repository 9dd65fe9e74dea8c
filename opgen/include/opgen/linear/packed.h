// A matrix that many vectors are to be multiplied with, laid out once for that.
//
// Its rows are cut into panels of as many as two registers of floats hold; a panel's columns lie one after the other. A tile of
// the result, a panel's rows for a few vectors, is kept in registers while the columns run; they run in blocks of `depth`, whose
// entries are then in the first-level cache for all vectors. An entry is rounded the same way whatever other vectors there are.
//
// M: what the matrix is held in; what is computed may be float or double.
#ifndef OPGEN_LINEAR_PACKED_H
#define OPGEN_LINEAR_PACKED_H

#include <opgen/linear/registers.h>
#include <opgen/parallel.h>

#include <algorithm>
#include <cmath>

namespace opgen::linear {

template <class M>
class Packed {
 public:
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }

  // Takes the matrix whose entry (i, k) is data[i * down + k * right].
  template <class S>
  void pack(int64_t rows, int64_t columns, const S* data, int64_t down, int64_t right, int threads) {
    rows_ = rows, columns_ = columns;
    const int64_t panels = (rows + high - 1) / high;
    memory_.reserve((panels * columns * high * static_cast<int64_t>(sizeof(M)) + 7) / 8);
    parallel_for(panels, rows * columns < 30000 ? 1 : threads, [&](int64_t p) {
      const S* const from = data + p * high * down;
      const int64_t used = std::min<int64_t>(high, rows - p * high);
      M* const to = panel(p);
      constexpr int64_t square = 16;  // a few lines of either order at a time
      for (int64_t k = 0; k < columns; k += square) {
        const int64_t end = std::min(k + square, columns);
        if (used == high && right != 1) {
          for (int64_t q = k; q < end; ++q)
            for (int64_t i = 0; i < high; ++i) to[q * high + i] = static_cast<M>(from[i * down + q * right]);
        } else if (used == high && end == k + square) {
          for (int64_t i = 0; i < high; i += square) take_square(from + i * down + k, down, to + k * high + i);
        } else {
          for (int64_t q = k; q < end; ++q)
            for (int64_t i = 0; i < high; ++i) to[q * high + i] = i < used ? static_cast<M>(from[i * down + q * right]) : M(0);
        }
      }
    });
  }

  // c = A v, or c += A v, for `count` vectors v and as many c.
  template <class T>
  void multiply(int64_t count, const T* const* v, T* const* c, bool add) const {
    for (int64_t p = 0; p * high < rows_; ++p) {
      const int64_t used = std::min<int64_t>(high, rows_ - p * high);
      int64_t k = 0;
      do {
        const int64_t steps = std::min(depth, columns_ - k);
        const M* const from = panel(p) + k * high;
        tiles<T, vectors<T>()>({from, steps, k, p * high, used, add || k > 0}, count, v, c);
        k += depth;
      } while (k < columns_);
    }
  }

  // The Euclidean norms of the rows.
  void row_norms(std::vector<double>& to) const {
    to.assign(static_cast<size_t>((rows_ + high - 1) / high * high), 0.0);
    for (int64_t p = 0; p * high < rows_; ++p) {
      double* const own = to.data() + p * high;
      const M* from = panel(p);
      for (int64_t k = 0; k < columns_; ++k, from += high) {
        for (int i = 0; i < high; ++i) own[i] += static_cast<double>(from[i]) * static_cast<double>(from[i]);
      }
      for (int i = 0; i < high; ++i) own[i] = std::sqrt(own[i]);
    }
  }

 private:
  static constexpr int high = 2 * Register<float>::width;
  static constexpr int64_t depth = 128;
  template <class T>
  static constexpr int vectors() {
    return (lanes == 8 ? 16 : 8) / (high / Register<T>::width);
  }

  M* panel(int64_t p) { return reinterpret_cast<M*>(memory_.data()) + p * columns_ * high; }
  const M* panel(int64_t p) const { return reinterpret_cast<const M*>(memory_.data()) + p * columns_ * high; }

  // 16 x 16 entries of rows that lie `down` apart become columns.
  template <class S>
  static void take_square(const S* from, int64_t down, M* to) {
    constexpr int n = 8;
    using Narrow = Register<S, n>;
    for (int i = 0; i < 16; i += n) {
      for (int k = 0; k < 16; k += n) {
        typename Narrow::Vector square[n];
        for (int r = 0; r < n; ++r) square[r] = Narrow::load(from + (i + r) * down + k);
        transpose<S, n>(square);
        for (int r = 0; r < n; ++r) {
          using Own = Register<M, n>;
          Own::store(__builtin_convertvector(square[r], typename Own::Vector), to + (k + r) * high + i);
        }
      }
    }
  }

  // Part of a panel: `steps` columns from k on, whose rows are [row, row + used) of the matrix.
  struct Part {
    const M* from;
    int64_t steps, k, row, used;
    bool add;
  };
  // As many tiles of `many` vectors as there are, then narrower ones.
  template <class T, int many>
  static void tiles(const Part& part, int64_t count, const T* const* v, T* const* c) {
    for (; count >= many; count -= many, v += many, c += many) tile<T, many>(part, v, c);
    if constexpr (many > 1) {
      if (count > 0) tiles<T, many / 2>(part, count, v, c);
    }
  }

  template <class T, int many>
  __attribute__((noinline)) static void tile(const Part& part, const T* const* v, T* const* c) {
    using R = Register<T>;
    constexpr int registers = high / R::width;
    const T* right[many];
    for (int s = 0; s < many; ++s) right[s] = v[s] + part.k;
    typename R::Vector sums[many][registers] = {};
    const M* from = part.from;
    for (int64_t q = 0; q < part.steps; ++q, from += high) {
      typename R::Vector left[registers];
#pragma GCC unroll 8
      for (int r = 0; r < registers; ++r) {
        left[r] = __builtin_convertvector(Register<M, R::width>::load(from + r * R::width), typename R::Vector);
      }
#pragma GCC unroll 16
      for (int s = 0; s < many; ++s) {
#pragma GCC unroll 8
        for (int r = 0; r < registers; ++r) sums[s][r] += right[s][q] * left[r];
      }
    }
#pragma GCC unroll 16
    for (int s = 0; s < many; ++s) {
      T* const to = c[s] + part.row;
      if (part.used == high) {
#pragma GCC unroll 8
        for (int r = 0; r < registers; ++r) {
          R::store(part.add ? R::load(to + r * R::width) + sums[s][r] : sums[s][r], to + r * R::width);
        }
      } else {
        T all[high];
        std::memcpy(all, sums[s], sizeof all);
        for (int64_t i = 0; i < part.used; ++i) to[i] = part.add ? to[i] + all[i] : all[i];
      }
    }
  }

  int64_t rows_ = 0, columns_ = 0;
  Lines memory_;
};

}  // namespace opgen::linear
#endif
