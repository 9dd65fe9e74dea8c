// A kernel as PyTorch operators, through PyTorch's stable C++ interface: a library built against one release runs in others.
#ifndef OPGEN_TORCH_H
#define OPGEN_TORCH_H

#include <dlfcn.h>
#include <opgen/gmres_adjoint.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/tensor.h>

#include <optional>
#include <stdexcept>

namespace opgen::pytorch {

using ::torch::stable::Tensor;
namespace stable = ::torch::stable::detail;

// One call: takes its arguments off PyTorch's stack, sees its tensors at the points of the call, puts its results there.
// PyTorch makes a RuntimeError of what is thrown, with no word added.
class Call {
 public:
  Call(const char* op, StableIValue* stack) : op_(op), stack_(stack), next_(stack) {}

  // The arguments, in the order of the schema.
  void tensors(int n) {
    for (int i = 0; i < n; ++i) operands_.push_back(stable::to<Tensor>(*next_++));
  }
  void optional_tensors(int n) {
    for (int i = 0; i < n; ++i) operands_.push_back(stable::to<std::optional<Tensor>>(*next_++));
  }
  std::vector<int64_t> integers() { return stable::to<std::vector<int64_t>>(*next_++); }
  void options() {
    options_.tol = stable::to<double>(*next_++);
    options_.max_iterations = stable::to<int64_t>(*next_++);
    const auto adjoint = stable::to<std::string>(*next_++), policy = stable::to<std::string>(*next_++);
    gmres_ = choose("adjoint", adjoint, {"direct", "gmres"}) == 1;
    options_.on_failure = choose("on_failure", policy, {"raise", "nan", "keep"});
  }

  // The points are the broadcast shape of the first `n` tensors; all others must fit it. `outputs` more arrays will follow.
  void points(size_t n, size_t outputs) {
    for (size_t i = 0; i < operands_.size(); ++i) {
      if (!operands_[i]) continue;
      const Tensor& tensor = *operands_[i];
      int32_t dtype;
      STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(tensor.get(), &dtype));
      if (dtype != aoti_torch_dtype_float32() && dtype != aoti_torch_dtype_float64()) {
        fail(argument(i) + " is neither float32 nor float64");
      }
      if (dtype_ && dtype != dtype_) fail(argument(i) + " has another dtype than those before it; a call has a single dtype");
      dtype_ = dtype;
      const auto sizes = tensor.sizes();
      const Shape before = i < n ? Shape() : shape_, shape(sizes.begin(), sizes.end());
      if (!broadcast(shape_, shape) || (i >= n && shape_ != before)) {
        fail(argument(i) + " has shape " + text(shape) + ", which does not broadcast to " + text(i < n ? shape_ : before));
      }
    }
    points_ = {dtype_ == aoti_torch_dtype_float32() ? OPGEN_FLOAT32 : OPGEN_FLOAT64,
               static_cast<int32_t>(shape_.size()), shape_.data()};
    strides_.resize((operands_.size() + outputs + 1) * shape_.size());  // the first are zeros, for what is absent
    used_ = shape_.size();
    contiguous_ = strides(shape_, shape_);
    uint32_t threads = 0;
    STABLE_TORCH_ERROR_CODE_CHECK(torch_get_num_threads(&threads));
    options_.threads = static_cast<int32_t>(threads);
  }
  const opgen_points& view() const { return points_; }
  const opgen_options& options_given() const { return options_; }
  bool gmres() const { return gmres_; }

  // Operands [first, first + n), each through its own strides: nothing is copied.
  std::vector<opgen_array> arrays(int first, int n) {
    std::vector<opgen_array> made;
    for (int i = first; i < first + n; ++i) {
      made.push_back(operands_[i] ? seen(*operands_[i], const_cast<void*>(operands_[i]->const_data_ptr())) : absent());
    }
    return made;
  }
  bool has(int operand) const { return operands_[operand].has_value(); }
  opgen_array absent() const { return {nullptr, strides_.data()}; }

  // A new tensor of the points' shape, the next result.
  opgen_array result() { return create(shape_, contiguous_, dtype_); }
  void* result(int32_t dtype) { return create(shape_, contiguous_, dtype).data; }
  // One of the shape of an operand.
  opgen_array result_like(int operand) {
    const auto sizes = operands_[operand]->sizes();
    const Shape shape(sizes.begin(), sizes.end());
    Shape steps(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) steps[d - 1] = steps[d] * std::max<int64_t>(shape[d], 1);
    return create(shape, steps, dtype_);
  }

  void give() {
    for (size_t i = 0; i < results_.size(); ++i) stack_[i] = stable::from(results_[i]);
  }
  void give_list() { stack_[0] = stable::from(results_); }

  void check(int status, const opgen_report& report) {
    if (status != OPGEN_OK) throw std::runtime_error(report.message);
  }
  void check(const std::string& failure) {
    if (!failure.empty()) throw std::runtime_error(failure);
  }
  [[noreturn]] void fail(const std::string& message) const { throw std::runtime_error(std::string(op_) + ": " + message); }

 private:
  static std::string argument(size_t i) { return "argument " + std::to_string(i + 1); }

  int choose(const char* name, const std::string& given, std::initializer_list<const char*> words) const {
    int i = 0;
    for (const char* word : words) {
      if (given == word) return i;
      ++i;
    }
    fail(std::string(name) + " is '" + given + "', which it cannot be");
  }

  opgen_array seen(const Tensor& tensor, void* data) {
    const auto sizes = tensor.sizes(), steps = tensor.strides();
    int64_t* const own = strides_.data() + used_;
    used_ += shape_.size();
    const size_t missing = shape_.size() - sizes.size();
    for (size_t d = 0; d < sizes.size(); ++d) own[missing + d] = sizes[d] == 1 ? 0 : steps[d];
    return {data, own};
  }
  opgen_array create(const Shape& shape, const Shape& steps, int32_t dtype) {
    AtenTensorHandle handle;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(shape.size()), shape.data(), steps.data(),
                                                           dtype, aoti_torch_device_type_cpu(), 0, &handle));
    results_.emplace_back(handle);
    return seen(results_.back(), results_.back().mutable_data_ptr());
  }

  const char* op_;
  StableIValue *stack_, *next_;
  std::vector<std::optional<Tensor>> operands_;
  std::vector<Tensor> results_;
  opgen_options options_{};
  bool gmres_ = false;
  int32_t dtype_ = 0;
  Shape shape_, contiguous_, strides_;
  size_t used_ = 0;
  opgen_points points_{};
};

// Where PyTorch lies in this process, for the ATen adjoint.
template <class Op>
AtenLoader& aten_loader() {
  static AtenLoader loader(Op::name);
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&aoti_torch_get_dtype), &info) && info.dli_fname) {
    const std::string path = info.dli_fname;  // <folder>/lib/libtorch_cpu.so
    loader.use_torch(path.substr(0, path.rfind('/', path.rfind('/') - 1)).c_str());
  }
  return loader;
}

// `Op` has the operator's name and its numbers of inputs, unknowns and auxiliaries. `plain` has no arguments but the inputs.
template <class Op, bool diagnostics, bool plain = false>
void solve(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = plain ? 0 : Op::unknowns, values = Op::unknowns + Op::auxiliaries;
  Call call(Op::name, stack);
  call.tensors(n);
  call.optional_tensors(k);
  if (!plain) call.options();
  call.points(n, values + 3);
  const auto inputs = call.arrays(0, n), initial = call.arrays(n, k);
  std::vector<opgen_array> outputs;
  for (int i = 0; i < values + diagnostics; ++i) outputs.push_back(call.result());
  if (!diagnostics) outputs.push_back(call.absent());
  int32_t* const iterations = diagnostics ? static_cast<int32_t*>(call.result(aoti_torch_dtype_int32())) : nullptr;
  auto* const converged = diagnostics ? static_cast<unsigned char*>(call.result(aoti_torch_dtype_bool())) : nullptr;
  opgen_report report;
  call.check(opgen_solve(&call.view(), inputs.data(), k > 0 && call.has(n) ? initial.data() : nullptr, outputs.data(), iterations,
                         converged, &call.options_given(), &report),
             report);
  call.give();
}

template <class Op>
void residual(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Call call(Op::name, stack);
  call.tensors(n + k);
  call.points(n + k, k);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k);
  std::vector<opgen_array> outputs;
  for (int i = 0; i < k; ++i) outputs.push_back(call.result());
  opgen_report report;
  call.check(opgen_residual(&call.view(), inputs.data(), unknowns.data(), outputs.data(), &call.options_given(), &report),
             report);
  call.give();
}

template <class Op>
void tangent(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(Op::name, stack);
  call.tensors(n + k);
  call.optional_tensors(n);
  call.options();
  call.points(2 * n + k, values);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), tangents = call.arrays(n + k, n);
  std::vector<opgen_array> outputs;
  for (int i = 0; i < values; ++i) outputs.push_back(call.result());
  if (call.gmres()) {
    call.check(gmres_tangent(aten_loader<Op>(), call.view(), inputs, unknowns, tangents, outputs, call.options_given()));
  } else {
    opgen_report report;
    call.check(opgen_tangent(&call.view(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(),
                             &call.options_given(), &report),
               report);
  }
  call.give();
}

}  // namespace opgen::pytorch
#endif
