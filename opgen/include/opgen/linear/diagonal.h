// Diagonals of a matrix, read for several rows at once.
#ifndef OPGEN_LINEAR_DIAGONAL_H
#define OPGEN_LINEAR_DIAGONAL_H

#include <opgen/linear/registers.h>

namespace opgen::linear {

// The entries of a diagonal by row, or one number that all of them are.
struct Diagonal {
  const double* data = nullptr;
  double value = 0;
  Diagonal(const double* entries) : data(entries) {}
  Diagonal(double constant) : value(constant) {}
  double operator[](int64_t i) const { return data ? data[i] : value; }
};

using Block = Vec[lanes];

// The entries i of a vector with first <= i < last, which are entries i + shift of an array; `beyond` elsewhere.
struct Rows {
  Diagonal entries;
  int64_t shift, first, last;
  double beyond;

  double operator[](int64_t i) const { return i >= first && i < last ? entries[i + shift] : beyond; }

  // Entries row .. row + lanes - 1 for lane 0, as many from `stride` entries further for each next lane: lane l of block[k]
  // is entry row + l * stride + k. An array is read by rows and transposed in registers.
  OPGEN_INLINE void load(Block& block, int64_t row, int64_t stride) const {
    if (!entries.data && row >= first && row + (lanes - 1) * stride + lanes <= last) {
      for (int k = 0; k < lanes; ++k) block[k] = Vec{} + entries.value;
      return;
    }
#pragma GCC unroll 8
    for (int l = 0; l < lanes; ++l) {
      const int64_t i = row + l * stride;
      if (entries.data && i >= first && i + lanes <= last) block[l] = linear::load(entries.data + i + shift);
      else for (int k = 0; k < lanes; ++k) block[l][k] = (*this)[i + k];
    }
    transpose<double, lanes>(block);
  }
};

}  // namespace opgen::linear
#endif
