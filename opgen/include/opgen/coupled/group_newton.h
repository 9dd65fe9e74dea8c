// Newton's method for the systems of a bundle, side by side, each step by GMRES (group_krylov.h) without a Jacobian.
//
// Sums M v are linear, so those of a step are known from those of the basis: a residual costs no product with a matrix.
// What single precision has lost in them is bounded by `drift`; every few steps, and before a system is said to have converged,
// they are computed anew in double. A system that does not get on is left to Newton's method with an LU factorisation.
//
// Source: Dembo, Eisenstat and Steihaug, SIAM J. Numer. Anal. 19 (1982), on inexact steps.
#ifndef OPGEN_COUPLED_GROUP_NEWTON_H
#define OPGEN_COUPLED_GROUP_NEWTON_H

#include <opgen/coupled/group_factor.h>
#include <opgen/coupled/newton.h>

namespace opgen::coupled {

constexpr double single_rounding = 1.1920928955078125e-7;

template <class Op>
class BundleNewton {
 public:
  using B = Bundle<Op>;

  enum class Fate { going, done, left };

  explicit BundleNewton(B& bundle)
      : bundle_(bundle), krylov_(bundle.unknowns()), now_(bundle.state()), trial_(bundle.state()), step_(bundle.state()) {}

  Fate fate[wide];
  Found found[wide];
  typename B::State& state() { return now_; }

  // Solves systems whose Jacobian has been factored: a step, and another that takes off what rounding has left.
  void solve_directly(const SharedFactor<Op>& factor, const bool (&same)[wide], double tol) {
    typename B::Measured measured{};
    for (int iteration = 0; iteration < 4; ++iteration) {
      std::copy_n(bundle_.F(), bundle_.unknowns() * wide, step_.y.data());
      factor.solve(step_.y);
      Each t, moved;
      bool any = false;
      for (int l = 0; l < wide; ++l) {
        const bool going = same[l] && fate[l] == Fate::going;
        any = any || going;
        t[l] = going ? 1 : 0;
      }
      if (!any) return;
      std::fill_n(step_.sums.data(), bundle_.sums() * wide, 0.0);
      move(t, moved);
      bundle_.bind(trial_);
      bundle_.add_up();
      measured = bundle_.linearise(tol, stagnated);
      now_.swap(trial_);
      for (int l = 0; l < wide; ++l) {
        if (t[l] == 0) continue;
        found[l].iterations = iteration + 1;
        if (measured.within[l] || (iteration == 3 && measured.near[l])) conclude(l, measured.norm[l]);
        if (!std::isfinite(measured.norm[l]) || (iteration == 3 && !measured.near[l])) leave(l);
      }
    }
  }

  // Solves the first `count` systems from the unknowns in state(). In single precision what is asked for is what it can hold.
  void solve(const Settings& settings, bool single, int count, const SharedFactor<Op>* factor) {
    const double tol = single ? std::fmax(settings.tol, single_rounding / 2) : settings.tol;
    const double settled = single ? single_rounding : 1e-14;
    start(count);
    typename B::Measured measured = bundle_.linearise(tol, stagnated);
    if (factor) {
      bool same[wide];
      factor->find(bundle_, same);
      solve_directly(*factor, same, settings.tol);
      bundle_.bind(now_);
      measured = bundle_.linearise(tol, stagnated);
    }
    int64_t products = 0;
    const int64_t budget = std::max<int64_t>(2 * BundleKrylov::most, bundle_.unknowns());
    Each before, drift, error;  // |F|, what the sums have lost, and what the unknowns are still off; the last two relative
    for (int l = 0; l < wide; ++l) {
      before[l] = measured.norm[l], drift[l] = 0, error[l] = 1;
      if (!std::isfinite(before[l])) leave(l);
    }
    for (int64_t iteration = 0;; ++iteration) {
      bool going[wide], any = false;
      Each tolerance;
      for (int l = 0; l < wide; ++l) {
        if (fate[l] == Fate::going && before[l] == 0) conclude(l, 0);
        if (fate[l] == Fate::going && (iteration >= settings.max_iterations || products >= budget)) leave(l);
        any = (going[l] = fate[l] == Fate::going) || any;
        tolerance[l] = forcing(error[l], settled);
      }
      if (!any) return;
      krylov_.solve(bundle_.F(), before, going, tolerance, BundleKrylov::most, [&](const float* v, float* w, int column) {
        bundle_.multiply(v, sums(column), w);
      });
      products += krylov_.columns;
      krylov_.solution(step_.y.data());
      krylov_.combine(bundle_.sums(), [this](int column) { return sums(column); }, step_.sums.data());
      Each t, moved;
      for (int l = 0; l < wide; ++l) {
        if (going[l] && !(krylov_.remaining[l] <= 0.9)) leave(l), going[l] = false;
        t[l] = going[l] ? 1 : 0;
      }
      bool exact[wide], again = false;
      int halving = 0;
      do {
        move(t, moved);
        for (int l = 0; l < wide; ++l) {  // whether the next step will need better sums than these
          const double expected = moved[l] * krylov_.remaining[l], wanted = std::fmax(expected * forcing(expected, settled), settled);
          exact[l] = going[l] && drift[l] + lost * moved[l] > 0.1 * wanted;
        }
        refresh_sums(exact);
        bundle_.bind(trial_);
        measured = bundle_.linearise(tol, stagnated);
        again = false;
        for (int l = 0; l < wide; ++l) {
          const double now = measured.norm[l];
          if (!going[l] || (std::isfinite(now) && (now <= (1 - 1e-4 * t[l]) * before[l] || measured.within[l] ||
                                                   (measured.near[l] && moved[l] <= 1e-9)))) {
            continue;
          }
          again = true;
          t[l] = halving < 6 ? t[l] / 2 : 0;
          if (t[l] == 0) leave(l), going[l] = false;
        }
        ++halving;
      } while (again);
      now_.swap(trial_);
      for (int l = 0; l < wide; ++l) {
        if (!going[l]) continue;
        const double now = measured.norm[l];
        found[l].iterations = iteration + 1;
        found[l].krylov = products;
        drift[l] = exact[l] ? 0 : drift[l] + lost * moved[l];
        error[l] = t[l] == 1 ? std::fmin(moved[l] * (now / before[l]), 1) : 1;
        before[l] = now;
        const bool small = measured.within[l] && error[l] <= settled, rounded = measured.near[l] && t[l] == 1 && moved[l] <= 1e-9;
        if ((small || rounded) && drift[l] <= settled) conclude(l, now);
      }
    }
  }

 private:
  static constexpr double lost = 2 * single_rounding;  // of the sums of a step

  // How exact a step has to be if the unknowns are `error` off. All systems make for the same errors, each the square of the
  // one before: more would be lost again where F bends. So those of a bundle need steps of like exactness.
  static double forcing(double error, double settled) {
    double wanted = 0.1;
    while (!(wanted < 0.5 * error) && wanted > settled) wanted *= std::fmax(wanted, trusted);
    return std::fmin(std::fmax(std::fmax(wanted, 0.5 * settled) / error, trusted), 0.5);
  }
  static constexpr double trusted = 2e-4;  // how far a step in single precision is

  void start(int count) {
    for (int l = 0; l < wide; ++l) {
      fate[l] = l < count ? Fate::going : Fate::left;
      found[l] = Found{};
    }
    bundle_.bind(now_);
    const double* const y = now_.y.data();
    bool zero = true;
    for (int64_t i = 0; i < bundle_.unknowns() * wide && zero; ++i) zero = y[i] == 0;
    if (zero) {
      std::fill_n(now_.sums.data(), bundle_.sums() * wide, 0.0);
    } else {
      bundle_.add_up();
    }
  }
  void leave(int l) { fate[l] = Fate::left; }
  void conclude(int l, double norm) {
    fate[l] = Fate::done;
    found[l].norm = norm;
  }

  float* sums(int column) {
    while (static_cast<int>(sums_.size()) <= column) sums_.emplace_back(bundle_.sums());
    return sums_[static_cast<size_t>(column)].data();
  }

  // trial = now - t step; `moved` is |t step| / |trial|, that of the unknown for which it is the largest.
  void move(const Each& t, Each& moved) {
    for (int l = 0; l < wide; ++l) moved[l] = 0;
    for (int u = 0; u < Op::unknowns; ++u) {
      const int64_t begin = bundle_.offset(u), end = u + 1 < Op::unknowns ? bundle_.offset(u + 1) : bundle_.unknowns();
      Each steps = {}, sizes = {};
      for (int64_t i = begin; i < end; ++i) {
        for (int l = 0; l < wide; ++l) {
          const double d = t[l] * step_.y.row(i)[l], v = now_.y.row(i)[l] - d;
          trial_.y.row(i)[l] = v;
          steps[l] += d * d;
          sizes[l] += v * v;
        }
      }
      for (int l = 0; l < wide; ++l) {
        const double own = steps[l] == 0 ? 0 : sizes[l] > 0 ? std::sqrt(steps[l] / sizes[l]) : 1;
        if (!(own <= moved[l])) moved[l] = own;
      }
    }
    for (int64_t i = 0; i < bundle_.sums(); ++i) {
      for (int l = 0; l < wide; ++l) trial_.sums.row(i)[l] = now_.sums.row(i)[l] - t[l] * step_.sums.row(i)[l];
    }
  }

  // The sums of the trial from its unknowns, for some of the systems.
  void refresh_sums(const bool (&exact)[wide]) {
    bool any = false, all = true;
    for (bool own : exact) any = any || own, all = all && own;
    if (!any) return;
    if (!kept_.data()) kept_ = Block<double>(bundle_.sums());
    trial_.sums.swap(kept_);
    bundle_.bind(trial_);
    bundle_.add_up();
    if (all) return;
    for (int64_t i = 0; i < bundle_.sums(); ++i) {
      for (int l = 0; l < wide; ++l) {
        if (!exact[l]) trial_.sums.row(i)[l] = kept_.row(i)[l];
      }
    }
  }

  B& bundle_;
  BundleKrylov krylov_;
  typename B::State now_, trial_, step_;
  std::vector<Block<float>> sums_;  // of the basis
  Block<double> kept_;
};

}  // namespace opgen::coupled
#endif
