// Products with derivatives that are never formed: one backward pass of autograd each.
#ifndef OPGEN_ATEN_AUTOGRAD_H
#define OPGEN_ATEN_AUTOGRAD_H

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "opgen/aten_adjoint.h"

namespace opgen {

// Whatever the caller has switched on or off in this thread (no_grad, inference, vmap, autocast) does not reach us.
struct PlainAutograd {
  c10::InferenceMode normal{false};
  c10::impl::ForceDispatchKeyGuard keys{c10::impl::LocalDispatchKeySet(c10::impl::PODLocalDispatchKeySet{})};
  at::AutoGradMode grad{true};
  c10::AutoFwGradMode forward{false};
};

// Stack what a residual returns, [count] or constants, to [count, k].
inline at::Tensor columns(const Tensors& results, int64_t count) {
  Tensors full;
  for (const at::Tensor& result : results) full.push_back(result.expand({count}));
  return at::stack(full, 1);
}

// The product u -> M^T u for the matrix M of derivatives of f, [count, k], by the leaf y, [count, n].
inline at::Tensor pull_back(const at::Tensor& f, const at::Tensor& y, const at::Tensor& u) {
  if (!f.requires_grad()) return at::zeros_like(y);
  y.mutable_grad().reset();
  f.backward(u, /*retain_graph=*/true, /*create_graph=*/false, at::TensorList(y));
  const at::Tensor product = y.grad();
  y.mutable_grad().reset();
  return product.defined() ? product : at::zeros_like(y);
}

}  // namespace opgen

#endif
