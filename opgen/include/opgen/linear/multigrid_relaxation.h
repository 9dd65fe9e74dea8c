// Relaxation of a general operator, half a row at a time, for all fields of a point at once.
//
//   * Where only face neighbours couple, Gauss-Seidel in two colours: the parity of i + j + x.
//   * Where diagonal neighbours do, in 2^rank colours, the parities of i, j and x. A phase does the planes of one
//     parity, in them the rows of one parity after those of the other, in a row the even points and then the odd ones.
//   * Beyond a reach of 1, damped Jacobi, twice: x += w D^-1 (b - A x), w = 4/3 / max over rows of |D^-1 A| 1.
//
// Coarse points come first, so that the last ones, which have no residual then, are fine. Backwards everything is done in
// the opposite order. On a ring of an odd number of points two neighbours have the same colour; the one that comes second
// takes the other's old value, so that this holds there, too.
#ifndef OPGEN_LINEAR_MULTIGRID_RELAXATION_H
#define OPGEN_LINEAR_MULTIGRID_RELAXATION_H

#include <opgen/linear/multigrid_inverse.h>
#include <opgen/linear/multigrid_rows.h>

namespace opgen::linear::multigrid {

class Relaxation {
 public:
  Operator A;
  const double* rhs = nullptr;  // of the caller, in order, if this is the finest level

  // How many steps of `relax_plane` a smoothing takes, and how many planes they have to keep apart.
  int steps() const { return jacobi_ ? 4 : 2; }
  int reach() const { return jacobi_ ? std::max(1, A.reach(0)) : 1; }

  double* x(int field) const { return x_ + field * field_; }
  double* b(int field) const { return b_ + field * field_; }

  // Where the coefficients of a diagonal and the values that they belong to lie, relative to those of a row.
  struct Link {
    int64_t c, x;
  };
  // What a worker has for itself.
  struct Workspace {
    int number = 0;
    std::vector<Link> links;
    std::vector<double> halves, row;
  };
  void prepare(Workspace& w, int number) const {
    w.number = number;
    w.halves.resize(A.fields * A.at.count);
    w.row.resize(2 * A.at.count);
  }

  // Coarse are the points i, j, x of the parities `first`. False if the block of a point is singular.
  bool set(const int (&first)[3], int threads, int workers) {
    const InHalves& at = A.at;
    jacobi_ = A.reach() > 1;
    faces_ = !jacobi_ && std::all_of(A.entries.begin(), A.entries.end(), [](const Entry& e) {
      return (e.o[0] != 0) + (e.o[1] != 0) + (e.o[2] != 0) <= 1;
    });
    for (int a = 0; a < 3; ++a) {
      clash_[a] = !jacobi_ && at.ring[a] && at.n[a] % 2 && at.n[a] > 1;
      reach_[a] = A.reach(a);
      first_[a] = first[a];
    }
    field_ = at.field() + skew(at.field());
    old_field_ = at.plane() + at.margin;
    x_ = at.take(x_memory_, A.fields * (field_ + old_field_ + workers * (at.stride + at.margin)));
    old_plane_ = A.fields * field_ + at.margin;
    old_row_ = old_plane_ + A.fields * old_field_;
    b_ = at.take(b_memory_, A.fields * field_);
    if (jacobi_) r_ = at.take(r_memory_, A.fields * field_);
    if (!inverse_.set(A, threads)) return false;
    lists_.assign(4 * A.fields, {});
    for (const int parity : {0, 1})
      for (size_t e = 0; e < A.entries.size(); ++e) {
        const Entry& entry = A.entries[e];
        const Link link{A.place(e, parity), entry.column * field_ + entry.o[0] * at.plane() + entry.o[1] * at.stride +
                                                at.shift(parity, entry.o[2])};
        for (const bool whole : {false, true})
          if (whole || !entry.here()) list(entry.row, parity, whole).push_back(link);
      }
    if (jacobi_) damping_ = 4.0 / 3.0 / inverse_.largest_row_sum(A, threads);
    return true;
  }

  void start_plane(int64_t i, Workspace& w) {
    const InHalves& at = A.at;
    double* row = w.row.data();
    const int64_t N = at.points();
    for (int f = 0; f < A.fields; ++f)
      for (int64_t j = 0; j < at.n[1]; ++j) {
        double* to = x(f) + at.row(i, j);
        for (const int parity : {0, 1}) std::fill_n(to + parity * at.half, at.count, 0.0);
        at.wrap_row(to);
        if (!rhs || in_order()) continue;
        std::memcpy(row, rhs + f * N + (i * at.n[1] + j) * at.n[2], at.n[2] * sizeof(double));
        std::fill(row + at.n[2], row + 2 * at.count, 0.0);
        for (const int parity : {0, 1}) part(row, parity, b(f) + at.row(i, j) + parity * at.half, at.count);
      }
  }

  // A step at a plane; `backwards` steps follow each other in the opposite order.
  void relax_plane(int step, int64_t i, bool backwards, Workspace& w) {
    if (jacobi_) return step % 2 == 0 ? residual_plane(i, w) : correct_plane(i);
    const InHalves& at = A.at;
    const int phase = backwards ? 1 - step : step;
    if (clash_[0] && i == at.n[0] - 1)
      for (int f = 0; f < A.fields; ++f)
        std::memcpy(x_ + old_plane_ + f * old_field_ - at.margin, x(f) + at.row(i, 0) - at.margin,
                    old_field_ * sizeof(double));
    const int64_t old = old_row_ + w.number * A.fields * (at.stride + at.margin);
    if (clash_[1])
      for (int f = 0; f < A.fields; ++f)
        std::memcpy(x_ + old + f * (at.stride + at.margin) - at.margin, x(f) + at.row(i, 0) - at.margin,
                    (at.stride + at.margin) * sizeof(double));
    if (faces_) {
      const int64_t red = i + first_[0] + first_[1] + first_[2];
      for (int64_t j = 0; j < at.n[1]; ++j) relax_half(i, j, (red + j + phase) % 2, old, w);
    } else if ((i + first_[0]) % 2 == phase) {
      for (const int rows : {0, 1})
        for (int64_t j = (rows + first_[1] + backwards) % 2; j < at.n[1]; j += 2)
          for (const int half : {0, 1}) relax_half(i, j, (half + first_[2] + backwards) % 2, old, w);
    }
  }

  // b - A x for half a row of a field.
  void residual_half(int f, int64_t i, int64_t j, int parity, double* r, Workspace& w) const {
    combine(f, i, j, parity, true, -1, w, nullptr, r);
  }

 private:
  std::vector<Link>& list(int f, int parity, bool whole) { return lists_[(f * 2 + parity) * 2 + whole]; }
  bool in_order() const { return rhs && A.at.n[2] == 2 * A.at.count; }

  // out = b - sum of c x, times `inverse` if given.
  template <bool in_order>
  OPGEN_ONCE static void subtract(const double* b, int64_t parity, const Link* links, size_t count, const double* c,
                                  const double* x, const double* inverse, double* out, int64_t width) {
    const Bits which = every_other(static_cast<int>(parity));
    const auto start = [&](int64_t k) { return in_order ? pick(b + 2 * k, which) : load(b + k); };
    const auto finish = [&](int64_t k, const Vec& sum) { store(inverse ? load(inverse + k) * sum : sum, out + k); };
    int64_t k = 0;
    for (; k + 2 * lanes <= width; k += 2 * lanes) {
      Vec sum = start(k), next = start(k + lanes);
      for (size_t l = 0; l < count; ++l) {
        const double *factor = c + links[l].c + k, *value = x + links[l].x + k;
        sum -= load(factor) * load(value);
        next -= load(factor + lanes) * load(value + lanes);
      }
      finish(k, sum);
      finish(k + lanes, next);
    }
    for (; k < width; k += lanes) {
      Vec sum = start(k);
      for (size_t l = 0; l < count; ++l) sum -= load(c + links[l].c + k) * load(x + links[l].x + k);
      finish(k, sum);
    }
  }

  // `old` >= 0: what is worked on before is looked up as it was, the first row of the plane being there.
  void combine(int f, int64_t i, int64_t j, int parity, bool whole, int64_t old, Workspace& w,
               const double* inverse, double* out) const {
    const InHalves& at = A.at;
    const std::vector<Link>* links = &lists_[(f * 2 + parity) * 2 + whole];
    if (i < reach_[0] || i + reach_[0] >= at.n[0] || j < reach_[1] || j + reach_[1] >= at.n[1]) {
      at_edge(f, i, j, parity, whole, old, w.links);
      links = &w.links;
    }
    const int64_t row = at.row(i, j);
    if (in_order())
      subtract<true>(rhs + f * at.points() + (i * at.n[1] + j) * at.n[2], parity, links->data(), links->size(),
                     A.base() + row, x_ + row, inverse, out, at.count);
    else
      subtract<false>(b(f) + row + parity * at.half, parity, links->data(), links->size(), A.base() + row, x_ + row,
                      inverse, out, at.count);
  }

  void at_edge(int f, int64_t i, int64_t j, int parity, bool whole, int64_t old, std::vector<Link>& local) const {
    const InHalves& at = A.at;
    const int64_t row = at.row(i, j);
    local.clear();
    for (size_t e = 0; e < A.entries.size(); ++e) {
      const Entry& entry = A.entries[e];
      if (entry.row != f || (entry.here() && !whole)) continue;
      const double* c = A.half(e, i, j, parity);
      const double* there = at.at(x_, i, j, entry.o[0], entry.o[1]);
      if (!c || !there) continue;
      int64_t from = there - x_ + entry.column * field_;
      if (old >= 0 && clash_[0] && i + entry.o[0] < 0)
        from = old_plane_ + entry.column * old_field_ + (there - x_) % at.plane();
      else if (old >= 0 && clash_[1] && entry.o[0] == 0 && j + entry.o[1] >= at.n[1])
        from = old + entry.column * (at.stride + at.margin);
      local.push_back({c - A.base() - row, from + at.shift(parity, entry.o[2]) - row});
    }
  }

  // x = D^-1 (b - neighbours).
  void relax_half(int64_t i, int64_t j, int parity, int64_t old, Workspace& w) {
    const InHalves& at = A.at;
    const int64_t at_half = at.row(i, j) + parity * at.half;
    double* work = w.halves.data();
    if (A.fields == 1) {
      combine(0, i, j, parity, false, old, w, inverse_.of(0, 0) + at_half, x_ + at_half);
    } else {
      for (int f = 0; f < A.fields; ++f) combine(f, i, j, parity, false, old, w, nullptr, work + f * at.count);
      for (int f = 0; f < A.fields; ++f) multiply_inverse<false>(f, at_half, work, at.count);
    }
    for (int f = 0; f < A.fields; ++f) at.wrap_row(x(f) + at.row(i, j));
  }

  // x_f = (or +=, damped) sum over g of D^-1_fg t_g, t_g being `distance` apart.
  template <bool add>
  void multiply_inverse(int f, int64_t at_half, const double* t, int64_t distance) {
    double* to = x(f) + at_half;
    for (int64_t k = 0; k < A.at.count; k += lanes) {
      Vec v = load(inverse_.of(f, 0) + at_half + k) * load(t + k);
      for (int g = 1; g < A.fields; ++g) v += load(inverse_.of(f, g) + at_half + k) * load(t + g * distance + k);
      store(add ? load(to + k) + damping_ * v : v, to + k);
    }
  }

  void residual_plane(int64_t i, Workspace& w) {
    for (int64_t j = 0; j < A.at.n[1]; ++j)
      for (int f = 0; f < A.fields; ++f)
        for (const int parity : {0, 1})
          residual_half(f, i, j, parity, r_ + f * field_ + A.at.row(i, j) + parity * A.at.half, w);
  }
  void correct_plane(int64_t i) {
    for (int64_t j = 0; j < A.at.n[1]; ++j)
      for (int f = 0; f < A.fields; ++f) {
        for (const int parity : {0, 1}) {
          const int64_t at_half = A.at.row(i, j) + parity * A.at.half;
          multiply_inverse<true>(f, at_half, r_ + at_half, field_);
        }
        A.at.wrap_row(x(f) + A.at.row(i, j));
      }
  }

  Inverse inverse_;
  bool jacobi_ = false, faces_ = false, clash_[3] = {false, false, false};
  int reach_[3] = {0, 0, 0}, first_[3] = {0, 0, 0};
  double damping_ = 1.0;
  std::vector<std::vector<Link>> lists_;  // of rows whose neighbours are all inside
  int64_t field_ = 0, old_field_ = 0, old_plane_ = 0, old_row_ = 0;
  Buffer x_memory_, b_memory_, r_memory_;
  double *x_ = nullptr, *b_ = nullptr, *r_ = nullptr;
};

}  // namespace opgen::linear::multigrid
#endif
