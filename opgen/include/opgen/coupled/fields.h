// The arrays of one system, and what lies outside their grids.
#ifndef OPGEN_COUPLED_FIELDS_H
#define OPGEN_COUPLED_FIELDS_H

#include <opgen/coupled/nest.h>

#include <memory>
#include <vector>

namespace opgen::coupled {

// Where the value at `position` of an axis of n points comes from, if it lies outside: the position inside of which it is an
// image, or -1 if it is an image of none.
inline int64_t inside(const Side (&side)[2], int64_t position, int64_t n) {
  if (position >= 0 && position < n) return position;
  switch (side[position < 0 ? 0 : 1].kind) {
    case Outside::periodic:
      return (position % n + n) % n;
    case Outside::face:  // a grid narrower than the halo mirrors again
    case Outside::node: {
      const int64_t shift = side[position < 0 ? 0 : 1].kind == Outside::face ? 1 : 0, period = 2 * (n - 1 + shift);
      if (period == 0) return 0;
      int64_t image = position < 0 ? -position - shift : position;
      image %= period;
      return image < n ? image : period - shift - image;
    }
    default:
      return -1;
  }
}

// One number for each entry of each array of a system: values, tangents or cotangents.
template <class Op>
class Fields {
 public:
  View view[Op::array_count > 0 ? Op::array_count : 1];

  explicit Fields(const int64_t* sizes) : sizes_(sizes) {}
  Fields(const Fields&) = delete;
  Fields& operator=(const Fields&) = delete;

  // Gives an array memory of its own, with room for what is read outside its grid: zero at first, then what it held.
  void own(int array) {
    const Array& info = Op::arrays[array];
    int64_t total = 1, origin = 0, length[max_rank];
    View& made = view[array];
    for (int d = info.core.rank - 1; d >= 0; --d) {
      length[d] = extent(info.core.axes[d], sizes_) + info.side[d][0].halo + info.side[d][1].halo;
      made.stride[d] = total;
      origin += info.side[d][0].halo * total;
      total *= length[d];
    }
    if (!memory_[array]) memory_[array] = std::make_unique<double[]>(static_cast<size_t>(total > 0 ? total : 1));
    counts_[array] = total;
    made.data = memory_[array].get() + origin;
  }
  void zero(int array) {
    if (memory_[array]) memset(memory_[array].get(), 0, static_cast<size_t>(counts_[array]) * sizeof(double));
  }
  bool owned(int array) const { return memory_[array] != nullptr; }
  const int64_t* sizes() const { return sizes_; }

  // Calls body(address of the run, length) for every row of an array's grid, in row-major order.
  template <class Body>
  void rows(int array, Body&& body) const {
    const Core& core = Op::arrays[array].core;
    if (core.rank == 0) return body(view[array].data, int64_t{1}, int64_t{1});
    int64_t position[max_rank] = {}, length[max_rank];
    for (int d = 0; d < core.rank; ++d) {
      length[d] = extent(core.axes[d], sizes_);
      if (length[d] <= 0) return;
    }
    for (;;) {
      body(view[array].at(position, core.rank), view[array].stride[core.rank - 1], length[core.rank - 1]);
      int d = core.rank - 2;
      while (d >= 0 && ++position[d] == length[d]) position[d--] = 0;
      if (d < 0) return;
    }
  }

  // Sets what lies outside an array's grid from what lies inside, axis by axis, corners last. It is linear in the array and its
  // boundary values, so tangents are filled in the same way.
  void fill(int array) { outside(array, false); }
  // The transpose: adds the cotangents outside to those inside and of the boundary values, and clears them.
  void fold(int array) { outside(array, true); }

 private:
  void outside(int array, bool transposed) {
    const Array& info = Op::arrays[array];
    const int rank = info.core.rank;
    for (int step = 0; step < rank; ++step) {
      const int axis = transposed ? rank - 1 - step : step;
      for (int end = 0; end < 2; ++end) {
        const Side& side = info.side[axis][end];
        if (side.kind == Outside::none || side.halo == 0) continue;
        for (int64_t k = 0; k < side.halo; ++k) hyperplane(array, axis, end, k, transposed);
      }
    }
  }

  // The points at distance k + 1 outside one end of an axis.
  void hyperplane(int array, int axis, int end, int64_t k, bool transposed) {
    const Array& info = Op::arrays[array];
    const Side& side = info.side[axis][end];
    const int rank = info.core.rank;
    const int64_t n = extent(info.core.axes[axis], sizes_);
    if (n == 0) return;
    int64_t begin[max_rank], stop[max_rank], position[max_rank];
    for (int d = 0; d < rank; ++d) {  // axes before this one have their outside already
      begin[d] = d < axis ? -info.side[d][0].halo : 0;
      stop[d] = extent(info.core.axes[d], sizes_) + (d < axis ? info.side[d][1].halo : 0);
      position[d] = begin[d];
      if (d != axis && begin[d] >= stop[d]) return;
    }
    const int64_t outside = end == 0 ? -1 - k : n + k;
    const int64_t image = inside(info.side[axis], outside, n);
    const View& own = view[array];
    const View* const value = side.array >= 0 && view[side.array].data ? &view[side.array] : nullptr;
    for (;;) {
      position[axis] = outside;
      double* const there = own.at(position, rank);
      position[axis] = image;
      double* const source = image < 0 ? nullptr : own.at(position, rank);
      double* const boundary = value ? at_boundary(*value, array, axis, k, position) : nullptr;
      if (transposed) {
        if (source) *source += *there;
        if (boundary) *boundary += *there;
        *there = 0;
      } else {
        *there = (source ? *source : 0.0) + (boundary ? *boundary : 0.0);
      }
      int d = rank - 1;
      while (d >= 0 && (d == axis || ++position[d] == stop[d])) {
        if (d != axis) position[d] = begin[d];
        --d;
      }
      if (d < 0) return;
    }
  }

  // A boundary value stands at [distance, other axes...]. It may have room for the corners; where not, the nearest is taken.
  double* at_boundary(const View& value, int field, int axis, int64_t k, const int64_t* position) const {
    double* p = value.data + k * value.stride[0];
    const Core &core = Op::arrays[&value - view].core, &grid = Op::arrays[field].core;
    for (int d = 0, own = 1; d < grid.rank; ++d) {
      if (d == axis) continue;
      const bool corners = core.axes[own].offset > grid.axes[d].offset;
      const int64_t n = extent(core.axes[own], sizes_), at = position[d] + (corners ? Op::arrays[field].side[d][0].halo : 0);
      p += (at < 0 ? 0 : at >= n ? n - 1 : at) * value.stride[own++];
    }
    return p;
  }

  const int64_t* sizes_;
  std::unique_ptr<double[]> memory_[Op::array_count > 0 ? Op::array_count : 1];
  int64_t counts_[Op::array_count > 0 ? Op::array_count : 1] = {};
};

}  // namespace opgen::coupled
#endif
