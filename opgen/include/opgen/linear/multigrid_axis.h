// One axis of a separable operator, and how it is coarsened.
//
// Along one axis the operator is a tridiagonal matrix T = tridiag(lower, diagonal, upper). Of two neighbours one is a
// coarse point, every second one from `first` on. A fine point f between two coarse ones takes their values with the
// weights for which (T u)_f = 0 holds:
//
//     u_f = plus u_(f+1) + minus u_(f-1),     plus = -upper_f / diagonal_f,   minus = -lower_f / diagonal_f
//
// which are 1/2 and 1/2 inside, and at an end 1/2 next to u = 0 outside (diagonal 2, one neighbour) or 1 next to a
// mirror (diagonal 1, one neighbour). With P the matrix of these weights, P^T T P is tridiagonal again: the Schur
// complement of T for the coarse points. The mass, by which the other axes' matrices are multiplied, becomes P^T mass.
#ifndef OPGEN_LINEAR_MULTIGRID_AXIS_H
#define OPGEN_LINEAR_MULTIGRID_AXIS_H

#include <opgen/linear/stencil.h>

#include <cmath>
#include <vector>

namespace opgen::linear::multigrid {

// The share of a neighbour's value that a fine point takes, for coefficients of -share * whole.
inline double weight(double coefficient, double whole) {
  const double w = -coefficient / whole;
  return w >= 0.0 ? std::min(w, 1.0) : 0.5;  // a wrong sign, or 0 / 0: plain interpolation
}

// Which points of an axis are coarse, and the points that a fine index takes its value from.
struct Coarsening {
  int64_t n = 1;
  bool ring = false;
  int first = 0;
  int64_t coarse = 0;  // how many; 0: the axis stays as it is

  struct Parents {
    int count = 0;
    int64_t index[2];  // on a ring not wrapped yet
    int side[2];       // +1: the point lies right of its parent, 0: is it, -1: left of it
  };

  // Of an odd number of points both ends are fine, on a ring both are coarse. Of an even number either end may be:
  // taking turns keeps the coarse points in the middle.
  static Coarsening of(int64_t n, bool ring, bool turn) {
    Coarsening c;
    c.n = n;
    c.ring = ring;
    c.first = n % 2 ? !ring : turn;
    c.coarse = n % 2 && ring ? (n + 1) / 2 : n / 2;
    return c;
  }

  // Coarse point f / 2, if so.
  bool is_coarse(int64_t f) const { return f % 2 == first && f / 2 < coarse; }

  Parents parents(int64_t i) const {
    const int64_t turns = ring ? (i - stencil::wrap(i, n)) / n : 0;
    if (ring) i = stencil::wrap(i, n);
    const int64_t base = turns * coarse;
    Parents found;
    if (i >= first && (i - first) % 2 == 0) {
      found.count = 1;
      found.index[0] = (i - first) / 2 + base;
      found.side[0] = 0;
      return found;
    }
    const int64_t left = (i - first + 1) / 2 - 1;
    for (const int64_t j : {left, left + 1})
      if (ring || (j >= 0 && j < coarse)) {
        found.index[found.count] = j + base;
        found.side[found.count++] = j == left ? 1 : -1;
      }
    return found;
  }
};

struct Axis {
  bool ring = false;
  std::vector<double> lower, diagonal, upper, mass;

  Coarsening to;
  // Of coarse point j, at j + 1: the weights with which the fine points left and right of it take its value. Before and
  // behind stand those of the other end on a ring, else zeros.
  std::vector<double> left, right;

  int64_t n() const { return static_cast<int64_t>(diagonal.size()); }

  // A ring of one point couples with itself.
  void fold() {
    if (!ring || n() > 1) return;
    diagonal[0] += lower[0] + upper[0];
    lower[0] = upper[0] = 0.0;
    ring = false;
  }

  // The coupling to neighbours in proportion to the mass: between axes of one level these compare.
  double strength() const {
    const size_t middle = diagonal.size() / 2;
    return std::abs(diagonal.size() > 1 ? lower[middle] : 0.0) / mass[middle];
  }

  void coarsen(bool turn) {
    to = Coarsening::of(n(), ring, turn);
    const int64_t m = to.coarse;
    left.assign(m + 2, 0.0);
    right.assign(m + 2, 0.0);
    for (int64_t f = 1 - to.first; f < n(); f += 2) {
      const Coarsening::Parents at = to.parents(f);
      for (int p = 0; p < at.count; ++p) {
        const int64_t j = stencil::wrap(at.index[p], m) + 1;
        if (at.side[p] > 0) right[j] = weight(lower[f], diagonal[f]);
        else left[j] = weight(upper[f], diagonal[f]);
      }
    }
    if (!ring || n() % 2) return;
    right[0] = right[m];
    left[m + 1] = left[1];
  }

  double weight_of(int64_t j, int side) const {
    const int64_t at = stencil::wrap(j, to.coarse) + 1;
    return side == 0 ? 1.0 : side > 0 ? right[at] : left[at];
  }

  // use(j, weight) for every coarse point that point i takes its value from.
  template <class Use>
  OPGEN_INLINE void each_parent(int64_t i, Use&& use) const {
    if (!to.coarse) return use(i, 1.0);
    const Coarsening::Parents at = to.parents(i);
    for (int p = 0; p < at.count; ++p) use(stencil::wrap(at.index[p], to.coarse), weight_of(at.index[p], at.side[p]));
  }

  // Next level's axis: P^T T P and P^T mass.
  void product(Axis& next) const {
    const int64_t m = to.coarse;
    next.ring = ring;
    for (std::vector<double>* v : {&next.lower, &next.diagonal, &next.upper, &next.mass}) v->assign(m, 0.0);
    for (int64_t i = 0; i < n(); ++i) {
      const Coarsening::Parents rows = to.parents(i);
      for (int p = 0; p < rows.count; ++p) {
        const double r = weight_of(rows.index[p], rows.side[p]);
        const int64_t row = stencil::wrap(rows.index[p], m);
        next.mass[row] += r * mass[i];
        for (int o = -1; o <= 1; ++o) {
          if (!ring && (i + o < 0 || i + o >= n())) continue;
          const double t = o < 0 ? lower[i] : o > 0 ? upper[i] : diagonal[i];
          const Coarsening::Parents columns = to.parents(i + o);
          for (int q = 0; q < columns.count; ++q) {
            const int64_t distance = columns.index[q] - rows.index[p];
            std::vector<double>& entry = distance < 0 ? next.lower : distance > 0 ? next.upper : next.diagonal;
            entry[row] += r * t * weight_of(columns.index[q], columns.side[q]);
          }
        }
      }
    }
    next.fold();
  }
};

}  // namespace opgen::linear::multigrid
#endif
