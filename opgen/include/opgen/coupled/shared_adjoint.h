// The adjoints of systems that share their matrices, F_y^T u = g, by GMRES, and gradients of the matrices as products.
//
// Corrections are computed in single precision, what remains of g in double, until nothing does. A matrix of which no inverse
// is computed does not tell that it is singular: g may happen to lie where it is regular. So a vector of signs is solved for as
// well, until less remains than it has of any one direction on average. A system in which that fails, or whose solution grows
// much, is left to be factored.
#ifndef OPGEN_COUPLED_SHARED_ADJOINT_H
#define OPGEN_COUPLED_SHARED_ADJOINT_H

#include <opgen/coupled/groups.h>
#include <opgen/coupled/root.h>

namespace opgen::coupled {

template <class Op>
class StripAdjoint {
 public:
  using M = Member<Op>;
  // One system on its way: y holds g, F what remains of it, and u the adjoint.
  struct Course {
    M* member;
    int64_t number;
    size_t row;  // in its group
    std::vector<double> u;
    double norm = 0, left = 0;  // |g|, and of what remains
    int64_t krylov = 0;
    bool going = true, good = false;
  };

  StripAdjoint(const Group<Op>& group, Strip<Op>& strip, bool single)
      : group_(group), strip_(strip), tol_(single ? 0x1p-20 : 4e-15), enough_(single ? 4e-6 : 1e-11) {}

  // Marks as good what it has solved.
  void solve(std::vector<Course>& courses) {
    for (Course& c : courses) {
      M& m = *c.member;
      c.norm = c.left = linear::norm(m.y.data(), m.system.unknowns(), 1);
      c.going = c.going && std::isfinite(c.norm);
      c.u.assign(m.length(), 0.0);
      m.F = m.y;
      m.round_slopes();
    }
    if constexpr (Op::linear) {
      for (Course& c : courses) {
        c.good = c.going && group_.has_jacobian(c.member->slopes);
        if (c.good) group_.direct->jacobian.solve_transposed(c.member->y.data(), c.u.data(), 0);
      }
      return;
    }
    for (int pass = 0; pass < 8 && advance(courses, pass == 0); ++pass) {
    }
  }

 private:
  static constexpr double most_growth = 1e4;
  static constexpr double part = 0.3;   // of what a vector of signs has of a direction on average
  static constexpr double lost = 1e-6;  // of a correction, in single precision

  // A correction of all that are going. False if there are none.
  bool advance(std::vector<Course>& courses, bool first) {
    std::vector<typename Strip<Op>::Task> tasks;
    std::vector<double> signs;
    for (Course& c : courses) {
      if (!c.going) continue;
      M& m = *c.member;
      if (first) {
        for (double& v : signs = rough_vector(m.system.unknowns())) v = v < 0 ? -1 : 1;
        m.probe.start(signs.data(), std::sqrt(static_cast<double>(m.length())));
        tasks.push_back({&m, &m.probe, part / std::sqrt(static_cast<double>(m.length()))});
      }
      if (c.norm == 0) continue;
      m.space.start(m.F.data(), c.left);
      tasks.push_back({&m, &m.space, std::fmax(1e-5, 0.5 * tol_ * c.norm / c.left)});
    }
    strip_.iterate(*group_.matrices, tasks, true);
    for (Course& c : courses) {
      if (!c.going) continue;
      M& m = *c.member;
      if (first) {
        m.probe.finish();
        c.krylov += m.probe.used();
        c.going = m.probe.remaining() <= part / std::sqrt(static_cast<double>(m.length())) && m.probe.growth() <= most_growth;
      }
      if (!c.going) continue;
      if (c.norm == 0) {
        c.good = true, c.going = false;
        continue;
      }
      m.space.finish(m.step.data());
      c.krylov += m.space.used();
      c.going = m.space.growth() <= most_growth;
      for (size_t i = 0; i < c.u.size(); ++i) c.u[i] += m.step[i];
      // What single precision may have lost on the way is a small part of what was left.
      const double bound = c.left * (m.space.remaining() + lost * (1 + m.space.growth()));
      if (c.going && bound <= tol_ * c.norm) c.good = true, c.going = false;
    }
    measure(courses);
    return !tasks.empty();
  }

  // What remains of g.
  void measure(std::vector<Course>& courses) {
    std::vector<Course*> open;
    for (Course& c : courses) {
      if (c.going) open.push_back(&c);
    }
    if (open.empty()) return;
    for (Course* c : open) c->member->multiply_transposed(c->u.data(), c->member->sums.data(), c->member->F.data());
    strip_.template add_transposed<double>(
        *group_.matrices, open, [](Course* c) { return c->member->sums.data(); }, [](Course* c) { return c->member->F.data(); });
    for (Course* c : open) {
      M& m = *c->member;
      for (size_t i = 0; i < m.F.size(); ++i) m.F[i] = m.y[i] - m.F[i];
      const double before = c->left;
      c->left = linear::norm(m.F.data(), m.system.unknowns(), 1);
      const bool stalled = !(c->left <= 0.5 * before);
      c->good = c->left <= (stalled ? enough_ : tol_) * c->norm;
      c->going = !c->good && !stalled;
    }
  }

  const Group<Op>& group_;
  Strip<Op>& strip_;
  double tol_, enough_;
};

// What the adjoint of a system sends to its inputs, dJ/dx = a_x^T h - F_x^T u, but for matrices: of those, cotangents of products.
template <class Op>
void send_back(const Group<Op>& group, Strip<Op>& strip, std::vector<typename StripAdjoint<Op>::Course>& courses,
               Gradients<Op>& results, int64_t slot, bool exact) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  std::vector<Member<Op>*> members;
  for (auto& c : courses) {
    if (!c.good) continue;
    Member<Op>& m = *c.member;
    members.push_back(&m);
    for (double& v : c.u) v = -v;
    for (int a = n; a < Op::array_count; ++a) m.bar.zero(a);
    for (int y = n; y < n + k; ++y) m.bar.view[y].data = nullptr;  // not asked for
    Products<Op>(m.system).pull(m.bar, c.u.data(), false);
    for (int y = n; y < n + k; ++y) m.bar.own(y);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        constexpr int vector = N::read[N::product.vector].array;
        group.outer->template put<N>(c.row, m.bar.view[N::target].data, m.system.value.view[vector].data);
      }
    });
  }
  strip.pull_products(*group.matrices, members, exact);
  for (const auto& c : courses) {
    if (c.good) results.put(c.member->bar, c.number, slot);
  }
}

// Gradients for the systems of groups that share their matrices; what is not settled then is left to be solved alone.
template <class Op>
void adjoint_shared(const Batch& batch, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* cotangents,
                    Gradients<Op>& results, Ledger& ledger, const opgen_options& options) {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  using Adjoint = StripAdjoint<Op>;
  const double allowed = root_tolerance(options, batch.single());
  const auto body = [&](const Group<Op>& group, size_t strip, Strip<Op>& worker, int64_t slot) {
    std::vector<typename Adjoint::Course> courses;
    std::vector<Member<Op>*> members;
    for (size_t s = group.begin(strip); s < group.end(strip); ++s) {
      Member<Op>& own = worker.at(s - group.begin(strip));
      own.read(batch, inputs, group.systems[s]);
      own.system.prepare();
      for (int u = 0; u < k; ++u) batch.read(unknowns[u], group.systems[s], own.system.value, n + u);
      courses.push_back({&own, group.systems[s], s, {}});
      members.push_back(&own);
    }
    for (const bool moving : {false, true}) worker.add_up(*group.matrices, members, moving, !batch.single());
    for (auto& c : courses) {
      Member<Op>& own = *c.member;
      own.system.refresh(m > 0);
      own.linearise();
      c.going = own.ratio.field <= allowed;
      own.prepare_cotangents(results);
      for (int o = 0; o < k + m; ++o) batch.read(cotangents[o], c.number, own.bar, n + o);
      if (m > 0) Products<Op>(own.system).pull(own.bar, nullptr, true);
      own.system.gather(own.bar, own.y.data());
    }
    Adjoint(group, worker, batch.single()).solve(courses);
    send_back(group, worker, courses, results, slot, !batch.single());
    for (const auto& c : courses) {
      if (c.good) ledger.settle(c.number, {Cause::none, 0, c.krylov, c.krylov});
    }
  };
  for_strips<Op>(batch, inputs, true, options.threads, body,
                 [&](Group<Op>& group) { group.outer->finish(group.systems, results, options.threads); });
}

}  // namespace opgen::coupled
#endif
