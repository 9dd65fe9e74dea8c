// How a multigrid level keeps its vectors.
//
// A level has three axes: n[0] planes of n[1] rows of n[2] points (a grid of rank 2 has n[1] = 1, of rank 1 also n[0] =
// 1). Relaxation works on every second point of a row. What it reads and writes is kept in halves, the even points of a
// row before the odd ones: then nothing is computed in vain, all is contiguous, and the neighbours of a half within its
// row are the other half's points of the same index and of the one before or behind.
//
// Halves are padded to whole registers, with a margin before each. Both hold zeros, so that a neighbour beyond the end
// of a row reads as absent; along a periodic axis the places next to a row hold copies of its other end.
#ifndef OPGEN_LINEAR_MULTIGRID_LAYOUT_H
#define OPGEN_LINEAR_MULTIGRID_LAYOUT_H

#include <opgen/linear/stencil.h>

#include <cstdlib>
#include <memory>
#include <new>

namespace opgen::linear::multigrid {

// Memory that is aligned to cache lines, and zero when its size or its use changes.
class Buffer {
 public:
  double* resize(int64_t size, int64_t use = 0) {
    if (size == size_ && use == use_) return data_.get();
    size_ = 0;
    use_ = use;
    const size_t bytes = (static_cast<size_t>(size) * 8 + 127) / 64 * 64;
    data_.reset(static_cast<double*>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
    std::memset(data_.get(), 0, bytes);
    size_ = size;
    return data_.get();
  }
  double* get() const { return data_.get(); }

 private:
  struct Free {
    void operator()(double* p) const { std::free(p); }
  };
  std::unique_ptr<double, Free> data_;
  int64_t size_ = 0, use_ = 0;
};

// What to leave free behind arrays of a size that are read side by side, so that their elements do not all compete for
// one place in the cache: they start nine lines apart, counted within a page.
inline int64_t skew(int64_t size) { return stencil::wrap(72 - size, 512); }

inline int64_t rounded(int64_t n, int64_t block) { return (n + block - 1) / block * block; }

// The grid of a level, and where its rows are.
struct Layout {
  int64_t n[3] = {1, 1, 1};
  bool ring[3] = {false, false, false};
  int reach = 1;  // how far beyond the ends of rows there are copies
  int64_t stride = 0, margin = lanes;

  int64_t points() const { return n[0] * n[1] * n[2]; }
  int64_t plane() const { return n[1] * stride; }
  int64_t field() const { return n[0] * n[1] * stride; }
  int64_t row(int64_t i, int64_t j) const { return (i * n[1] + j) * stride; }

  // Memory that starts with the first row.
  double* take(Buffer& buffer, int64_t size) const {
    return buffer.resize(size + 2 * margin, (n[2] * 1000003 + n[1]) * 1000003 + n[0]) + margin;
  }

  // The row that lies (o0, o1) from row (i, j); null outside the grid.
  template <class Number>
  Number* at(Number* base, int64_t i, int64_t j, int o0, int o1) const {
    i += o0;
    j += o1;
    if (i < 0 || i >= n[0]) {
      if (!ring[0]) return nullptr;
      i = stencil::wrap(i, n[0]);
    }
    if (j < 0 || j >= n[1]) {
      if (!ring[1]) return nullptr;
      j = stencil::wrap(j, n[1]);
    }
    return base + row(i, j);
  }

  template <class Use>
  void each_point(Use&& use) const {
    for (int64_t i = 0, p = 0; i < n[0]; ++i)
      for (int64_t j = 0; j < n[1]; ++j)
        for (int64_t x = 0; x < n[2]; ++x, ++p) use(p, {i, j, x});
  }

 protected:
  Layout(const int64_t (&extents)[3], const bool (&periodic)[3], int copies) : reach(copies) {
    for (int a = 0; a < 3; ++a) {
      n[a] = extents[a];
      ring[a] = periodic[a];
    }
    margin = rounded(2 * reach, lanes);
  }
  Layout() = default;
};

// Rows with their points in order, padded to two registers: what splits into halves.
struct InOrder : Layout {
  int64_t width = 0;

  InOrder() = default;
  InOrder(const int64_t (&extents)[3], const bool (&periodic)[3], int copies) : Layout(extents, periodic, copies) {
    width = rounded(n[2], 2 * lanes);
    stride = width + margin;
  }

  OPGEN_INLINE void wrap_row(double* row) const {
    if (!ring[2]) return;
    for (int g = 1; g <= reach; ++g) {
      row[-g] = row[stencil::wrap(-g, n[2])];
      row[n[2] + g - 1] = row[stencil::wrap(g - 1, n[2])];
    }
  }
  // The same for a row that may have anything beyond its end.
  OPGEN_INLINE void close_row(double* row) const {
    for (int64_t x = n[2]; x < width; ++x) row[x] = 0.0;
    if (!ring[2]) row[n[2]] = row[-1] = 0.0;
    wrap_row(row);
  }
};

struct InHalves : Layout {
  int64_t count = 0, half = 0;  // points of half a row with padding, distance of the halves

  InHalves() = default;
  InHalves(const int64_t (&extents)[3], const bool (&periodic)[3], int copies) : Layout(extents, periodic, copies) {
    count = rounded((n[2] + 1) / 2, lanes);
    half = count + margin;
    stride = 2 * half;
  }

  // From the first even to the last odd point, with the padding.
  int64_t length() const { return half + count; }
  // From the start of a row to its point x; and from there to what lies o from the first point of its half.
  int64_t index(int64_t x) const { return (x & 1) * half + (x >> 1); }
  int64_t shift(int parity, int o) const { return index(parity + o); }

  OPGEN_INLINE void wrap_row(double* row) const {
    if (!ring[2]) return;
    for (int g = 1; g <= reach; ++g) {
      row[index(-g)] = row[index(stencil::wrap(-g, n[2]))];
      row[index(n[2] + g - 1)] = row[index(stencil::wrap(g - 1, n[2]))];
    }
  }
};

}  // namespace opgen::linear::multigrid
#endif
