// A multigrid level in general: the operator of the next level is the product R A P of this one's.
#ifndef OPGEN_LINEAR_MULTIGRID_GENERAL_H
#define OPGEN_LINEAR_MULTIGRID_GENERAL_H

#include <opgen/linear/multigrid_product.h>
#include <opgen/linear/multigrid_relaxation.h>
#include <opgen/linear/multigrid_strength.h>
#include <opgen/linear/multigrid_sweep.h>

#include <deque>

namespace opgen::linear::multigrid {

class General {
 public:
  Relaxation smooth;
  double* result = nullptr;  // of the caller, on the finest level

  Operator& matrix() { return smooth.A; }
  int64_t unknowns() const { return smooth.A.fields * smooth.A.at.points(); }
  void set_rhs(const double* r) { smooth.rhs = r; }

  // Chooses the axes that become coarser, and makes the next level's operator. False if no axis can.
  bool coarsen(General& coarse, bool turn, int threads) {
    choose_axes(smooth.A, coarser_);
    Operator* from = &smooth.A;
    int used = 0;
    for (int a = 2; a >= 0; --a) {
      if (!coarser_[a]) continue;
      const bool last = std::none_of(coarser_, coarser_ + a, [](bool more) { return more; });
      Operator* to = last ? &coarse.smooth.A : &between_[used++];
      weights_[a].set(*from, a, turn, threads);
      Product().set(*from, weights_[a], *to, threads);
      from = to;
    }
    below_ = from->at;
    return from != &smooth.A;
  }

  // Takes its memory, being the last level or not. False if the block of a point is singular.
  bool prepare(bool last, int threads) {
    if (last) std::fill_n(coarser_, 3, false);
    const InHalves& at = smooth.A.at;
    threads_ = at.points() < few_points ? 1 : threads;
    int first[3];
    for (int a = 0; a < 3; ++a) first[a] = coarser_[a] ? weights_[a].to.first : 0;
    if (!smooth.set(first, threads_, workers(threads_))) return false;
    workspaces_.resize(workers(threads_));
    for (size_t w = 0; w < workspaces_.size(); ++w) {
      Workspace& work = workspaces_[w];
      smooth.prepare(work.relax, static_cast<int>(w));
      const int64_t row = at.stride + 2 * lanes + 2 * at.margin;
      work.halves = work.memory.resize(3 * row + at.n[1] * at.stride + at.margin) + at.margin;
      work.order = work.halves + row;
      work.row = work.order + row;
      work.rows = work.row + row;
    }
    if (coarser_[0]) planes_ = below_.take(planes_memory_, smooth.A.fields * at.n[0] * below_.plane());
    return true;
  }

  void descend(General& coarse) {
    const int relaxing = smooth.steps();
    const InHalves& at = smooth.A.at;
    sweep(at, smooth.reach(), relaxing + 3, threads_, [&](int k, int64_t i, int worker) {
      Workspace& w = workspaces_[worker];
      if (k == 0) smooth.start_plane(i, w.relax);
      else if (k <= relaxing) smooth.relax_plane(k - 1, i, false, w.relax);
      else if (k == relaxing + 1) restrict_plane(i, w, coarse);
      else restrict_planes(i, coarse);
    });
  }

  void ascend(General& coarse) {
    const int relaxing = smooth.steps();
    const InHalves& at = smooth.A.at;
    sweep(at, smooth.reach(), relaxing + 1, threads_, [&](int k, int64_t i, int worker) {
      Workspace& w = workspaces_[worker];
      if (k == 0) return interpolate_plane(i, w, coarse);
      smooth.relax_plane(k - 1, i, true, w.relax);
      if (k == relaxing) finish_plane(i, w);
    });
  }

  // A level that is neither small nor can be coarsened: its points hardly couple.
  void relax_only() {
    const int64_t planes = smooth.A.at.n[0];
    Workspace& w = workspaces_[0];
    for (int64_t i = 0; i < planes; ++i) smooth.start_plane(i, w.relax);
    for (int turn = 0; turn < 8; ++turn)
      for (int k = 0; k < smooth.steps(); ++k)
        for (int64_t p = -1; p < planes - 1; ++p) smooth.relax_plane(k, p < 0 ? planes - 1 : p, turn % 2 == 1, w.relax);
    for (int64_t i = 0; i < planes; ++i) finish_plane(i, w);
  }

  // The coarsest level as a dense matrix, its right-hand side and its solution.
  void assemble(double* dense) const { smooth.A.assemble(dense); }
  void gather(double* v) const {
    const InHalves& at = smooth.A.at;
    for (int f = 0; f < smooth.A.fields; ++f, v += at.points())
      at.each_point([&](int64_t p, const int64_t (&i)[3]) {
        v[p] = smooth.rhs ? smooth.rhs[f * at.points() + p] : smooth.b(f)[at.row(i[0], i[1]) + at.index(i[2])];
      });
  }
  void scatter(const double* v) {
    const InHalves& at = smooth.A.at;
    for (int f = 0; f < smooth.A.fields; ++f, v += at.points()) {
      at.each_point([&](int64_t p, const int64_t (&i)[3]) { smooth.x(f)[at.row(i[0], i[1]) + at.index(i[2])] = v[p]; });
      for (int64_t row = 0; row < at.n[0] * at.n[1]; ++row) at.wrap_row(smooth.x(f) + row * at.stride);
    }
    for (int64_t i = 0; i < at.n[0]; ++i) finish_plane(i, workspaces_[0]);
  }

 private:
  struct Workspace {
    Relaxation::Workspace relax;
    Buffer memory;
    double *halves, *order, *row, *rows;  // a row in halves, one in order, one more, a plane of rows
  };

  void finish_plane(int64_t i, Workspace& w) {
    const InHalves& at = smooth.A.at;
    if (!result) return;
    const bool direct = at.n[2] == 2 * at.count;
    for (int f = 0; f < smooth.A.fields; ++f)
      for (int64_t j = 0; j < at.n[1]; ++j) {
        const double* x = smooth.x(f) + at.row(i, j);
        double* to = result + f * at.points() + (i * at.n[1] + j) * at.n[2];
        join(x, x + at.half, direct ? to : w.order, at.count);
        if (!direct) std::memcpy(to, w.order, at.n[2] * sizeof(double));
      }
  }

  // Row J along axis 0 or 1 from the middle one of three fine rows and its two neighbours; its weights are at (i, j).
  void restrict_across(int axis, int field, int64_t i, int64_t j, const double* u, int64_t stride, double* out) const {
    const Coarsening& to = weights_[axis].to;
    const int64_t J = axis == 0 ? i : j;
    const double* middle = u + (2 * J + to.first) * stride;
    const double *row[2], *w[2];
    for (const int s : {-1, 1}) {
      const int64_t f = 2 * J + to.first + s;
      const bool outside = !to.ring && (f < 0 || f >= to.n);
      row[s > 0] = outside ? middle : u + stencil::wrap(f, to.n) * stride;  // the weight is zero there
      w[s > 0] = weights_[axis].row(true, s, field, i, j);
    }
    restrict_half_across(middle, row[0], row[1], w[0], w[1], out, below_.count);
    restrict_half_across(middle + below_.half, row[0] + below_.half, row[1] + below_.half, w[0] + below_.half,
                         w[1] + below_.half, out + below_.half, below_.count);
  }

  void restrict_plane(int64_t i, Workspace& work, General& coarse) {
    const InHalves& at = smooth.A.at;
    const Coarsening& last = weights_[2].to;
    const InOrder& order = weights_[2].order;
    for (int f = 0; f < smooth.A.fields; ++f) {
      double* out = coarser_[0] ? planes_ + (f * at.n[0] + i) * below_.plane() : coarse.smooth.b(f) + below_.row(i, 0);
      for (int64_t j = 0; j < at.n[1]; ++j) {
        double* u = (coarser_[1] ? work.rows : out) + j * below_.stride;
        double* r = coarser_[2] ? work.halves : u;
        for (const int parity : {0, 1}) smooth.residual_half(f, i, j, parity, r + parity * at.half, work.relax);
        if (!coarser_[2]) continue;
        at.wrap_row(r);
        restrict_half(r + last.first * at.half, r + (1 - last.first) * (at.half - 1),
                      weights_[2].row(true, -1, f, i, j), weights_[2].row(true, 1, f, i, j), work.order, order.width);
        order.close_row(work.order);
        for (const int parity : {0, 1}) part(work.order, parity, u + parity * below_.half, below_.count);
      }
      for (int64_t j = 0; coarser_[1] && j < below_.n[1]; ++j)
        restrict_across(1, f, i, j, work.rows, below_.stride, out + j * below_.stride);
    }
  }
  void restrict_planes(int64_t i, General& coarse) {
    const int64_t I = i / 2;
    if (!coarser_[0] || !weights_[0].to.is_coarse(i)) return;
    for (int f = 0; f < smooth.A.fields; ++f)
      for (int64_t j = 0; j < below_.n[1]; ++j)
        restrict_across(0, f, I, j, planes_ + f * smooth.A.at.n[0] * below_.plane() + j * below_.stride, below_.plane(),
                        coarse.smooth.b(f) + below_.row(I, j));
  }

  // A row of the grid that is fine along axis 0 or 1, from rows that lie `stride` apart along it.
  const double* interpolate_across(int axis, int field, int64_t i, int64_t j, const double* e, int64_t stride,
                                   double* out) const {
    const Coarsening& to = weights_[axis].to;
    const Coarsening::Parents at = to.parents(axis == 0 ? i : j);
    const double *row[2] = {e, e}, *w[2] = {nullptr, nullptr};
    for (int p = 0; p < at.count; ++p) {
      const int64_t J = stencil::wrap(at.index[p], to.coarse);
      row[p] = e + J * stride;
      if (at.side[p] == 0) return row[p];
      w[p] = weights_[axis].row(false, at.side[p], field, axis == 0 ? J : i, axis == 1 ? J : j);
    }
    for (const int parity : {0, 1}) {
      const int64_t from = parity * below_.half;
      interpolate_half_across(row[0] + from, w[0] + from, at.count > 1 ? row[1] + from : nullptr,
                              at.count > 1 ? w[1] + from : nullptr, out + from, below_.count);
    }
    return out;
  }

  void interpolate_plane(int64_t i, Workspace& work, General& coarse) {
    const InHalves& at = smooth.A.at;
    for (int f = 0; f < smooth.A.fields; ++f) {
      const double* plane = coarse.smooth.x(f) + (coarser_[0] ? 0 : below_.row(i, 0));
      const bool whole = coarser_[0] && coarser_[1];
      for (int64_t j = 0; whole && j < below_.n[1]; ++j) {
        double* to = work.rows + j * below_.stride;
        const double* row = interpolate_across(0, f, i, j, plane + j * below_.stride, below_.plane(), to);
        if (row != to) std::memcpy(to, row, below_.length() * sizeof(double));
      }
      for (int64_t j = 0; j < at.n[1]; ++j) {
        const double* row = plane + j * below_.stride;
        if (coarser_[1])
          row = interpolate_across(1, f, i, j, whole ? work.rows : plane, below_.stride, work.row);
        else if (coarser_[0])
          row = interpolate_across(0, f, i, j, row, below_.plane(), work.row);
        add_row(f, i, j, row, work.order);
      }
    }
  }

  void add_row(int field, int64_t i, int64_t j, const double* e, double* scratch) {
    const InHalves& at = smooth.A.at;
    double* x = smooth.x(field) + at.row(i, j);
    if (!coarser_[2]) {
      for (const int parity : {0, 1}) add(e + parity * at.half, x + parity * at.half, at.count);
    } else {
      const Coarsening& to = weights_[2].to;
      join(e, e + below_.half, scratch, below_.count);
      weights_[2].order.close_row(scratch);
      const int shift = 1 - to.first;
      add(scratch, x + to.first * at.half, rounded(to.coarse, lanes));
      interpolate_half(scratch + shift, weights_[2].row(false, -1, field, i, j) + shift,
                       weights_[2].row(false, 1, field, i, j) + shift, x + shift * at.half, at.count);
    }
    at.wrap_row(x);
  }

  int threads_ = 1;
  bool coarser_[3] = {false, false, false};
  Weights weights_[3];
  Operator between_[2];
  InHalves below_;
  std::deque<Workspace> workspaces_;
  Buffer planes_memory_;
  double* planes_ = nullptr;
};

}  // namespace opgen::linear::multigrid
#endif
