// What the ATen half of an operator is made of: the functions of its residual, and the derivatives that run on them.
// A generated file includes this and one header per ATen operator; the rest is compiled once, in aten_runtime.cc.
#ifndef OPGEN_ATEN_ADJOINT_H
#define OPGEN_ATEN_ADJOINT_H

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <functional>
#include <limits>
#include <utility>
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

// A number where a tensor is wanted.
at::Tensor constant(double value);

// The gamma function, with its sign for negative x; NaN at its poles.
at::Tensor gamma(const at::Tensor& x);

// The logarithm of |gamma|, with derivatives that are right to rounding.
at::Tensor loggamma(const at::Tensor& x);

// The logarithmic derivative of gamma, with a derivative that is right to rounding.
at::Tensor digamma(const at::Tensor& x);

// 0 for x < 0, 1 for x > 0, `at_zero` for x = 0; its derivative is 0.
at::Tensor heaviside(const at::Tensor& x, double at_zero);

namespace detail {

using Branch = std::function<at::Tensor(const Tensors& variables)>;

at::Tensor piecewise(const at::Tensor& condition, const Branch& then, const Branch& otherwise,
                     const Tensors& variables);

template <class F, size_t... I>
Branch branch(F f, std::index_sequence<I...>) {
  return [f](const Tensors& variables) { return f(variables[I]...); };
}

}  // namespace detail

// then(variables...) where the condition holds, otherwise(variables...) elsewhere. Unlike at::where, each function sees
// only the points at which it counts: an infinite slope of the other branch would make their gradient 0 * inf = NaN.
template <class Then, class Otherwise, class... Variables>
at::Tensor piecewise(const at::Tensor& condition, Then then, Otherwise otherwise, const Variables&... variables) {
  const auto all = std::index_sequence_for<Variables...>();
  return detail::piecewise(condition, detail::branch(then, all), detail::branch(otherwise, all), {variables...});
}

}  // namespace opgen

#endif
