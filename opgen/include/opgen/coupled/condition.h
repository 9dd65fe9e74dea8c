// Whether a factored Jacobian is singular but for rounding, in whatever units its equations and unknowns are.
#ifndef OPGEN_COUPLED_CONDITION_H
#define OPGEN_COUPLED_CONDITION_H

#include <opgen/linear/condition.h>

#include <cmath>
#include <vector>

namespace opgen::coupled {

constexpr double singular_below = 1e-15;  // reciprocal condition of a matrix that is singular but for rounding
constexpr double doubtful_above = 1e12;   // growth of a rough vector that calls for a closer look

// Numbers without any pattern in [-1/2, 1/2): a solve with them as right-hand side grows where the matrix is nearly singular.
inline std::vector<double> rough_vector(int64_t n) {
  std::vector<double> made(static_cast<size_t>(n));
  uint64_t state = 1;
  for (double& v : made) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    v = static_cast<double>(static_cast<int64_t>(state >> 11)) * 0x1p-53 - 0.5;
  }
  return made;
}

// The reciprocal condition of the matrix A with its columns, then its rows, scaled to a largest entry of one. entries(body) calls
// body(row, column, value) for the entries of A; solve(x) makes x into A^-1 x, solve_transposed(x) into A^-T x.
template <class Entries, class Solve, class SolveTransposed>
double scaled_condition(int64_t n, Entries&& entries, Solve&& solve, SolveTransposed&& solve_transposed) {
  std::vector<double> rows(static_cast<size_t>(n)), columns(rows.size()), sums(rows.size());
  const auto at = [](std::vector<double>& of, int64_t i) -> double& { return of[static_cast<size_t>(i)]; };
  entries([&](int64_t, int64_t j, double value) { at(columns, j) = std::fmax(at(columns, j), std::fabs(value)); });
  for (double c : columns) {
    if (!(c > 0)) return 0;
  }
  entries([&](int64_t i, int64_t j, double value) { at(rows, i) = std::fmax(at(rows, i), std::fabs(value) / at(columns, j)); });
  for (double r : rows) {
    if (!(r > 0)) return 0;
  }
  entries([&](int64_t i, int64_t j, double value) { at(sums, j) += std::fabs(value) / (at(columns, j) * at(rows, i)); });
  double norm = 0;
  for (double s : sums) norm = std::fmax(norm, s);
  const auto scale = [n](double* x, const std::vector<double>& by) {
    for (int64_t i = 0; i < n; ++i) x[i] *= by[static_cast<size_t>(i)];
  };
  struct Scaled {
    const std::vector<double>&rows, &columns;
    Solve& inverse;
    SolveTransposed& inverse_transposed;
    decltype(scale)& by;
    void solve(double* x) const { by(x, rows), inverse(x), by(x, columns); }
    void solve_transposed(double* x) const { by(x, columns), inverse_transposed(x), by(x, rows); }
  } const scaled{rows, columns, solve, solve_transposed, scale};
  return linear::reciprocal_condition(n, norm, scaled);
}

}  // namespace opgen::coupled
#endif
