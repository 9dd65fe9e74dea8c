// The two halves of GMRES: the basis of the Krylov space, and the small least-squares problem in it.
#ifndef OPGEN_LINEAR_ARNOLDI_H
#define OPGEN_LINEAR_ARNOLDI_H

#include <opgen/linear/vectors.h>

#include <limits>

namespace opgen::linear {

// The smallest |g_0 e_1 - H y|, H being a Hessenberg matrix that grows by columns. Givens rotations (c, s) make it a
// triangle, kept by columns; the last entry of the rotated right-hand side g is the norm of the residual.
struct LeastSquares {
  double *triangle, *c, *s, *g;
  int64_t used = 0;
  bool closed = false;  // a column brought nothing new

  void start(double norm) {
    used = 0;
    closed = false;
    g[0] = norm;
  }

  // Take column `used` of H: the components h in the basis, and `next` of what remained of a vector of norm `size`. Returns
  // the new norm of the residual.
  double append(const double* h, double next, double size) {
    constexpr double eps = 8 * std::numeric_limits<double>::epsilon();
    const int64_t j = used;
    double* r = triangle + j * (j + 1) / 2;
    if (next <= eps * size) next = 0, closed = true;
    std::copy(h, h + j + 1, r);
    for (int64_t k = 0; k < j; ++k) {
      const double above = c[k] * r[k] + s[k] * r[k + 1];
      r[k + 1] = c[k] * r[k + 1] - s[k] * r[k];
      r[k] = above;
    }
    // A closed space with a zero on the diagonal: the matrix is singular there, and the column is left out.
    if (closed && !(std::abs(r[j]) > eps * size)) return std::abs(g[j]);
    const double d = std::hypot(r[j], next);
    c[j] = r[j] / d;
    s[j] = next / d;
    r[j] = d;
    g[j + 1] = -s[j] * g[j];
    g[j] *= c[j];
    return std::abs(g[++used]);
  }

  // The first `used` entries of g become y.
  void solve() {
    for (int64_t k = used - 1; k >= 0; --k) {
      for (int64_t l = k + 1; l < used; ++l) g[k] -= triangle[l * (l + 1) / 2 + k] * g[l];
      g[k] /= triangle[k * (k + 1) / 2 + k];
    }
  }
};

// The orthonormal columns V, `stride` entries apart, and passes over them.
struct Basis {
  double* v;
  int64_t stride;
  double* parts;  // room for the sums of every chunk
  Chunks chunks;
  int threads;

  // w -= V h, if h is given; then t = V^T w, if t is given. Returns |w|^2. The vectors are worked through in pieces that
  // stay in the cache, so that V is read once for both.
  double pass(int64_t columns, double* w, const double* h, double* t) const {
    constexpr int64_t piece = 512;
    const int64_t entries = columns + 1;
    chunks.each(threads, [&](int64_t chunk, int64_t begin, int64_t length) {
      double* part = parts + chunk * entries;
      std::fill(part, part + entries, 0.0);
      for (int64_t at = begin; at < begin + length; at += piece) {
        const int64_t count = std::min(piece, begin + length - at);
        for (int64_t j = 0; h && j < columns; ++j) axpy(-h[j], v + j * stride + at, w + at, count);
        for (int64_t j = 0; t && j < columns; ++j) part[j] += dot(v + j * stride + at, w + at, count);
        part[columns] += dot(w + at, w + at, count);
      }
    });
    double squares = 0;
    if (t) std::fill(t, t + columns, 0.0);
    for (int64_t chunk = 0; chunk < chunks.count; ++chunk) {
      for (int64_t j = 0; t && j < columns; ++j) t[j] += parts[chunk * entries + j];
      squares += parts[chunk * entries + columns];
    }
    return squares;
  }

  // w = V y
  void combine(int64_t columns, const double* y, double* w) const {
    chunks.each(threads, [&](int64_t, int64_t begin, int64_t length) {
      std::fill(w + begin, w + begin + length, 0.0);
      for (int64_t j = 0; j < columns; ++j) axpy(y[j], v + j * stride + begin, w + begin, length);
    });
  }
};

}  // namespace opgen::linear
#endif
