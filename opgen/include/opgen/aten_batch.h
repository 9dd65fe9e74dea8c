// The points of a call, batch by batch, and where their results go.
//
// The points are a batch of small independent systems. They are taken in chunks, so that what a pass touches stays in
// the caches, and without those that have no root: masking their NaN afterwards would not do, 0 * NaN is NaN.
#ifndef OPGEN_ATEN_BATCH_H
#define OPGEN_ATEN_BATCH_H

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/alias.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "opgen/aten_autograd.h"
#include "opgen/aten_points.h"

namespace opgen {

// The points at which y is a root, as far as the policy lets others come here; all true, usually.
inline at::Tensor is_root(const Call& call, const Tensors& x, const Tensors& y) {
  at::Tensor root = y[0].isfinite();
  for (const at::Tensor& v : y) root.logical_and_(v.isfinite());
  if (call.policy != OPGEN_KEEP || !call.op.residual) return root;

  // A last iterate is kept. F is small at a root, beside the first-order size of its terms, |F_x| |x| + |F_y| |y|.
  Tensors variables = x;
  variables.insert(variables.end(), y.begin(), y.end());
  for (at::Tensor& v : variables) v = v.detach().to(at::kDouble).alias().requires_grad_();
  const auto middle = variables.begin() + x.size();
  const Tensors F = call.op.residual({variables.begin(), middle}, {middle, variables.end()});
  const double small = std::max(call.points.dtype == OPGEN_FLOAT32 ? 1e-4 : 1e-8, 1e3 * call.tol);
  for (const at::Tensor& f : F) {
    if (!f.requires_grad()) continue;
    at::Tensor terms = at::zeros_like(root, at::kDouble);
    const Tensors slopes = pull_back({f}, {at::ones_like(f)}, variables);
    for (size_t i = 0; i < variables.size(); ++i) terms += (slopes[i] * variables[i].detach()).abs();
    root.logical_and_(f.detach().abs() <= small * terms);
  }
  return root;
}

// Points begin ... begin + size - 1 of a call, of which `count` have a root.
class Batch {
 public:
  Batch(const Call& call, int64_t begin, int64_t size) : begin_(begin), size_(size), count_(size) {
    const Tensors x = part(call.x);
    Tensors y = part(call.y);
    const auto missing = [](const at::Tensor& t) { return !t.defined(); };
    if (std::any_of(y.begin(), y.end(), missing)) y = columns(call.op.values(x), size).unbind(1);
    const at::Tensor root = is_root(call, x, y);
    if (root.all().item<bool>()) return;
    kept_ = root.nonzero().squeeze(1);
    count_ = kept_.numel();
  }

  int64_t count() const { return count_; }

  // Where point i of the batch stands in the call.
  int64_t index(int64_t i) const { return begin_ + (kept_.defined() ? kept_[i].item<int64_t>() : i); }

  // Of one value per point of the call, those of the batch: [count], float64; zeros if undefined.
  at::Tensor take(const at::Tensor& lanes) const {
    if (!lanes.defined()) return at::zeros({count_}, at::kDouble);
    const at::Tensor all = lanes.narrow(0, begin_, size_);
    return (kept_.defined() ? all.index_select(0, kept_) : all).to(at::kDouble).detach();
  }

  Tensors take(const Tensors& lanes) const {
    Tensors all;
    for (const at::Tensor& t : lanes) all.push_back(take(t));
    return all;
  }

  // The same as the columns of [count, k]; undefined if none of them is defined.
  at::Tensor take_columns(const Tensors& lanes) const {
    const auto given = [](const at::Tensor& t) { return t.defined(); };
    return std::any_of(lanes.begin(), lanes.end(), given) ? columns(take(lanes), count_) : at::Tensor();
  }

  void put(const at::Tensor& lanes, const at::Tensor& values) const {
    const at::Tensor all = lanes.narrow(0, begin_, size_);
    if (kept_.defined()) all.index_copy_(0, kept_, values.to(all.scalar_type()));
    else all.copy_(values);
  }

 private:
  Tensors part(const Tensors& lanes) const {
    Tensors all;
    for (const at::Tensor& t : lanes) all.push_back(t.defined() ? t.narrow(0, begin_, size_) : t);
    return all;
  }

  int64_t begin_, size_, count_;
  at::Tensor kept_;  // their places in the chunk; undefined if all have a root
};

// Call f(batch) until every point that has a root was in one.
template <class F>
void for_batches(const Call& call, const F& f) {
  const int64_t chunk = std::max<int64_t>(65536, 32768 * at::get_num_threads());
  for (int64_t begin = 0; begin < call.size; begin += chunk) {
    const Batch batch(call, begin, std::min(chunk, call.size - begin));
    if (batch.count() > 0) f(batch);
  }
}

// Results on their way to the caller, zero where nothing is put; memory with one entry per point is written directly.
class Results {
 public:
  Results(const Call& call, const opgen_array* arrays, int64_t count) : call_(call), arrays_(arrays), lanes_(count) {
    for (int64_t i = 0; i < count; ++i) {
      if (!arrays[i].data) continue;
      const at::Tensor memory = call.operand(arrays[i]).zero_();
      const bool direct = memory.numel() == call.size && memory.is_contiguous();
      lanes_[i] = direct ? memory.view({call.size}) : at::zeros({call.size}, at::kDouble);
    }
  }

  bool wanted(int64_t i) const { return lanes_[i].defined(); }
  bool wanted() const {
    return std::any_of(lanes_.begin(), lanes_.end(), [](const at::Tensor& t) { return t.defined(); });
  }

  // Give result i at the points of a batch, [count]; `failed`, if it is defined, says where it means nothing.
  void put(const Batch& batch, int64_t i, const at::Tensor& values, const at::Tensor& failed) {
    if (wanted(i)) batch.put(lanes_[i], failed.defined() ? values.masked_fill(failed, 0) : values);
  }

  // Sum along the axes on which the caller's memory is broadcast.
  void finish() {
    for (size_t i = 0; i < lanes_.size(); ++i) {
      if (!lanes_[i].defined() || lanes_[i].data_ptr() == arrays_[i].data) continue;
      at::Tensor memory = call_.operand(arrays_[i]);
      memory.copy_(lanes_[i].view(call_.shape).sum_to_size(memory.sizes()));
    }
  }

 private:
  const Call& call_;
  const opgen_array* arrays_;
  Tensors lanes_;
};

}  // namespace opgen

#endif
