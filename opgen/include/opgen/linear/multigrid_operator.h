// The operator of a multigrid level in general: coefficients that vary from point to point, several fields, any reach.
//
// A symmetric operator keeps one of each pair of entries: a(p, o) = a(p + o, -o), fields exchanged, is the same array
// seen from the other end. The time of a cycle on a large grid is that of reading the coefficients.
#ifndef OPGEN_LINEAR_MULTIGRID_OPERATOR_H
#define OPGEN_LINEAR_MULTIGRID_OPERATOR_H

#include <opgen/linear/multigrid_layout.h>

#include <cmath>

namespace opgen::linear::multigrid {

// One diagonal of the matrix: it couples fields `row` and `column` of points that lie o apart.
struct Entry {
  int row = 0, column = 0, o[3] = {0, 0, 0};

  bool operator==(const Entry& e) const {
    return row == e.row && column == e.column && o[0] == e.o[0] && o[1] == e.o[1] && o[2] == e.o[2];
  }
  bool here() const { return o[0] == 0 && o[1] == 0 && o[2] == 0; }
  Entry twin() const { return {column, row, {-o[0], -o[1], -o[2]}}; }
  // Whether the entry is the one of its pair that points forwards.
  bool forward() const { return o[0] != 0 ? o[0] > 0 : o[1] != 0 ? o[1] > 0 : o[2] >= 0; }
};

// Replaces an offset along an axis of n points by the shortest that leads to the same point; false if it leads to none.
inline bool shortest(int& o, int64_t n, bool ring) {
  if (!ring) return std::abs(o) < n;
  while (o > n / 2) o -= static_cast<int>(n);
  while (o < -(n / 2)) o += static_cast<int>(n);
  return true;
}

class Operator {
 public:
  InHalves at;
  int fields = 1;
  bool symmetric = false;
  std::vector<Entry> entries;

  int find(const Entry& e) const {
    const auto found = std::find(entries.begin(), entries.end(), e);
    return found == entries.end() ? -1 : static_cast<int>(found - entries.begin());
  }
  int add(const Entry& e) {
    const int found = find(e);
    if (found >= 0) return found;
    entries.push_back(e);
    return static_cast<int>(entries.size()) - 1;
  }
  int reach(int axis) const {
    int r = 0;
    for (const Entry& e : entries) r = std::max(r, std::abs(e.o[axis]));
    return r;
  }
  int reach() const { return std::max({1, reach(0), reach(1), reach(2)}); }

  // Whether the coefficients of an entry are kept, and not those of its twin.
  bool kept(size_t e) const { return !symmetric || entries[e].forward(); }

  // Memory for what is kept, once the entries are known. A symmetric operator is given all twins.
  void take() {
    if (symmetric)
      for (size_t e = 0; e < entries.size(); ++e) add(entries[e].twin());
    int64_t count = 0;
    place_.assign(entries.size(), 0);
    distance_ = at.field() + skew(at.field());
    for (size_t e = 0; e < entries.size(); ++e)
      if (kept(e)) place_[e] = count++ * distance_;
    base_ = at.take(memory_, count * distance_);
    share();
  }

  // From here the coefficients of an entry that is kept lie at `place`; zero where the neighbour is absent and beyond
  // the ends of rows. Of one that is not, at a point far enough from the grid's ends, they lie there, too, for half a
  // row.
  const double* base() const { return base_; }
  double* of(size_t e) const { return base_ + place_[e]; }
  int64_t place(size_t e, int parity) const {
    const Entry& o = entries[e];
    if (kept(e)) return place_[e] + parity * at.half;
    return place_[e] + o.o[0] * at.plane() + o.o[1] * at.stride + at.shift(parity, o.o[2]);
  }

  // The coefficients of an entry for half a row; null if there are none because the neighbours are outside the grid.
  const double* half(size_t e, int64_t i, int64_t j, int parity) const {
    if (kept(e)) return of(e) + at.row(i, j) + parity * at.half;
    const Entry& entry = entries[e];
    const double* row = at.at(of(e), i, j, entry.o[0], entry.o[1]);
    return row ? row + at.shift(parity, entry.o[2]) : nullptr;
  }

  // Copies a matrix.
  void set(const StencilMatrix& A, int threads) {
    const stencil::Rows rows(A.grid);
    fields = A.fields;
    symmetric = false;
    entries.clear();
    for (int f = 0; f < fields; ++f) add({f, f, {0, 0, 0}});
    std::vector<int> index;
    for (const Coefficient& c : A.coefficients) {
      Entry e{c.row, c.column, {0, 0, 0}};
      const stencil::Spread spread(c, A.grid.rank);
      bool inside = true;
      for (int a = 0; a < 3; ++a) {
        e.o[a] = spread.o[a];
        inside = inside && shortest(e.o[a], rows.n[a], rows.ring[a]);
      }
      index.push_back(inside ? add(e) : -1);
    }
    at = InHalves(rows.n, rows.ring, reach() + 1);  // the twins of those next to a row's end are read, too
    take();
    parallel_for(at.n[0], threads, [&](int64_t i) {
      for (int64_t j = 0; j < at.n[1]; ++j) {
        for (size_t e = 0; e < entries.size(); ++e)
          for (const int parity : {0, 1}) std::fill_n(of(e) + at.row(i, j) + parity * at.half, at.count, 0.0);
        for (size_t k = 0; k < index.size(); ++k)
          if (index[k] >= 0) add_row(A.coefficients[k], index[k], i, j);
        for (size_t e = 0; e < entries.size(); ++e) at.wrap_row(of(e) + at.row(i, j));
      }
    });
    symmetric = is_symmetric(threads);
    share();
  }

  // Adds the operator to a dense matrix, row by row.
  void assemble(double* dense) const {
    const int64_t N = at.points();
    at.each_point([&](int64_t p, const int64_t (&i)[3]) {
      for (size_t e = 0; e < entries.size(); ++e) {
        const Entry& entry = entries[e];
        int64_t q[3];
        bool inside = true;
        for (int a = 0; a < 3; ++a) {
          q[a] = i[a] + entry.o[a];
          if (at.ring[a]) q[a] = stencil::wrap(q[a], at.n[a]);
          inside = inside && q[a] >= 0 && q[a] < at.n[a];
        }
        const double* c = inside ? half(e, i[0], i[1], static_cast<int>(i[2] & 1)) : nullptr;
        if (!c) continue;
        const int64_t column = entry.column * N + (q[0] * at.n[1] + q[1]) * at.n[2] + q[2];
        dense[(entry.row * N + p) * fields * N + column] += c[i[2] >> 1];
      }
    });
  }

 private:
  void add_row(const Coefficient& c, int entry, int64_t i, int64_t j) {
    const Entry& e = entries[entry];
    if (!at.at(base_, i, j, e.o[0], e.o[1])) return;
    double* to = of(entry) + at.row(i, j);
    const double* from = c.constant ? nullptr : c.data + (i * at.n[1] + j) * at.n[2];
    const int64_t low = at.ring[2] ? 0 : std::max(0, -e.o[2]), high = at.n[2] - (at.ring[2] ? 0 : std::max(0, e.o[2]));
    for (const int parity : {0, 1}) {
      double* half = to + parity * at.half;
      const int64_t first = (low + 1 - parity) / 2, last = (high + 1 - parity) / 2;
      if (from)
        for (int64_t k = first; k < last; ++k) half[k] += from[2 * k + parity];
      else
        for (int64_t k = first; k < last; ++k) half[k] += *c.data;
    }
  }

  // An entry that is not kept is found with its twin.
  void share() {
    for (size_t e = 0; e < entries.size(); ++e)
      if (!kept(e)) place_[e] = place_[find(entries[e].twin())];
  }

  // Whether the matrix equals its transpose, but for rounding.
  bool is_symmetric(int threads) const {
    for (const Entry& e : entries)
      if (find(e.twin()) < 0) return false;
    std::vector<char> differs(at.n[0], 0);
    parallel_for(at.n[0], threads, [&](int64_t i) {
      for (size_t e = 0; e < entries.size(); ++e) {
        const Entry& entry = entries[e];
        if (!entry.forward() || (entry.here() && entry.row >= entry.column)) continue;
        const double* twin = of(find(entry.twin()));
        for (int64_t j = 0; j < at.n[1]; ++j) {
          const double* row = at.at(twin, i, j, entry.o[0], entry.o[1]);
          bool differ = false;
          for (const int parity : {0, 1}) {
            const double* c = of(e) + at.row(i, j) + parity * at.half;
            const double* t = row ? row + at.shift(parity, entry.o[2]) : nullptr;
            for (int64_t k = 0; k < (at.n[2] + 1 - parity) / 2; ++k) {
              const double other = t ? t[k] : 0.0;
              differ |= !(std::abs(c[k] - other) <= 1e-12 * (std::abs(c[k]) + std::abs(other)));
            }
          }
          if (differ) differs[i] = 1;
        }
        if (differs[i]) return;
      }
    });
    return std::find(differs.begin(), differs.end(), 1) == differs.end();
  }

  Buffer memory_;
  double* base_ = nullptr;
  int64_t distance_ = 0;
  std::vector<int64_t> place_;
};

}  // namespace opgen::linear::multigrid
#endif
