// An adapter to GMRES as the frameworks' are, with so much of Bratu's kernel as it needs: which systems have a derivative,
// and, with WITH_PRECONDITIONER, the diagonal of F_y as its approximate inverse.
#include <opgen/gmres_adjoint.h>

#include <cstdio>

namespace {

int made = 0, applied = 0, deleted = 0;

opgen::AtenLoader& loader() {
  static opgen::AtenLoader only("bratu");
  return only;
}

}  // namespace

extern "C" {
// A system whose first unknown is above 50 has none, which is no failure of this call.
int opgen_isolated(const opgen_points* points, const opgen_array*, const opgen_array* unknowns, unsigned char* flags,
                   const opgen_options*, opgen_report* report) {
  report->failed = 0;
  for (int64_t i = 0; i < points->shape[0]; ++i) {
    const int64_t at = i * unknowns[0].strides[0];
    const double u = points->dtype == OPGEN_FLOAT32 ? static_cast<const float*>(unknowns[0].data)[at]
                                                    : static_cast<const double*>(unknowns[0].data)[at];
    flags[i] = u <= 50;
  }
  return OPGEN_OK;
}

#ifdef WITH_PRECONDITIONER
int opgen_preconditioner_new(const opgen_points* points, const opgen_array*, const opgen_array*, const opgen_options*,
                             opgen_preconditioner* out, opgen_report* report) {
  static int64_t entries;
  if (points->sizes[0] > 1000) {
    std::snprintf(report->message, sizeof report->message, "bratu: too large");
    return OPGEN_BAD_CALL;
  }
  ++made;
  entries = points->shape[0] * points->sizes[0];
  *out = {&entries, [](void* context, int, const double* r, double* z) -> int {
            ++applied;
            for (int64_t i = 0; i < *static_cast<int64_t*>(context); ++i) z[i] = -r[i] / 2;
            return OPGEN_OK;
          }};
  return OPGEN_OK;
}

void opgen_preconditioner_delete(opgen_preconditioner*) { ++deleted; }
#endif

// counts: made, applied, deleted.
OPGEN_EXPORT int adjoint(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,
                         const opgen_array* cotangents, const opgen_array* gradients, const opgen_options* options,
                         int* counts, opgen_report* report) {
  made = applied = deleted = 0;
  const std::string failure = opgen::gmres_adjoint(loader(), *points, {inputs, inputs + 2}, {unknowns, unknowns + 1},
                                                   {cotangents, cotangents + 1}, {gradients, gradients + 2}, *options);
  counts[0] = made;
  counts[1] = applied;
  counts[2] = deleted;
  report->failed = report->first = 0;
  std::snprintf(report->message, sizeof report->message, "%s", failure.c_str());
  return failure.empty() ? OPGEN_OK : OPGEN_FAILED_POINTS;
}
}
