// What the loops over points of an operator that acts on every point alone have in common. `Op` is the generated class: its
// formulas, and constants that say which of them there are.
#ifndef OPGEN_POINTWISE_H
#define OPGEN_POINTWISE_H

#include <opgen/pages.h>
#include <opgen/parallel.h>
#include <opgen/points.h>
#include <opgen/safeguard.h>
#include <opgen/status.h>
#include <stdlib.h>

namespace opgen {

// About 50 microseconds of work: below it, waking a thread costs more than it saves.
constexpr int64_t serial_points = 8192;
// Rounding of broadcast gradients depends on how the points are cut into slices, hence on the shapes alone, never on the
// number of threads.
constexpr int64_t slice_points = 8192;
constexpr int64_t max_slices = 64;
// One step solves a linear system; a second takes off what rounding has left.
constexpr int64_t linear_iterations = 2;
template <class T = double>
constexpr double default_tolerance = 16 * (sizeof(T) == sizeof(float) ? 1.1920928955078125e-7 : epsilon);

// The points of one call, cut into slices of whole blocks.
struct Slices {
  int64_t total, size, count;
  Slices(int64_t points, int64_t most) : total(points) {
    size = slice_points;
    if (most < 1) most = 1;
    if ((total + size - 1) / size > most) size = ((total + most - 1) / most + block - 1) / block * block;
    count = (total + size - 1) / size;
  }
};

// Runs body(begin, count, failure) for every block, slices in parallel, and collects the failures.
template <class Body>
Failure for_blocks(const Slices& slices, int threads, Body&& body) {
  Failure failure;
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  parallel_for(slices.count, slices.total <= serial_points ? 1 : threads, [&](int64_t slice) {
    Failure mine;
    const int64_t end = slices.total < (slice + 1) * slices.size ? slices.total : (slice + 1) * slices.size;
    for (int64_t begin = slice * slices.size; begin < end; begin += block) {
      body(slice, begin, end - begin < block ? end - begin : static_cast<int64_t>(block), mine);
    }
    finish_streams();
    if (mine.count > 0) {
      pthread_mutex_lock(&mutex);
      failure.merge(mine);
      pthread_mutex_unlock(&mutex);
    }
  });
  return failure;
}

inline int bad_call(opgen_report* report, const char* name, const char* what) {
  report->failed = 0;
  report->first = -1;
  Sentence(report->message).add("%s: %s", name, what);
  return OPGEN_BAD_CALL;
}

// Operands of a block, one row each: where they lie if they lie there as they are needed, else a copy. Rows past the last point
// repeat it: every lane computes something sensible.
template <int rows, class T = double>
struct Rows {
  const T* row[rows > 0 ? rows : 1];
  alignas(64) T own[rows > 0 ? rows : 1][block];

  template <class G>
  void read(const G& grid, int first, int dtype, const opgen_array* const* arrays, int64_t begin, int64_t count) {
    for (int a = 0; a < rows; ++a) {
      const opgen_array* const array = arrays[first + a];
      row[a] = own[a];
      if (!array || !array->data) {
        memset(own[a], 0, sizeof own[a]);
      } else if (count == block && grid.contiguous(first + a) && is_dtype<T>(dtype)) {
        row[a] = static_cast<const T*>(array->data) + begin;
      } else {
        gather(grid, first + a, dtype, array->data, begin, count, own[a]);
        for (int64_t i = count; i < block; ++i) own[a][i] = own[a][count - 1];
      }
    }
  }
};

// Which outputs of a call are written past the cache.
template <int rows>
struct Streams {
  bool past[rows > 0 ? rows : 1] = {};

  // Looks at the outputs of a call before the first is written.
  template <class G>
  Streams(const G& grid, int first, int dtype, const opgen_array* const* arrays) {
    const size_t bytes = static_cast<size_t>(grid.total) * (dtype == OPGEN_FLOAT32 ? 4 : 8);
    for (int a = 0; a < rows; ++a) {
      const opgen_array* const array = arrays[first + a];
      if (!array || !array->data || !grid.contiguous(first + a)) continue;
      ask_for_large_pages(array->data, bytes);
      past[a] = can_stream && bytes >= streamed && reinterpret_cast<uintptr_t>(array->data) % 64 == 0;
    }
  }
};

// Results of a block, one row each, written where they belong, or copied there by `write`.
template <int rows, class T = double>
struct Results {
  T* row[rows > 0 ? rows : 1];
  alignas(64) T own[rows > 0 ? rows : 1][block];
  const Streams<rows>& streams;

  explicit Results(const Streams<rows>& streams) : streams(streams) {}

  template <class G>
  void place(const G& grid, int first, int dtype, const opgen_array* const* arrays, int64_t begin, int64_t count) {
    for (int a = 0; a < rows; ++a) {
      const opgen_array* const array = arrays[first + a];
      const bool there = array && array->data && count == block && grid.contiguous(first + a) && is_dtype<T>(dtype);
      row[a] = there && !streams.past[a] ? static_cast<T*>(array->data) + begin : own[a];
    }
  }
  template <class G>
  void write(const G& grid, int first, int dtype, const opgen_array* const* arrays, int64_t begin, int64_t count,
             const bool* skipped = nullptr) const {
    for (int a = 0; a < rows; ++a) {
      const opgen_array* const array = arrays[first + a];
      if ((skipped && skipped[a]) || row[a] != own[a] || !array || !array->data) continue;
      if (streams.past[a] && count == block && is_dtype<T>(dtype)) {
        stream<T, block>(own[a], static_cast<T*>(array->data) + begin);
      } else {
        scatter(grid, first + a, dtype, array->data, begin, count, own[a]);
      }
    }
  }
};

template <class R, int n>
OPGEN_INLINE void load(const typename Traits<R>::Element* const* rows, int at, R (&to)[n]) {
  for (int i = 0; i < n; ++i) to[i] = Traits<R>::load(rows[i] + at);
}

template <class R, int n>
OPGEN_INLINE auto all_finite(const R (&x)[n], int used) {
  auto ok = !none<R>();
  for (int i = 0; i < used; ++i) ok = ok & finite(x[i]);
  return ok;
}

// What one call says of its arrays.
template <int operands>
struct Call {
  const opgen_array* arrays[operands > 0 ? operands : 1];
  int used = 0;
  void add(const opgen_array* list, int count) {
    for (int i = 0; i < count; ++i) arrays[used++] = list ? &list[i] : nullptr;
  }
};

}  // namespace opgen
#endif
