// A kernel as XLA custom calls inside tf.function(jit_compile=True) on the CPU.
//
// XLA hands a custom call bare pointers; shapes and options come in its configuration, which is written when the function is
// traced. The registry of targets lives in TensorFlow's own library; it is looked up when first needed, so that a TensorFlow
// without it still loads everything else.
#ifndef OPGEN_TF_XLA_H
#define OPGEN_TF_XLA_H

#include <dlfcn.h>
#include <opgen/broadcast.h>
#include <opgen/kernel.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace opgen::xla {

// XlaCustomCallStatus: an error message, or none.
using Status = std::optional<std::string>;

// The numbers of a configuration, separated by blanks: dtype, tol, max_iterations, on_failure, number of operands, and for
// each operand its rank and extents.
class Call {
 public:
  Call(const char* text, size_t length) : text_(text, length), at_(text_.data()) {
    const int dtype = static_cast<int>(integer());
    options_.tol = std::strtod(at_, &at_);
    options_.max_iterations = integer();
    options_.on_failure = static_cast<int32_t>(integer());
    const int64_t operands = integer();
    for (int64_t i = 0; i < operands; ++i) {
      Shape shape(static_cast<size_t>(integer()));
      for (int64_t& extent : shape) extent = integer();
      broadcast(points_, shape);
      shapes_.push_back(std::move(shape));
    }
    view_ = {dtype, static_cast<int32_t>(points_.size()), points_.data()};
  }

  std::vector<opgen_array> operands(const void** in, int first, int count) {
    std::vector<opgen_array> arrays;
    for (int i = first; i < first + count; ++i) arrays.push_back(array(const_cast<void*>(in[i]), shapes_[i]));
    return arrays;
  }
  // Results of the points' shape or, for gradients, of the shapes of the first operands.
  std::vector<opgen_array> results(void* out, int count, bool like_operands) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < count; ++i) {
      void* const data = count == 1 ? out : static_cast<void**>(out)[i];
      arrays.push_back(array(data, like_operands ? shapes_[i] : points_));
    }
    return arrays;
  }
  int operands() const { return static_cast<int>(shapes_.size()); }
  const opgen_points* view() const { return &view_; }
  const opgen_options* options() const { return &options_; }

 private:
  int64_t integer() { return std::strtoll(at_, &at_, 10); }
  opgen_array array(void* data, const Shape& shape) {
    strides_.push_back(std::make_unique<Shape>(strides(shape, points_)));
    return {data, strides_.back()->data()};
  }

  std::string text_;
  char* at_ = nullptr;
  opgen_options options_{};
  opgen_points view_{};
  Shape points_;
  std::vector<Shape> shapes_;
  std::vector<std::unique_ptr<Shape>> strides_;
};

inline void conclude(int code, const opgen_report& report, void* status) {
  if (code != OPGEN_OK) static_cast<Status*>(status)->emplace(report.message);
}

template <class Op>
void solve(void* out, const void** in, const char* text, size_t length, void* status) {
  Call call(text, length);
  constexpr int values = Op::unknowns + Op::auxiliaries;
  const auto inputs = call.operands(in, 0, Op::inputs);
  const bool warm = call.operands() > Op::inputs;
  const auto initial = warm ? call.operands(in, Op::inputs, Op::unknowns) : std::vector<opgen_array>();
  auto outputs = call.results(out, values, false);
  outputs.push_back({nullptr, nullptr});
  opgen_report report;
  conclude(opgen_solve(call.view(), inputs.data(), warm ? initial.data() : nullptr, outputs.data(), nullptr, nullptr,
                       call.options(), &report),
           report, status);
}

template <class Op>
void adjoint(void* out, const void** in, const char* text, size_t length, void* status) {
  Call call(text, length);
  const auto inputs = call.operands(in, 0, Op::inputs), unknowns = call.operands(in, Op::inputs, Op::unknowns);
  const auto bars = call.operands(in, Op::inputs + Op::unknowns, Op::unknowns + Op::auxiliaries);
  const auto gradients = call.results(out, Op::inputs, true);
  opgen_report report;
  conclude(opgen_adjoint(call.view(), inputs.data(), unknowns.data(), bars.data(), gradients.data(), call.options(), &report),
           report, status);
}

template <class Op>
void tangent(void* out, const void** in, const char* text, size_t length, void* status) {
  Call call(text, length);
  const auto inputs = call.operands(in, 0, Op::inputs), unknowns = call.operands(in, Op::inputs, Op::unknowns);
  const auto tangents = call.operands(in, Op::inputs + Op::unknowns, Op::inputs);
  const auto outputs = call.results(out, Op::unknowns + Op::auxiliaries, false);
  opgen_report report;
  conclude(opgen_tangent(call.view(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(), call.options(), &report),
           report, status);
}

template <class Op>
void second(void* out, const void** in, const char* text, size_t length, void* status) {
  Call call(text, length);
  constexpr int outputs = Op::unknowns + Op::auxiliaries;
  const auto inputs = call.operands(in, 0, Op::inputs), unknowns = call.operands(in, Op::inputs, Op::unknowns);
  const auto bars = call.operands(in, Op::inputs + Op::unknowns, outputs);
  const auto tangents = call.operands(in, Op::inputs + Op::unknowns + outputs, Op::inputs);
  const auto gradients = call.results(out, Op::inputs, true);
  opgen_report report;
  conclude(opgen_second(call.view(), inputs.data(), unknowns.data(), bars.data(), tangents.data(), gradients.data(),
                        call.options(), &report),
           report, status);
}

// Registers the targets with XLA; false if this TensorFlow has no registry that can be reached.
template <class Op>
bool register_targets() {
  using Global = void* (*)();
  using Register = void (*)(void*, const std::string&, void*, const std::string&);
  const auto global = reinterpret_cast<Global>(dlsym(RTLD_DEFAULT, "_ZN3xla24CustomCallTargetRegistry6GlobalEv"));
  const auto add = reinterpret_cast<Register>(dlsym(
      RTLD_DEFAULT,
      "_ZN3xla24CustomCallTargetRegistry8RegisterERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEEPvS8_"));
  if (!global || !add) return false;
  const std::string name = Op::registered_name;
  add(global(), name, reinterpret_cast<void*>(&solve<Op>), "Host");
  add(global(), name + "Adjoint", reinterpret_cast<void*>(&adjoint<Op>), "Host");
  add(global(), name + "Tangent", reinterpret_cast<void*>(&tangent<Op>), "Host");
  add(global(), name + "Second", reinterpret_cast<void*>(&second<Op>), "Host");
  return true;
}

}  // namespace opgen::xla
#endif
