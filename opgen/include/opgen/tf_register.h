// Registration of a kernel's TensorFlow operators, and their shape functions.
#ifndef OPGEN_TF_REGISTER_H
#define OPGEN_TF_REGISTER_H

#include <opgen/tf.h>

namespace opgen::tf {

// The broadcast shape of inputs [0, n), as far as it is known; sizes that cannot agree are an error here already.
inline ShapeHandle broadcast_shape(TF_ShapeInferenceContext* context, int n, const char* op, TF_Status* status) {
  std::vector<ShapeHandle> shapes;
  int64_t rank = 0;
  for (int i = 0; i < n; ++i) {
    shapes.emplace_back(TF_NewShapeHandle());
    TF_ShapeInferenceContextGetInput(context, i, shapes.back().get(), status);
    if (!TF_ShapeInferenceContextRankKnown(context, shapes.back().get())) return nullptr;
    const int64_t r = TF_ShapeInferenceContextRank(context, shapes.back().get());
    if (r > rank) rank = r;
  }
  ShapeHandle result(TF_ShapeInferenceContextScalar(context));
  for (int64_t d = 0; d < rank; ++d) {
    int64_t size = 1;
    bool unknown = false;
    for (const ShapeHandle& shape : shapes) {
      const int64_t axis = d - rank + TF_ShapeInferenceContextRank(context, shape.get());
      if (axis < 0) continue;
      Dimension dimension(TF_NewDimensionHandle());
      TF_ShapeInferenceContextDim(context, shape.get(), axis, dimension.get());
      const int64_t extent = TF_DimensionHandleValueKnown(dimension.get()) ? TF_DimensionHandleValue(dimension.get()) : -1;
      if (extent < 0) {
        unknown = true;
      } else if (extent != 1 && size != 1 && size != extent) {
        const std::string message = std::string(op) + ": inputs of sizes " + std::to_string(size) + " and " +
                                    std::to_string(extent) + " along axis " + std::to_string(d) + " do not broadcast";
        TF_SetStatus(status, TF_INVALID_ARGUMENT, message.c_str());
        return nullptr;
      } else if (extent != 1) {
        size = extent;
      }
    }
    if (unknown && size == 1) size = -1;  // a known size other than 1 is the result's, whatever the unknown one is
    ShapeHandle axis(TF_ShapeInferenceContextVectorFromSize(context, static_cast<size_t>(size)));
    ShapeHandle longer(TF_NewShapeHandle());
    TF_ShapeInferenceContextConcatenateShapes(context, result.get(), axis.get(), longer.get(), status);
    if (TF_GetCode(status) != TF_OK) return nullptr;
    result = std::move(longer);
  }
  return result;
}

template <class Op, int inputs, int outputs>
void points_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  const ShapeHandle shape = broadcast_shape(context, inputs, Op::name, status);
  for (int i = 0; shape && i < outputs; ++i) TF_ShapeInferenceContextSetOutput(context, i, shape.get(), status);
}

// Output i has the shape of input i.
template <int outputs>
void inputs_shape(TF_ShapeInferenceContext* context, TF_Status* status) {
  for (int i = 0; i < outputs; ++i) {
    ShapeHandle shape(TF_NewShapeHandle());
    TF_ShapeInferenceContextGetInput(context, i, shape.get(), status);
    TF_ShapeInferenceContextSetOutput(context, i, shape.get(), status);
  }
}

inline void expect_ok(TF_Status* status, const std::string& what) {
  if (TF_GetCode(status) == TF_OK) return;
  fprintf(stderr, "opgen: %s was not registered with TensorFlow: %s\n", what.c_str(), TF_Message(status));
}

struct Definition {
  std::string name;
  int inputs = 0;        // tensors x0, x1, ...
  bool initial = false;  // and a list that may be empty
  int outputs = 0;       // tensors y0, y1, ...
  bool diagnostics = false;
};

using ShapeFunction = void (*)(TF_ShapeInferenceContext*, TF_Status*);
using Compute = void (*)(void*, TF_OpKernelContext*);

inline void define(const Definition& op, ShapeFunction shape, Compute compute) {
  Status status(TF_NewStatus());
  TF_OpDefinitionBuilder* builder = TF_NewOpDefinitionBuilder(op.name.c_str());
  for (int i = 0; i < op.inputs; ++i) TF_OpDefinitionBuilderAddInput(builder, ("x" + std::to_string(i) + ": T").c_str());
  if (op.initial) {
    TF_OpDefinitionBuilderAddInput(builder, "initial: N * T");
    TF_OpDefinitionBuilderAddAttr(builder, "N: int >= 0");
  }
  for (int i = 0; i < op.outputs; ++i) TF_OpDefinitionBuilderAddOutput(builder, ("y" + std::to_string(i) + ": T").c_str());
  if (op.diagnostics) {
    TF_OpDefinitionBuilderAddOutput(builder, "residual_norm: T");
    TF_OpDefinitionBuilderAddOutput(builder, "iterations: int32");
    TF_OpDefinitionBuilderAddOutput(builder, "converged: bool");
  }
  TF_OpDefinitionBuilderAddAttr(builder, "T: {float, double}");
  TF_OpDefinitionBuilderAddAttr(builder, "tol: float = 0");
  TF_OpDefinitionBuilderAddAttr(builder, "max_iterations: int = 0");
  TF_OpDefinitionBuilderAddAttr(builder, "adjoint: {'direct', 'gmres'} = 'direct'");
  TF_OpDefinitionBuilderAddAttr(builder, "on_failure: {'raise', 'nan', 'keep'} = 'raise'");
  TF_OpDefinitionBuilderSetShapeInferenceFunction(builder, shape);
  TF_RegisterOpDefinition(builder, status.get());
  expect_ok(status.get(), op.name);
  for (const TF_DataType dtype : {TF_FLOAT, TF_DOUBLE}) {
    TF_KernelBuilder* kernel = TF_NewKernelBuilder(op.name.c_str(), "CPU", create, compute, destroy);
    TF_KernelBuilder_TypeConstraint(kernel, "T", dtype, status.get());
    expect_ok(status.get(), op.name);
    TF_RegisterKernelBuilder((op.name + (dtype == TF_FLOAT ? "Float32" : "Float64")).c_str(), kernel, status.get());
    expect_ok(status.get(), op.name);
  }
}

// Registers the seven operators that make up one generated function.
template <class Op>
bool register_operators() {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  const std::string name = Op::registered_name;
  define({name, n, true, k + m, false}, points_shape<Op, n, k + m>, solve<Op, false>);
  define({name + "Solve", n, true, k + m, true}, points_shape<Op, n, k + m + 3>, solve<Op, true>);
  define({name + "Adjoint", n + 2 * k + m, false, n, false}, inputs_shape<n>, adjoint<Op>);
  define({name + "Tangent", n + k + n, false, k + m, false}, points_shape<Op, n + k + n, k + m>, tangent<Op>);
  define({name + "Second", n + 2 * k + m + n, false, n, false}, inputs_shape<n>, second<Op>);
  define({name + "Residual", n + k, false, k, false}, points_shape<Op, n + k, k>, residual<Op>);
  define({name + "ResidualPullback", n + 2 * k, false, n + k, false}, inputs_shape<n + k>, residual_pullback<Op>);
  return true;
}

}  // namespace opgen::tf
#endif
