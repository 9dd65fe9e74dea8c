// What the ATen half of an operator is made of: the functions of its residual, and the derivatives that run on them.
// A generated file includes this and aten_functions.h; the rest is compiled once, in aten_runtime.cc.
#ifndef OPGEN_ATEN_ADJOINT_H
#define OPGEN_ATEN_ADJOINT_H

#include <ATen/core/Tensor.h>

#include <vector>

#include "opgen/abi.h"

namespace opgen {

using Tensors = std::vector<at::Tensor>;

// An operator y(x): the root of residual(x, y) = 0 or, if it is explicit, values(x). Every tensor that these functions
// meet is a vector of float64 with one entry per point; what they return may also be a constant.
struct AtenOperator {
  const char* name;
  std::vector<const char*> inputs;  // names, for messages
  int unknowns;                     // how many
  int auxiliaries;
  Tensors (*residual)(const Tensors& inputs, const Tensors& unknowns);   // null if explicit
  Tensors (*values)(const Tensors& inputs);                              // null if not
  Tensors (*auxiliary)(const Tensors& inputs, const Tensors& unknowns);  // null if there are none
};

// What opgen_adjoint, opgen_tangent and opgen_second of kernel.h say, by autograd and GMRES; see aten_runtime.cc.
int aten_adjoint(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* gradients,
                 const opgen_options* options, opgen_report* report) noexcept;
int aten_tangent(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* tangents, const opgen_array* outputs,
                 const opgen_options* options, opgen_report* report) noexcept;
int aten_second(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* tangents,
                const opgen_array* gradients, const opgen_options* options, opgen_report* report) noexcept;

}  // namespace opgen

#endif
