// Sums and maxima whose result does not depend on who computes them.
#ifndef OPGEN_COUPLED_REDUCE_H
#define OPGEN_COUPLED_REDUCE_H

#include <stdint.h>

namespace opgen::coupled {

inline double sum(const double* v, int64_t n) {
  double partial[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) partial[j] += v[i + j];
  }
  for (; i < n; ++i) partial[i % 8] += v[i];
  return ((partial[0] + partial[1]) + (partial[2] + partial[3])) + ((partial[4] + partial[5]) + (partial[6] + partial[7]));
}

// The largest of n values value(i) >= 0; NaN if any is not finite.
template <class Value>
double largest(int64_t n, Value&& value) {
  constexpr int many = 16;
  double most[many] = {}, nothing[many] = {};
  int64_t i = 0;
  for (; i + many <= n; i += many) {
    for (int j = 0; j < many; ++j) {
      const double v = value(i + j);
      most[j] = v > most[j] ? v : most[j];
      nothing[j] += v - v;
    }
  }
  for (; i < n; ++i) {
    const double v = value(i);
    most[0] = v > most[0] ? v : most[0];
    nothing[0] += v - v;
  }
  double all = 0;
  for (int j = 0; j < many; ++j) all = (most[j] > all ? most[j] : all) + nothing[j];
  return all;
}

// How large F is: point by point in units of the size of its terms there, and the largest |F| of an equation in units of the
// largest size in it. NaN if F is not finite. They differ where the terms themselves are as small as rounding elsewhere.
struct Ratio {
  double point = 0, field = 0;
  bool finite() const { return point - point == 0; }
};

}  // namespace opgen::coupled
#endif
