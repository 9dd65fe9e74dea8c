// The core axes of an operator's operands: what an operand of a coupled operator has behind its batch axes.
#ifndef OPGEN_SIGNATURE_H
#define OPGEN_SIGNATURE_H

#include <stdint.h>

namespace opgen {

constexpr int max_core_rank = 4;

// An axis of extent sizes[dimension] + offset, or of the fixed extent `offset` if dimension is -1.
struct Axis {
  int dimension;
  int64_t offset;
};

struct Core {
  int rank;
  Axis axes[max_core_rank];
};

inline int64_t extent(const Axis& axis, const int64_t* sizes) {
  return axis.dimension < 0 ? axis.offset : sizes[axis.dimension] + axis.offset;
}

inline int64_t count(const Core& core, const int64_t* sizes) {
  int64_t n = 1;
  for (int d = 0; d < core.rank; ++d) n *= extent(core.axes[d], sizes);
  return n;
}

}  // namespace opgen
#endif
