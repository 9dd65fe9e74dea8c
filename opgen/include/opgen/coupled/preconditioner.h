// The kernel's solver as a preconditioner for one outside.
#ifndef OPGEN_COUPLED_PRECONDITIONER_H
#define OPGEN_COUPLED_PRECONDITIONER_H

#include <opgen/coupled/root.h>
#include <opgen/coupled/solve.h>

namespace opgen::coupled {

// Approximate inverses of F_y at the roots of a batch, for a solver outside.
template <class Op>
struct Preconditioner {
  std::vector<std::unique_ptr<Root<Op>>> roots;
  std::vector<bool> regular;
  int64_t length = 0;

  static int apply(void* context, int transposed, const double* r, double* z) {
    auto& self = *static_cast<Preconditioner*>(context);
    const auto count = static_cast<int64_t>(self.roots.size());
    parallel_for(count, 0, [&](int64_t b) {
      const double* const from = r + b * self.length;
      double* const to = z + b * self.length;
      Root<Op>& root = *self.roots[static_cast<size_t>(b)];
      if (!self.regular[static_cast<size_t>(b)] || !root.precondition(transposed != 0, from, to)) {
        memcpy(to, from, static_cast<size_t>(self.length) * sizeof(double));
      }
    });
    return OPGEN_OK;
  }
};

template <class Op>
int new_preconditioner(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                       const opgen_options& options, opgen_preconditioner* made, opgen_report* report) {
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    auto own = std::make_unique<Preconditioner<Op>>();
    own->roots.resize(static_cast<size_t>(batch.count()));
    std::vector<unsigned char> regular(static_cast<size_t>(batch.count()));
    const int threads = batch.count() > 1 ? 1 : options.threads;
    parallel_for(batch.count(), options.threads, [&](int64_t b) {
      auto& root = own->roots[static_cast<size_t>(b)];
      root = std::make_unique<Root<Op>>(std::vector<int64_t>(points.sizes, points.sizes + Op::dimensions), threads);
      regular[static_cast<size_t>(b)] = root->place(batch, inputs, unknowns, b, options, true).cause == Cause::none;
    });
    own->regular.assign(regular.begin(), regular.end());
    own->length = batch.count() > 0 ? own->roots[0]->system().unknowns() : 0;
    *made = {own.release(), &Preconditioner<Op>::apply};
    return static_cast<int>(OPGEN_OK);
  });
}

template <class Op>
void delete_preconditioner(opgen_preconditioner* made) {
  delete static_cast<Preconditioner<Op>*>(made->context);
  made->context = nullptr;
}

}  // namespace opgen::coupled
#endif
