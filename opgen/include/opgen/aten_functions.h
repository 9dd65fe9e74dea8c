// What a formula in ATen is written with: functions and operators of tensors of float64 and of numbers.
//
// ATen has them, but any of its headers besides Tensor.h takes seconds to compile. These are calls into
// aten_runtime.cc, compiled once; what is written with them stands in their namespace, where they need no prefix.
#ifndef OPGEN_ATEN_FUNCTIONS_H
#define OPGEN_ATEN_FUNCTIONS_H

#include <ATen/core/Tensor.h>

#include <cmath>  // NAN, INFINITY
#include <functional>
#include <utility>
#include <vector>

namespace opgen::formula {

// Those of one argument that are methods of a tensor.
#define OPGEN_ATEN_UNARY(_)                                             \
  _(sqrt) _(exp) _(log) _(sin) _(cos) _(tan) _(asin) _(acos) _(atan)    \
  _(sinh) _(cosh) _(tanh) _(asinh) _(acosh) _(atanh)                    \
  _(erf) _(erfc) _(erfinv) _(abs) _(sign) _(floor) _(ceil)

#define OPGEN_UNARY(name) at::Tensor name(const at::Tensor& x);
#define OPGEN_BINARY(name)                                   \
  at::Tensor name(const at::Tensor& a, const at::Tensor& b); \
  at::Tensor name(const at::Tensor& a, double b);            \
  at::Tensor name(double a, const at::Tensor& b);

OPGEN_ATEN_UNARY(OPGEN_UNARY)
OPGEN_UNARY(sinc)      // sin(x) / x
OPGEN_UNARY(gamma)     // with its sign for negative x; NaN at its poles
OPGEN_UNARY(loggamma)  // log |gamma(x)|, with derivatives that are right to rounding
OPGEN_UNARY(digamma)   // its derivative, likewise
OPGEN_UNARY(trigamma)  // and the derivative of that
OPGEN_BINARY(pow)
OPGEN_BINARY(atan2)
OPGEN_BINARY(max)
OPGEN_BINARY(min)
OPGEN_BINARY(remainder)  // with the sign of b

OPGEN_BINARY(operator+)  // the minus sign is a member
OPGEN_BINARY(operator-)
OPGEN_BINARY(operator*)
OPGEN_BINARY(operator/)

// Truth values are tensors, too.
OPGEN_BINARY(operator>)
OPGEN_BINARY(operator>=)
OPGEN_BINARY(operator<)
OPGEN_BINARY(operator<=)
OPGEN_BINARY(operator==)
OPGEN_BINARY(operator!=)
OPGEN_UNARY(operator!)
at::Tensor operator&&(const at::Tensor& a, const at::Tensor& b);
at::Tensor operator||(const at::Tensor& a, const at::Tensor& b);
#undef OPGEN_UNARY
#undef OPGEN_BINARY

// The derivative of digamma of this order, two or more.
at::Tensor polygamma(int order, const at::Tensor& x);

// 0 for x < 0, 1 for x > 0, `at_zero` for x = 0; its derivative is 0.
at::Tensor heaviside(const at::Tensor& x, double at_zero);

// A number where a tensor is wanted.
at::Tensor constant(double value);

namespace detail {

using Branch = std::function<at::Tensor(const std::vector<at::Tensor>& variables)>;

at::Tensor piecewise(const at::Tensor& condition, const Branch& then, const Branch& otherwise,
                     const std::vector<at::Tensor>& variables);

template <class F, size_t... I>
Branch branch(F f, std::index_sequence<I...>) {
  return [f](const std::vector<at::Tensor>& variables) { return f(variables[I]...); };
}

}  // namespace detail

// then(variables...) where the condition holds, otherwise(variables...) elsewhere. Unlike at::where, each function sees
// only the points at which it counts: an infinite slope of the other branch would make their gradient 0 * inf = NaN.
template <class Then, class Otherwise, class... Variables>
at::Tensor piecewise(const at::Tensor& condition, Then then, Otherwise otherwise, const Variables&... variables) {
  const auto all = std::index_sequence_for<Variables...>();
  return detail::piecewise(condition, detail::branch(then, all), detail::branch(otherwise, all), {variables...});
}

}  // namespace opgen::formula

#endif
