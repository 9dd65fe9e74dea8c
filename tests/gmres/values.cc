// Evaluates functions written in ATen one by one: an explicit operator's values, and the derivative of each by each
// input at each point, as autograd has it. The operator is the file that VALUES_OPERATOR names.
#include VALUES_OPERATOR

#include <ATen/core/grad_mode.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/ones_like.h>

#include <cstdio>

// x: [inputs, n]; y: [outputs, n]; dy: [outputs, inputs, n].
extern "C" OPGEN_EXPORT int evaluate(const double* x, int64_t inputs, int64_t n, double* y, double* dy) try {
  const at::AutoGradMode grad(true);
  opgen::Tensors leaves;
  for (int64_t i = 0; i < inputs; ++i)
    leaves.push_back(at::from_blob(const_cast<double*>(x) + i * n, {n}, at::TensorOptions(at::kDouble)).clone());
  for (at::Tensor& leaf : leaves) leaf.requires_grad_();
  for (const at::Tensor& value : opgen::formula::values(leaves, nullptr)) {
    at::from_blob(y, {n}, at::TensorOptions(at::kDouble)).copy_(value.detach());
    y += n;
    const at::Tensor full = value.expand({n});
    if (full.requires_grad()) full.backward(at::ones_like(full), true, false, leaves);
    for (at::Tensor& leaf : leaves) {
      const at::Tensor slope = at::from_blob(dy, {n}, at::TensorOptions(at::kDouble));
      if (leaf.grad().defined()) slope.copy_(leaf.grad());
      else slope.zero_();
      leaf.mutable_grad().reset();
      dy += n;
    }
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
