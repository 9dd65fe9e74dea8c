// Products with the derivatives of F itself, anywhere.
#ifndef OPGEN_COUPLED_RESIDUAL_PRODUCTS_H
#define OPGEN_COUPLED_RESIDUAL_PRODUCTS_H

#include <opgen/coupled/derivatives.h>

namespace opgen::coupled {

// Calls body(worker, system, group) with the given unknowns, which need be no root.
template <class Op, class Body>
void anywhere(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_options& options,
              const Batch& batch, Body&& body) {
  const Ledger ledger(batch.count());
  for_systems<Worker<Op>>(points, Op::dimensions, ledger, options.threads, [&](Worker<Op>& worker, int64_t b, int64_t group) {
    System<Op>& system = worker.root.system();
    for (int i = 0; i < Op::inputs; ++i) batch.read(inputs[i], b, system.value, i);
    system.prepare();
    for (int u = 0; u < Op::unknowns; ++u) batch.read(unknowns[u], b, system.value, Op::inputs + u);
    system.refresh(Op::explicit_);
    body(worker, b, group);
  });
}

template <class Op>
int residual_pullback(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                      const opgen_array* cotangents, const opgen_array* gradients, const opgen_options& options,
                      opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    Gradients<Op> results(batch, gradients, n + k);
    anywhere<Op>(points, inputs, unknowns, options, batch, [&](Worker<Op>& worker, int64_t b, int64_t group) {
      System<Op>& system = worker.root.system();
      Fields<Op>& bar = worker.cotangents(0, results);
      for (int u = 0; u < k; ++u) batch.read(cotangents[u], b, bar, n + u);
      system.gather(bar, worker.u.data());
      for (int u = 0; u < k; ++u) bar.zero(n + u);
      for (double& v : worker.u) v *= Op::explicit_ ? -1 : 1;
      worker.root.products.pull(bar, worker.u.data(), false);
      if (Op::explicit_) {
        for (double& v : worker.u) v = -v;
        system.scatter(worker.u.data(), bar);
      }
      results.put(bar, b, group);
    });
    results.finish(points.sizes);
    return static_cast<int>(OPGEN_OK);
  });
}

template <class Op>
int residual_tangent(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                     const opgen_array* tangents, const opgen_array* outputs, const opgen_options& options,
                     opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    anywhere<Op>(points, inputs, unknowns, options, batch, [&](Worker<Op>& worker, int64_t b, int64_t) {
      System<Op>& system = worker.root.system();
      Fields<Op>& t = worker.tangents(0, batch, tangents, b);
      for (int u = 0; u < k; ++u) {
        t.zero(n + u);
        batch.read(tangents[n + u], b, t, n + u);
      }
      system.gather(t, worker.p.data());
      worker.root.products.push(t, worker.u.data(), false);
      if (Op::explicit_) {
        for (size_t i = 0; i < worker.u.size(); ++i) worker.u[i] = worker.p[i] - worker.u[i];
      }
      system.scatter(worker.u.data(), t);
      for (int u = 0; u < k; ++u) batch.write(t, n + u, outputs[u], b);
    });
    return static_cast<int>(OPGEN_OK);
  });
}

}  // namespace opgen::coupled
#endif
