// Where the results of a forward pass go.
#ifndef OPGEN_COUPLED_RESULTS_H
#define OPGEN_COUPLED_RESULTS_H

#include <opgen/coupled/newton.h>
#include <opgen/coupled/workers.h>

namespace opgen::coupled {

template <class Op>
struct Results {
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;

  const Batch& batch;
  const opgen_array *inputs, *outputs;
  int32_t* iterations;
  unsigned char* converged;
  int on_failure;
  Ledger& ledger;

  // Takes the system `number`, whose unknowns are found.
  void take(System<Op>& system, const Found& found, int64_t number) const {
    system.refresh(m > 0);
    system.auxiliaries();
    Standing standing{found.cause, found.norm, found.iterations, found.krylov};
    bool good = found.cause == Cause::none;
    if (good) {
      for (int a = n; a < n + k + m; ++a) good = good && finite(system.value, a);
      if (!good) standing.cause = Cause::value;
    }
    if (!good) {
      for (int i = 0; i < n; ++i) {
        if (!finite(system.value, i)) standing.cause = Cause::input;
      }
    }
    for (int o = 0; o < k + m; ++o) {
      if (!good && on_failure == OPGEN_NAN) {
        batch.fill(system.value, n + o, outputs[o], number, NAN);
      } else {
        batch.write(system.value, n + o, outputs[o], number);
      }
    }
    batch.put(outputs[k + m], number, found.norm);
    if (iterations) iterations[number] = static_cast<int32_t>(found.iterations);
    if (converged) converged[number] = good;
    ledger.settle(number, standing);
  }
};

}  // namespace opgen::coupled
#endif
