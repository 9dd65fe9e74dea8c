// NumPy's broadcasting rule: shapes to strides.
#ifndef OPGEN_BROADCAST_H
#define OPGEN_BROADCAST_H

#include <opgen/abi.h>

#include <string>
#include <vector>

namespace opgen {

using Shape = std::vector<int64_t>;

inline std::string text(const Shape& shape) {
  std::string s = "[";
  for (size_t d = 0; d < shape.size(); ++d) s += (d ? ", " : "") + std::to_string(shape[d]);
  return s + "]";
}

// Widens `to` so that `shape` fits it; false if they do not agree.
inline bool broadcast(Shape& to, const Shape& shape) {
  if (shape.size() > to.size()) to.insert(to.begin(), shape.size() - to.size(), 1);
  for (size_t d = 0; d < shape.size(); ++d) {
    int64_t& wide = to[to.size() - shape.size() + d];
    if (wide == shape[d] || shape[d] == 1) continue;
    if (wide != 1) return false;
    wide = shape[d];
  }
  return true;
}

inline int64_t count(const Shape& shape) {
  int64_t n = 1;
  for (int64_t extent : shape) n *= extent;
  return n;
}

// Strides, in elements, with which a contiguous array of `shape` is seen at the points of `to`.
inline Shape strides(const Shape& shape, const Shape& to) {
  Shape s(to.size(), 0);
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] != 1) s[to.size() - shape.size() + d] = step;
    step *= shape[d];
  }
  return s;
}

}  // namespace opgen
#endif
