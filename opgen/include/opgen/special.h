// Special functions of one real argument that the C++ library lacks or does not have thread-safe.
#ifndef OPGEN_SPECIAL_H
#define OPGEN_SPECIAL_H

#include <cmath>

namespace opgen {

inline double gamma_function(double x) { return std::tgamma(x); }

// log|Gamma(x)|. std::lgamma writes the sign to a global; the _r variant does not.
inline double log_gamma(double x) {
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

// The n-th derivative of digamma, n = 0 .. 3, at real x.
//
// For x >= 10 the asymptotic series (Abramowitz & Stegun 6.4.11, 6.3.18)
//   psi(x)   ~ log x - 1/(2x) - sum_k B_2k / (2k x^2k)
//   psi_n(x) ~ (-1)^(n+1) [ (n-1)!/x^n + n!/(2 x^(n+1)) + sum_k B_2k (2k+n-1)! / ((2k)! x^(2k+n)) ]
// and below it the recurrence psi_n(x) = psi_n(x + 1) - (-1)^n n! / x^(n+1) (6.4.6). Poles give NaN.
template <int n>
inline double polygamma(double x) {
  static_assert(n >= 0 && n <= 3, "higher derivatives of loggamma are not generated");
  constexpr double bernoulli[] = {1.0 / 6, -1.0 / 30, 1.0 / 42, -1.0 / 30, 5.0 / 66, -691.0 / 2730, 7.0 / 6};
  constexpr double factorial = n == 3 ? 6 : n == 2 ? 2 : 1;
  constexpr double odd = n % 2 ? -1 : 1;  // (-1)^n
  if (!(x > -1e6) || (x <= 0 && x == std::floor(x))) return __builtin_nan("");
  double shift = 0;
  while (x < 10) {
    shift -= odd * factorial / std::pow(x, n + 1);
    x += 1;
  }
  const double inverse = 1 / x;
  double term = std::pow(inverse, n);  // x^-(2k+n), k = 0
  double series = n == 0 ? -std::log(x) : factorial / n * term;
  series += factorial / 2 * term * inverse;
  for (int k = 1; k <= 7; ++k) {
    double ratio = 1;  // (2k+n-1)! / (2k)!
    if (n == 0) ratio = 1.0 / (2 * k);
    for (int i = 2 * k + 1; i <= 2 * k + n - 1; ++i) ratio *= i;
    term *= inverse * inverse;
    series += bernoulli[k - 1] * ratio * term;
  }
  return shift - odd * series;
}

}  // namespace opgen
#endif
