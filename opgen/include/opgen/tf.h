// A kernel as TensorFlow operators, through TensorFlow's C interface: a library built against one TensorFlow runs in others.
#ifndef OPGEN_TF_H
#define OPGEN_TF_H

#include <opgen/gmres_adjoint.h>
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
  Call(TF_OpKernelContext* context, const char* op, const Attributes& attributes)
      : context_(context), op_(op), attributes_(attributes), status_(TF_NewStatus()) {
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

  // The points are the broadcast shape of the first `n` inputs; all others must fit it.
  bool points(int n) {
    for (int i = 0; i < static_cast<int>(shapes_.size()); ++i) {
      const Shape before = shape_;
      if (!broadcast(shape_, shapes_[i]) || (i >= n && shape_ != before)) {
        return fail(std::string(op_) + ": argument " + std::to_string(i + 1) + " has shape " + text(shapes_[i]) +
                    ", which does not broadcast to " + text(before));
      }
    }
    view_ = {dtype_ == TF_FLOAT ? OPGEN_FLOAT32 : OPGEN_FLOAT64, static_cast<int32_t>(shape_.size()), shape_.data()};
    return true;
  }
  const opgen_points* view() const { return &view_; }
  const Shape& shape() const { return shape_; }
  const Shape& shape(int input) const { return shapes_[input]; }
  TF_DataType dtype() const { return dtype_; }

  std::vector<opgen_array> inputs(int first, int n) {
    std::vector<opgen_array> arrays;
    for (int i = first; i < first + n; ++i) arrays.push_back(array(TF_TensorData(inputs_[i].get()), shapes_[i]));
    return arrays;
  }
  void* output(int i, TF_DataType dtype, const Shape& shape) {
    const size_t bytes = static_cast<size_t>(count(shape)) * TF_DataTypeSize(dtype);
    outputs_.emplace_back(TF_AllocateOutput(context_, i, dtype, shape.data(), static_cast<int>(shape.size()), bytes,
                                            status_.get()));
    return outputs_.back() ? TF_TensorData(outputs_.back().get()) : nullptr;
  }
  opgen_array array(void* data, const Shape& shape) {
    strides_.push_back(std::make_unique<Shape>(strides(shape, shape_)));
    return {data, strides_.back()->data()};
  }
  bool ok() { return TF_GetCode(status_.get()) == TF_OK || (TF_OpKernelContext_Failure(context_, status_.get()), false); }
  bool fail(const std::string& message) {
    TF_SetStatus(status_.get(), TF_INVALID_ARGUMENT, message.c_str());
    TF_OpKernelContext_Failure(context_, status_.get());
    return false;
  }

 private:
  TF_OpKernelContext* context_;
  const char* op_;
  const Attributes& attributes_;
  Status status_;
  TF_DataType dtype_ = TF_DOUBLE;
  std::vector<Tensor> inputs_, outputs_;
  std::vector<Shape> shapes_;
  std::vector<std::unique_ptr<Shape>> strides_;
  Shape shape_;
  opgen_points view_{};
};

// `Op` has the operator's name and its numbers of inputs, unknowns and auxiliaries.
template <class Op, bool diagnostics>
void solve(void* kernel, TF_OpKernelContext* context) {
  Call call(context, Op::name, *static_cast<Attributes*>(kernel));
  if (!call.ok() || !call.points(Op::inputs)) return;
  const auto inputs = call.inputs(0, Op::inputs);
  const bool warm = TF_NumInputs(context) > Op::inputs;
  const auto initial = warm ? call.inputs(Op::inputs, Op::unknowns) : std::vector<opgen_array>();
  constexpr int values = Op::unknowns + Op::auxiliaries;
  std::vector<opgen_array> outputs;
  for (int i = 0; i < values + diagnostics; ++i) {
    outputs.push_back(call.array(call.output(i, call.dtype(), call.shape()), call.shape()));
  }
  int32_t* iterations = nullptr;
  unsigned char* converged = nullptr;
  if constexpr (diagnostics) {
    iterations = static_cast<int32_t*>(call.output(values + 1, TF_INT32, call.shape()));
    converged = static_cast<unsigned char*>(call.output(values + 2, TF_BOOL, call.shape()));
  } else {
    outputs.push_back({nullptr, outputs[0].strides});
  }
  if (!call.ok()) return;
  opgen_report report;
  if (opgen_solve(call.view(), inputs.data(), warm ? initial.data() : nullptr, outputs.data(), iterations, converged,
                  &call.attributes().options, &report) != OPGEN_OK) {
    call.fail(report.message);
  }
}

template <class Op>
AtenLoader& aten_loader() {
  static AtenLoader loader(Op::name);
  return loader;
}

// Inputs and unknowns, which every derivative is given first, and how the rest of its operands and its results are seen.
template <class Op>
struct Derivative : Call {
  Derivative(void* kernel, TF_OpKernelContext* context)
      : Call(context, Op::name, *static_cast<Attributes*>(kernel)), good(Call::ok() && points(TF_NumInputs(context))) {
    if (!good) return;
    x = inputs(0, Op::inputs);
    y = inputs(Op::inputs, Op::unknowns);
  }
  std::vector<opgen_array> operands(int offset, int n) { return inputs(Op::inputs + Op::unknowns + offset, n); }
  // Results with the shapes of the first operands, or with the points' shape.
  std::vector<opgen_array> results(int n, bool like_operands) {
    std::vector<opgen_array> made;
    for (int i = 0; i < n; ++i) {
      const Shape& own = like_operands ? shape(i) : shape();
      made.push_back(array(output(i, dtype(), own), own));
    }
    good = Call::ok();
    return made;
  }
  void end(int status) {
    if (status != OPGEN_OK) fail(report.message);
  }
  void end(const std::string& failure) {
    if (!failure.empty()) fail(failure);
  }

  bool good;
  std::vector<opgen_array> x, y;
  opgen_report report;
};

constexpr bool like_operands = true, like_points = false;

template <class Op>
void adjoint(void* kernel, TF_OpKernelContext* context) {
  Derivative<Op> call(kernel, context);
  if (!call.good) return;
  const auto cotangents = call.operands(0, Op::unknowns + Op::auxiliaries);
  const auto gradients = call.results(Op::inputs, like_operands);
  if (!call.good) return;
  const opgen_options& options = call.attributes().options;
  if (call.attributes().gmres) {
    return call.end(gmres_adjoint(aten_loader<Op>(), *call.view(), call.x, call.y, cotangents, gradients, options));
  }
  call.end(opgen_adjoint(call.view(), call.x.data(), call.y.data(), cotangents.data(), gradients.data(), &options,
                         &call.report));
}

template <class Op>
void tangent(void* kernel, TF_OpKernelContext* context) {
  Derivative<Op> call(kernel, context);
  if (!call.good) return;
  const auto tangents = call.operands(0, Op::inputs);
  const auto outputs = call.results(Op::unknowns + Op::auxiliaries, like_points);
  if (!call.good) return;
  const opgen_options& options = call.attributes().options;
  if (call.attributes().gmres) {
    return call.end(gmres_tangent(aten_loader<Op>(), *call.view(), call.x, call.y, tangents, outputs, options));
  }
  call.end(opgen_tangent(call.view(), call.x.data(), call.y.data(), tangents.data(), outputs.data(), &options,
                         &call.report));
}

template <class Op>
void second(void* kernel, TF_OpKernelContext* context) {
  Derivative<Op> call(kernel, context);
  if (!call.good) return;
  constexpr int bars = Op::unknowns + Op::auxiliaries;
  const auto cotangents = call.operands(0, bars), tangents = call.operands(bars, Op::inputs);
  const auto gradients = call.results(Op::inputs, like_operands);
  if (!call.good) return;
  const opgen_options& options = call.attributes().options;
  if (call.attributes().gmres) {
    return call.end(
        gmres_second(aten_loader<Op>(), *call.view(), call.x, call.y, cotangents, tangents, gradients, options));
  }
  call.end(opgen_second(call.view(), call.x.data(), call.y.data(), cotangents.data(), tangents.data(), gradients.data(),
                        &options, &call.report));
}

template <class Op>
void residual(void* kernel, TF_OpKernelContext* context) {
  Derivative<Op> call(kernel, context);
  if (!call.good) return;
  const auto outputs = call.results(Op::unknowns, like_points);
  if (!call.good) return;
  call.end(opgen_residual(call.view(), call.x.data(), call.y.data(), outputs.data(), &call.attributes().options,
                          &call.report));
}

template <class Op>
void residual_pullback(void* kernel, TF_OpKernelContext* context) {
  Derivative<Op> call(kernel, context);
  if (!call.good) return;
  const auto cotangents = call.operands(0, Op::unknowns);
  const auto gradients = call.results(Op::inputs + Op::unknowns, like_operands);
  if (!call.good) return;
  call.end(opgen_residual_pullback(call.view(), call.x.data(), call.y.data(), cotangents.data(), gradients.data(),
                                   &call.attributes().options, &call.report));
}

}  // namespace opgen::tf
#endif
