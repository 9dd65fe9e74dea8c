// The condition of a factored matrix, from a few solves.
//
// |B|_1 = max |B x|_1 over |x|_1 = 1 is a convex function's maximum over a polytope: it lies in a corner e_j, a column of
// B. From a point x with y = B x the gradient of |B x|_1 is z = B^T sign(y); where some |z_j| exceeds z^T x, the corner e_j
// is better. The search goes from corner to corner and stops in a local maximum, a lower bound of the norm and nearly
// always within a factor of three. The last trial vector catches matrices with much cancellation.
//
// Source: Hager, SIAM J. Sci. Stat. Comput. 5 (1984); Higham, ACM Trans. Math. Softw. 14 (1988).
#ifndef OPGEN_LINEAR_CONDITION_H
#define OPGEN_LINEAR_CONDITION_H

#include <opgen/linear/vectors.h>

#include <vector>

namespace opgen::linear {

// Estimate |B|_1 of B = A^-1; solve(x) makes x into A^-1 x, solve_transposed(x) into A^-T x.
template <class Solve, class SolveTransposed>
double inverse_norm(int64_t n, const Solve& solve, const SolveTransposed& solve_transposed) {
  std::vector<double> x(n, 1.0 / static_cast<double>(n)), sign(n, 0.0);
  double estimate = 0;
  for (int64_t corner = -1, round = 0; round < 5; ++round) {
    solve(x.data());
    const double found = sum_of_moduli(x.data(), n);
    if (!(found > estimate)) {
      if (found != found) return found;
      break;
    }
    estimate = found;
    bool same = true;
    for (int64_t i = 0; i < n; ++i) {
      const double s = x[i] < 0 ? -1 : 1;
      same = same && s == sign[i];
      x[i] = sign[i] = s;
    }
    if (same) break;
    solve_transposed(x.data());
    int64_t next = 0;
    for (int64_t i = 1; i < n; ++i)
      if (std::abs(x[i]) > std::abs(x[next])) next = i;
    if (corner >= 0 && std::abs(x[next]) <= std::abs(x[corner])) break;
    corner = next;
    std::fill(x.begin(), x.end(), 0.0);
    x[corner] = 1;
  }
  for (int64_t i = 0; i < n; ++i)
    x[i] = (i % 2 ? -1 : 1) * (1 + static_cast<double>(i) / static_cast<double>(std::max<int64_t>(1, n - 1)));
  solve(x.data());
  return std::max(estimate, 2 * sum_of_moduli(x.data(), n) / (3 * static_cast<double>(n)));
}

// 1 / (|A|_1 |A^-1|_1) of a factored matrix: about how much relative accuracy a solution keeps; 0 for a singular one.
template <class Factored>
double reciprocal_condition(int64_t n, double norm, const Factored& a) {
  if (n == 0) return 1;
  const double inverse = inverse_norm(n, [&](double* x) { a.solve(x); }, [&](double* x) { a.solve_transposed(x); });
  const double condition = norm * inverse;
  return condition >= 1 ? 1 / condition : condition > 0 ? 1 : 0;  // below 1 by rounding; NaN is singular
}

}  // namespace opgen::linear
#endif
