// Vector registers of either type, and the transposition of a square block held in them.
#ifndef OPGEN_LINEAR_REGISTERS_H
#define OPGEN_LINEAR_REGISTERS_H

#include <opgen/pack.h>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace opgen::linear {

template <class T, int n = 8 * lanes / static_cast<int>(sizeof(T))>
struct Register {
  static constexpr int width = n;
  using Integer = std::conditional_t<sizeof(T) == 8, int64_t, int32_t>;
  typedef T Vector __attribute__((vector_size(n * sizeof(T))));
  typedef Integer Index __attribute__((vector_size(n * sizeof(T))));

  OPGEN_INLINE static Vector load(const T* p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
  }
  OPGEN_INLINE static void store(const Vector& v, T* p) { std::memcpy(p, &v, sizeof v); }
};

// Doubles that begin on a cache line.
class Lines {
 public:
  static constexpr int64_t line = 8;
  explicit Lines(int64_t size = 0) { reserve(size); }
  void reserve(int64_t size) {
    if (static_cast<int64_t>(lines_.size()) * line < size) lines_.resize((size + line - 1) / line);
  }
  double* data() { return reinterpret_cast<double*>(lines_.data()); }
  const double* data() const { return reinterpret_cast<const double*>(lines_.data()); }

 private:
  struct alignas(64) Line {
    double entries[line];
  };
  std::vector<Line> lines_;
};

OPGEN_INLINE Vec load(const double* p) { return Register<double>::load(p); }
OPGEN_INLINE void store(const Vec& v, double* p) { Register<double>::store(v, p); }

// The lanes of v in pairs, then the pairs in pairs: the order in which sums are rounded is this one everywhere.
OPGEN_INLINE double sum(Vec v) {
  for (int s = lanes / 2; s > 0; s /= 2)
    for (int j = 0; j < s; ++j) v[j] += v[j + s];
  return v[0];
}

OPGEN_INLINE Vec absolute(Vec v) { return reinterpret_cast<Vec>(reinterpret_cast<Bits>(v) & INT64_MAX); }

// Rows low and high of a block, `distance` apart: of every 2 x 2 entries that far apart, exchange the two off the diagonal.
template <class T, int n, int distance, std::size_t... j>
OPGEN_INLINE void exchange(typename Register<T, n>::Vector& low, typename Register<T, n>::Vector& high,
                           std::index_sequence<j...>) {
  const typename Register<T, n>::Vector a = low, b = high;
#ifdef __clang__
  low = __builtin_shufflevector(a, b, (j & distance ? n + j - distance : j)...);
  high = __builtin_shufflevector(a, b, (j & distance ? n + j : j + distance)...);
#else
  using Index = typename Register<T, n>::Index;
  using Integer = typename Register<T, n>::Integer;
  low = __builtin_shuffle(a, b, Index{static_cast<Integer>(j & distance ? n + j - distance : j)...});
  high = __builtin_shuffle(a, b, Index{static_cast<Integer>(j & distance ? n + j : j + distance)...});
#endif
}

// A matrix of 2 x 2 blocks is transposed by exchanging its blocks off the diagonal and transposing every block:
// log2(n) rounds of exchanges, at the distances 1, 2, 4 ...
template <class T, int n, int distance = 1>
OPGEN_INLINE void transpose(typename Register<T, n>::Vector (&rows)[n]) {
  if constexpr (distance < n) {
#pragma GCC unroll 16
    for (int i = 0; i < n; ++i)
      if (!(i & distance)) exchange<T, n, distance>(rows[i], rows[i + distance], std::make_index_sequence<n>());
    transpose<T, n, 2 * distance>(rows);
  }
}

}  // namespace opgen::linear
#endif
