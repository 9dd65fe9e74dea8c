// What separable multigrid levels do along a row of points: red-black relaxation, residuals, restriction,
// interpolation.
//
// Relaxation works on every second point. Its vectors keep the even points of a row and the odd ones apart, each half
// contiguous: nothing is computed in vain, and a half's neighbours within the row are the other half's points of the
// same index and of the one before or behind. Right-hand sides and results have their points in order.
//
// Every function is compiled once and called from all places, so that a value is rounded alike wherever it is computed.
#ifndef OPGEN_LINEAR_MULTIGRID_ROWS_H
#define OPGEN_LINEAR_MULTIGRID_ROWS_H

#include <opgen/pack.h>

#include <cstdint>

#define OPGEN_ONCE __attribute__((noinline))

namespace opgen::linear::multigrid {

OPGEN_INLINE Vec load(const double* p) {
  Vec v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
OPGEN_INLINE void store(const Vec& v, double* p) { std::memcpy(p, &v, sizeof v); }

// Which of 2 * lanes points in order are the even (parity 0) or odd ones.
OPGEN_INLINE Bits every_other(int64_t parity) {
  Bits m;
  OPGEN_UNROLL for (int i = 0; i < lanes; ++i) m[i] = 2 * i + parity;
  return m;
}
OPGEN_INLINE Vec pick(const double* p, const Bits& which) { return __builtin_shuffle(load(p), load(p + lanes), which); }

// Stores 2 * lanes points in order, given the even and the odd ones.
OPGEN_INLINE void store_pairs(const Vec& even, const Vec& odd, double* p) {
  Bits low, high;
  OPGEN_UNROLL for (int i = 0; i < lanes; ++i) {
    low[i] = i / 2 + i % 2 * lanes;
    high[i] = low[i] + lanes / 2;
  }
  store(__builtin_shuffle(even, odd, low), p);
  store(__builtin_shuffle(even, odd, high), p + lanes);
}

// The sum over the neighbours of half a row of a separable operator,
//
//     scale (lower before + upper behind) + mass sum_q g_q row_q,
//
// in which lower, upper and mass belong to the last axis and all else is the same along the row. A uniform operator has
// lower = upper = mass = 1.
template <int rows, bool uniform>
struct Neighbours {
  const double *before, *behind;
  const double* row[4];
  double g[4], scale;
  const double *lower, *upper, *mass;

  OPGEN_INLINE Vec operator()(int64_t k) const {
    if constexpr (uniform) {
      Vec sum = scale * (load(before + k) + load(behind + k));
      OPGEN_UNROLL for (int q = 0; q < rows; q += 2) sum += g[q] * (load(row[q] + k) + load(row[q + 1] + k));
      return sum;
    } else {
      Vec sum = scale * (load(lower + k) * load(before + k) + load(upper + k) * load(behind + k));
      if constexpr (rows > 0) {
        Vec across = g[0] * load(row[0] + k);
        OPGEN_UNROLL for (int q = 1; q < rows; ++q) across += g[q] * load(row[q] + k);
        sum += load(mass + k) * across;
      }
      return sum;
    }
  }
};

// x = D^-1 b: relaxation from x = 0.
OPGEN_ONCE inline void relax_zero(const double* b, int64_t parity, const double* inverse, double* x, int64_t width) {
  const Bits which = every_other(parity);
  for (int64_t k = 0; k < width; k += lanes) store(load(inverse + k) * pick(b + 2 * k, which), x + k);
}

// x = D^-1 (b - neighbours).
template <class Sum>
OPGEN_ONCE void relax(
    const Sum& sum, const double* b, int64_t parity, const double* inverse, double* x, int64_t width) {
  const Bits which = every_other(parity);
  for (int64_t k = 0; k < width; k += lanes) store(load(inverse + k) * (pick(b + 2 * k, which) - sum(k)), x + k);
}

// The same into z, where the points are in order, together with the other half.
template <class Sum>
OPGEN_ONCE void relax_last(const Sum& sum, const double* b, int64_t parity, const double* inverse, const double* other,
                           double* z, int64_t width) {
  const Bits which = every_other(parity);
  if (parity == 0)
    for (int64_t k = 0; k < width; k += lanes)
      store_pairs(load(inverse + k) * (pick(b + 2 * k, which) - sum(k)), load(other + k), z + 2 * k);
  else
    for (int64_t k = 0; k < width; k += lanes)
      store_pairs(load(other + k), load(inverse + k) * (pick(b + 2 * k, which) - sum(k)), z + 2 * k);
}

OPGEN_ONCE inline void join(const double* even, const double* odd, double* z, int64_t width) {
  for (int64_t k = 0; k < width; k += lanes) store_pairs(load(even + k), load(odd + k), z + 2 * k);
}
OPGEN_ONCE inline void part(const double* z, int64_t parity, double* half, int64_t width) {
  const Bits which = every_other(parity);
  for (int64_t k = 0; k < width; k += lanes) store(pick(z + 2 * k, which), half + k);
}

// b - A x for the half that was relaxed first, from zero, the other one after it: b - D x is still zero.
template <class Sum>
OPGEN_ONCE void remainder_of_first(const Sum& sum, double* r, int64_t width) {
  for (int64_t k = 0; k < width; k += lanes) store(-sum(k), r + k);
}

// b - A x, with D^-1 = 0 beyond the row's end.
template <class Sum>
OPGEN_ONCE void remainder(const Sum& sum, const double* b, int64_t parity, const double* inverse, const double* x,
                          double* r, int64_t width) {
  const Bits which = every_other(parity);
  for (int64_t k = 0; k < width; k += lanes) {
    const Vec d = load(inverse + k);
    const Vec value = pick(b + 2 * k, which) - sum(k) - load(x + k) / d;
    store(d == 0.0 ? Vec{} : value, r + k);
  }
}

// out = sum of w_k rows_k.
OPGEN_ONCE inline void combine(int count, const double* const* rows, const double* w, double* out, int64_t width) {
  for (int64_t p = 0; p < width; p += lanes) {
    Vec sum = w[0] * load(rows[0] + p);
    for (int k = 1; k < count; ++k) sum += w[k] * load(rows[k] + p);
    store(sum, out + p);
  }
}

// Of the half of a row that holds the fine points: u_j = middle_j + left_j fine_j + right_j fine_(j+1), fine_j being
// the point left of coarse point j; middle_j = 0 if null.
OPGEN_ONCE inline void restrict_half(const double* middle, const double* fine, const double* left, const double* right,
                                     double* u, int64_t width) {
  if (middle)
    for (int64_t j = 0; j < width; j += lanes)
      store(load(middle + j) + load(left + j) * load(fine + j) + load(right + j) * load(fine + j + 1), u + j);
  else
    for (int64_t j = 0; j < width; j += lanes)
      store(load(left + j) * load(fine + j) + load(right + j) * load(fine + j + 1), u + j);
}

// The transpose, on fine points: fine_j += right_(j-1) e_(j-1) + left_j e_j.
OPGEN_ONCE inline void interpolate_half(const double* e, const double* left, const double* right, double* fine,
                                        int64_t width) {
  for (int64_t j = 0; j < width; j += lanes)
    store(load(fine + j) + load(right + j - 1) * load(e + j - 1) + load(left + j) * load(e + j), fine + j);
}
// The same from row to row: whole rows of weights and of values.
OPGEN_ONCE inline void restrict_half_across(const double* middle, const double* before, const double* behind,
                                            const double* left, const double* right, double* u, int64_t width) {
  for (int64_t j = 0; j < width; j += lanes)
    store(load(middle + j) + load(left + j) * load(before + j) + load(right + j) * load(behind + j), u + j);
}
OPGEN_ONCE inline void interpolate_half_across(const double* e, const double* w, const double* other,
                                               const double* other_w, double* fine, int64_t width) {
  for (int64_t j = 0; j < width; j += lanes) {
    Vec v = load(w + j) * load(e + j);
    if (other) v += load(other_w + j) * load(other + j);
    store(v, fine + j);
  }
}
OPGEN_ONCE inline void add(const double* e, double* x, int64_t width) {
  for (int64_t j = 0; j < width; j += lanes) store(load(x + j) + load(e + j), x + j);
}
OPGEN_ONCE inline void add_part(const double* e, int64_t parity, double* x, int64_t width) {
  const Bits which = every_other(parity);
  for (int64_t j = 0; j < width; j += lanes) store(load(x + j) + pick(e + 2 * j, which), x + j);
}

// D^-1 for D = mass t + last s + e, or e itself if `whole`, whose e is then what is left of D. True if all are finite.
OPGEN_ONCE inline bool invert_row(bool whole, const double* e, double t, const double* mass, double s,
                                  const double* last, double* excess, double* inverse, int64_t width) {
  Vec check{};
  for (int64_t p = 0; p < width; p += lanes) {
    const Vec of_axes = t * load(mass + p) + s * load(last + p);
    const Vec d = whole ? load(e + p) : of_axes + load(e + p);
    store(d - of_axes, excess + p);
    const Vec v = (Vec{} + 1.0) / d;
    check += v * 0.0;
    store(v, inverse + p);
  }
  double sum = 0.0;
  for (int l = 0; l < lanes; ++l) sum += check[l];
  return sum == 0.0;
}

}  // namespace opgen::linear::multigrid
#endif
