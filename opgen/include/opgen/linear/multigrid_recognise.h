// Which matrices are separable but for their diagonal, and what happens at the ends of their axes.
//
// Coefficients that come as an array count as a constant, too, if they are the same wherever there is a neighbour. A
// stencil that couples each point to its face neighbours with one constant c_a per axis has T_a = tridiag(c_a, -2 c_a,
// c_a), unit masses, and e = what else the diagonal holds. At an end without a neighbour T_a has -(1 + share) c_a: the
// share of a missing neighbour that the diagonal holds for the whole side of the grid, 1 where u = 0 is prescribed
// outside, 0 where the normal derivative is.
#ifndef OPGEN_LINEAR_MULTIGRID_RECOGNISE_H
#define OPGEN_LINEAR_MULTIGRID_RECOGNISE_H

#include <opgen/linear/multigrid_separable.h>

namespace opgen::linear::multigrid {

class Recognised {
 public:
  // False if the matrix is of another kind.
  bool of(const StencilMatrix& A, Separable& fine, int threads) {
    const stencil::Rows rows(A.grid);
    double lower[3] = {0, 0, 0}, upper[3] = {0, 0, 0};
    diagonal = DiagonalOf();
    if (A.fields != 1) return false;
    for (const Coefficient& c : A.coefficients) {
      const stencil::Spread at(c, A.grid.rank);
      int axis = -1, apart = 0;
      bool inside = true;
      for (int a = 0; a < 3; ++a) {
        if (at.o[a] == 0 || (rows.ring[a] && at.o[a] % rows.n[a] == 0)) continue;
        inside = inside && (rows.ring[a] || std::abs(at.o[a]) < rows.n[a]);
        axis = a;
        ++apart;
      }
      if (!inside) continue;
      if (apart == 0) {
        if (!c.constant && diagonal.data) return false;
        if (c.constant) diagonal.more += *c.data;
        else diagonal.data = c.data;
      } else if (apart > 1 || std::abs(at.o[axis]) > 1 || !is_constant(rows, c, at, threads)) {
        return false;
      } else {
        (at.o[axis] < 0 ? lower : upper)[axis] += value(rows, c, at);
      }
    }
    for (int a = 0; a < 3; ++a) {
      if (lower[a] != upper[a] || !std::isfinite(lower[a])) return false;
      for (int b = 0; b < a; ++b)
        if (lower[a] * lower[b] < 0.0) return false;
      fine.couplings[a] = lower[a];
    }
    fine.uniform = true;
    for (int a = 0; a < 3; ++a) set_axis(rows, fine, a);
    return true;
  }

  DiagonalOf diagonal;

 private:
  // At the first point that has the neighbour.
  static double value(const stencil::Rows& rows, const Coefficient& c, const stencil::Spread& at) {
    if (c.constant) return *c.data;
    int64_t i[3];
    for (int a = 0; a < 3; ++a) i[a] = !rows.ring[a] && at.o[a] < 0 ? -at.o[a] : 0;
    return c.data[(i[0] * rows.n[1] + i[1]) * rows.n[2] + i[2]];
  }
  static bool is_constant(const stencil::Rows& rows, const Coefficient& c, const stencil::Spread& at, int threads) {
    if (c.constant) return true;
    const double v = value(rows, c, at);
    const int64_t low = rows.ring[2] ? 0 : std::max(0, -at.o[2]);
    const int64_t high = rows.n[2] - (rows.ring[2] ? 0 : std::max(0, at.o[2]));
    std::atomic<bool> differs{false};
    const int64_t tasks = std::clamp<int64_t>(rows.count() * rows.n[2] / 65536, 1, 64);
    parallel_for(tasks, threads, [&](int64_t task) {
      for (int64_t row = rows.count() * task / tasks; row < rows.count() * (task + 1) / tasks && !differs; ++row) {
        if (rows.shifted(row, at.o) < 0) continue;
        bool other = false;
#pragma omp simd reduction(| : other)
        for (int64_t x = low; x < high; ++x) other |= c.data[row * rows.n[2] + x] != v;
        if (other) differs = true;
      }
    });
    return !differs;
  }

  void set_axis(const stencil::Rows& rows, Separable& fine, int a) const {
    Axis& axis = fine.axis[a];
    const int64_t n = rows.n[a];
    const double c = fine.couplings[a];
    axis.ring = rows.ring[a] && n > 1;
    axis.lower.assign(n, c);
    axis.upper.assign(n, c);
    axis.diagonal.assign(n, -2.0 * c);
    axis.mass.assign(n, 1.0);
    if (axis.ring) return;
    axis.lower[0] = axis.upper[n - 1] = 0.0;
    if (c == 0.0) return;
    for (const int64_t end : {int64_t(0), n - 1}) axis.diagonal[end] += c * (1.0 - share(rows, fine, a, end));
  }

  // The least row sum on the side of the grid, in units of what a missing neighbour contributes.
  double share(const stencil::Rows& rows, const Separable& fine, int a, int64_t end) const {
    double least = 2.0;
    int64_t low[3] = {0, 0, 0}, high[3] = {rows.n[0], rows.n[1], rows.n[2]}, i[3];
    low[a] = end;
    high[a] = end + 1;
    for (i[0] = low[0]; i[0] < high[0]; ++i[0])
      for (i[1] = low[1]; i[1] < high[1]; ++i[1])
        for (i[2] = low[2]; i[2] < high[2]; ++i[2]) {
          double sum = diagonal((i[0] * rows.n[1] + i[1]) * rows.n[2] + i[2]);
          for (int b = 0; b < 3; ++b) {
            const int neighbours = rows.ring[b] ? 2 * (rows.n[b] > 1) : (i[b] > 0) + (i[b] + 1 < rows.n[b]);
            sum += neighbours * fine.couplings[b];
          }
          least = std::min(least, -sum / fine.couplings[a]);
        }
    return std::max(least, 0.0);
  }
};

}  // namespace opgen::linear::multigrid
#endif
