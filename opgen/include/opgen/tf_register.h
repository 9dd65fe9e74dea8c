// Registration of a kernel's TensorFlow operators, and their shape functions.
#ifndef OPGEN_TF_REGISTER_H
#define OPGEN_TF_REGISTER_H

#include <opgen/tf_derivatives.h>

namespace opgen::tf {

// What is known of the shape of an input; null if not even its rank is.
inline std::unique_ptr<Shape> known_shape(TF_ShapeInferenceContext* context, int input, TF_Status* status) {
  const ShapeHandle handle(TF_NewShapeHandle());
  TF_ShapeInferenceContextGetInput(context, input, handle.get(), status);
  if (!TF_ShapeInferenceContextRankKnown(context, handle.get())) return nullptr;
  auto shape = std::make_unique<Shape>();
  const Dimension dimension(TF_NewDimensionHandle());
  for (int64_t d = 0; d < TF_ShapeInferenceContextRank(context, handle.get()); ++d) {
    TF_ShapeInferenceContextDim(context, handle.get(), d, dimension.get());
    const bool known = TF_DimensionHandleValueKnown(dimension.get());
    shape->push_back(known ? TF_DimensionHandleValue(dimension.get()) : unknown_extent);
  }
  return shape;
}

// Broadcasts the first `rank` axes of `shape`; false, and the sizes of an axis, if they do not agree.
inline bool broadcast_known(Shape& to, const Shape& shape, size_t rank, size_t& axis, int64_t (&sizes)[2]) {
  if (rank > to.size()) to.insert(to.begin(), rank - to.size(), 1);
  for (size_t d = 0; d < rank; ++d) {
    const int64_t own = shape[d];
    int64_t& wide = to[axis = to.size() - rank + d];
    if (own == 1 || own == wide) continue;
    if (wide == 1 || wide == unknown_extent) {
      wide = own;  // a known size other than 1 is the result's, whatever the unknown one is
    } else if (own != unknown_extent) {
      sizes[0] = wide, sizes[1] = own;
      return false;
    }
  }
  return true;
}

inline ShapeHandle handle_of(TF_ShapeInferenceContext* context, const Shape& shape, TF_Status* status) {
  ShapeHandle made(TF_ShapeInferenceContextScalar(context));
  for (const int64_t extent : shape) {
    const ShapeHandle axis(TF_ShapeInferenceContextVectorFromSize(context, static_cast<size_t>(extent)));
    ShapeHandle longer(TF_NewShapeHandle());
    TF_ShapeInferenceContextConcatenateShapes(context, made.get(), axis.get(), longer.get(), status);
    made = std::move(longer);
  }
  return made;
}

// Gives outputs the batch axes that the inputs in `groups` broadcast to, as far as they are known, and the core axes of
// operands `first`, `first` + 1, ...; further ones have none. Sizes that cannot agree are an error here already.
template <class Op>
void infer(TF_ShapeInferenceContext* context, TF_Status* status, std::vector<Group> groups, int first, int outputs,
           int diagnostics = 0) {
  TF_ShapeInferenceContextSetUnknownShape(context, status);
  OperandShapes operands(signature<Op>());
  Shape batch;
  bool known = true;
  int at = 0;
  const auto fail = [&](const std::string& what) { TF_SetStatus(status, TF_INVALID_ARGUMENT, what.c_str()); };
  const auto rest = static_cast<int>(TF_ShapeInferenceContextNumInputs(context));
  for (const Group& group : groups) at += group.count;
  if (at < rest) groups.push_back({Op::inputs, rest - at, "initial "});
  const int widening = at;
  at = 0;
  for (const Group& group : groups) {
    for (int number = group.first; number < group.first + group.count; ++number, ++at) {
      const auto shape = known_shape(context, at, status);
      if (!shape) {
        known = known && at >= widening;
        continue;
      }
      const std::string fault = operands.add_core(number, group.role, *shape);
      if (!fault.empty()) return fail(fault);
      size_t axis = 0;
      int64_t sizes[2];
      if (at >= widening || broadcast_known(batch, *shape, shape->size() - operands.core_rank(number), axis, sizes)) continue;
      return fail(std::string(Op::name) + ": inputs of sizes " + std::to_string(sizes[0]) + " and " +
                  std::to_string(sizes[1]) + " along axis " + std::to_string(axis) + " do not broadcast");
    }
  }
  for (int i = 0; known && i < outputs + diagnostics && TF_GetCode(status) == TF_OK; ++i) {
    Shape shape = batch;
    if (i < outputs) operands.append_core(first + i, shape);
    TF_ShapeInferenceContextSetOutput(context, i, handle_of(context, shape, status).get(), status);
  }
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

// Registers the operators that make up one generated function.
template <class Op>
bool register_operators() {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  using Context = TF_ShapeInferenceContext;
  const std::string name = Op::registered_name;
  define({name, n, true, values, false}, [](Context* c, TF_Status* s) { infer<Op>(c, s, {{0, n, ""}}, n, values); },
         solve<Op, false>);
  define({name + "Solve", n, true, values, true},
         [](Context* c, TF_Status* s) { infer<Op>(c, s, {{0, n, ""}}, n, values, 3); }, solve<Op, true>);
  define({name + "Adjoint", n + k + values, false, n, false}, inputs_shape<n>, adjoint<Op>);
  define({name + "Tangent", n + k + n, false, values, false},
         [](Context* c, TF_Status* s) { infer<Op>(c, s, {{0, n + k, ""}, {0, n, "tangent of "}}, n, values); },
         tangent<Op>);
  define({name + "Second", n + k + values + n, false, n, false}, inputs_shape<n>, second<Op>);
  define({name + "Curvature", n + k + 2 * n, false, values, false},
         [](Context* c, TF_Status* s) {
           infer<Op>(c, s, {{0, n + k, ""}, {0, n, "tangent of "}, {0, n, "tangent of "}}, n, values);
         },
         curvature<Op>);
  define({name + "Residual", n + k, false, k, false},
         [](Context* c, TF_Status* s) { infer<Op>(c, s, {{0, n + k, ""}}, n, k); }, residual<Op>);
  define({name + "ResidualPullback", n + 2 * k, false, n + k, false}, inputs_shape<n + k>, residual_pullback<Op>);
  define({name + "ResidualTangent", 2 * (n + k), false, k, false},
         [](Context* c, TF_Status* s) { infer<Op>(c, s, {{0, n + k, ""}, {0, n + k, "tangent of "}}, n, k); },
         residual_tangent<Op>);
  return true;
}

}  // namespace opgen::tf
#endif
