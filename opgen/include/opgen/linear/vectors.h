// Operations on vectors of doubles, on one thread and on several.
//
// A sum over a long vector is one of sums over chunks, whose number follows from the length alone, so that it is the same
// under any number of threads.
#ifndef OPGEN_LINEAR_VECTORS_H
#define OPGEN_LINEAR_VECTORS_H

#include <opgen/linear/registers.h>
#include <opgen/parallel.h>

#include <algorithm>

namespace opgen::linear {

// sum x[i] y[i]; four sums at once hide the latency of the additions.
inline double dot(const double* x, const double* y, int64_t n) {
  double rest = 0;
  for (int64_t i = n / lanes * lanes; i < n; ++i) rest += x[i] * y[i];
  if (n < lanes) return rest;
  Vec s[4] = {};
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    for (int k = 0; k < 4; ++k) s[k] += load(x + i + k * lanes) * load(y + i + k * lanes);
  for (; i + lanes <= n; i += lanes) s[0] += load(x + i) * load(y + i);
  return sum((s[0] + s[1]) + (s[2] + s[3])) + rest;
}

// x^T y, x^T x and y^T y, while the vectors are in registers.
inline void inner_products(const double* x, const double* y, int64_t n, double& xy, double& xx, double& yy) {
  Vec s[2][3] = {};
  double rest[3] = {};
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes)
    for (int k = 0; k < 2; ++k) {
      const Vec a = load(x + i + k * lanes), b = load(y + i + k * lanes);
      s[k][0] += a * b, s[k][1] += a * a, s[k][2] += b * b;
    }
  for (; i < n; ++i) rest[0] += x[i] * y[i], rest[1] += x[i] * x[i], rest[2] += y[i] * y[i];
  xy = sum(s[0][0] + s[1][0]) + rest[0], xx = sum(s[0][1] + s[1][1]) + rest[1], yy = sum(s[0][2] + s[1][2]) + rest[2];
}

// y += a x
inline void axpy(double a, const double* x, double* y, int64_t n) {
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const Vec first = load(y + i) + a * load(x + i), second = load(y + i + lanes) + a * load(x + i + lanes);
    store(first, y + i);
    store(second, y + i + lanes);
  }
  for (; i + lanes <= n; i += lanes) store(load(y + i) + a * load(x + i), y + i);
  for (; i < n; ++i) y[i] += a * x[i];
}

// z = a x + y; z may be x or y.
inline void combine(double a, const double* x, const double* y, double* z, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(a * load(x + i) + load(y + i), z + i);
  for (; i < n; ++i) z[i] = a * x[i] + y[i];
}

// x /= a
inline void divide(double a, double* x, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(load(x + i) / a, x + i);
  for (; i < n; ++i) x[i] /= a;
}

// y[i] += |x[i]|
inline void add_moduli(const double* x, double* y, int64_t n) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) store(load(y + i) + absolute(load(x + i)), y + i);
  for (; i < n; ++i) y[i] += std::abs(x[i]);
}

// sum |x[i]|
inline double sum_of_moduli(const double* x, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; ++i) s += std::abs(x[i]);
  return s;
}

// max |x[i]|; NaN if there is one.
inline double largest_modulus(const double* x, int64_t n) {
  double m = 0;
  for (int64_t i = 0; i < n; ++i)
    if (!(std::abs(x[i]) <= m)) m = std::abs(x[i]);
  return m;
}

// [0, n) in at most 256 chunks of at least 8192 entries.
struct Chunks {
  static constexpr int64_t limit = 256, smallest = 8192, threaded = 50000;
  int64_t n, size, count;
  explicit Chunks(int64_t n) : n(n), size(std::max(smallest, ((n + limit - 1) / limit + lanes - 1) / lanes * lanes)),
                               count((n + size - 1) / size) {}

  // Calls body(chunk, begin, length) for every chunk.
  template <class Body>
  void each(int threads, Body&& body) const {
    parallel_for(count, n < threaded ? 1 : threads, [&](int64_t c) { body(c, c * size, std::min(size, n - c * size)); });
  }

  // The sum of what body(begin, length) returns for every chunk.
  template <class Body>
  double total(int threads, Body&& body) const {
    double part[limit], s = 0;
    each(threads, [&](int64_t c, int64_t begin, int64_t length) { part[c] = body(begin, length); });
    for (int64_t c = 0; c < count; ++c) s += part[c];
    return s;
  }
};

inline double dot(const double* x, const double* y, int64_t n, int threads) {
  return Chunks(n).total(threads, [&](int64_t i, int64_t length) { return dot(x + i, y + i, length); });
}

// x^T y, or zero where that is but rounding: its sign can be trusted.
inline double trusted_dot(const double* x, const double* y, int64_t n, int threads) {
  double xy[Chunks::limit], xx[Chunks::limit], yy[Chunks::limit], sum = 0, x_squares = 0, y_squares = 0;
  const Chunks chunks(n);
  chunks.each(threads, [&](int64_t c, int64_t i, int64_t length) {
    inner_products(x + i, y + i, length, xy[c], xx[c], yy[c]);
  });
  for (int64_t c = 0; c < chunks.count; ++c) sum += xy[c], x_squares += xx[c], y_squares += yy[c];
  return std::abs(sum) <= 1e-15 * std::sqrt(x_squares) * std::sqrt(y_squares) ? 0 : sum;
}

// |x| from the sum of squares s where that neither overflowed nor underflowed, else from the entries scaled by the largest.
inline double norm(double s, const double* x, int64_t n) {
  if (s > 1e-280 && s < 1e300) return std::sqrt(s);
  const double m = largest_modulus(x, n);
  if (!(m > 0 && m <= 1.7976931348623157e308)) return m;
  s = 0;
  for (int64_t i = 0; i < n; ++i) s += (x[i] / m) * (x[i] / m);
  return m * std::sqrt(s);
}

inline double norm(const double* x, int64_t n, int threads) { return norm(dot(x, x, n, threads), x, n); }

}  // namespace opgen::linear
#endif
