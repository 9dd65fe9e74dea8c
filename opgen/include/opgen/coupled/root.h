// A system at its root: what derivatives start from.
#ifndef OPGEN_COUPLED_ROOT_H
#define OPGEN_COUPLED_ROOT_H

#include <opgen/coupled/newton.h>
#include <opgen/coupled/products.h>
#include <opgen/coupled/report.h>

namespace opgen::coupled {

// How large F may be, in units of its terms, where a derivative is asked for. What is larger failed in the forward pass: it is
// NaN, or a last iterate that was kept.
inline double root_tolerance(const opgen_options& options, bool single) { return std::fmax(1e3 * options.tol, single ? 1e-3 : 1e-7); }

template <class Op>
class Root {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  using Vector = std::vector<double>;

  Root(std::vector<int64_t> sizes, int threads) : solver(std::move(sizes), threads), products(solver.system) {}

  Solver<Op> solver;
  Products<Op> products;
  int64_t krylov = 0;  // iterations of the linear solves at this root

  System<Op>& system() { return solver.system; }
  size_t length() const { return solver.length(); }

  // Reads inputs and unknowns of a system, and makes ready what `needs` it: F_y factored, sums of the auxiliaries.
  Standing place(const Batch& batch, const opgen_array* inputs, const opgen_array* unknowns, int64_t number,
                 const opgen_options& options, bool factored) {
    System<Op>& s = system();
    krylov = 0;
    for (int i = 0; i < n; ++i) batch.read(inputs[i], number, s.value, i);
    s.prepare();
    Standing standing;
    if constexpr (Op::explicit_) {
      s.refresh(true);
      s.explicit_values();
      s.refresh(true);
      for (int i = 0; i < n; ++i) {
        if (!finite(s.value, i)) standing.cause = Cause::input;
      }
      return standing;
    } else {
      for (int u = 0; u < k; ++u) batch.read(unknowns[u], number, s.value, n + u);
      s.refresh(m > 0);
      const Ratio ratio = solver.slopes.linearise(solver.F.data());
      if (!(ratio.field <= root_tolerance(options, batch.single()))) {
        standing.cause = Cause::value;
        return standing;
      }
      if (factored && s.unknowns() > 0 && (!solver.jacobian.factor() || solver.jacobian.is_doubtful())) standing.cause = Cause::singular;
      return standing;
    }
  }

  // F_y x = b, or its transpose; for y = f(x) F_y is the identity.
  bool solve(bool transposed, const double* b, double* x) {
    const auto total = static_cast<size_t>(system().unknowns());
    if constexpr (Op::explicit_) {
      if (x != b) memcpy(x, b, total * sizeof(double));
      return true;
    } else {
      if (total == 0) return true;
      constexpr double tol = 1e-11;
      const bool solved = transposed ? solver.jacobian.solve_transposed(b, x, tol) : solver.jacobian.solve(b, x, tol);
      krylov += solver.jacobian.iterations();
      return solved;
    }
  }

  // z = M^-1 r with an M near F_y that is cheap to invert, or transposed.
  bool precondition(bool transposed, const double* r, double* z) {
    if constexpr (Op::explicit_) {
      return solve(transposed, r, z);
    } else {
      return solver.jacobian.precondition(transposed, r, z);
    }
  }

  // The tangent of y: F_y w = -F_x v, for tangents v of the inputs in t; t then holds those of everything.
  bool tangent(Fields<Op>& t) {
    products.prepare(t);
    for (int u = 0; u < k; ++u) t.zero(n + u);
    Vector moved(length());
    products.push(t, moved.data(), false);
    constexpr double sign = Op::explicit_ ? 1 : -1;
    for (double& v : moved) v *= sign;
    if (!solve(false, moved.data(), moved.data())) return false;
    system().scatter(moved.data(), t);
    products.push(t, moved.data(), true);
    return true;
  }

  // The adjoint u: F_y^T u = g + a_y^T h, for cotangents g in `bar`'s unknowns and h in its auxiliaries. What the auxiliaries
  // send to the inputs is added to `bar`.
  bool adjoint(Fields<Op>& bar, Vector& u) {
    if (m > 0) products.pull(bar, nullptr, true);
    system().gather(bar, u.data());
    return solve(true, u.data(), u.data());
  }
};

}  // namespace opgen::coupled
#endif
