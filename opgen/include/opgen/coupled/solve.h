// The forward pass over a batch of systems.
#ifndef OPGEN_COUPLED_SOLVE_H
#define OPGEN_COUPLED_SOLVE_H

#include <opgen/coupled/shared_solve.h>

namespace opgen::coupled {

template <class Op>
int solve(const opgen_points& points, const opgen_array* inputs, const opgen_array* initial, const opgen_array* outputs,
          int32_t* iterations, unsigned char* converged, const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    Ledger ledger(batch.count());
    const double tol = options.tol > 0 ? options.tol : Op::tol > 0 ? Op::tol : default_tolerance;
    const Settings settings{std::fmax(tol, 4 * rounding), options.max_iterations > 0 ? options.max_iterations : Op::max_iterations};
    const Results<Op> results{batch, inputs, outputs, iterations, converged, options.on_failure, ledger};
    if constexpr (shareable<Op>()) solve_shared<Op>(results, initial, settings, options.threads);
    for_systems<Solver<Op>>(points, Op::dimensions, ledger, options.threads, [&](Solver<Op>& solver, int64_t b, int64_t) {
      System<Op>& system = solver.system;
      for (int i = 0; i < n; ++i) batch.read(inputs[i], b, system.value, i);
      system.prepare();
      Found found;
      if constexpr (Op::explicit_) {
        system.refresh(true);
        system.explicit_values();
      } else {
        if (initial) {
          for (int u = 0; u < k; ++u) batch.read(initial[u], b, system.value, n + u);
          system.gather(system.value, solver.y.data());
        }
        found = solver.solve(settings, initial != nullptr);
        system.scatter(solver.y.data(), system.value);
      }
      results.take(system, found, b);
    });
    report->krylov = ledger.krylov();
    return conclude<Op>(ledger.failure(), batch, inputs, options, report);
  });
}

template <class Op>
int residual(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* outputs,
             const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    const Ledger ledger(batch.count());
    for_systems<Solver<Op>>(points, Op::dimensions, ledger, options.threads, [&](Solver<Op>& solver, int64_t b, int64_t) {
      System<Op>& system = solver.system;
      for (int i = 0; i < n; ++i) batch.read(inputs[i], b, system.value, i);
      system.prepare();
      std::vector<double> y(static_cast<size_t>(system.unknowns())), F(y.size());
      for (int u = 0; u < k; ++u) batch.read(unknowns[u], b, system.value, n + u);
      system.gather(system.value, y.data());
      system.refresh(Op::explicit_);
      system.residual(F.data());
      if (Op::explicit_) {
        for (size_t i = 0; i < F.size(); ++i) F[i] = y[i] - F[i];
      }
      system.scatter(F.data(), system.value);
      for (int u = 0; u < k; ++u) batch.write(system.value, n + u, outputs[u], b);
    });
    return static_cast<int>(OPGEN_OK);
  });
}

}  // namespace opgen::coupled
#endif
