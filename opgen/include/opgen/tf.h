// A kernel as TensorFlow operators, through TensorFlow's C interface: a library built against one TensorFlow runs in others.
#ifndef OPGEN_TF_H
#define OPGEN_TF_H

#include <opgen/kernel.h>
#include <opgen/operands.h>
#include <tensorflow/c/kernels.h>
#include <tensorflow/c/ops.h>
#include <tensorflow/c/tf_status.h>
#include <tensorflow/c/tf_tensor.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace opgen::tf {

struct Deleter {
  void operator()(TF_Status* s) const { TF_DeleteStatus(s); }
  void operator()(TF_Tensor* t) const { TF_DeleteTensor(t); }
  void operator()(TF_ShapeHandle* h) const { TF_DeleteShapeHandle(h); }
  void operator()(TF_DimensionHandle* h) const { TF_DeleteDimensionHandle(h); }
};
using Status = std::unique_ptr<TF_Status, Deleter>;
using Tensor = std::unique_ptr<TF_Tensor, Deleter>;
using ShapeHandle = std::unique_ptr<TF_ShapeHandle, Deleter>;
using Dimension = std::unique_ptr<TF_DimensionHandle, Deleter>;

struct Attributes {
  opgen_options options{};
  bool gmres = false;
};

inline void* create(TF_OpKernelConstruction* construction) {
  auto* attributes = new Attributes;
  Status status(TF_NewStatus());
  float tol = 0;
  char word[16] = {};
  TF_OpKernelConstruction_GetAttrFloat(construction, "tol", &tol, status.get());
  TF_OpKernelConstruction_GetAttrInt64(construction, "max_iterations", &attributes->options.max_iterations, status.get());
  TF_OpKernelConstruction_GetAttrString(construction, "on_failure", word, sizeof word - 1, status.get());
  attributes->options.on_failure = word[0] == 'n' ? OPGEN_NAN : word[0] == 'k' ? OPGEN_KEEP : OPGEN_RAISE;
  memset(word, 0, sizeof word);
  TF_OpKernelConstruction_GetAttrString(construction, "adjoint", word, sizeof word - 1, status.get());
  attributes->gmres = word[0] == 'g';
  attributes->options.tol = tol;
  if (TF_GetCode(status.get()) != TF_OK) TF_OpKernelConstruction_Failure(construction, status.get());
  return attributes;
}
inline void destroy(void* kernel) { delete static_cast<Attributes*>(kernel); }

// The tensors of one call, seen at its points.
class Call {
 public:
  Call(TF_OpKernelContext* context, const Signature& signature, const Attributes& attributes)
      : context_(context), attributes_(attributes), status_(TF_NewStatus()), operands_(signature) {
    for (int i = 0; i < TF_NumInputs(context); ++i) {
      TF_Tensor* tensor = nullptr;
      TF_GetInput(context, i, &tensor, status_.get());
      inputs_.emplace_back(tensor);
      Shape shape;
      for (int d = 0; d < TF_NumDims(tensor); ++d) shape.push_back(TF_Dim(tensor, d));
      shapes_.push_back(std::move(shape));
    }
    dtype_ = inputs_.empty() ? TF_DOUBLE : TF_TensorType(inputs_[0].get());
  }

  const Attributes& attributes() const { return attributes_; }

  // The next n inputs are those of operands `first`, `first` + 1, ...; the points are what all that widen broadcast to.
  bool take(int first, int n, const char* role = "", bool widens = true) {
    for (int number = first; number < first + n; ++number) {
      const std::string fault = operands_.add(number, role, shapes_[numbers_.size()], widens);
      numbers_.push_back(number);
      if (!fault.empty()) return fail(fault);
    }
    return true;
  }
  // After all of them.
  bool taken() {
    const std::string fault = operands_.incomplete();
    view_ = operands_.points(dtype_ == TF_FLOAT);
    return fault.empty() || fail(fault);
  }
  const opgen_points* view() const { return &view_; }
  TF_DataType dtype() const { return dtype_; }

  std::vector<opgen_array> inputs(int first, int n) {
    std::vector<opgen_array> arrays;
    for (int i = first; i < first + n; ++i) {
      arrays.push_back(operands_.array(TF_TensorData(inputs_[i].get()), shapes_[i], numbers_[i]));
    }
    return arrays;
  }
  // Output i, which has the core axes of an operand, and all batch axes.
  opgen_array result(int i, int number) { return output(i, number, operands_.shape(number), dtype_); }
  void* diagnostic(int i, TF_DataType dtype) { return output(i, no_core, operands_.batch(), dtype).data; }
  // Output i, of the shape of input i.
  opgen_array gradient(int i) { return output(i, numbers_[i], shapes_[i], dtype_); }
  opgen_array absent() { return operands_.absent(); }

  bool ok() { return TF_GetCode(status_.get()) == TF_OK || (TF_OpKernelContext_Failure(context_, status_.get()), false); }
  bool fail(const std::string& message) {
    TF_SetStatus(status_.get(), TF_INVALID_ARGUMENT, message.c_str());
    TF_OpKernelContext_Failure(context_, status_.get());
    return false;
  }

 private:
  opgen_array output(int i, int number, const Shape& shape, TF_DataType dtype) {
    const size_t bytes = static_cast<size_t>(count(shape)) * TF_DataTypeSize(dtype);
    outputs_.emplace_back(TF_AllocateOutput(context_, i, dtype, shape.data(), static_cast<int>(shape.size()), bytes,
                                            status_.get()));
    return operands_.array(outputs_.back() ? TF_TensorData(outputs_.back().get()) : nullptr, shape, number);
  }

  TF_OpKernelContext* context_;
  const Attributes& attributes_;
  Status status_;
  TF_DataType dtype_ = TF_DOUBLE;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<Shape> shapes_;
  std::vector<int> numbers_;
  OperandShapes operands_;
  opgen_points view_{};
};

// `Op` has the operator's name, its numbers of inputs, unknowns and auxiliaries, and what signature.h says of their axes.
template <class Op, bool diagnostics>
void solve(void* kernel, TF_OpKernelContext* context) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(context, signature<Op>(), *static_cast<Attributes*>(kernel));
  const bool warm = TF_NumInputs(context) > n;
  if (!call.ok() || !call.take(0, n) || (warm && !call.take(n, k, "initial ", false)) || !call.taken()) return;
  const auto inputs = call.inputs(0, n);
  const auto initial = warm ? call.inputs(n, k) : std::vector<opgen_array>();
  std::vector<opgen_array> outputs;
  for (int i = 0; i < values; ++i) outputs.push_back(call.result(i, n + i));
  outputs.push_back(diagnostics ? call.result(values, no_core) : call.absent());
  int32_t* iterations = nullptr;
  unsigned char* converged = nullptr;
  if constexpr (diagnostics) {
    iterations = static_cast<int32_t*>(call.diagnostic(values + 1, TF_INT32));
    converged = static_cast<unsigned char*>(call.diagnostic(values + 2, TF_BOOL));
  }
  if (!call.ok()) return;
  opgen_report report;
  if (opgen_solve(call.view(), inputs.data(), warm ? initial.data() : nullptr, outputs.data(), iterations, converged,
                  &call.attributes().options, &report) != OPGEN_OK) {
    call.fail(report.message);
  }
}

}  // namespace opgen::tf
#endif
