// The TensorFlow operators that are derivatives of an operator, and its residual.
#ifndef OPGEN_TF_DERIVATIVES_H
#define OPGEN_TF_DERIVATIVES_H

#include <opgen/gmres_adjoint.h>
#include <opgen/tf.h>

namespace opgen::tf {

template <class Op>
AtenLoader& aten_loader() {
  static AtenLoader loader(Op::name);
  return loader;
}

// Inputs that follow x and y: cotangents or tangents of operands `first`, `first` + 1, ...
struct Group {
  int first, count;
  const char* role;
};

// Every derivative is given inputs x and unknowns y, and then its own groups. Its results have the axes of operands
// `first`, ..., or, if they are gradients, the shapes of the first inputs.
template <class Op>
struct Derivative : Call {
  Derivative(void* kernel, TF_OpKernelContext* context, std::initializer_list<Group> groups)
      : Call(context, signature<Op>(), *static_cast<Attributes*>(kernel)) {
    good = Call::ok() && take(0, Op::inputs + Op::unknowns);
    for (const Group& group : groups) good = good && take(group.first, group.count, group.role);
    good = good && taken();
    if (!good) return;
    x = inputs(0, Op::inputs);
    y = inputs(Op::inputs, Op::unknowns);
  }
  std::vector<opgen_array> operands(int offset, int n) { return inputs(Op::inputs + Op::unknowns + offset, n); }
  std::vector<opgen_array> results(int first, int n) {
    std::vector<opgen_array> made;
    for (int i = 0; i < n; ++i) made.push_back(result(i, first + i));
    good = Call::ok();
    return made;
  }
  std::vector<opgen_array> gradients(int n) {
    std::vector<opgen_array> made;
    for (int i = 0; i < n; ++i) made.push_back(gradient(i));
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

template <class Op>
void adjoint(void* kernel, TF_OpKernelContext* context) {
  constexpr int n = Op::inputs, values = Op::unknowns + Op::auxiliaries;
  Derivative<Op> call(kernel, context, {{n, values, "cotangent of "}});
  if (!call.good) return;
  const auto cotangents = call.operands(0, values), gradients = call.gradients(n);
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
  constexpr int n = Op::inputs, values = Op::unknowns + Op::auxiliaries;
  Derivative<Op> call(kernel, context, {{0, n, "tangent of "}});
  if (!call.good) return;
  const auto tangents = call.operands(0, n), outputs = call.results(n, values);
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
  constexpr int n = Op::inputs, values = Op::unknowns + Op::auxiliaries;
  Derivative<Op> call(kernel, context, {{n, values, "cotangent of "}, {0, n, "tangent of "}});
  if (!call.good) return;
  const auto cotangents = call.operands(0, values), tangents = call.operands(values, n), gradients = call.gradients(n);
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
void curvature(void* kernel, TF_OpKernelContext* context) {
  constexpr int n = Op::inputs;
  Derivative<Op> call(kernel, context, {{0, n, "tangent of "}, {0, n, "tangent of "}});
  if (!call.good) return;
  const auto v = call.operands(0, n), w = call.operands(n, n), outputs = call.results(n, Op::unknowns + Op::auxiliaries);
  if (!call.good) return;
  call.end(opgen_curvature(call.view(), call.x.data(), call.y.data(), v.data(), w.data(), outputs.data(),
                           &call.attributes().options, &call.report));
}

template <class Op>
void residual(void* kernel, TF_OpKernelContext* context) {
  Derivative<Op> call(kernel, context, {});
  if (!call.good) return;
  const auto outputs = call.results(Op::inputs, Op::unknowns);
  if (!call.good) return;
  call.end(opgen_residual(call.view(), call.x.data(), call.y.data(), outputs.data(), &call.attributes().options,
                          &call.report));
}

template <class Op>
void residual_pullback(void* kernel, TF_OpKernelContext* context) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Derivative<Op> call(kernel, context, {{n, k, "cotangent of F at "}});
  if (!call.good) return;
  const auto cotangents = call.operands(0, k), gradients = call.gradients(n + k);
  if (!call.good) return;
  call.end(opgen_residual_pullback(call.view(), call.x.data(), call.y.data(), cotangents.data(), gradients.data(),
                                   &call.attributes().options, &call.report));
}

template <class Op>
void residual_tangent(void* kernel, TF_OpKernelContext* context) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Derivative<Op> call(kernel, context, {{0, n + k, "tangent of "}});
  if (!call.good) return;
  const auto tangents = call.operands(0, n + k), outputs = call.results(n, k);
  if (!call.good) return;
  call.end(opgen_residual_tangent(call.view(), call.x.data(), call.y.data(), tangents.data(), outputs.data(),
                                  &call.attributes().options, &call.report));
}

}  // namespace opgen::tf
#endif
