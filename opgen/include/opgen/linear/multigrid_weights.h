// How a fine point shares between the coarse points left and right of it, from the coefficients of the operator.
//
// Take the sums of the coefficients at offsets before, at and behind a point along the axis, across all other axes:
// c_-, c_0, c_+. What varies along the axis only is left alone by A where c_- u_(f-1) + c_0 u_f + c_+ u_(f+1) = 0, so a
// fine point f between two coarse ones takes
//
//     u_f = plus u_(f+1) + minus u_(f-1),     plus = -c_+ / c_0,  minus = -c_- / c_0,
//
// which follows jumps of the coefficients and falls off next to a boundary value. P has these weights of the symmetric
// part of A, and R those of A^T: a residual goes where the wind of an upwind difference carries it, and R A P keeps
// being upwind. (With one-sided weights in both, R A P becomes unstable where the wind is not along an axis.) If A is
// symmetric R = P^T.
#ifndef OPGEN_LINEAR_MULTIGRID_WEIGHTS_H
#define OPGEN_LINEAR_MULTIGRID_WEIGHTS_H

#include <opgen/linear/multigrid_axis.h>
#include <opgen/linear/multigrid_operator.h>

namespace opgen::linear::multigrid {

// Of every coarse point along an axis the weights P_-1 and P_+1 with which the fine points before and behind it take
// its value, and R_-1 and R_+1 with which it takes their residuals.
class Weights {
 public:
  Coarsening to;
  int axis = 0;
  InHalves at;    // the grid that is coarse along the axis
  InOrder order;  // along the last axis the weights lie in order

  // Side s, of P or of R, of a field at a row; null outside the grid.
  const double* row(bool of_residual, int s, int field, int64_t i, int64_t j, int o0 = 0, int o1 = 0) const {
    const double* base = memory_of(of_residual, s, field);
    return axis == 2 ? order.at(base, i, j, o0, o1) : at.at(base, i, j, o0, o1);
  }

  void set(const Operator& A, int along, bool turn, int threads) {
    axis = along;
    fields_ = A.fields;
    symmetric_ = A.symmetric;
    to = Coarsening::of(A.at.n[axis], A.at.ring[axis], turn);
    int64_t n[3] = {A.at.n[0], A.at.n[1], A.at.n[2]};
    n[axis] = to.coarse;
    at = InHalves(n, A.at.ring, A.at.reach);
    order = InOrder(n, A.at.ring, A.at.reach);
    const Layout& rows = axis == 2 ? static_cast<const Layout&>(order) : at;
    distance_ = rows.field() + skew(rows.field());
    base_ = rows.take(memory_, (symmetric_ ? 2 : 4) * fields_ * distance_);
    parallel_for(A.at.n[0], threads, [&](int64_t i) {
      if (axis == 0 && to.is_coarse(i)) return;
      std::vector<double> sums(3 * A.at.length());
      for (int64_t j = 0; j < A.at.n[1]; ++j)
        for (int field = 0; field < fields_; ++field)
          for (const bool of_residual : {false, true}) {
            if ((of_residual && symmetric_) || (axis == 1 && to.is_coarse(j))) continue;
            find_shares(A, i, j, field, of_residual, sums.data());
            if (axis == 2) set_row(A, i, j, field, of_residual, sums.data());
            else set_rows(A, i, j, field, of_residual, sums.data());
          }
    });
  }

 private:
  double* memory_of(bool of_residual, int s, int field) const {
    return base_ + (((of_residual && !symmetric_ ? 2 : 0) + (s > 0)) * fields_ + field) * distance_;
  }

  // Along a row.
  void set_row(const Operator& A, int64_t i, int64_t j, int field, bool of_residual, const double* shares) {
    double* rows[2];
    for (const int s : {-1, 1}) rows[s > 0] = memory_of(of_residual, s, field) + order.row(i, j);
    for (int64_t f = 1 - to.first; f < to.n; f += 2) {
      const Coarsening::Parents parents = to.parents(f);
      for (int p = 0; p < parents.count; ++p) {
        const bool right = parents.side[p] > 0;
        const double share = shares[(right ? A.at.length() : 0) + A.at.index(f)];
        rows[right][stencil::wrap(parents.index[p], to.coarse)] = share;
      }
    }
    for (double* row : rows) order.wrap_row(row);
    // On a ring of an odd number of points the ends are neighbours and both coarse: P_-1 of the first point, seen from
    // the last, and P_+1 of the last, seen from the first, are 1.
    if (to.ring && to.n % 2) rows[0][to.coarse] = rows[1][-1] = 1.0;
  }

  // From a row of fine points to the weights of those before and behind it.
  void set_rows(const Operator& A, int64_t i, int64_t j, int field, bool of_residual, const double* shares) {
    const Coarsening::Parents parents = to.parents(axis == 0 ? i : j);
    for (int p = 0; p < parents.count; ++p) {
      const int side = parents.side[p];
      const int64_t J = stencil::wrap(parents.index[p], to.coarse);
      const double* share = shares + (side > 0 ? A.at.length() : 0);
      double* row = memory_of(of_residual, side, field) + (axis == 0 ? at.row(J, j) : at.row(i, J));
      for (const int parity : {0, 1})
        for (int64_t k = 0; 2 * k + parity < at.n[2]; ++k) row[parity * at.half + k] = share[parity * at.half + k];
      at.wrap_row(row);
    }
  }

  // plus and minus of a row of points, one after the other: of A^T for R, else of A + A^T.
  void find_shares(const Operator& A, int64_t i, int64_t j, int field, bool of_residual, double* sums) const {
    const int64_t length = A.at.length();
    double *plus = sums, *minus = plus + length, *whole = minus + length;
    std::fill_n(sums, 3 * length, 0.0);
    for (size_t e = 0; e < A.entries.size(); ++e) {
      const Entry& entry = A.entries[e];
      if (entry.row != field || entry.column != field) continue;
      const int along = entry.o[axis];
      for (const int parity : {0, 1}) {
        const auto add = [&](const double* c, double* sum) {
          if (!c) return;
          sum += parity * A.at.half;
#pragma omp simd
          for (int64_t k = 0; k < A.at.count; ++k) sum[k] += c[k];
        };
        if (!of_residual) add(A.half(e, i, j, parity), along > 0 ? plus : along < 0 ? minus : whole);
        if (symmetric_) continue;
        const double* there = A.at.at(A.of(e), i, j, -entry.o[0], -entry.o[1]);
        if (there) add(there + A.at.shift(parity, -entry.o[2]), along < 0 ? plus : along > 0 ? minus : whole);
      }
    }
#pragma omp simd
    for (int64_t k = 0; k < length; ++k) {
      plus[k] = weight(plus[k], whole[k]);
      minus[k] = weight(minus[k], whole[k]);
    }
  }

  Buffer memory_;
  double* base_ = nullptr;
  int64_t distance_ = 0;
  int fields_ = 1;
  bool symmetric_ = false;
};

}  // namespace opgen::linear::multigrid
#endif
