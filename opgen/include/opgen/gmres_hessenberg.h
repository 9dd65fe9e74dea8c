// The least-squares problems of GMRES; gmres.h says what they are.
#ifndef OPGEN_GMRES_HESSENBERG_H
#define OPGEN_GMRES_HESSENBERG_H

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace opgen {
namespace detail {

// The least-squares problems of all systems: all that GMRES keeps besides vectors. Scalars, so they stay on the host.
struct Hessenberg {
  int64_t columns;                       // room per system
  std::vector<double> r, c, s, g;        // triangles by columns, rotations, rotated right-hand sides
  std::vector<int64_t> used;             // columns of each system
  std::vector<uint8_t> running, closed;  // still in this cycle; met a breakdown

  Hessenberg(int64_t systems, int64_t columns)
      : columns(columns), r(systems * columns * (columns + 1) / 2), c(systems * columns), s(systems * columns),
        g(systems * (columns + 1)), used(systems), running(systems), closed(systems) {}

  void start(int64_t i, bool run, double norm) {
    g[i * (columns + 1)] = norm;
    used[i] = closed[i] = 0;
    running[i] = run;
  }

  // Take column j of H, (h[0..j], next), of system i; `size` is its norm. Returns the new residual norm.
  double append(int64_t i, int64_t j, const double* h, double next, double size, double eps) {
    double *R = &r[(i * (columns + 1) * columns + j * (j + 1)) / 2], *C = &c[i * columns], *S = &s[i * columns];
    double* G = &g[i * (columns + 1)];
    if (next <= 8 * eps * size) next = 0, closed[i] = 1;
    std::copy(h, h + j + 1, R);
    for (int64_t k = 0; k < j; ++k) {
      const double above = C[k] * R[k] + S[k] * R[k + 1];
      R[k + 1] = C[k] * R[k + 1] - S[k] * R[k];
      R[k] = above;
    }
    // A closed space with a zero on the diagonal: B is singular there, and the column brings nothing.
    if (closed[i] && !(std::abs(R[j]) > 8 * eps * size)) return std::abs(G[j]);
    const double d = std::hypot(R[j], next);
    C[j] = R[j] / d;
    S[j] = next / d;
    R[j] = d;
    G[j + 1] = -S[j] * G[j];
    G[j] *= C[j];
    used[i] = j + 1;
    return std::abs(G[j + 1]);
  }

  // Solve R y = g of system i.
  void solve(int64_t i, double* y) const {
    const double* R = &r[i * (columns + 1) * columns / 2];
    for (int64_t k = used[i] - 1; k >= 0; --k) {
      double sum = g[i * (columns + 1) + k];
      for (int64_t l = k + 1; l < used[i]; ++l) sum -= R[l * (l + 1) / 2 + k] * y[l];
      y[k] = sum / R[k * (k + 1) / 2 + k];
    }
  }
};

}  // namespace detail
}  // namespace opgen

#endif
