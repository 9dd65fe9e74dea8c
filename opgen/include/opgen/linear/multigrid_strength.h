// Which axes a level is coarsened along.
#ifndef OPGEN_LINEAR_MULTIGRID_STRENGTH_H
#define OPGEN_LINEAR_MULTIGRID_STRENGTH_H

#include <opgen/linear/multigrid_operator.h>

namespace opgen::linear::multigrid {

// How strongly a field couples along an axis, summed over some of the rows: |sum of the coefficients before a point|
// and |sum of those behind it|, across all other axes.
inline double strength(const Operator& A, int field, int axis, std::vector<double>& sums) {
  const int64_t rows = A.at.n[0] * A.at.n[1], every = std::max<int64_t>(1, rows / 64);
  double total = 0.0;
  for (int64_t row = every / 2; row < rows; row += every) {
    sums.assign(2 * A.at.length(), 0.0);
    for (size_t e = 0; e < A.entries.size(); ++e) {
      const Entry& entry = A.entries[e];
      if (entry.row != field || entry.column != field || entry.o[axis] == 0) continue;
      for (const int parity : {0, 1}) {
        const double* c = A.half(e, row / A.at.n[1], row % A.at.n[1], parity);
        double* sum = sums.data() + (entry.o[axis] < 0 ? 0 : A.at.length()) + parity * A.at.half;
        for (int64_t k = 0; c && k < A.at.count; ++k) sum[k] += c[k];
      }
    }
    for (const double sum : sums) total += std::abs(sum);
  }
  return total;
}

// Those along which every field that couples at all does so a quarter as strongly as along its strongest axis; if there
// is none, the strongest. On a ring a reach of more than 1 must not meet itself.
inline void choose_axes(const Operator& A, bool (&coarser)[3]) {
  double least[3] = {2.0, 2.0, 2.0}, total[3] = {0, 0, 0};
  bool can[3], any = false;
  for (int a = 0; a < 3; ++a) {
    const int reach = A.reach(a);
    can[a] = A.at.n[a] > 1 && !(A.at.ring[a] && reach > 1 && (A.at.n[a] % 2 || A.at.n[a] < 4 * reach));
  }
  std::vector<double> sums;
  for (int f = 0; f < A.fields; ++f) {
    double s[3];
    for (int a = 0; a < 3; ++a) s[a] = can[a] ? strength(A, f, a, sums) : 0.0;
    const double strongest = std::max({s[0], s[1], s[2]});
    for (int a = 0; a < 3; ++a) {
      if (strongest > 0.0) least[a] = std::min(least[a], s[a] / strongest);
      total[a] += s[a];
    }
  }
  const double best = std::max({total[0], total[1], total[2]});
  for (int a = 0; a < 3; ++a) any = (coarser[a] = can[a] && best > 0.0 && least[a] >= 0.25) || any;
  for (int a = 0; a < 3 && !any; ++a) any = coarser[a] = can[a] && total[a] == best && best > 0.0;
}

}  // namespace opgen::linear::multigrid
#endif
