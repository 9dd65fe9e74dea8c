// The systems of a call, batch by batch, and where their results go.
//
// The points of a pointwise operator are taken in chunks, so that what a pass touches stays in the caches; the systems of a
// coupled one together, as its preconditioner has them. Those that have no root are left out, and so are those whose solve
// failed: masking their NaN afterwards would not do, 0 * NaN is NaN.
#ifndef OPGEN_ATEN_BATCH_H
#define OPGEN_ATEN_BATCH_H

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/alias.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>

#include "opgen/aten_autograd.h"
#include "opgen/aten_points.h"

namespace opgen {

inline bool any_defined(const Tensors& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const at::Tensor& t) { return t.defined(); });
}

// The systems at which y is a root, as far as the policy lets others come here; all true, usually. Whoever calls a coupled
// operator has marked what is no root.
inline at::Tensor is_root(const Call& call, const Tensors& x, const Tensors& y, int64_t systems) {
  at::Tensor root = at::ones({systems}, at::kBool);
  for (const at::Tensor& v : y) {
    at::Tensor finite = v.isfinite();
    while (finite.dim() > 1) finite = finite.all(-1);
    root.logical_and_(finite);
  }
  if (call.policy != OPGEN_KEEP || !call.op.residual || call.op.coupled()) return root;

  // A last iterate is kept. F is small at a root, beside the first-order size of its terms, |F_x| |x| + |F_y| |y|.
  Tensors variables = x;
  variables.insert(variables.end(), y.begin(), y.end());
  for (at::Tensor& v : variables) v = v.detach().to(at::kDouble).alias().requires_grad_();
  const auto middle = variables.begin() + x.size();
  const Tensors F = call.op.residual({variables.begin(), middle}, {middle, variables.end()}, call.points.sizes);
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

// Systems begin ... begin + size - 1 of a call, of which `count` are left.
class Batch {
 public:
  Batch(const Call& call, int64_t begin, int64_t size) : call_(&call), begin_(begin), size_(size), count_(size) {
    const Tensors x = parts(call.x);
    const bool given = std::all_of(call.y.begin(), call.y.end(), [](const at::Tensor& t) { return t.defined(); });
    const Tensors y = given ? parts(call.y) : call.op.values(x, call.points.sizes);
    const at::Tensor root = is_root(call, x, y, size);
    if (!root.all().item<bool>()) *this = only(root);
  }

  // The systems of this batch for which `kept`, [count], is true.
  Batch only(const at::Tensor& kept) const {
    Batch left = *this;
    left.kept_ = kept.nonzero().squeeze(1);
    left.count_ = left.kept_.numel();
    if (kept_.defined()) left.kept_ = kept_.index_select(0, left.kept_);
    return left;
  }

  int64_t count() const { return count_; }

  // Where system i of the batch stands in the call.
  int64_t index(int64_t i) const { return begin_ + (kept_.defined() ? kept_[i].item<int64_t>() : i); }

  // Of one value per system of the call, those of the batch, in float64; what all share, or is undefined, stays so.
  at::Tensor take(const at::Tensor& lanes) const {
    if (!lanes.defined()) return lanes;
    const at::Tensor all = part(lanes);
    return (kept_.defined() && !is_shared(lanes) ? all.index_select(0, kept_) : all).to(at::kDouble).detach();
  }

  Tensors take(const Tensors& lanes) const {
    Tensors all;
    for (const at::Tensor& t : lanes) all.push_back(take(t));
    return all;
  }

  // The same side by side, [count, length]; undefined if none of them is defined.
  at::Tensor take(const Tensors& lanes, const Fields& fields) const {
    return any_defined(lanes) ? fields.join(take(lanes), count_) : at::Tensor();
  }

  // Write [count, ...] where the systems of the batch are in [systems of the call, ...].
  void put(const at::Tensor& lanes, const at::Tensor& values) const {
    const at::Tensor all = part(lanes);
    if (kept_.defined()) all.index_copy_(0, kept_, values.to(all.scalar_type()));
    else all.copy_(values);
  }

 private:
  bool is_shared(const at::Tensor& lanes) const { return lanes.size(0) != call_->size; }
  at::Tensor part(const at::Tensor& lanes) const { return is_shared(lanes) ? lanes : lanes.narrow(0, begin_, size_); }

  Tensors parts(const Tensors& lanes) const {
    Tensors all;
    for (const at::Tensor& t : lanes) all.push_back(part(t));
    return all;
  }

  const Call* call_;
  int64_t begin_, size_, count_;
  at::Tensor kept_;  // their places in the chunk; undefined if it is all of them
};

// Call f(batch) until every system that has a root was in one. Where f returns the systems that failed, it did nothing for
// the others either, and is called again without those, unless the call as a whole has failed.
template <class F>
void for_batches(const Call& call, const F& f) {
  const int64_t chunk =
      call.op.coupled() ? std::max<int64_t>(call.size, 1) : std::max<int64_t>(65536, 32768 * at::get_num_threads());
  for (int64_t begin = 0; begin < call.size; begin += chunk) {
    Batch batch(call, begin, std::min(chunk, call.size - begin));
    while (batch.count() > 0) {
      const at::Tensor failed = f(batch);
      if (!failed.defined() || call.policy == OPGEN_RAISE) break;
      batch = batch.only(failed.logical_not());
    }
  }
}

// Results on their way to the caller, zero where nothing is put; memory with one entry per system is written directly.
class Results {
 public:
  Results(const Call& call, const opgen_array* arrays, const std::vector<const Fields*>& of) : call_(call) {
    for (const Fields* fields : of)
      for (size_t i = 0; i < fields->cores.size(); ++i, ++arrays) {
        results_.push_back({arrays->data ? call.operand(*arrays, fields->cores[i]).zero_() : at::Tensor(), {},
                            fields->shape(call.size, i)});
      }
  }

  bool wanted(size_t i) const { return results_[i].memory.defined(); }
  bool wanted() const {
    return std::any_of(results_.begin(), results_.end(), [](const Result& r) { return r.memory.defined(); });
  }

  // Give result i of a batch, [count, core axes], or the sum of all systems, [1, core axes].
  void put(const Batch& batch, size_t i, const at::Tensor& values) {
    if (!wanted(i)) return;
    auto& [memory, lanes, shape] = results_[i];
    if (call_.op.coupled() && values.size(0) == 1 && values.numel() == memory.numel()) {
      memory.copy_(values.reshape(memory.sizes()));
      return;
    }
    if (!lanes.defined()) {
      int64_t whole = 1;
      for (const int64_t extent : shape) whole *= extent;
      const bool direct = memory.numel() == whole && memory.is_contiguous();
      lanes = direct ? memory.view(shape) : at::zeros(shape, at::kDouble);
    }
    batch.put(lanes, values);
  }

  // Sum along the axes on which the caller's memory is broadcast.
  void finish() {
    for (auto& [memory, lanes, shape] : results_) {
      if (!lanes.defined() || lanes.data_ptr() == memory.data_ptr()) continue;
      Extents all(call_.shape.begin(), call_.shape.end());
      all.insert(all.end(), shape.begin() + 1, shape.end());
      memory.copy_(lanes.view(all).sum_to_size(memory.sizes()));
    }
  }

 private:
  struct Result {
    at::Tensor memory;  // the caller's; undefined if it is not wanted
    at::Tensor lanes;   // of every system, once there is one
    Extents shape;      // of that
  };

  const Call& call_;
  std::vector<Result> results_;
};

}  // namespace opgen

#endif
