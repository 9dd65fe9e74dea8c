// Coupled operators written by hand, as the tests of gradients through ATen need them. `adjoint_x` of each is the function
// that an operator's library calls opgen_aten_adjoint, and so on.
#include <ATen/TensorOperators.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/matmul.h>

#include "opgen/aten_adjoint.h"

namespace {

using opgen::AtenOperator;
using opgen::Core;
using opgen::Tensors;

constexpr Core scalar{0, {}}, vector{1, {{0, 0}}}, faces{1, {{0, 1}}}, square{2, {{0, 0}, {0, 0}}};

// What stands at i + by, with zeros outside.
at::Tensor shifted(const at::Tensor& u, int64_t by) {
  return at::constant_pad_nd(u, {1, 1}, 0).narrow(1, 1 + by, u.size(1));
}

at::Tensor times(const at::Tensor& A, const at::Tensor& z) { return at::matmul(A, z.unsqueeze(2)).squeeze(2); }

// u[i-1] - 2 u[i] + u[i+1] + h^2 k[i] exp(u[i])
const AtenOperator bratu{
    "bratu", {"k", "h"}, 1, 0,
    [](const Tensors& x, const Tensors& y, const int64_t*) {
      const at::Tensor u = y[0], h = x[1].unsqueeze(1);
      return Tensors{shifted(u, -1) - 2 * u + shifted(u, 1) + h * h * x[0] * u.exp()};
    },
    nullptr, nullptr, {vector, scalar, vector}};

// z - tanh(W z + b), with the auxiliary |z|^2
const AtenOperator layer{
    "layer", {"W", "b"}, 1, 1,
    [](const Tensors& x, const Tensors& y, const int64_t*) { return Tensors{y[0] - (times(x[0], y[0]) + x[1]).tanh()}; },
    nullptr,
    [](const Tensors&, const Tensors& y, const int64_t*) { return Tensors{(y[0] * y[0]).sum(1)}; },
    {square, vector, vector, scalar}};

// q[j] = k[j] (p[j-1] - p[j]) on faces, q[i+1] - q[i] + c p[i]^3 = f[i] in cells; p first. The auxiliary is q[j]^2 / k[j].
const AtenOperator darcy{
    "darcy", {"k", "f", "c"}, 2, 1,
    [](const Tensors& x, const Tensors& y, const int64_t* sizes) {
      const at::Tensor p = y[0], q = y[1], wide = at::constant_pad_nd(p, {1, 1}, 0);
      const int64_t n = sizes[0];
      return Tensors{q.narrow(1, 1, n) - q.narrow(1, 0, n) + x[2].unsqueeze(1) * p * p * p - x[1],
                     q - x[0] * (wide.narrow(1, 0, n + 1) - wide.narrow(1, 1, n + 1))};
    },
    nullptr,
    [](const Tensors& x, const Tensors& y, const int64_t*) { return Tensors{y[1] * y[1] / x[0]}; },
    {faces, vector, scalar, vector, faces, faces}};

// y = A x
const AtenOperator product{
    "product", {"A", "x"}, 1, 0, nullptr,
    [](const Tensors& x, const int64_t*) { return Tensors{times(x[0], x[1])}; }, nullptr, {square, vector, vector}};

}  // namespace

#define EXPORTS(op) OPGEN_ATEN_FUNCTIONS(op, adjoint_##op, tangent_##op, second_##op, cores_##op)
EXPORTS(bratu)
EXPORTS(layer)
EXPORTS(darcy)
EXPORTS(product)

// The first of them once more as a library of its own, for the loader.
OPGEN_ATEN_OPERATOR(bratu)
