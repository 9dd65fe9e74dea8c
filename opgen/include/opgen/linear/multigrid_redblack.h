// Red-black Gauss-Seidel for an operator that is a sum of one-dimensional ones and a diagonal,
//
//     A = T_0 (x) M_1 (x) M_2 + M_0 (x) T_1 (x) M_2 + M_0 (x) M_1 (x) T_2 + diag(e),
//
// T_a symmetric tridiagonal, M_a diagonal. It is given by its diagonal and a few numbers per axis, and couples a point
// to its face neighbours only.
//
// From zero red becomes D^-1 b; after black, only red points have a residual. On a ring of an odd number of points the
// two at its seam have one colour: each of them sees the other's old value, in both directions, and every point may
// have a residual. The last plane comes before the first, the first row before the last.
#ifndef OPGEN_LINEAR_MULTIGRID_REDBLACK_H
#define OPGEN_LINEAR_MULTIGRID_REDBLACK_H

#include <opgen/linear/multigrid_axis.h>
#include <opgen/linear/multigrid_layout.h>
#include <opgen/linear/multigrid_rows.h>

namespace opgen::linear::multigrid {

class RedBlack {
 public:
  Axis axis[3];
  bool uniform = false;  // off the diagonal the constants `couplings`
  double couplings[3] = {0, 0, 0};
  double* result = nullptr;  // of the caller, on the finest level

  void set_rhs(const double* r) { rhs_ = r; }
  int64_t unknowns() const { return at_.points(); }

  // The coarsest level as a dense matrix, row by row; its right-hand side and its solution.
  void assemble(double* dense) const {
    at_.each_point([&](int64_t p, const int64_t (&i)[3]) {
      double* to = dense + p * at_.points();
      to[p] += 1.0 / inverse_[at_.row(i[0], i[1]) + at_.index(i[2])];
      for (int a = 0; a < 3; ++a)
        for (const int o : {-1, 1}) {
          int64_t q[3] = {i[0], i[1], i[2]};
          q[a] += o;
          if (at_.ring[a]) q[a] = stencil::wrap(q[a], at_.n[a]);
          if (q[a] < 0 || q[a] >= at_.n[a]) continue;
          double c = o < 0 ? axis[a].lower[i[a]] : axis[a].upper[i[a]];
          for (int other = 0; other < 3; ++other)
            if (other != a) c *= axis[other].mass[i[other]];
          to[(q[0] * at_.n[1] + q[1]) * at_.n[2] + q[2]] += c;
        }
    });
  }
  void gather(double* v) const {
    order_.each_point([&](int64_t p, const int64_t (&i)[3]) {
      v[p] = rhs_ ? rhs_[p] : b_[order_.row(i[0], i[1]) + i[2]];
    });
  }
  void scatter(const double* v) {
    order_.each_point([&](int64_t p, const int64_t (&i)[3]) {
      (result ? result[p] : z_[order_.row(i[0], i[1]) + i[2]]) = v[p];
    });
  }
  // A level that is neither small nor can be coarsened does not couple its points.
  void relax_only() {
    order_.each_point([&](int64_t p, const int64_t (&i)[3]) {
      result[p] = rhs_[p] * inverse_[at_.row(i[0], i[1]) + at_.index(i[2])];
    });
  }

 protected:
  void take(int workers) {
    int64_t n[3];
    bool ring[3];
    clash_ = false;
    for (int a = 0; a < 3; ++a) {
      n[a] = axis[a].n();
      ring[a] = axis[a].ring;
      clash_ = clash_ || (ring[a] && n[a] % 2);
    }
    at_ = InHalves(n, ring, 1);
    order_ = InOrder(n, ring, 1);
    x_ = at_.take(x_memory_, at_.field());
    inverse_ = at_.take(inverse_memory_, at_.field());
    b_ = order_.take(b_memory_, order_.field());
    z_ = order_.take(z_memory_, order_.field());
    zero_ = at_.take(zero_memory_, at_.stride);
    if (clash_) old_ = at_.take(old_memory_, at_.plane() + workers * at_.stride);
    last_.assign(3 * at_.stride, 0.0);
    for (int64_t p = 0; p < n[2]; ++p) {
      double* to = last_.data() + at_.index(p);
      to[0] = axis[2].lower[p];
      to[at_.stride] = axis[2].upper[p];
      to[2 * at_.stride] = axis[2].mass[p];
    }
  }

  // The vectors of the finest level are the caller's if they have whole blocks.
  bool direct() const { return rhs_ && order_.n[2] == order_.width; }
  const double* b(int64_t i, int64_t j) const {
    return direct() ? rhs_ + (i * order_.n[1] + j) * order_.n[2] : b_ + order_.row(i, j);
  }

  // Red from zero. Black is not read before it is set, unless two neighbours have one colour.
  void start_plane(int64_t i) {
    for (int64_t j = 0; j < at_.n[1]; ++j) {
      if (rhs_ && !direct())
        std::memcpy(b_ + order_.row(i, j), rhs_ + (i * at_.n[1] + j) * at_.n[2], at_.n[2] * sizeof(double));
      const int64_t red = (i + j + red_) % 2, at_half = at_.row(i, j) + red * at_.half;
      relax_zero(b(i, j), red, inverse_ + at_half, x_ + at_half, at_.count);
      if (clash_) std::fill_n(x_ + at_.row(i, j) + (1 - red) * at_.half, at_.count, 0.0);
      at_.wrap_row(x_ + at_.row(i, j));
    }
  }

  // Colour 0 is red. The last relaxation puts its result in order.
  void relax_plane(int64_t i, int worker, int colour, bool last) {
    const double* plane = x_ + at_.row(i, 0);
    double* old = clash_ ? old_ + at_.plane() + worker * at_.stride : nullptr;
    if (clash_) std::memcpy(old, plane, at_.length() * sizeof(double));
    if (clash_ && at_.ring[0] && i == at_.n[0] - 1)
      std::memcpy(old_, plane, (at_.plane() - at_.margin) * sizeof(double));
    for (int64_t j = 0; j < at_.n[1]; ++j) {
      const int64_t parity = (i + j + red_ + colour) % 2, at_half = at_.row(i, j) + parity * at_.half;
      double* row = x_ + at_.row(i, j);
      double* caller = result ? result + (i * at_.n[1] + j) * at_.n[2] : nullptr;
      double* z = direct() ? caller : z_ + order_.row(i, j);
      with_neighbours(i, j, parity, old, [&](const auto& sum) {
        if (!last || clash_) relax(sum, b(i, j), parity, inverse_ + at_half, x_ + at_half, at_.count);
        else relax_last(sum, b(i, j), parity, inverse_ + at_half, row + (1 - parity) * at_.half, z, at_.count);
      });
      if (!last || clash_) at_.wrap_row(row);
      if (last && clash_) join(row, row + at_.half, z, at_.count);
      if (last && caller && !direct()) std::memcpy(caller, z, at_.n[2] * sizeof(double));
    }
  }

  // b - A x of half a row; of red points after red and black from zero.
  void residual(int64_t i, int64_t j, int64_t parity, double* r, int64_t width) const {
    const int64_t at_half = at_.row(i, j) + parity * at_.half;
    with_neighbours(i, j, parity, nullptr, [&](const auto& sum) {
      if (clash_) remainder(sum, b(i, j), parity, inverse_ + at_half, x_ + at_half, r, width);
      else remainder_of_first(sum, r, width);
    });
  }

  InHalves at_;    // of x and D^-1
  InOrder order_;  // of right-hand sides and results
  bool clash_ = false;
  int red_ = 0;  // the parity of i + j + x of red points
  const double* rhs_ = nullptr;
  double *x_ = nullptr, *inverse_ = nullptr, *b_ = nullptr, *z_ = nullptr, *zero_ = nullptr;

 private:
  template <class Use>
  OPGEN_INLINE void with_neighbours(int64_t i, int64_t j, int64_t parity, const double* old, Use&& use) const {
    if (at_.n[1] > 1)
      uniform ? use(neighbours<4, true>(i, j, parity, old)) : use(neighbours<4, false>(i, j, parity, old));
    else if (at_.n[0] > 1)
      uniform ? use(neighbours<2, true>(i, j, parity, old)) : use(neighbours<2, false>(i, j, parity, old));
    else
      uniform ? use(neighbours<0, true>(i, j, parity, old)) : use(neighbours<0, false>(i, j, parity, old));
  }

  // `old`: the plane's first row from before the relaxation that is going on, if that matters; `old_` is the last
  // plane.
  template <int rows, bool same>
  OPGEN_INLINE Neighbours<rows, same> neighbours(int64_t i, int64_t j, int64_t parity, const double* old) const {
    Neighbours<rows, same> s;
    const int64_t half = parity * at_.half, n0 = at_.n[0], n1 = at_.n[1];
    const double* x = x_ + at_.row(i, j) + half;
    s.before = parity ? x - at_.half : x + at_.half - 1;
    s.behind = s.before + 1;
    const double m0 = same ? 1.0 : axis[0].mass[i], m1 = same ? 1.0 : axis[1].mass[j];
    s.scale = same ? couplings[2] : m0 * m1;
    s.lower = last_.data() + half;
    s.upper = s.lower + at_.stride;
    s.mass = s.upper + at_.stride;
    if constexpr (rows > 0) {
      const double* before = !at_.ring[0] ? zero_ : (old ? old_ + j * at_.stride : x_ + at_.row(n0 - 1, j)) + half;
      s.row[0] = i > 0 ? x - at_.plane() : before;
      s.row[1] = i + 1 < n0 ? x + at_.plane() : at_.ring[0] ? x_ + at_.row(0, j) + half : zero_;
      s.g[0] = same ? couplings[0] : axis[0].lower[i] * m1;
      s.g[1] = same ? couplings[0] : axis[0].upper[i] * m1;
    }
    if constexpr (rows > 2) {
      const double* behind = !at_.ring[1] ? zero_ : (old ? old : x_ + at_.row(i, 0)) + half;
      s.row[2] = j > 0 ? x - at_.stride : at_.ring[1] ? x_ + at_.row(i, n1 - 1) + half : zero_;
      s.row[3] = j + 1 < n1 ? x + at_.stride : behind;
      s.g[2] = same ? couplings[1] : axis[1].lower[j] * m0;
      s.g[3] = same ? couplings[1] : axis[1].upper[j] * m0;
    }
    return s;
  }

  std::vector<double> last_;  // of the last axis: lower, upper and mass, each in halves
  Buffer x_memory_, inverse_memory_, b_memory_, z_memory_, zero_memory_, old_memory_;
  double* old_ = nullptr;
};

}  // namespace opgen::linear::multigrid
#endif
