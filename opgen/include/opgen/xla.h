// A kernel as custom calls of XLA, through its typed FFI: a C interface with a version of its own, so that a library
// built with one jaxlib runs in others that have that version or a newer one.
//
// Operands come in the order of the kernel's functions and in their own shapes; the kernel broadcasts. Cotangents and
// tangents that are zero, and gradients that nobody wants, are left out: a letter for each says whether it is there.
#ifndef OPGEN_XLA_H
#define OPGEN_XLA_H

#include <opgen/gmres_adjoint.h>
#include <opgen/xla_call.h>

namespace opgen::xla {

// `Op` has the operator's name, its numbers of inputs, unknowns and auxiliaries, and what signature.h says of their axes.
// Results: the outputs, and where there are more, residual norm, iterations and convergence.
template <class Op>
ffi::Error solve(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  call.take(0, n);
  const bool warm = call.has_more();
  if (warm) call.take(n, k, "initial ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), initial = call.arguments(n, warm ? k : 0);
  auto outputs = call.give(n, k + Op::auxiliaries);
  const bool diagnostics = call.has_results();
  outputs.push_back(diagnostics ? call.give_norm() : call.absent());
  int32_t* const iterations = diagnostics ? static_cast<int32_t*>(call.next_result().untyped_data()) : nullptr;
  auto* const converged = diagnostics ? static_cast<unsigned char*>(call.next_result().untyped_data()) : nullptr;
  opgen_report report;
  const int status = opgen_solve(call.points(), inputs.data(), warm ? initial.data() : nullptr, outputs.data(), iterations,
                                 converged, &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
AtenLoader& aten_loader() {
  static AtenLoader loader(Op::name);
  return loader;
}

template <class Op>
ffi::Error adjoint(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  call.take(0, n + k);
  call.take_present(n, values, "cotangent of ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k);
  const auto cotangents = call.arguments(n + k, values), gradients = call.give_wanted(n);
  if (call.attributes.gmres) {
    return end(gmres_adjoint(aten_loader<Op>(), *call.points(), inputs, unknowns, cotangents, gradients,
                             call.attributes.options));
  }
  opgen_report report;
  const int status = opgen_adjoint(call.points(), inputs.data(), unknowns.data(), cotangents.data(), gradients.data(),
                                   &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error tangent(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  call.take(0, n + k);
  call.take_present(0, n, "tangent of ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k);
  const auto tangents = call.arguments(n + k, n), outputs = call.give(n, k + Op::auxiliaries);
  if (call.attributes.gmres) {
    return end(gmres_tangent(aten_loader<Op>(), *call.points(), inputs, unknowns, tangents, outputs,
                             call.attributes.options));
  }
  opgen_report report;
  const int status = opgen_tangent(call.points(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(),
                                   &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error second(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  call.take(0, n + k);
  call.take_present(n, values, "cotangent of ");
  call.take_present(0, n, "tangent of ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k);
  const auto cotangents = call.arguments(n + k, values), tangents = call.arguments(n + k + values, n);
  const auto gradients = call.give_wanted(n);
  if (call.attributes.gmres) {
    return end(gmres_second(aten_loader<Op>(), *call.points(), inputs, unknowns, cotangents, tangents, gradients,
                            call.attributes.options));
  }
  opgen_report report;
  const int status = opgen_second(call.points(), inputs.data(), unknowns.data(), cotangents.data(), tangents.data(),
                                  gradients.data(), &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error curvature(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  call.take(0, n + k);
  call.take_present(0, n, "tangent of ");
  call.take_present(0, n, "tangent of ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k);
  const auto v = call.arguments(n + k, n), w = call.arguments(n + k + n, n), outputs = call.give(n, k + Op::auxiliaries);
  opgen_report report;
  const int status = opgen_curvature(call.points(), inputs.data(), unknowns.data(), v.data(), w.data(), outputs.data(),
                                     &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error residual(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  call.take(0, n + k);
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k), outputs = call.give(n, k);
  opgen_report report;
  const int status = opgen_residual(call.points(), inputs.data(), unknowns.data(), outputs.data(),
                                    &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error residual_pullback(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  call.take(0, n + k);
  call.take_present(n, k, "cotangent of F at ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k);
  const auto cotangents = call.arguments(n + k, k), gradients = call.give_wanted(n + k);
  opgen_report report;
  const int status = opgen_residual_pullback(call.points(), inputs.data(), unknowns.data(), cotangents.data(),
                                             gradients.data(), &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error residual_tangent(Call& call) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  call.take(0, n + k);
  call.take_present(0, n + k, "tangent of ");
  if (!call.taken()) return call.fault();
  const auto inputs = call.arguments(0, n), unknowns = call.arguments(n, k);
  const auto tangents = call.arguments(n + k, n + k), outputs = call.give(n, k);
  opgen_report report;
  const int status = opgen_residual_tangent(call.points(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(),
                                            &call.attributes.options, &report);
  return end(status, report);
}

// The frame around each of them.
template <class Op, ffi::Error (*function)(Call&)>
ffi::Error call(ffi::RemainingArgs operands, ffi::RemainingRets results, double tol, int64_t max_iterations,
                int32_t on_failure, bool gmres, std::string_view present, std::string_view wanted) {
  Call made(signature<Op>(), operands, results, {{tol, max_iterations, on_failure, 0}, gmres, present, wanted});
  return function(made);
}

inline auto binding() {
  return ffi::Ffi::Bind()
      .RemainingArgs()
      .RemainingRets()
      .Attr<double>("tol")
      .Attr<int64_t>("max_iterations")
      .Attr<int32_t>("on_failure")
      .Attr<bool>("gmres")
      .Attr<std::string_view>("present")
      .Attr<std::string_view>("wanted");
}

}  // namespace opgen::xla

#define OPGEN_XLA_HANDLER(Op, function)                                                       \
  extern "C" OPGEN_EXPORT XLA_FFI_Error* opgen_xla_##function(XLA_FFI_CallFrame* frame) {     \
    static auto* const handler =                                                              \
        opgen::xla::binding().To(opgen::xla::call<Op, opgen::xla::function<Op>>).release();   \
    return handler->Call(frame);                                                              \
  }
#endif
