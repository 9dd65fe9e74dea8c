// Walks over broadcast points block by block: reads operands into contiguous doubles, writes results back, and sums the
// gradient of a broadcast operand where it lies. Nothing is ever expanded in memory.
#ifndef OPGEN_POINTS_H
#define OPGEN_POINTS_H

#include <opgen/abi.h>
#include <string.h>

namespace opgen {

constexpr int block = 128;    // points whose operands stay in the first-level cache
constexpr int max_axes = 32;  // after neighbouring axes are merged

// The axes of a call, merged where all operands allow it: contiguous operands of one shape become a single axis.
template <int operands>
struct Grid {
  int rank = 0;
  int64_t total = 1;
  int64_t shape[max_axes];
  int64_t strides[operands > 0 ? operands : 1][max_axes];

  // False if more than max_axes remain.
  bool merge(const opgen_points& points, const opgen_array* const* arrays) {
    const auto step = [&](int a, int d) { return arrays[a] && arrays[a]->data ? arrays[a]->strides[d] : 0; };
    for (int d = 0; d < points.rank; ++d) total *= points.shape[d];
    for (int d = 0; d < points.rank; ++d) {
      const int64_t n = points.shape[d];
      if (n == 1) continue;
      bool joins = rank > 0;
      for (int a = 0; a < operands && joins; ++a) {
        joins = strides[a][rank - 1] == step(a, d) * n;
      }
      if (!joins && rank == max_axes) return false;
      if (!joins) shape[rank++] = 1;
      shape[rank - 1] *= n;
      for (int a = 0; a < operands; ++a) strides[a][rank - 1] = step(a, d);
    }
    if (rank == 0) {
      rank = 1;
      shape[0] = 1;
      for (int a = 0; a < operands; ++a) strides[a][0] = 0;
    }
    return true;
  }

  bool broadcast(int a) const {
    for (int d = 0; d < rank; ++d) {
      if (strides[a][d] == 0 && shape[d] > 1) return true;
    }
    return false;
  }

  // Whether operand `a` lies point after point.
  bool contiguous(int a) const { return rank == 1 && strides[a][0] == 1; }

  // One more than the largest offset that operand `a` reaches.
  int64_t extent(int a) const {
    int64_t last = 0;
    for (int d = 0; d < rank; ++d) last += (shape[d] - 1) * strides[a][d];
    return last + 1;
  }

  // Calls body(position in the block, offset, stride, length) for the runs along the last axis that make up
  // points [begin, begin + count) of operand `a`.
  template <class Body>
  void runs(int a, int64_t begin, int64_t count, Body&& body) const {
    const int64_t* const s = strides[a];
    if (rank == 1) return body(0, begin * s[0], s[0], count);
    int64_t index[max_axes], offset = 0, rest = begin;
    for (int d = rank - 1; d >= 0; --d) {
      index[d] = rest % shape[d];
      rest /= shape[d];
      offset += index[d] * s[d];
    }
    for (int64_t done = 0; done < count;) {
      const int last = rank - 1;
      const int64_t left = shape[last] - index[last], length = left < count - done ? left : count - done;
      body(done, offset, s[last], length);
      done += length;
      index[last] += length;
      offset += length * s[last];
      for (int d = last; d > 0 && index[d] == shape[d]; --d) {
        offset += s[d - 1] - shape[d] * s[d];
        index[d] = 0;
        ++index[d - 1];
      }
    }
  }
};

template <class T>
constexpr bool is_dtype(int dtype) {
  return (dtype == OPGEN_FLOAT32) == (sizeof(T) == sizeof(float));
}

template <class T, class To>
void read_run(const T* from, int64_t stride, int64_t n, To* to) {
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i]);
  } else if (stride == 0) {
    const To value = static_cast<To>(*from);
    for (int64_t i = 0; i < n; ++i) to[i] = value;
  } else {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<To>(from[i * stride]);
  }
}

// Points [begin, begin + count) of operand `a`, in the precision of `to`.
template <class G, class To>
void gather(const G& grid, int a, int dtype, const void* data, int64_t begin, int64_t count, To* to) {
  grid.runs(a, begin, count, [&](int64_t at, int64_t offset, int64_t stride, int64_t n) {
    if (dtype == OPGEN_FLOAT32) {
      read_run(static_cast<const float*>(data) + offset, stride, n, to + at);
    } else {
      read_run(static_cast<const double*>(data) + offset, stride, n, to + at);
    }
  });
}

template <class T, class From>
void write_run(const From* from, int64_t stride, int64_t n, T* to) {
  if (stride == 1) {
    for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(from[i]);
  } else {
    for (int64_t i = 0; i < n; ++i) to[i * stride] = static_cast<T>(from[i]);
  }
}

template <class G, class From>
void scatter(const G& grid, int a, int dtype, void* data, int64_t begin, int64_t count, const From* from) {
  grid.runs(a, begin, count, [&](int64_t at, int64_t offset, int64_t stride, int64_t n) {
    if (dtype == OPGEN_FLOAT32) {
      write_run(from + at, stride, n, static_cast<float*>(data) + offset);
    } else {
      write_run(from + at, stride, n, static_cast<double*>(data) + offset);
    }
  });
}

// Adds a block into `sums`, which has the broadcast operand's own extent.
template <class G>
void accumulate(const G& grid, int a, double* sums, int64_t begin, int64_t count, const double* from) {
  grid.runs(a, begin, count, [&](int64_t at, int64_t offset, int64_t stride, int64_t n) {
    if (stride == 0) {
      double partial[8] = {};
      int64_t i = 0;
      for (; i + 8 <= n; i += 8) {
        for (int j = 0; j < 8; ++j) partial[j] += from[at + i + j];
      }
      for (; i < n; ++i) partial[i % 8] += from[at + i];
      sums[offset] += ((partial[0] + partial[1]) + (partial[2] + partial[3])) +
                      ((partial[4] + partial[5]) + (partial[6] + partial[7]));
    } else {
      for (int64_t i = 0; i < n; ++i) sums[offset + i * stride] += from[at + i];
    }
  });
}

}  // namespace opgen
#endif
