// A kernel as custom calls of XLA, through its typed FFI: a C interface with a version of its own, so that a library
// built with one jaxlib runs in others that have that version or a newer one.
//
// Operands come in the order of the kernel's functions and in their own shapes; the kernel broadcasts. Cotangents and
// tangents that are zero, and gradients that nobody wants, are left out: a letter for each says whether it is there.
#ifndef OPGEN_XLA_H
#define OPGEN_XLA_H

#include <opgen/gmres_adjoint.h>
#include <xla/ffi/api/ffi.h>

#include <memory>
#include <string_view>

namespace opgen::xla {

namespace ffi = ::xla::ffi;

struct Attributes {
  opgen_options options;
  bool gmres;
  std::string_view present, wanted;  // "101": the first and third are there
};

// The buffers of one call, seen at its points: what the shapes of all operands broadcast to.
class Call {
 public:
  Call(const char* op, ffi::RemainingArgs operands, ffi::RemainingRets results, const Attributes& attributes)
      : attributes(attributes), op_(op), operands_(operands), results_(results) {
    for (size_t i = 0; i < operands.size(); ++i) {
      const ffi::AnyBuffer buffer = *operands.get<ffi::AnyBuffer>(i);
      if (i == 0) dtype_ = buffer.element_type();
      if (buffer.element_type() != dtype_) fail("operands of different dtypes in one call");
      if (!broadcast(shape_, shape_of(buffer))) fail("operands whose shapes do not broadcast");
    }
    if (dtype_ != ffi::F32 && dtype_ != ffi::F64) fail("an operand is neither float32 nor float64");
    points_ = {dtype_ == ffi::F32 ? OPGEN_FLOAT32 : OPGEN_FLOAT64, static_cast<int32_t>(shape_.size()), shape_.data()};
  }
  Call(const Call&) = delete;

  const Attributes attributes;
  const opgen_points* points() const { return &points_; }
  bool has_operands() const { return operand_ < operands_.size(); }
  bool has_results() const { return result_ < results_.size(); }

  // The next n operands.
  std::vector<opgen_array> take(int n) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < n; ++i) arrays.push_back(next_operand());
    return arrays;
  }
  // The next n operands, of which some may be absent.
  std::vector<opgen_array> take_present(int n) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < n; ++i, ++letter_) {
      arrays.push_back(attributes.present[letter_] == '1' ? next_operand() : absent());
    }
    return arrays;
  }
  // The next n results.
  std::vector<opgen_array> give(int n) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < n; ++i) arrays.push_back(view(next_result()));
    return arrays;
  }
  // The next results, of n that somebody may want.
  std::vector<opgen_array> give_wanted(int n) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < n; ++i) arrays.push_back(attributes.wanted[i] == '1' ? view(next_result()) : absent());
    return arrays;
  }
  opgen_array absent() { return {nullptr, kept(Shape(shape_.size(), 0))}; }
  ffi::AnyBuffer next_result() { return **results_.get<ffi::AnyBuffer>(result_++); }

  const std::string& error() const { return error_; }

 private:
  static Shape shape_of(const ffi::AnyBuffer& buffer) {
    return Shape(buffer.dimensions().begin(), buffer.dimensions().end());
  }
  opgen_array next_operand() { return view(*operands_.get<ffi::AnyBuffer>(operand_++)); }
  opgen_array view(const ffi::AnyBuffer& buffer) {
    return {buffer.untyped_data(), kept(strides(shape_of(buffer), shape_))};
  }
  const int64_t* kept(Shape steps) {
    strides_.push_back(std::make_unique<Shape>(std::move(steps)));
    return strides_.back()->data();
  }
  void fail(const char* what) {
    if (error_.empty()) error_ = std::string(op_) + ": " + what;
  }

  const char* op_;
  ffi::RemainingArgs operands_;
  ffi::RemainingRets results_;
  ffi::DataType dtype_ = ffi::F64;
  size_t operand_ = 0, result_ = 0, letter_ = 0;
  Shape shape_;
  opgen_points points_{};
  std::vector<std::unique_ptr<Shape>> strides_;
  std::string error_;
};

// The end of a call; `failure` is empty where there is none.
inline ffi::Error end(const std::string& failure) {
  return failure.empty() ? ffi::Error::Success() : ffi::Error::InvalidArgument(failure);
}
inline ffi::Error end(int status, const opgen_report& report) { return end(status == OPGEN_OK ? "" : report.message); }

// `Op` has the operator's name and its numbers of inputs, unknowns and auxiliaries. Results: the outputs, and where
// there are more, residual norm, iterations and convergence.
template <class Op>
ffi::Error solve(Call& call) {
  const auto inputs = call.take(Op::inputs);
  const auto initial = call.take(call.has_operands() ? Op::unknowns : 0);
  auto outputs = call.give(Op::unknowns + Op::auxiliaries);
  const bool diagnostics = call.has_results();
  outputs.push_back(diagnostics ? call.give(1)[0] : call.absent());
  int32_t* const iterations = diagnostics ? static_cast<int32_t*>(call.next_result().untyped_data()) : nullptr;
  auto* const converged = diagnostics ? static_cast<unsigned char*>(call.next_result().untyped_data()) : nullptr;
  opgen_report report;
  const int status = opgen_solve(call.points(), inputs.data(), initial.empty() ? nullptr : initial.data(),
                                 outputs.data(), iterations, converged, &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
ffi::Error residual(Call& call) {
  const auto inputs = call.take(Op::inputs), unknowns = call.take(Op::unknowns), outputs = call.give(Op::unknowns);
  opgen_report report;
  const int status = opgen_residual(call.points(), inputs.data(), unknowns.data(), outputs.data(),
                                    &call.attributes.options, &report);
  return end(status, report);
}

template <class Op>
AtenLoader& aten_loader() {
  static AtenLoader loader(Op::name);
  return loader;
}

template <class Op>
ffi::Error adjoint(Call& call) {
  const auto inputs = call.take(Op::inputs), unknowns = call.take(Op::unknowns);
  const auto cotangents = call.take_present(Op::unknowns + Op::auxiliaries), gradients = call.give_wanted(Op::inputs);
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
  const auto inputs = call.take(Op::inputs), unknowns = call.take(Op::unknowns);
  const auto tangents = call.take_present(Op::inputs), outputs = call.give(Op::unknowns + Op::auxiliaries);
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
  const auto inputs = call.take(Op::inputs), unknowns = call.take(Op::unknowns);
  const auto cotangents = call.take_present(Op::unknowns + Op::auxiliaries);
  const auto tangents = call.take_present(Op::inputs), gradients = call.give_wanted(Op::inputs);
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
ffi::Error residual_pullback(Call& call) {
  const auto inputs = call.take(Op::inputs), unknowns = call.take(Op::unknowns);
  const auto cotangents = call.take_present(Op::unknowns), gradients = call.give_wanted(Op::inputs + Op::unknowns);
  opgen_report report;
  const int status = opgen_residual_pullback(call.points(), inputs.data(), unknowns.data(), cotangents.data(),
                                             gradients.data(), &call.attributes.options, &report);
  return end(status, report);
}

// The frame around each of them: attributes in, nothing computed when the call is wrong.
template <class Op, ffi::Error (*function)(Call&)>
ffi::Error call(ffi::RemainingArgs operands, ffi::RemainingRets results, double tol, int64_t max_iterations,
                int32_t on_failure, bool gmres, std::string_view present, std::string_view wanted) {
  Call made(Op::name, operands, results, {{tol, max_iterations, on_failure, 0}, gmres, present, wanted});
  return made.error().empty() ? function(made) : end(made.error());
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
