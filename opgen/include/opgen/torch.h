// A kernel as PyTorch operators, through PyTorch's stable C++ interface: a library built against one release runs in others.
#ifndef OPGEN_TORCH_H
#define OPGEN_TORCH_H

#include <opgen/kernel.h>
#include <opgen/operands.h>
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
  Call(const Signature& signature, StableIValue* stack) : op_(signature.op), stack_(stack), next_(stack), shapes_(signature) {}

  // The arguments, in the order of the schema: tensors of operands `first`, `first` + 1, ... (of these `role` says what else
  // to call them), of which some may be absent.
  void tensors(int first, int n, const char* role = "") {
    for (int i = 0; i < n; ++i) operands_.push_back({stable::to<Tensor>(*next_++), first + i, role});
  }
  void optional_tensors(int first, int n, const char* role) {
    for (int i = 0; i < n; ++i) operands_.push_back({stable::to<std::optional<Tensor>>(*next_++), first + i, role});
  }
  std::vector<int64_t> integers() { return stable::to<std::vector<int64_t>>(*next_++); }
  void options() {
    options_.tol = stable::to<double>(*next_++);
    options_.max_iterations = stable::to<int64_t>(*next_++);
    const auto adjoint = stable::to<std::string>(*next_++), policy = stable::to<std::string>(*next_++);
    gmres_ = choose("adjoint", adjoint, {"direct", "gmres"}) == 1;
    options_.on_failure = choose("on_failure", policy, {"raise", "nan", "keep"});
  }

  // The points are what the batch axes of the first `n` tensors broadcast to; all others must fit them. `outputs` more
  // arrays will follow.
  void points(size_t n, size_t outputs) {
    for (size_t i = 0; i < operands_.size(); ++i) {
      const Operand& operand = operands_[i];
      if (!operand.tensor) {
        shapes_.skip();
        continue;
      }
      int32_t dtype;
      STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_get_dtype(operand.tensor->get(), &dtype));
      if (dtype != aoti_torch_dtype_float32() && dtype != aoti_torch_dtype_float64()) {
        fail(argument(i) + " is neither float32 nor float64");
      }
      if (dtype_ && dtype != dtype_) fail(argument(i) + " has another dtype than those before it; a call has a single dtype");
      dtype_ = dtype;
      const auto sizes = operand.tensor->sizes();
      check(shapes_.add(operand.number, operand.role, Shape(sizes.begin(), sizes.end()), i < n));
    }
    check(shapes_.incomplete());
    points_ = shapes_.points(dtype_ == aoti_torch_dtype_float32());
    const size_t most = shapes_.batch().size() + shapes_.largest_core_rank();
    strides_.resize((operands_.size() + outputs + 1) * most);  // the first are zeros, for what is absent
    used_ = most;
    uint32_t threads = 0;
    STABLE_TORCH_ERROR_CODE_CHECK(torch_get_num_threads(&threads));
    options_.threads = static_cast<int32_t>(threads);
  }
  const opgen_points& view() const { return points_; }
  const opgen_options& options_given() const { return options_; }
  bool gmres() const { return gmres_; }

  // Arguments [first, first + n), each through its own strides: nothing is copied.
  std::vector<opgen_array> arrays(int first, int n) {
    std::vector<opgen_array> made;
    for (int i = first; i < first + n; ++i) {
      const auto& [tensor, number, role] = operands_[i];
      made.push_back(tensor ? seen(*tensor, number, const_cast<void*>(tensor->const_data_ptr())) : absent());
    }
    return made;
  }
  bool has(int argument) const { return operands_[argument].tensor.has_value(); }
  opgen_array absent() const { return {nullptr, strides_.data()}; }

  // A new tensor, the next result: all batch axes, and the core axes of an operand.
  opgen_array result(int number) { return create(shapes_.shape(number), number, dtype_); }
  void* diagnostic(int32_t dtype) { return create(shapes_.batch(), no_core, dtype).data; }
  std::vector<opgen_array> results(int first, int n) {
    std::vector<opgen_array> made;
    for (int i = 0; i < n; ++i) made.push_back(result(first + i));
    return made;
  }
  // One of the shape of an argument.
  opgen_array result_like(int argument) {
    const auto sizes = operands_[argument].tensor->sizes();
    return create(Shape(sizes.begin(), sizes.end()), operands_[argument].number, dtype_);
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

  opgen_array seen(const Tensor& tensor, int number, void* data) {
    const auto sizes = tensor.sizes(), steps = tensor.strides();
    int64_t* const own = strides_.data() + used_;
    const size_t core = shapes_.core_rank(number), total = shapes_.batch().size() + core;
    used_ += total;
    const size_t missing = total - sizes.size();
    for (size_t d = 0; d < sizes.size(); ++d) own[missing + d] = sizes[d] == 1 && d + core < sizes.size() ? 0 : steps[d];
    return {data, own};
  }
  opgen_array create(const Shape& shape, int number, int32_t dtype) {
    Shape steps(shape.size(), 1);
    for (size_t d = shape.size(); d-- > 1;) steps[d - 1] = steps[d] * std::max<int64_t>(shape[d], 1);
    AtenTensorHandle handle;
    STABLE_TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(shape.size()), shape.data(), steps.data(),
                                                           dtype, aoti_torch_device_type_cpu(), 0, &handle));
    results_.emplace_back(handle);
    return seen(results_.back(), number, results_.back().mutable_data_ptr());
  }

  struct Operand {
    std::optional<Tensor> tensor;
    int number;
    const char* role;
  };

  const char* op_;
  StableIValue *stack_, *next_;
  std::vector<Operand> operands_;
  std::vector<Tensor> results_;
  opgen_options options_{};
  bool gmres_ = false;
  int32_t dtype_ = 0;
  OperandShapes shapes_;
  Shape strides_;
  size_t used_ = 0;
  opgen_points points_{};
};

// `Op` has the operator's name, its numbers of inputs, unknowns and auxiliaries, and what signature.h says of their axes.
// `plain` has no arguments but the inputs.
template <class Op, bool diagnostics, bool plain = false>
void solve(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = plain ? 0 : Op::unknowns, values = Op::unknowns + Op::auxiliaries;
  Call call(signature<Op>(), stack);
  call.tensors(0, n);
  call.optional_tensors(n, k, "initial ");
  if (!plain) call.options();
  call.points(n, values + 3);
  const auto inputs = call.arrays(0, n), initial = call.arrays(n, k);
  auto outputs = call.results(n, values);
  outputs.push_back(diagnostics ? call.result(no_core) : call.absent());
  int32_t* const iterations = diagnostics ? static_cast<int32_t*>(call.diagnostic(aoti_torch_dtype_int32())) : nullptr;
  auto* const converged = diagnostics ? static_cast<unsigned char*>(call.diagnostic(aoti_torch_dtype_bool())) : nullptr;
  opgen_report report;
  call.check(opgen_solve(&call.view(), inputs.data(), k > 0 && call.has(n) ? initial.data() : nullptr, outputs.data(), iterations,
                         converged, &call.options_given(), &report),
             report);
  call.give();
}

template <class Op>
void residual(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.points(n + k, k);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), outputs = call.results(n, k);
  opgen_report report;
  call.check(opgen_residual(&call.view(), inputs.data(), unknowns.data(), outputs.data(), &call.options_given(), &report),
             report);
  call.give();
}

}  // namespace opgen::pytorch
#endif
