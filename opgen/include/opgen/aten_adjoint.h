// The adjoint through ATen: what an operator's file gives, and what it gets. That file, compiled anew for every operator,
// includes this and aten_functions.h; the rest is compiled once, in aten_runtime.cc.
#ifndef OPGEN_ATEN_ADJOINT_H
#define OPGEN_ATEN_ADJOINT_H

#include <ATen/core/Tensor.h>

#include <vector>

#include "opgen/abi.h"
#include "opgen/signature.h"

namespace opgen {

using Tensors = std::vector<at::Tensor>;

// An operator y(x): the root of residual(x, y) = 0 or, if it is explicit, values(x). The tensors that these functions
// meet are of float64: [systems, core axes], or [1, core axes] for an input that is the same for all systems. They return
// one tensor for each equation or auxiliary, with the core axes of the unknown or auxiliary, or what broadcasts to that.
// The systems of a pointwise operator are its points, and its tensors vectors: it has no core axes.
struct AtenOperator {
  const char* name;
  std::vector<const char*> inputs;  // names, for messages
  int unknowns;                     // how many
  int auxiliaries;
  Tensors (*residual)(const Tensors& inputs, const Tensors& unknowns, const int64_t* sizes);   // null if explicit
  Tensors (*values)(const Tensors& inputs, const int64_t* sizes);                              // null if not
  Tensors (*auxiliary)(const Tensors& inputs, const Tensors& unknowns, const int64_t* sizes);  // null if there are none
  std::vector<Core> cores = {};  // of inputs, unknowns, auxiliaries; empty if the operator is pointwise

  bool coupled() const { return !cores.empty(); }
};

// What opgen_adjoint, opgen_tangent and opgen_second of kernel.h say, by autograd and GMRES; see aten_runtime.cc. The
// preconditioner of a coupled operator may be null, that of a pointwise one is.
int aten_adjoint(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* gradients,
                 const opgen_options* options, const opgen_preconditioner* preconditioner,
                 opgen_report* report) noexcept;
int aten_tangent(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* tangents, const opgen_array* outputs,
                 const opgen_options* options, const opgen_preconditioner* preconditioner,
                 opgen_report* report) noexcept;
int aten_second(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* tangents,
                const opgen_array* gradients, const opgen_options* options, const opgen_preconditioner* preconditioner,
                opgen_report* report) noexcept;

}  // namespace opgen

// The functions of an operator's library, as AtenLoader looks for them.
#define OPGEN_ATEN_FUNCTIONS(op, adjoint, tangent, second, signature)                                                   \
  extern "C" OPGEN_EXPORT int adjoint(const opgen_points* points, const opgen_array* inputs,                            \
                                      const opgen_array* unknowns, const opgen_array* cotangents,                       \
                                      const opgen_array* gradients, const opgen_options* options,                       \
                                      const opgen_preconditioner* preconditioner, opgen_report* report) {               \
    return opgen::aten_adjoint(op, points, inputs, unknowns, cotangents, gradients, options, preconditioner, report);   \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int tangent(const opgen_points* points, const opgen_array* inputs,                            \
                                      const opgen_array* unknowns, const opgen_array* tangents,                         \
                                      const opgen_array* outputs, const opgen_options* options,                         \
                                      const opgen_preconditioner* preconditioner, opgen_report* report) {               \
    return opgen::aten_tangent(op, points, inputs, unknowns, tangents, outputs, options, preconditioner, report);       \
  }                                                                                                                     \
  extern "C" OPGEN_EXPORT int second(const opgen_points* points, const opgen_array* inputs,                             \
                                     const opgen_array* unknowns, const opgen_array* cotangents,                        \
                                     const opgen_array* tangents, const opgen_array* gradients,                         \
                                     const opgen_options* options, const opgen_preconditioner* preconditioner,          \
                                     opgen_report* report) {                                                            \
    return opgen::aten_second(op, points, inputs, unknowns, cotangents, tangents, gradients, options, preconditioner,   \
                              report);                                                                                  \
  }                                                                                                                     \
  /* Core axes of inputs, unknowns and auxiliaries; null if the operator is pointwise. */                               \
  extern "C" OPGEN_EXPORT const opgen::Core* signature() { return (op).coupled() ? (op).cores.data() : nullptr; }

#define OPGEN_ATEN_OPERATOR(op) \
  OPGEN_ATEN_FUNCTIONS(op, opgen_aten_adjoint, opgen_aten_tangent, opgen_aten_second, opgen_aten_cores)

#endif
