// NumPy's broadcasting rule: shapes to strides.
#ifndef OPGEN_BROADCAST_H
#define OPGEN_BROADCAST_H

#include <opgen/abi.h>

#include <string>
#include <vector>

namespace opgen {

using Shape = std::vector<int64_t>;

constexpr int64_t unknown_extent = -1;  // while a graph is made, before there are tensors

inline std::string text(const Shape& shape) {
  std::string s = "[";
  for (size_t d = 0; d < shape.size(); ++d) {
    s += (d ? ", " : "") + (shape[d] == unknown_extent ? "?" : std::to_string(shape[d]));
  }
  return s + "]";
}

// Widens `to` so that the first `rank` axes of `shape` fit it; false, with nothing changed, if they do not agree.
inline bool broadcast(Shape& to, const Shape& shape, size_t rank) {
  const size_t common = rank < to.size() ? rank : to.size();
  for (size_t d = 1; d <= common; ++d) {
    const int64_t wide = to[to.size() - d], own = shape[rank - d];
    if (wide != own && own != 1 && wide != 1) return false;
  }
  if (rank > to.size()) to.insert(to.begin(), rank - to.size(), 1);
  for (size_t d = 1; d <= rank; ++d) {
    if (shape[rank - d] != 1) to[to.size() - d] = shape[rank - d];
  }
  return true;
}

// Whether the first `rank` axes of `shape` broadcast to `to` as it is.
inline bool fits(const Shape& to, const Shape& shape, size_t rank) {
  if (rank > to.size()) return false;
  for (size_t d = 1; d <= rank; ++d) {
    if (shape[rank - d] != 1 && shape[rank - d] != to[to.size() - d]) return false;
  }
  return true;
}

inline int64_t count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

// Strides, in elements, with which a contiguous array of `shape` is seen at the points of `to`; its last `core` axes are its
// own, and do not broadcast.
inline Shape strides(const Shape& shape, const Shape& to, size_t core = 0) {
  Shape s(to.size() + core, 0);
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1 || d + core >= shape.size()) s[s.size() - shape.size() + d] = step;
    step *= shape[d];
  }
  return s;
}

}  // namespace opgen
#endif
