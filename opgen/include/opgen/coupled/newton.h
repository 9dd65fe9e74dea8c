// Newton's method for one system, with a line search.
//
// A step d solves F_y d = F. The iterate moves by t d with the largest t = 1, 1/2, ... that makes |F| smaller (a trial at which
// F is not finite is not). Converged means both: |F| is within rounding of the size of its terms, point by point; and the next
// step would be nothing: steps shrink quadratically, s_(i+1) = C s_i^2, so it is foretold by the last two. The residual alone
// would not do: of a fine grid it cannot tell a smooth error of size eps h^-2 from none. Where a solution fades to less than
// rounding, its terms point by point are nothing but rounding: there the largest terms of the equation are the measure, once a
// step has shown that no more can be had. A field that is zero at the root would approach it for ever: it is put there.
//
// Where the search stalls, pseudo-transient continuation takes over, from the start: (F_y + D / dt) d = F with the diagonal's own
// D, in time steps that grow unless |F| does.
//
// Dense systems have a last resort, Levenberg and Marquardt's way downhill in |F|.
//
// Source: Deuflhard, Newton Methods for Nonlinear Problems, 2004; Kelley and Keyes, SIAM J. Numer. Anal. 35 (1998).
#ifndef OPGEN_COUPLED_NEWTON_H
#define OPGEN_COUPLED_NEWTON_H

#include <opgen/coupled/jacobian.h>
#include <opgen/linear/vectors.h>
#include <opgen/status.h>

namespace opgen::coupled {

struct Settings {
  double tol;
  int64_t max_iterations;
};

struct Found {
  Cause cause = Cause::none;
  int64_t iterations = 0;
  double norm = 0;  // |F|
  int64_t krylov = 0;
};

constexpr double default_tolerance = 64 * rounding;  // on |F| in units of the size of its terms
constexpr double stagnated = 1e4 * rounding;         // what is accepted where rounding lets nothing better be reached

// The vectors and matrices of a solve, kept from system to system.
template <class Op>
struct Solver {
  System<Op> system;
  Slopes<Op> slopes;
  Jacobian<Op> jacobian;
  std::vector<double> y, F, step, trial;

  Solver(std::vector<int64_t> sizes, int threads)
      : system(std::move(sizes), threads), slopes(system), jacobian(system, slopes), y(length()), F(length()), step(length()),
        trial(length()) {}

  System<Op>& held() { return system; }
  size_t length() const { return static_cast<size_t>(system.unknowns()); }
  // About how much it holds: all that goes with an unknown, or a row of a matrix for each.
  int64_t weight() const { return system.unknowns() * (Op::method == Method::dense && !Op::explicit_ ? system.unknowns() : 1); }

  // F, the slopes, and how large F is, at a vector of unknowns.
  Ratio linearise(const std::vector<double>& at) {
    system.scatter(at.data(), system.value);
    system.refresh();
    return slopes.linearise(F.data());
  }
  double norm() const { return linear::norm(F.data(), system.unknowns(), system.threads()); }

  // y - t step, the largest |t step| and the largest |y|.
  struct Move {
    double step, size;
  };
  Move move(double t, std::vector<double>& to) const {
    constexpr int64_t piece = 16384;
    const int64_t total = system.unknowns(), pieces = (total + piece - 1) / piece;
    std::vector<Move> most(static_cast<size_t>(pieces));
    parallel_for(pieces, system.threads(), [&](int64_t p) {
      const int64_t begin = p * piece, length = begin + piece < total ? piece : total - begin;
      const double *from = y.data() + begin, *d = step.data() + begin;
      double* const made = to.data() + begin;
      for (int64_t i = 0; i < length; ++i) made[i] = from[i] - t * d[i];
      most[static_cast<size_t>(p)] = {t * largest(length, [&](int64_t i) { return std::fabs(d[i]); }),
                                      largest(length, [&](int64_t i) { return std::fabs(made[i]); })};
    });
    Move all{0, 0};
    for (const Move& m : most) {
      all.step = m.step > all.step ? m.step : all.step;
      all.size = m.size > all.size ? m.size : all.size;
    }
    return all;
  }

  Found solve(const Settings& settings, bool started);

 private:
  Found transient(const Settings& settings, Found found, bool started);
  bool descend(int64_t steps, bool started);
  bool descended_ = false;

  // Puts the user's guess into y, zero without one; one where F is not defined there.
  Ratio begin() {
    system.guess();
    system.gather(system.value, y.data());
    const Ratio ratio = linearise(y);
    if (ratio.finite()) return ratio;
    std::fill(y.begin(), y.end(), 1.0);  // zero may lie outside the domain of a logarithm or a power
    return linearise(y);
  }

  // Whether all that is left is rounding.
  static bool rounded(const Ratio& ratio, const Move& moved, const Settings& settings) {
    return (ratio.point <= stagnated || ratio.field <= settings.tol) && moved.step <= 1e-9 * moved.size;
  }

  // Puts fields that a step, from `trial` to y, made vanish beside what they were to zero, if that does no harm.
  void settle_zeros(Ratio& ratio, double& now) {
    bool any = false;
    for (int u = 0; u < Op::unknowns; ++u) {
      const int64_t begin = system.offset(u), length = count(Op::arrays[Op::inputs + u].core, system.sizes());
      const auto size = [&](const std::vector<double>& of) {
        return largest(length, [&](int64_t i) { return std::fabs(of[static_cast<size_t>(begin + i)]); });
      };
      const double left = size(y);
      if (left == 0 || !(left <= 1e-8 * size(trial))) continue;
      if (!any) trial = y;
      any = true;
      std::fill_n(trial.begin() + begin, length, 0.0);
    }
    if (!any) return;
    const Ratio zeroed = linearise(trial);
    const double then = norm();
    if (zeroed.finite() && then <= now) {
      y.swap(trial);
      ratio = zeroed, now = then;
    } else {
      linearise(y);
    }
  }
  double largest_unknown() const {
    return largest(system.unknowns(), [&](int64_t i) { return std::fabs(y[static_cast<size_t>(i)]); });
  }
  Found finish(Found found, Cause cause) {
    found.cause = cause;
    found.norm = norm();
    return found;
  }
};

template <class Op>
Found Solver<Op>::solve(const Settings& settings, bool started) {
  Found found;
  if (system.unknowns() == 0) return found;
  Ratio ratio = started ? linearise(y) : begin();
  if (started && !ratio.finite()) {  // a start of NaN, as an earlier failure leaves it, is none
    started = false;
    ratio = begin();
  }
  if (!ratio.finite()) return finish(found, Cause::iterations);
  double before = norm(), last_step = 0;
  const double first = before;
  for (;;) {
    if (before == 0 && !Op::linear) return finish(found, Cause::none);
    if (found.iterations >= settings.max_iterations) {
      const bool near = ratio.point <= stagnated && last_step <= 1e-6;
      return finish(found, near ? Cause::none : Cause::iterations);
    }
    // An iterative solve need not be better than the step it makes.
    const double forcing = Op::linear ? 1e-14 : std::fmin(1e-2, std::fmax(1e-7, 0.1 * before / first));
    const bool solved = !Op::linear ? jacobian.factor_and_solve(F.data(), step.data(), forcing)
                                    : (found.iterations > 0 || jacobian.factor()) && jacobian.solve(F.data(), step.data(), forcing);
    found.krylov += jacobian.iterations();
    if (!solved) {
      if (!Op::linear && !started && found.iterations == 0 && largest_unknown() == 0) {  // a square's slope at zero
        std::fill(y.begin(), y.end(), 1.0);
        ratio = linearise(y);
        before = norm();
        ++found.iterations;
        if (ratio.finite()) continue;
      }
      const bool singular = Op::linear || jacobian.is_singular();
      if (!Op::linear) found = transient(settings, found, started);  // no root yet: it may be regular where one is
      return singular && (Op::linear || found.cause != Cause::none) ? finish(found, Cause::singular) : found;
    }
    if (Op::linear && found.iterations == 0 && jacobian.is_doubtful()) return finish(found, Cause::singular);
    ++found.iterations;
    double t = 1, now = 0;
    const double field = ratio.field;
    Move moved{};
    for (;;) {
      moved = move(t, trial);
      ratio = linearise(trial);
      now = norm();
      if (ratio.finite() && std::isfinite(now)) {
        if (now <= (1 - 1e-4 * t) * before || ratio.point <= settings.tol || Op::linear) break;
        // The rounding of equations of large numbers may hide from |F| how others converge.
        if (ratio.field <= 1e-3 && ratio.field <= 0.5 * field) break;
        if (rounded(ratio, moved, settings)) break;
      }
      t /= 2;
      if (t < 1e-6) break;
    }
    if (t < 1e-6) {
      linearise(y);
      return transient(settings, found, started);
    }
    y.swap(trial);
    if (t == 1 && ratio.point > 1e-3 && now <= 1e-6 * first) settle_zeros(ratio, now);
    before = now;
    const double size = moved.size > 0 ? moved.size : 1, relative = moved.step / size;
    const double next = last_step > 0 ? relative * relative * (relative / (last_step * last_step)) : 1;
    const bool settled = t == 1 && (relative <= std::fmax(1e-7, settings.tol) || std::fmin(next, relative) <= 1e-14 || Op::linear);
    if (ratio.point <= settings.tol && settled) return finish(found, Cause::none);
    if (rounded(ratio, moved, settings)) return finish(found, Cause::none);
    if (Op::linear && found.iterations >= 4) {
      return finish(found, ratio.field <= stagnated && !jacobian.is_singular() ? Cause::none : Cause::singular);
    }
    last_step = t == 1 ? relative : 0;
  }
}

template <class Op>
Found Solver<Op>::transient(const Settings& settings, Found found, bool started) {
  if (!started) begin();  // where the search has stalled is no good place to start from
  Ratio ratio = linearise(y);
  double before = norm(), shift = 1;
  const double first = before;
  while (found.iterations < settings.max_iterations) {
    ++found.iterations;
    bool good = jacobian.shifted_solve(shift, F.data(), step.data());
    found.krylov += jacobian.iterations();
    Move moved{};
    double now = 0;
    if (good) {
      moved = move(1, trial);
      ratio = linearise(trial);
      now = norm();
      good = ratio.finite() && now <= 15 * before;
    }
    if (!good) {
      shift = std::fmax(4 * shift, 1e-3);
      if (shift > 1e10) break;
      linearise(y);
      continue;
    }
    y.swap(trial);
    const bool settled = ratio.point <= settings.tol && moved.step <= 1e-7 * moved.size;
    if (shift < 1e-6 && (settled || rounded(ratio, moved, settings))) return finish(found, Cause::none);
    const double fell = now / before;
    shift = fell <= 1.5 ? shift * std::fmin(std::fmax(fell, 0.1), 0.7) : 2 * shift;
    if (shift < 1e-7 || (now < 1e-3 * first && shift < 1e-3)) shift = 0;  // near enough for Newton's own steps
    before = now > 0 ? now : before;
  }
  if constexpr (Op::method == Method::dense) {
    if (!descended_ && system.unknowns() <= 1024 && descend(settings.max_iterations, started)) {
      descended_ = true;
      Found again = solve(settings, true);
      descended_ = false;
      again.iterations += found.iterations, again.krylov += found.krylov;
      return again;
    }
  }
  linearise(y);
  return finish(found, Cause::iterations);
}

// Levenberg and Marquardt: (J^T J + mu D) d = J^T F, D the diagonal of J^T J, goes downhill in |F| also where J is singular.
// Ends near a root, from where Newton's steps go on; false if there is none to be seen.
template <class Op>
bool Solver<Op>::descend(int64_t steps, bool started) {
  if (!started) begin();
  linearise(y);
  double before = norm(), mu = 1e-2;
  const double first = before;
  for (int64_t i = 0; i < 4 * steps; ++i) {
    if (!(before > 1e-6 * first)) return true;
    if (!jacobian.damped_solve(mu, F.data(), step.data())) return false;
    const Move moved = move(1, trial);
    const Ratio ratio = linearise(trial);
    const double now = norm();
    if (ratio.finite() && now < before) {
      y.swap(trial);
      mu = std::fmax(mu / 5, 1e-12);
      if (now > (1 - 1e-9) * before || moved.step <= 1e-14 * moved.size) return false;  // a minimum that is no root
      before = now;
    } else {
      mu *= 4;
      if (mu > 1e12) return false;
      linearise(y);
    }
  }
  return before <= 1e-2 * first;
}

}  // namespace opgen::coupled
#endif
