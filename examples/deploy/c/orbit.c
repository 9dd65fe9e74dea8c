// Where is a planet, and what does its distance change by with the eccentricity? In C, without Python.
#include <kepler.h>
#include <stdio.h>

int main(void) {
  const double M[] = {0.5, 1.0, 2.0}, e[] = {0.3, 0.3, 0.3}, one[] = {1.0, 1.0, 1.0};
  double E[3], r[3], by_e[3];
  opgen_report report;

  if (kepler_evaluate(3, M, e, E, r, OPGEN_RAISE, &report) ||
      kepler_gradient(3, M, e, E, NULL, one, NULL, by_e, OPGEN_RAISE, &report)) {
    fprintf(stderr, "%s\n", report.message);
    return 1;
  }
  for (int i = 0; i < 3; ++i) printf("M = %.1f  E = %.15f  r = %.15f  dr/de = %.15f\n", M[i], E[i], r[i], by_e[i]);

  // A point that fails is reported with its inputs, or becomes NaN.
  const double wrong[] = {0.5, 0.0 / 0.0, 2.0};
  if (kepler_evaluate(3, wrong, e, E, r, OPGEN_RAISE, &report)) printf("%s\n", report.message);
  return 0;
}
