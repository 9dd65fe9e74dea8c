// The forward pass of systems that share their matrices: Newton's method, each step by GMRES without a Jacobian.
//
// Steps are computed in single precision, residuals in double: what a step lacks the next one mends. Sums M y are linear, so those
// of a step are known from those of the Krylov space, and a residual costs no product with a matrix. What single precision has
// lost in them is estimated by `drift`; where that counts they are computed anew in double. A system that does not get on is
// left to Newton's method with an LU factorisation. Linear systems with one Jacobian are solved by one factorisation.
//
// Source: Dembo, Eisenstat and Steihaug, SIAM J. Numer. Anal. 19 (1982), on inexact steps.
#ifndef OPGEN_COUPLED_SHARED_SOLVE_H
#define OPGEN_COUPLED_SHARED_SOLVE_H

#include <opgen/coupled/groups.h>
#include <opgen/coupled/results.h>

namespace opgen::coupled {

template <class Op>
class StripNewton {
 public:
  using M = Member<Op>;

  // One system on its way.
  struct Course {
    M* member;
    int64_t number;  // of the system
    Found found;
    double first = 0, before = 0;  // |F| at the start, and before the last step
    double moved = 1;              // the last step, relative to the unknowns
    double drift = 0;              // what the sums have lost, relative to themselves
    bool going = true;
  };

  StripNewton(const Group<Op>& group, Strip<Op>& strip, const Settings& settings, bool single)
      : group_(group), strip_(strip), tol_(single ? std::fmax(settings.tol, half) : settings.tol), settled_(single ? half : 1e-14),
        max_iterations_(settings.max_iterations) {}

  // Solves what it can and calls done(course) for that.
  template <class Done>
  void solve(std::vector<Course>& courses, Done&& done) {
    for (Course& c : courses) {
      c.member->linearise();
      c.member->accept();
      c.first = c.before = c.member->norm;
      c.going = c.member->ratio.finite() && std::isfinite(c.first);
    }
    if constexpr (Op::linear) {
      directly(courses, done);
    } else {
      for (;;) {
        add_up_where_it_counts(courses);
        for (Course& c : courses) {
          if (!c.going || !converged(c)) continue;
          c.found.norm = c.member->norm;
          c.going = false;
          done(c);
        }
        if (!advance(courses)) return;
      }
    }
  }

 private:
  void add_up(const std::vector<M*>& members) {
    if (members.empty()) return;
    strip_.add_up(*group_.matrices, members, true, true);
    strip_.measure(*group_.matrices, members, true);
  }
  void add_up_where_it_counts(std::vector<Course>& courses) {
    std::vector<M*> drifted;
    for (Course& c : courses) {
      if (!c.going || c.drift <= tol_ || c.member->ratio.point > c.drift) continue;
      drifted.push_back(c.member);
      c.drift = 0;
    }
    add_up(drifted);
    for (M* m : drifted) {
      m->linearise();
      m->accept();
    }
  }

  bool converged(const Course& c) const {
    const M& m = *c.member;
    if (m.norm == 0) return c.drift == 0;
    if (c.drift > tol_) return false;
    const double next = c.moved * (m.norm / c.before);  // how far, were the next step as much smaller as F is
    if (m.ratio.point <= tol_ && (c.moved <= std::fmax(1e-7, tol_) || next <= settled_)) return true;
    return rounded(m.ratio, c.moved) && m.norm >= 0.1 * c.before;
  }
  // Whether what is left may be rounding.
  bool rounded(const Ratio& ratio, double moved) const { return (ratio.point <= stagnated || ratio.field <= tol_) && moved <= 1e-9; }

  // A step of all that are going. False if there are none.
  bool advance(std::vector<Course>& courses) {
    std::vector<typename Strip<Op>::Task> tasks;
    for (Course& c : courses) {
      M& m = *c.member;
      const int64_t patience = std::max<int64_t>(3 * KrylovSpace::most, m.system.unknowns());
      c.going = c.going && c.found.iterations < max_iterations_ && c.found.krylov < patience && std::isfinite(m.norm);
      if (!c.going) continue;
      m.round_slopes();
      m.space.start(m.F.data(), m.norm);
      tasks.push_back({&m, &m.space, forcing(c)});
    }
    strip_.iterate(*group_.matrices, tasks, false);
    for (Course& c : courses) {
      if (c.going) c.going = c.member->space.remaining() <= 0.5 && step(c);
    }
    return !tasks.empty();
  }
  // To what part of itself a step reduces the linear residual: no better than the step will be anyway.
  double forcing(const Course& c) const {
    const M& m = *c.member;
    const double wanted = std::fmin(0.1, 0.3 * m.norm / c.first);
    return std::fmax(std::fmax(wanted, 1e-5), std::fmin(0.1, 0.3 * tol_ / m.ratio.point));
  }

  bool step(Course& c) {
    M& m = *c.member;
    m.space.finish(m.step.data(), m.sum_step.data());
    c.found.krylov += m.space.used();
    ++c.found.iterations;
    c.before = m.norm;
    const double field = m.ratio.field;
    for (double t = 1; t > 0.1; t /= 2) {
      m.linearise(-t);
      if (!m.ratio.finite() || !std::isfinite(m.norm)) continue;
      const double far = t * largest_of(m.step), size = std::fmax(far, largest_of(m.y)), moved = far > 0 ? far / size : 0;
      const bool less = m.norm <= (1 - 1e-4 * t) * c.before || (m.ratio.field <= 1e-3 && m.ratio.field <= 0.5 * field);
      if (!less && m.ratio.point > tol_ && !rounded(m.ratio, moved)) continue;
      m.accept();
      c.moved = moved;
      c.drift += lost * c.moved;
      return true;
    }
    return false;
  }
  static double largest_of(const std::vector<double>& v) {
    return largest(static_cast<int64_t>(v.size()), [&](int64_t i) { return std::fabs(v[static_cast<size_t>(i)]); });
  }

  // Steps by the factored Jacobian: the first is the solution, further ones take off what rounding has left.
  template <class Done>
  void directly(std::vector<Course>& courses, Done&& done) {
    for (Course& c : courses) c.going = c.going && group_.has_jacobian(c.member->slopes);
    for (int64_t iteration = 1; iteration <= 4; ++iteration) {
      std::vector<M*> members;
      for (Course& c : courses) {
        if (!c.going) continue;
        M& m = *c.member;
        group_.direct->jacobian.solve(m.F.data(), m.step.data(), 0);
        m.linearise(-1);
        members.push_back(&m);
      }
      add_up(members);
      for (Course& c : courses) {
        if (!c.going) continue;
        M& m = *c.member;
        m.linearise();
        m.accept();
        c.found.iterations = iteration;
        c.found.norm = m.norm;
        if (!(m.ratio.point <= tol_) && !(iteration == 4 && m.ratio.field <= stagnated)) continue;
        c.going = false;
        done(c);
      }
    }
  }

  static constexpr double half = 0x1p-25;  // of what single precision rounds to
  static constexpr double lost = 1e-6;     // of the sums of a step, relative to it

  const Group<Op>& group_;
  Strip<Op>& strip_;
  double tol_, settled_;
  int64_t max_iterations_;
};

// Solves the systems of groups that share their matrices; what is not settled then is left to be solved alone.
template <class Op>
void solve_shared(const Results<Op>& results, const opgen_array* initial, const Settings& settings, int threads) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  const Batch& batch = results.batch;
  using Newton = StripNewton<Op>;
  const auto body = [&](const Group<Op>& group, size_t strip, Strip<Op>& worker, int64_t) {
    std::vector<typename Newton::Course> courses;
    std::vector<Member<Op>*> members;
    for (size_t s = group.begin(strip); s < group.end(strip); ++s) {
      Member<Op>& m = worker.at(s - group.begin(strip));
      m.read(batch, results.inputs, group.systems[s]);
      m.system.prepare();
      courses.push_back({&m, group.systems[s], {}});
      members.push_back(&m);
    }
    worker.add_up(*group.matrices, members, false, true);
    worker.measure(*group.matrices, members, false);
    std::vector<Member<Op>*> started;  // others have sums of zero
    for (const auto& c : courses) {
      System<Op>& system = c.member->system;
      if (!initial) system.guess();
      for (int u = 0; u < k && initial; ++u) batch.read(initial[u], c.number, system.value, n + u);
      if (!c.member->is_zero()) started.push_back(c.member);
    }
    worker.add_up(*group.matrices, started, true, true);
    worker.measure(*group.matrices, started, true);
    Newton(group, worker, settings, batch.single()).solve(courses, [&](const typename Newton::Course& c) {
      results.take(c.member->system, c.found, c.number);
    });
  };
  for_strips<Op>(batch, results.inputs, false, threads, body, [](Group<Op>&) {});
}

}  // namespace opgen::coupled
#endif
