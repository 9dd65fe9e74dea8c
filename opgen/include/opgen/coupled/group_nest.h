// Nests over the systems of a bundle: every register holds the same point of as many systems.
#ifndef OPGEN_COUPLED_GROUP_NEST_H
#define OPGEN_COUPLED_GROUP_NEST_H

#include <opgen/coupled/group_krylov.h>
#include <opgen/coupled/slopes.h>

namespace opgen::coupled {

// An array of a bundle: the numbers of its systems side by side, or one that they share.
struct Strip {
  double* data = nullptr;
  int64_t stride[max_rank] = {};
  bool shared = false;

  double* at(const int64_t* position, int rank) const {
    double* p = data;
    for (int d = 0; d < rank; ++d) p += position[d] * stride[d];
    return p;
  }
};

// Strides of the entries of an array that lie in row-major order; returns how many there are.
inline int64_t row_major(const Core& core, const int64_t* sizes, int64_t step, int64_t* stride) {
  int64_t total = 1;
  for (int d = core.rank - 1; d >= 0; --d) {
    stride[d] = total * step;
    total *= extent(core.axes[d], sizes);
  }
  return total;
}

// Calls compute(a, fixed, out) and emit(index, q, out) for all points of a nest, and there for the systems from q on, a register
// of them. As in `sweep`, a has the reads of the first group of arrays, plain numbers, and the reads of the other groups.
template <class Op, class N, int groups, int outs, class Compute, class Emit>
void sweep_bundle(const int64_t* sizes, const Strip* const (&strips)[groups], const Pack<1>* fixed, Compute&& compute, Emit&& emit) {
  using Real = Pack<1>;
  constexpr int last = N::loops - 1, reads = N::reads, first = reads + N::plain, slots = first + (groups - 1) * reads;
  constexpr int room = slots > 0 ? slots : 1;
  static double zero = 0;
  int64_t index[max_loops] = {}, stop[max_loops] = {};

  const auto row = [&](int64_t begin, int64_t end) {
    const double* at[room];
    int64_t step[room];
    bool shared[room];
    double number[room];
    index[last] = 0;
    for (int s = 0; s < slots; ++s) {
      if (s >= reads && s < first) {
        const Plain& own = N::numbers[s - reads];
        number[s] = static_cast<double>(own.loop < 0 ? extent(own.size, sizes) : own.loop == last ? begin : index[own.loop]);
        at[s] = &number[s], step[s] = 0, shared[s] = true;
        continue;
      }
      const Read& read = N::read[s < reads ? s : (s - first) % (reads > 0 ? reads : 1)];
      const Strip& strip = strips[s < reads ? 0 : 1 + (s - first) / (reads > 0 ? reads : 1)][read.array];
      at[s] = strip.data ? strip.data : &zero, step[s] = 0, shared[s] = strip.shared || !strip.data;
      for (int d = 0; strip.data && d < Op::arrays[read.array].core.rank; ++d) {
        const int loop = read.loop[d];
        at[s] += (read.shift[d] + (loop < 0 ? 0 : loop == last ? begin : index[loop])) * strip.stride[d];
        if (loop == last) step[s] += strip.stride[d];
      }
    }
    for (int64_t i = begin; i < end; ++i) {
      index[last] = i;
      for (int q = 0; q < wide; q += lanes) {
        Real a[room], out[outs];
        OPGEN_UNROLL for (int s = 0; s < slots; ++s) a[s] = shared[s] ? Real(*at[s]) : Real::load(at[s] + q);
        compute(static_cast<const Real*>(a), fixed + q / lanes * N::fixed, out);
        emit(static_cast<const int64_t*>(index), q, out);
      }
      for (int s = 0; s < slots; ++s) {
        at[s] += step[s];
        if (s >= reads && s < first && N::numbers[s - reads].loop == last) ++number[s];
      }
    }
  };

  if constexpr (last == 0) {
    row(N::loop[0].start.at(sizes, index), N::loop[0].stop.at(sizes, index));
  } else {
    int level = 0;
    index[0] = N::loop[0].start.at(sizes, index), stop[0] = N::loop[0].stop.at(sizes, index);
    while (level >= 0) {
      if (index[level] >= stop[level]) {
        if (--level >= 0) ++index[level];
      } else if (level + 1 < last) {
        ++level;
        index[level] = N::loop[level].start.at(sizes, index), stop[level] = N::loop[level].stop.at(sizes, index);
      } else {
        row(N::loop[last].start.at(sizes, index), N::loop[last].stop.at(sizes, index));
        ++index[level];
      }
    }
  }
}

}  // namespace opgen::coupled
#endif
