// What generated code says of a coupled operator: its arrays, and the loops that read them.
#ifndef OPGEN_COUPLED_NEST_H
#define OPGEN_COUPLED_NEST_H

#include <opgen/math.h>
#include <opgen/points.h>
#include <opgen/signature.h>

namespace opgen::coupled {

constexpr int max_rank = max_core_rank;
constexpr int max_loops = 8;
constexpr int width = lanes;  // points of a row computed together

enum class Role { input, unknown, auxiliary, boundary, sum };
enum class Stage { boundary, sum, guess, equation, auxiliary };

// What an array is outside one end of an axis: a value, its mirror image about the outer face of the last point or about the
// point itself (plus a value), or the other end of a ring.
enum class Outside { none, dirichlet, face, node, periodic };

struct Side {
  Outside kind;
  int array;     // of the value: [distance, other axes...]; -1: zero
  int64_t halo;  // how far outside it is read
};

struct Array {
  Role role;
  Core core;
  bool active;  // depends on the unknowns
  Side side[max_rank][2];
};

// sizes[dimension] + index of an outer loop + offset; -1 where there is none.
struct Bound {
  int dimension, loop;
  int64_t offset;
  int64_t at(const int64_t* sizes, const int64_t* index) const {
    return (dimension < 0 ? 0 : sizes[dimension]) + (loop < 0 ? 0 : index[loop]) + offset;
  }
};

struct Loop {
  Bound start, stop;
};

// The entry of an array at position index[loop] + shift along each axis, or at `shift` if loop is -1.
struct Read {
  int array;
  int loop[max_rank];
  int64_t shift[max_rank];
};

// A number that no derivative is taken by: the index of a loop, or an extent if loop is -1.
struct Plain {
  int loop;
  Axis size;
};

// A nest that sums up M[i, j] v[j], or M[j, i] v[j], over j: which of its reads M and v are. -1: it is another.
struct MatrixProduct {
  int matrix, vector;
  bool transposed;
};

// An array of one system; data points to position 0 of every axis.
struct View {
  double* data = nullptr;
  int64_t stride[max_rank] = {};

  double* at(const int64_t* position, int rank) const {
    double* p = data;
    for (int d = 0; d < rank; ++d) p += position[d] * stride[d];
    return p;
  }
};

// A run of entries along the innermost loop.
struct Run {
  double* first;
  int64_t stride;
};

template <class N>
constexpr bool is_product() {
  return N::product.matrix >= 0;
}

// Where a read's run starts if the innermost loop stands at `index`.
template <class N>
Run run_of(const Read& read, const View& view, int rank, const int64_t* index) {
  if (!view.data) return {nullptr, 0};
  Run run{view.data, 0};
  for (int d = 0; d < rank; ++d) {
    const int loop = read.loop[d];
    run.first += (loop < 0 ? read.shift[d] : index[loop] + read.shift[d]) * view.stride[d];
    if (loop == N::loops - 1) run.stride += view.stride[d];
  }
  return run;
}

// Entries [begin, begin + n) of a run as contiguous doubles, whole packs: in place where they are so already, else in `buffer`.
inline const double* contiguous(const Run& run, int64_t begin, int64_t n, double* buffer) {
  const int64_t whole = (n + width - 1) / width * width;
  if (!run.first) {
    memset(buffer, 0, static_cast<size_t>(whole) * sizeof(double));
    return buffer;
  }
  const double* const from = run.first + begin * run.stride;
  if (run.stride == 1 && whole == n) return from;
  for (int64_t i = 0; i < n; ++i) buffer[i] = from[i * run.stride];
  for (int64_t i = n; i < whole; ++i) buffer[i] = buffer[n - 1];
  return buffer;
}

// Which part of the outermost loop to run over.
struct Part {
  int64_t begin, end;
};

template <class Op, class N>
Part whole(const int64_t* sizes) {
  const int64_t none[max_loops] = {};
  return {N::loop[0].start.at(sizes, none), N::loop[0].stop.at(sizes, none)};
}

// Runs a nest block by block. `groups` sets of arrays are read at the same places: the values, then tangents; a view without
// data is zero. compute(a, out) sees packs: a has the reads of the first group, its plain numbers, then the reads of the other
// groups. emit(index, begin, n, out) takes what was computed at positions index[last] + begin, ...
template <class Op, class N, int groups, int outs, class Compute, class Emit>
void sweep(const int64_t* sizes, const View* const (&views)[groups], Part part, Compute&& compute, Emit&& emit) {
  using Real = Pack<>;
  constexpr int last = N::loops - 1, reads = N::reads, first = reads + N::plain, slots = first + (groups - 1) * reads;
  int64_t index[max_loops] = {}, stop[max_loops] = {};
  alignas(64) double buffer[slots > 0 ? slots : 1][block];
  alignas(64) double out[outs][block];
  Run runs[slots > 0 ? slots : 1];
  const double* from[slots > 0 ? slots : 1];

  const auto row = [&](int64_t begin, int64_t end) {
    index[last] = begin;
    for (int g = 0; g < groups; ++g) {
      for (int r = 0; r < reads; ++r) {
        const int array = N::read[r].array;
        Run& run = runs[g == 0 ? r : first + (g - 1) * reads + r];
        run = run_of<N>(N::read[r], views[g][array], Op::arrays[array].core.rank, index);
      }
    }
    for (int s = 0; s < slots; ++s) {  // what is the same along the row is spread once
      const bool plain = s >= reads && s < first;
      if (plain || runs[s].stride == 0) {
        double value = 0;
        if (plain) {
          const Plain& number = N::numbers[s - reads];
          if (number.loop == last) continue;
          value = number.loop >= 0 ? static_cast<double>(index[number.loop]) : static_cast<double>(extent(number.size, sizes));
        } else if (runs[s].first) {
          value = *runs[s].first;
        }
        const int64_t n = end - begin < block ? (end - begin + width - 1) / width * width : block;
        for (int64_t i = 0; i < n; ++i) buffer[s][i] = value;
        from[s] = buffer[s];
      }
    }
    for (int64_t at = 0; at < end - begin; at += block) {
      const int64_t n = end - begin - at < block ? end - begin - at : block;
      for (int s = 0; s < slots; ++s) {
        if (s >= reads && s < first) {
          if (N::numbers[s - reads].loop != last) continue;
          for (int64_t i = 0; i < block; ++i) buffer[s][i] = static_cast<double>(begin + at + i);
          from[s] = buffer[s];
        } else if (runs[s].stride != 0) {
          from[s] = contiguous(runs[s], at, n, buffer[s]);
        }
      }
      for (int64_t i = 0; i < n; i += width) {
        Real a[slots > 0 ? slots : 1], results[outs];
        OPGEN_UNROLL for (int s = 0; s < slots; ++s) a[s] = Real::load(from[s] + i);
        compute(a, results);
        OPGEN_UNROLL for (int o = 0; o < outs; ++o) results[o].store(out[o] + i);
      }
      emit(index, at, n, out);
    }
  };

  // An odometer over the outer loops.
  if constexpr (last == 0) {
    if (part.end > part.begin) row(part.begin, part.end);
  } else {
    int level = 0;
    index[0] = part.begin, stop[0] = part.end;
    while (level >= 0) {
      if (index[level] >= stop[level]) {
        if (--level >= 0) ++index[level];
      } else if (level + 1 < last) {
        ++level;
        index[level] = N::loop[level].start.at(sizes, index), stop[level] = N::loop[level].stop.at(sizes, index);
      } else {
        const int64_t begin = N::loop[last].start.at(sizes, index), end = N::loop[last].stop.at(sizes, index);
        if (end > begin) row(begin, end);
        ++index[level];
      }
    }
  }
}

}  // namespace opgen::coupled
#endif
