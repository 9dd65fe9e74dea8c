// Products with derivatives that are never formed: a pass or two of autograd each.
#ifndef OPGEN_ATEN_AUTOGRAD_H
#define OPGEN_ATEN_AUTOGRAD_H

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/InferenceMode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <optional>

#include "opgen/aten_adjoint.h"

// As in torch/csrc/autograd/autograd.h, which takes five seconds to compile; the linker notices a difference.
namespace torch::autograd {
std::vector<at::Tensor> grad(const std::vector<at::Tensor>& outputs, const std::vector<at::Tensor>& inputs,
                             const std::vector<at::Tensor>& grad_outputs, std::optional<bool> retain_graph,
                             bool create_graph, bool allow_unused);
}

namespace opgen {

// Whatever the caller has switched on or off in this thread (no_grad, inference, vmap, autocast) does not reach us.
struct PlainAutograd {
  c10::InferenceMode normal{false};
  c10::impl::ForceDispatchKeyGuard keys{c10::impl::LocalDispatchKeySet(c10::impl::PODLocalDispatchKeySet{})};
  at::AutoGradMode grad{true};
  c10::AutoFwGradMode forward{false};
};

// The sums over f of u^T f_by, one for each of `by`; an undefined u is zero. They can be differentiated again if asked.
inline Tensors pull_back(const Tensors& f, const Tensors& u, const Tensors& by, bool differentiable = false) {
  Tensors outputs, cotangents, products(by.size());
  for (size_t i = 0; i < f.size(); ++i) {
    if (!u[i].defined() || !f[i].requires_grad()) continue;
    outputs.push_back(f[i]);
    cotangents.push_back(u[i]);
  }
  if (!outputs.empty() && !by.empty())
    products = torch::autograd::grad(outputs, by, cotangents, /*retain_graph=*/true, differentiable,
                                     /*allow_unused=*/true);
  for (size_t i = 0; i < by.size(); ++i)
    if (!products[i].defined()) products[i] = at::zeros_like(by[i]);
  return products;
}

// The product u -> f_y^T u.
inline at::Tensor pull_back(const at::Tensor& f, const at::Tensor& u, const at::Tensor& y) {
  return pull_back(Tensors{f}, Tensors{u}, Tensors{y})[0];
}

// The product v -> f_by v. Autograd has the transposed product only, but that is linear in its cotangent u, whatever u
// is: f_by^T u has the derivative f_by^T by u, and the transposed product with that is the one with f_by.
class PushForward {
 public:
  PushForward(const at::Tensor& f, const Tensors& by)
      : u_(at::ones_like(f).requires_grad_()), transposed_(pull_back({f}, {u_}, by, /*differentiable=*/true)) {}

  // The sum over `by` of f_by v; an undefined v is zero.
  at::Tensor operator()(const Tensors& v) const { return pull_back(transposed_, v, {u_})[0]; }

 private:
  at::Tensor u_;
  Tensors transposed_;
};

}  // namespace opgen

#endif
