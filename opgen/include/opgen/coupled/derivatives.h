// Derivatives over a batch of systems.
//
// At a root F(x, y) = 0. Outputs are y and the auxiliaries a(x, y), with cotangents g and h. F_x dx + F_y dy = 0, so
//
//     the tangent w of y along dx = v:      F_y w = -F_x v
//     the adjoint u:                        F_y^T u = g + a_y^T h,      dJ/dx = a_x^T h - F_x^T u
//
// With L = h^T (a_x v + a_y w) - u^T (F_x v + F_y w), u and w held fixed, the derivative by x of g^T w + h^T a' is L_x - F_x^T p,
// where F_y^T p = L_y. Along two tangents, with w1 and w2 those of y, the second derivative z of y solves
// F_y z = -D^2F [(v1, w1), (v2, w2)]. For y = f(x), F = y - f: F_y is the identity, and -F_x is f_x.
#ifndef OPGEN_COUPLED_DERIVATIVES_H
#define OPGEN_COUPLED_DERIVATIVES_H

#include <opgen/coupled/shared_adjoint.h>
#include <opgen/coupled/solve.h>

namespace opgen::coupled {

// A worker's fields, by what they hold; each is made when first asked for.
template <class Op>
struct Worker {
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  static constexpr double sign = Op::explicit_ ? 1 : -1;  // of F_x in dJ/dx and in the tangent

  Root<Op> root;
  std::unique_ptr<Fields<Op>> made[6];
  std::vector<double> u, p;

  Worker(std::vector<int64_t> sizes, int threads) : root(std::move(sizes), threads), u(root.length()), p(root.length()) {}
  System<Op>& held() { return root.system(); }
  int64_t weight() const { return root.solver.weight(); }

  Fields<Op>& fields(int number) {
    if (!made[number]) {
      made[number] = std::make_unique<Fields<Op>>(root.system().sizes());
      root.products.prepare(*made[number]);
    }
    return *made[number];
  }
  // Fields of cotangents: zero, with memory for the inputs that are wanted.
  Fields<Op>& cotangents(int number, const Gradients<Op>& gradients) {
    Fields<Op>& bar = fields(number);
    for (int i = 0; i < n; ++i) {
      if (gradients.wanted(i)) {
        bar.own(i);
      } else {
        bar.view[i] = View{};  // it may still show what an earlier call read there
      }
    }
    for (int a = 0; a < Op::array_count; ++a) bar.zero(a);
    return bar;
  }
  // Fields of tangents of the inputs.
  Fields<Op>& tangents(int number, const Batch& batch, const opgen_array* given, int64_t system) {
    Fields<Op>& t = fields(number);
    for (int i = 0; i < n; ++i) {
      if (given[i].data) {
        batch.read(given[i], system, t, i);
      } else {
        t.view[i] = View{};
      }
    }
    return t;
  }
  // -F_x^T u (f_x^T u if explicit), added to the inputs of `bar`.
  void through(Fields<Op>& bar, const std::vector<double>& adjoint) {
    for (size_t i = 0; i < p.size(); ++i) p[i] = sign * adjoint[i];
    for (int a = n; a < Op::array_count; ++a) bar.zero(a);
    // The unknowns' own cotangents are not asked for, unless boundary values hang on them.
    constexpr bool needed = boundary_values();
    for (int y = n; y < n + k && !needed; ++y) bar.view[y].data = nullptr;
    root.products.pull(bar, p.data(), false);
    for (int y = n; y < n + k && !needed; ++y) bar.own(y);
  }
  static constexpr bool boundary_values() {
    for (const Array& array : Op::arrays) {
      if (array.role == Role::boundary) return true;
    }
    return false;
  }
};

// Calls body(worker, batch, system, group, regular) for the systems that are not settled; false says that there is no derivative.
template <class Op, class Body>
int differentiate(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_options& options,
                  opgen_report* report, const Batch& batch, Ledger&& ledger, Body&& body) {
  for_systems<Worker<Op>>(points, Op::dimensions, ledger, options.threads, [&](Worker<Op>& worker, int64_t b, int64_t group) {
    Standing standing = worker.root.place(batch, inputs, unknowns, b, options, true);
    const bool regular = standing.cause == Cause::none;
    if (!body(worker, b, group, regular) && regular) standing.cause = Cause::linear;
    standing.krylov = standing.iterations = worker.root.krylov;
    if (standing.cause == Cause::value) standing.cause = Cause::none;  // it failed in the forward pass, and was told of then
    ledger[b] = standing;
  });
  report->krylov = ledger.krylov();
  return conclude<Op>(ledger.failure(), batch, inputs, options, report);
}

template <class Op>
int adjoint(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* cotangents,
            const opgen_array* gradients, const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    Gradients<Op> results(batch, gradients, n);
    Ledger ledger(batch.count());
    if constexpr (shareable<Op>()) adjoint_shared<Op>(batch, inputs, unknowns, cotangents, results, ledger, options);
    const auto body = [&](Worker<Op>& worker, int64_t b, int64_t group, bool regular) {
      Fields<Op>& bar = worker.cotangents(0, results);
      bool good = regular;
      if (regular) {
        for (int o = 0; o < k + m; ++o) batch.read(cotangents[o], b, bar, n + o);
        good = worker.root.adjoint(bar, worker.u);
        if (good) worker.through(bar, worker.u);
        for (int i = 0; i < n && !good; ++i) bar.zero(i);
      }
      results.put(bar, b, group);
      return good;
    };
    const int status = differentiate<Op>(points, inputs, unknowns, options, report, batch, std::move(ledger), body);
    results.finish(points.sizes);
    return status;
  });
}

// Writes unknowns and auxiliaries of a system, or zeros where it has no derivative.
template <class Op>
void write_outputs(const Batch& batch, const Fields<Op>& fields, const opgen_array* outputs, int64_t b, bool good) {
  for (int o = 0; o < Op::unknowns + Op::auxiliaries; ++o) {
    if (good) {
      batch.write(fields, Op::inputs + o, outputs[o], b);
    } else {
      batch.fill(fields, Op::inputs + o, outputs[o], b, 0.0);
    }
  }
}

template <class Op>
int tangent(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* tangents,
            const opgen_array* outputs, const opgen_options& options, opgen_report* report) {
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    const auto body = [&](Worker<Op>& worker, int64_t b, int64_t, bool regular) {
      Fields<Op>& t = worker.tangents(0, batch, tangents, b);
      const bool good = regular && worker.root.tangent(t);
      write_outputs(batch, t, outputs, b, good);
      return good;
    };
    return differentiate<Op>(points, inputs, unknowns, options, report, batch, Ledger(batch.count()), body);
  });
}

template <class Op>
int second(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* cotangents,
           const opgen_array* tangents, const opgen_array* gradients, const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    Gradients<Op> results(batch, gradients, n);
    const auto body = [&](Worker<Op>& worker, int64_t b, int64_t group, bool regular) {
      Root<Op>& root = worker.root;
      Fields<Op>& bar = worker.cotangents(0, results);
      bool good = regular;
      if (regular) {
        Fields<Op>& t = worker.tangents(1, batch, tangents, b);
        good = root.tangent(t);
        Fields<Op>& dot = worker.fields(2);
        for (int a = 0; a < Op::array_count; ++a) dot.zero(a);
        for (int o = 0; o < k + m; ++o) batch.read(cotangents[o], b, dot, n + o);
        good = good && root.adjoint(dot, worker.u);  // no memory for inputs in there: only u is wanted
        for (double& v : worker.u) v *= Worker<Op>::sign;
        for (int a = n; a < Op::array_count; ++a) dot.zero(a);
        for (int o = k; o < k + m; ++o) batch.read(cotangents[o], b, dot, n + o);
        root.products.second(t, bar, dot, worker.u.data(), m > 0);
        root.system().gather(bar, worker.u.data());
        good = good && root.solve(true, worker.u.data(), worker.u.data());
        if (good) worker.through(bar, worker.u);
        for (int i = 0; i < n && !good; ++i) bar.zero(i);
      }
      results.put(bar, b, group);
      return good;
    };
    const int status = differentiate<Op>(points, inputs, unknowns, options, report, batch, Ledger(batch.count()), body);
    results.finish(points.sizes);
    return status;
  });
}

template <class Op>
int curvature(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* v,
              const opgen_array* w, const opgen_array* outputs, const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    const auto body = [&](Worker<Op>& worker, int64_t b, int64_t, bool regular) {
      Root<Op>& root = worker.root;
      Fields<Op>&t = worker.tangents(0, batch, v, b), &s = worker.tangents(1, batch, w, b), &r = worker.fields(2);
      bool good = regular;
      if (regular) {
        good = root.tangent(t) && root.tangent(s);
        for (int u = 0; u < k; ++u) r.zero(n + u);
        root.products.curve(t, s, r, worker.u.data(), false);
        for (double& value : worker.u) value *= Worker<Op>::sign;
        good = good && root.solve(false, worker.u.data(), worker.u.data());
        root.system().scatter(worker.u.data(), r);
        if (m > 0) root.products.curve(t, s, r, nullptr, true);
      }
      write_outputs(batch, r, outputs, b, good);
      return good;
    };
    return differentiate<Op>(points, inputs, unknowns, options, report, batch, Ledger(batch.count()), body);
  });
}

template <class Op>
int isolated(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, unsigned char* flags,
             const opgen_options& options, opgen_report* report) {
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    const auto body = [&](Worker<Op>&, int64_t b, int64_t, bool regular) {
      flags[b] = regular;
      return regular;
    };
    return differentiate<Op>(points, inputs, unknowns, options, report, batch, Ledger(batch.count()), body);
  });
}

}  // namespace opgen::coupled
#endif
