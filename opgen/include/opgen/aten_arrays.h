// What the formulas of a coupled operator are written with in ATen, besides aten_functions.h: arrays that are read where loops
// stand, sums over loops, and what is outside a grid. Tensors are [systems, axes...], or [1, axes...] if all systems share them.
#ifndef OPGEN_ATEN_ARRAYS_H
#define OPGEN_ATEN_ARRAYS_H

#include "opgen/aten_functions.h"

namespace opgen::formula {

// Positions start <= index < stop. A formula in loops is a tensor [systems, a loop each], of length 1 along what it is not a
// function of.
struct Loop {
  int64_t start, stop;
};
using Loops = std::vector<Loop>;

// Numbers of each system, and which entry position 0 of each axis is: before it is what lies outside the grid.
struct Array {
  Array() = default;
  Array(const at::Tensor& values) : values(values), origin(values.dim() - 1) {}

  at::Tensor values;
  std::vector<int64_t> origin;
};

// Where an axis of an array is read: at index[loop] + shift, or at `shift` if loop is -1.
struct Position {
  int loop;
  int64_t shift = 0;
};

at::Tensor read(const Array& array, const Loops& loops, const std::vector<Position>& at = {});
at::Tensor index(const Loops& loops, int loop);

// A formula with all its entries, even if they are the same along a loop.
at::Tensor filled(const at::Tensor& value, const Loops& loops);

// The same summed over all loops but the first `rank`; and the product of some factors, which is never formed.
at::Tensor sum(const at::Tensor& value, const Loops& loops, int rank);
at::Tensor contract(const std::vector<at::Tensor>& factors, const Loops& loops, int rank);

// Zero where the condition does not hold, whatever the value is there.
at::Tensor only(const at::Tensor& condition, const at::Tensor& value);

// What an array is outside one end of an axis: a value, its mirror image about the outer face of the last point or about the
// point itself, plus a value, or the other end of a ring.
enum class Outside { none, dirichlet, face, node, periodic };

struct Side {
  Outside kind = Outside::none;
  int64_t halo = 0;        // how far outside it is read
  at::Tensor value = {};   // [systems, distance, other axes...]; undefined: zero
};

// The array with its outside along an axis. Axes are taken in order: those before have theirs.
Array extended(const Array& array, int axis, const Side& low, const Side& high);

}  // namespace opgen::formula

#endif
