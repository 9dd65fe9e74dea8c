// The operator of a coarser grid: C = R A P along one axis.
//
// Coarse point J stands at fine point 2J + first =: f. With R_s the weight of fine point f + s in its equation and P_t
// that of its value in fine point f + t, s and t in {-1, 0, 1} and R_0 = P_0 = 1,
//
//     C(J, D) = sum over s, o, t with s + o = 2 D + t of  R_s(J) A(f + s, o) P_t(J + D),
//
// P being taken at the coarse point whose value is meant, which has o's offsets along the other axes. A reach of 1
// stays 1, and 2 stays 2: after three axes the 7 points of a stencil have become 27, and remain 27.
#ifndef OPGEN_LINEAR_MULTIGRID_PRODUCT_H
#define OPGEN_LINEAR_MULTIGRID_PRODUCT_H

#include <opgen/linear/multigrid_rows.h>
#include <opgen/linear/multigrid_weights.h>

namespace opgen::linear::multigrid {

struct Triple {
  const double *R, *c, *P;
  int64_t R_step, c_step, P_step;  // to the next row
};

// out = sum of R c P.
OPGEN_ONCE inline void sum_of_products(const Triple* t, size_t terms, double* out, int64_t width) {
  int64_t k = 0;
  for (; k + 2 * lanes <= width; k += 2 * lanes) {
    Vec sum{}, next{};
    for (size_t i = 0; i < terms; ++i) {
      const double *R = t[i].R + k, *c = t[i].c + k, *P = t[i].P + k;
      sum += load(R) * load(c) * load(P);
      next += load(R + lanes) * load(c + lanes) * load(P + lanes);
    }
    store(sum, out + k);
    store(next, out + k + lanes);
  }
  for (; k < width; k += lanes) {
    Vec sum{};
    for (size_t i = 0; i < terms; ++i) sum += load(t[i].R + k) * load(t[i].c + k) * load(t[i].P + k);
    store(sum, out + k);
  }
}

class Product {
 public:
  void set(const Operator& A, const Weights& w, Operator& C, int threads) {
    plan(A, w, C);
    ones_.assign(C.at.length() + 2 * lanes, 1.0);
    parallel_for(C.at.n[0], threads, [&](int64_t i) {
      std::vector<std::vector<Triple>> lists(2 * C.entries.size());
      std::vector<double> row(w.order.width);
      bool before = false;
      for (int64_t j = 0; j < C.at.n[1]; ++j) {
        const bool inside = is_inside(A, C, i, j), step = inside && before;
        before = inside;
        for (size_t e = 0; e < C.entries.size(); ++e) {
          if (!C.kept(e)) continue;
          double* out = C.of(e) + C.at.row(i, j);
          for (int parity = 0; parity < (w.axis == 2 ? 1 : 2); ++parity) {
            std::vector<Triple>& terms = lists[2 * e + parity];
            if (step) {
              for (Triple& t : terms) {
                t.R += t.R_step;
                t.c += t.c_step;
                t.P += t.P_step;
              }
            } else {
              terms.clear();
              for (const Part& part : parts_[e]) add(A, w, part, i, j, parity, terms);
            }
            sum_of_products(terms.data(), terms.size(), w.axis == 2 ? row.data() : out + parity * C.at.half,
                            w.axis == 2 ? w.order.width : C.at.count);
          }
          if (w.axis == 2) {
            std::fill(row.begin() + C.at.n[2], row.end(), 0.0);
            for (const int parity : {0, 1}) part(row.data(), parity, out + parity * C.at.half, w.order.width / 2);
          }
          C.at.wrap_row(out);
        }
      }
    });
  }

 private:
  struct Part {
    size_t from;  // of A's entries
    int s, t, D;
  };

  void plan(const Operator& A, const Weights& w, Operator& C) {
    const int a = w.axis;
    C.fields = A.fields;
    C.symmetric = A.symmetric;
    C.entries.clear();
    for (int f = 0; f < A.fields; ++f) C.add({f, f, {0, 0, 0}});
    parts_.clear();
    for (size_t e = 0; e < A.entries.size(); ++e)
      for (int s = -1; s <= 1; ++s)
        for (int t = -1; t <= 1; ++t) {
          const int twice = s + A.entries[e].o[a] - t;
          Entry entry = A.entries[e];
          entry.o[a] = twice / 2;
          if (twice % 2 || !shortest(entry.o[a], w.to.coarse, w.to.ring)) continue;
          const size_t to = C.add(entry);
          if (parts_.size() <= to) parts_.resize(to + 1);
          parts_[to].push_back({e, s, t, twice / 2});
        }
    bool ring[3] = {A.at.ring[0], A.at.ring[1], A.at.ring[2]};
    ring[a] = ring[a] && w.to.coarse > 1;
    C.at = InHalves(w.at.n, ring, A.at.reach);
    C.take();
    parts_.resize(C.entries.size());
  }

  // Whether all that the product has to do with lies inside the grid: then the next row's factors lie one row on.
  static bool is_inside(const Operator& A, const Operator& C, int64_t i, int64_t j) {
    const int64_t reach0 = std::max(1, A.reach(0)), reach1 = std::max(1, A.reach(1));
    return (C.at.n[0] == 1 || (i >= reach0 && i + reach0 < C.at.n[0])) && j >= reach1 && j + reach1 < C.at.n[1];
  }

  // The factors for row (i, j), or half of it, unless one of them is outside the grid and the product zero.
  void add(const Operator& A, const Weights& w, const Part& part, int64_t i, int64_t j, int parity,
           std::vector<Triple>& terms) const {
    const int a = w.axis;
    const int64_t J = a == 0 ? i : j;
    const Entry& entry = A.entries[part.from];
    Triple t{ones_.data(), nullptr, ones_.data(), 0, (a == 1 ? 2 : 1) * A.at.stride, 0};
    const int64_t weights_apart = a == 2 ? w.order.stride : w.at.stride;
    if (a == 2) {
      const int half = part.s == 0 ? w.to.first : 1 - w.to.first;
      t.c = A.half(part.from, i, j, half);
      if (t.c && part.s) t.c += part.s > 0 ? w.to.first : w.to.first - 1;
    } else {
      int64_t f = 2 * J + w.to.first + part.s;
      if (w.to.ring) f = stencil::wrap(f, w.to.n);
      if (f < 0 || f >= w.to.n) return;
      t.c = A.half(part.from, a == 0 ? f : i, a == 1 ? f : j, parity);
    }
    if (!t.c) return;
    if (part.s) {
      t.R = w.row(true, part.s, entry.row, i, j) + (a == 2 ? 0 : parity * w.at.half);
      t.R_step = weights_apart;
    }
    // At the seam of an odd ring, where two coarse points are neighbours, P is 1; along rows `Weights` has it so.
    const bool seam = a != 2 && w.to.ring && w.to.n % 2 && (J + part.D < 0 || J + part.D >= w.to.coarse);
    if (part.t && !seam) {
      int o[3] = {entry.o[0], entry.o[1], entry.o[2]};
      o[a] = part.D;
      t.P = w.row(false, part.t, entry.column, i, j, o[0], o[1]);
      if (!t.P) return;
      t.P += a == 2 ? o[2] : w.at.shift(parity, o[2]);
      t.P_step = weights_apart;
    }
    terms.push_back(t);
  }

  std::vector<std::vector<Part>> parts_;
  std::vector<double> ones_;
};

}  // namespace opgen::linear::multigrid
#endif
