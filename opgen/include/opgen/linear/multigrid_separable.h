// Multigrid levels for a stencil that couples a point to its face neighbours with constants, whatever its diagonal.
//
// Such an operator is separable but for its diagonal (see multigrid_redblack.h), and with P = P_0 (x) P_1 (x) P_2 so is
// P^T A P if the masses P_a^T M_a P_a and P^T diag(e) P are lumped. So every level keeps two neighbours per axis. The
// way up begins with black: then the cycle is symmetric, and only red points need the correction.
#ifndef OPGEN_LINEAR_MULTIGRID_SEPARABLE_H
#define OPGEN_LINEAR_MULTIGRID_SEPARABLE_H

#include <opgen/linear/multigrid_redblack.h>
#include <opgen/linear/multigrid_sweep.h>

namespace opgen::linear::multigrid {

// The diagonal of the finest level: an array, if it varies, plus a number.
struct DiagonalOf {
  const double* data = nullptr;
  double more = 0.0;
  double operator()(int64_t p) const { return (data ? data[p] : 0.0) + more; }
  void copy(int64_t first, int64_t n, double* out) const {
    std::fill(out, out + n, more);
    if (!data) return;
#pragma omp simd
    for (int64_t p = 0; p < n; ++p) out[p] += data[first + p];
  }
};

class Separable : public RedBlack {
 public:
  // Chooses which axes become coarser, once they are set: those whose coupling is not much weaker than the strongest;
  // and takes its memory. False if none can.
  bool prepare(int threads, bool turn) {
    double strongest = 0.0;
    int64_t n[3], points = 1;
    bool ring[3], any = false;
    for (int a = 0; a < 3; ++a) {
      n[a] = axis[a].n();
      ring[a] = axis[a].ring;
      points *= n[a];
      if (n[a] > 1) strongest = std::max(strongest, axis[a].strength());
    }
    threads_ = points < few_points ? 1 : threads;
    take(workers(threads_));
    for (int a = 0; a < 3; ++a) {
      axis[a].to = Coarsening();
      if (n[a] == 1 || axis[a].strength() < 0.25 * strongest) continue;
      axis[a].coarsen(turn);
      any = true;
      n[a] = axis[a].to.coarse;
    }
    red_ = (axis[0].to.first + axis[1].to.first + axis[2].to.first) % 2;  // coarse points are red
    below_ = InOrder(n, ring, 1);
    if (axis[0].to.coarse) planes_ = below_.take(planes_memory_, at_.n[0] * below_.plane());
    workspace_ = 2 * order_.stride + at_.stride + (at_.n[1] + 1) * below_.stride + 4 * order_.margin;
    workspace_memory_.resize(workers(threads_) * workspace_);
    left_.assign(at_.count + 2 * lanes + 2, 0.0);
    right_ = left_;
    if (!axis[2].to.coarse) return any;
    std::copy(axis[2].left.begin(), axis[2].left.end(), left_.begin());
    std::copy(axis[2].right.begin(), axis[2].right.end(), right_.begin());
    return any;
  }

  void next(Separable& coarse) const {
    for (int a = 0; a < 3; ++a)
      if (axis[a].to.coarse) axis[a].product(coarse.axis[a]);
      else coarse.axis[a] = axis[a];
  }

  // Inverts the diagonal, and restricts e to the next level if there is one. The finest level is given the diagonal,
  // and has e from it. False if the diagonal has zeros or is not finite.
  bool invert(const DiagonalOf* diagonal, Separable* coarse) {
    std::vector<char> bad(workers(threads_), 0);
    std::vector<double> mass(order_.width, 0.0), last(order_.width, 1.0);
    std::copy(axis[2].mass.begin(), axis[2].mass.end(), mass.begin());
    std::copy(axis[2].diagonal.begin(), axis[2].diagonal.end(), last.begin());
    sweep(at_, 1, coarse ? 2 : 1, threads_, [&](int k, int64_t i, int worker) {
      if (k == 1) return restrict_planes(i, *coarse);
      const Workspace work = workspace(worker);
      for (int64_t j = 0; j < at_.n[1]; ++j) {
        const double m0 = axis[0].mass[i], m1 = axis[1].mass[j];
        double *row = work.row, *excess = work.row + order_.stride;
        if (diagonal) {
          std::fill(row + at_.n[2], row + order_.width, 1.0);
          diagonal->copy((i * at_.n[1] + j) * at_.n[2], at_.n[2], row);
        }
        if (!invert_row(diagonal != nullptr, diagonal ? row : b_ + order_.row(i, j),
                        axis[0].diagonal[i] * m1 + m0 * axis[1].diagonal[j], mass.data(), m0 * m1, last.data(), excess,
                        row, order_.width))
          bad[worker] = 1;
        std::fill(row + at_.n[2], row + order_.width, 0.0);
        std::fill(excess + at_.n[2], excess + order_.width, 0.0);
        for (const int parity : {0, 1}) {
          part(row, parity, inverse_ + at_.row(i, j) + parity * at_.half, at_.count);
          if (coarse) part(excess, parity, work.halves + parity * at_.half, at_.count);
        }
        if (coarse) restrict_row(work, 3, row_of(i, j, worker, *coarse));
      }
      if (coarse) restrict_rows(i, worker, *coarse);
    });
    return std::find(bad.begin(), bad.end(), 1) == bad.end();
  }

  // Smooths from zero and restricts what is left to the next level's right-hand side.
  void descend(Separable& coarse) {
    sweep(at_, 1, 4, threads_, [&](int k, int64_t i, int worker) {
      if (k == 0) start_plane(i);
      else if (k == 1) relax_plane(i, worker, 1, false);
      else if (k == 2) restrict_plane(i, worker, coarse);
      else restrict_planes(i, coarse);
    });
  }

  // Adds the next level's correction and smooths once more.
  void ascend(const Separable& coarse) {
    sweep(at_, 1, 3, threads_, [&](int k, int64_t i, int worker) {
      if (k == 0) interpolate_plane(i, worker, coarse);
      else relax_plane(i, worker, k == 1, k == 2);
    });
  }

 private:
  struct Workspace {
    double *row, *halves, *rows, *coarse;  // two rows in order, one in halves, a plane of coarse rows, and one more
  };
  Workspace workspace(int worker) const {
    Workspace w;
    w.row = workspace_memory_.get() + worker * workspace_;
    w.halves = w.row + 2 * order_.stride + order_.margin;
    w.rows = w.halves + at_.stride + order_.margin;
    w.coarse = w.rows + at_.n[1] * below_.stride + order_.margin;
    return w;
  }

  void restrict_plane(int64_t i, int worker, Separable& coarse) {
    const Workspace work = workspace(worker);
    const Coarsening& last = axis[2].to;
    for (int64_t j = 0; j < at_.n[1]; ++j) {
      double* u = row_of(i, j, worker, coarse);
      const int red = (i + j + red_) % 2;
      if (!clash_ && last.coarse && last.first == red) {  // just the coarse points
        residual(i, j, red, u, rounded(last.coarse, lanes));
      } else {
        for (const int parity : {0, 1})
          if (clash_ || parity == red) residual(i, j, parity, work.halves + parity * at_.half, at_.count);
        restrict_row(work, clash_ ? 3 : 1 << red, u);
      }
    }
    restrict_rows(i, worker, coarse);
  }

  // Of the workspace's halves those in `known` are not zero; the fine points are among them.
  void restrict_row(const Workspace& work, int known, double* u) const {
    const Coarsening& last = axis[2].to;
    const double* half[2] = {work.halves, work.halves + at_.half};
    if (!last.coarse) return join(known & 1 ? half[0] : zero_, known & 2 ? half[1] : zero_, u, at_.count);
    at_.wrap_row(work.halves);
    restrict_half(known & (1 << last.first) ? half[last.first] : nullptr, half[1 - last.first] - (1 - last.first),
                  &left_[1], &right_[1], u, rounded(last.coarse, lanes));
  }

  // Where row j of plane i, restricted along the row, goes on its way to the next level.
  double* row_of(int64_t i, int64_t j, int worker, Separable& coarse) {
    return (axis[1].to.coarse ? workspace(worker).rows : plane_of(i, coarse)) + j * below_.stride;
  }
  double* plane_of(int64_t i, Separable& coarse) {
    return axis[0].to.coarse ? planes_ + i * below_.plane() : coarse.b_ + i * below_.plane();
  }

  void restrict_rows(int64_t i, int worker, Separable& coarse) {
    for (int64_t j = 0; j < axis[1].to.coarse; ++j)
      restrict_across(axis[1], j, workspace(worker).rows, below_.stride, plane_of(i, coarse) + j * below_.stride,
                      below_.width);
  }
  // Along the planes, when the middle one of three comes up.
  void restrict_planes(int64_t i, Separable& coarse) {
    const Coarsening& to = axis[0].to;
    if (!to.is_coarse(i)) return;
    for (int64_t j = 0; j < below_.n[1]; ++j)
      restrict_across(axis[0], i / 2, planes_ + j * below_.stride, below_.plane(), coarse.b_ + below_.row(i / 2, j),
                      below_.width);
  }
  static void restrict_across(
      const Axis& axis, int64_t j, const double* u, int64_t stride, double* out, int64_t width) {
    const Coarsening& to = axis.to;
    const double* rows[3] = {u + (2 * j + to.first) * stride};
    double w[3] = {1.0};
    int count = 1;
    for (const int side : {-1, 1}) {
      const int64_t f = 2 * j + to.first + side;
      if (!to.ring && (f < 0 || f >= to.n)) continue;
      rows[count] = u + stencil::wrap(f, to.n) * stride;
      w[count++] = axis.weight_of(j, side);
    }
    combine(count, rows, w, out, width);
  }

  void interpolate_plane(int64_t i, int worker, const Separable& coarse) {
    double* scratch = workspace(worker).coarse;
    const Coarsening& last = axis[2].to;
    for (int64_t j = 0; j < at_.n[1]; ++j) {
      const double* rows[4];
      double w[4];
      int count = 0;
      axis[0].each_parent(i, [&](int64_t I, double w0) {
        axis[1].each_parent(j, [&](int64_t J, double w1) {
          rows[count] = coarse.z_ + below_.row(I, J);
          w[count++] = w0 * w1;
        });
      });
      if (count == 0) continue;
      const double* e = rows[0];
      if (count > 1 || w[0] != 1.0 || at_.ring[2]) {
        combine(count, rows, w, scratch, below_.width);
        below_.close_row(scratch);
        e = scratch;
      }
      double* x = x_ + at_.row(i, j);
      const int red = (i + j + red_) % 2, shift = 1 - last.first;
      for (const int parity : {0, 1}) {
        if (parity != red && !clash_) continue;
        double* half = x + parity * at_.half;
        if (!last.coarse) add_part(e, parity, half, at_.count);
        else if (parity == last.first) add(e, half, rounded(last.coarse, lanes));
        else interpolate_half(e + shift, &left_[1 + shift], &right_[1 + shift], half, at_.count);
      }
      at_.wrap_row(x);
    }
  }

  int threads_ = 1;
  InOrder below_;  // of the next level
  int64_t workspace_ = 0;
  std::vector<double> left_, right_;  // weights along the last axis, padded
  Buffer planes_memory_, workspace_memory_;
  double* planes_ = nullptr;
};

}  // namespace opgen::linear::multigrid
#endif
