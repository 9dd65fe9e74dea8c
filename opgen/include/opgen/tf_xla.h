// A kernel as XLA custom calls inside tf.function(jit_compile=True) on the CPU.
//
// XLA hands a custom call bare pointers; shapes and options come in its configuration, which is written when the function is
// traced. The registry of targets lives in TensorFlow's own library; it is looked up when first needed, so that a TensorFlow
// without it still loads everything else.
#ifndef OPGEN_TF_XLA_H
#define OPGEN_TF_XLA_H

#include <dlfcn.h>
#include <opgen/kernel.h>
#include <opgen/operands.h>

#include <cstdlib>
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
  Call(const Signature& signature, const char* text, size_t length)
      : text_(text, length), at_(text_.data()), operands_(signature) {
    single_ = integer() == OPGEN_FLOAT32;
    options_.tol = std::strtod(at_, &at_);
    options_.max_iterations = integer();
    options_.on_failure = static_cast<int32_t>(integer());
    shapes_.resize(static_cast<size_t>(integer()));
    for (Shape& shape : shapes_) {
      shape.resize(static_cast<size_t>(integer()));
      for (int64_t& extent : shape) extent = integer();
    }
  }

  // The next n arguments are those of operands `first`, `first` + 1, ...
  void take(int first, int n) {
    for (int number = first; number < first + n; ++number) {
      const std::string fault = operands_.add(number, "", shapes_[numbers_.size()], true);
      numbers_.push_back(number);
      if (fault_.empty()) fault_ = fault;
    }
  }
  // After all of them; false, and a sentence in `status`, if they do not fit each other.
  bool taken(void* status) {
    if (fault_.empty()) fault_ = operands_.incomplete();
    if (!fault_.empty()) static_cast<Status*>(status)->emplace(fault_);
    view_ = operands_.points(single_);
    return fault_.empty();
  }

  std::vector<opgen_array> arguments(const void** in, int first, int count) {
    std::vector<opgen_array> arrays;
    for (int i = first; i < first + count; ++i) {
      arrays.push_back(operands_.array(const_cast<void*>(in[i]), shapes_[i], numbers_[i]));
    }
    return arrays;
  }
  // Results with the axes of operands `first`, `first` + 1, ...
  std::vector<opgen_array> results(void* out, int first, int count) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < count; ++i) {
      arrays.push_back(operands_.array(result(out, i, count), operands_.shape(first + i), first + i));
    }
    return arrays;
  }
  // Results of the shapes of the first arguments.
  std::vector<opgen_array> gradients(void* out, int count) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < count; ++i) arrays.push_back(operands_.array(result(out, i, count), shapes_[i], numbers_[i]));
    return arrays;
  }
  opgen_array absent() { return operands_.absent(); }
  int arguments() const { return static_cast<int>(shapes_.size()); }
  const opgen_points* view() const { return &view_; }
  const opgen_options* options() const { return &options_; }

 private:
  int64_t integer() { return std::strtoll(at_, &at_, 10); }
  static void* result(void* out, int i, int count) { return count == 1 ? out : static_cast<void**>(out)[i]; }

  std::string text_;
  char* at_ = nullptr;
  bool single_ = false;
  opgen_options options_{};
  opgen_points view_{};
  std::vector<Shape> shapes_;
  std::vector<int> numbers_;
  OperandShapes operands_;
  std::string fault_;
};

inline void conclude(int code, const opgen_report& report, void* status) {
  if (code != OPGEN_OK) static_cast<Status*>(status)->emplace(report.message);
}

template <class Op>
void solve(void* out, const void** in, const char* text, size_t length, void* status) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Call call(signature<Op>(), text, length);
  const bool warm = call.arguments() > n;
  call.take(0, warm ? n + k : n);
  if (!call.taken(status)) return;
  const auto inputs = call.arguments(in, 0, n), initial = call.arguments(in, n, warm ? k : 0);
  auto outputs = call.results(out, n, k + Op::auxiliaries);
  outputs.push_back(call.absent());
  opgen_report report;
  conclude(opgen_solve(call.view(), inputs.data(), warm ? initial.data() : nullptr, outputs.data(), nullptr, nullptr,
                       call.options(), &report),
           report, status);
}

template <class Op>
void adjoint(void* out, const void** in, const char* text, size_t length, void* status) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(signature<Op>(), text, length);
  call.take(0, n + k);
  call.take(n, values);
  if (!call.taken(status)) return;
  const auto inputs = call.arguments(in, 0, n), unknowns = call.arguments(in, n, k);
  const auto bars = call.arguments(in, n + k, values), gradients = call.gradients(out, n);
  opgen_report report;
  conclude(opgen_adjoint(call.view(), inputs.data(), unknowns.data(), bars.data(), gradients.data(), call.options(), &report),
           report, status);
}

template <class Op>
void tangent(void* out, const void** in, const char* text, size_t length, void* status) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Call call(signature<Op>(), text, length);
  call.take(0, n + k);
  call.take(0, n);
  if (!call.taken(status)) return;
  const auto inputs = call.arguments(in, 0, n), unknowns = call.arguments(in, n, k);
  const auto tangents = call.arguments(in, n + k, n), outputs = call.results(out, n, k + Op::auxiliaries);
  opgen_report report;
  conclude(opgen_tangent(call.view(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(), call.options(), &report),
           report, status);
}

template <class Op>
void second(void* out, const void** in, const char* text, size_t length, void* status) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(signature<Op>(), text, length);
  call.take(0, n + k);
  call.take(n, values);
  call.take(0, n);
  if (!call.taken(status)) return;
  const auto inputs = call.arguments(in, 0, n), unknowns = call.arguments(in, n, k);
  const auto bars = call.arguments(in, n + k, values), tangents = call.arguments(in, n + k + values, n);
  const auto gradients = call.gradients(out, n);
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
