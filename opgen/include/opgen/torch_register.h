// The schemas of a kernel's PyTorch operators, and their registration.
#ifndef OPGEN_TORCH_REGISTER_H
#define OPGEN_TORCH_REGISTER_H

#include <opgen/torch_pullback.h>

namespace opgen::pytorch {

using Library = ::torch::stable::detail::StableLibrary;
using Boxed = void (*)(StableIValue*, uint64_t, uint64_t);

// "Tensor x0, Tensor x1, "
inline std::string parameters(const char* type, const char* name, int n, const char* after = "") {
  std::string text;
  for (int i = 0; i < n; ++i) text += std::string(type) + " " + name + std::to_string(i) + after + ", ";
  return text;
}

// "(Tensor, Tensor)", or a single one without parentheses.
inline std::string results(int n, const std::string& more = "") {
  std::string text = "Tensor";
  for (int i = 1; i < n; ++i) text += ", Tensor";
  text += more;
  return text.find(',') == std::string::npos ? text : "(" + text + ")";
}

// "Tensor a, Tensor b" of "Tensor a, Tensor b, "
inline std::string without_comma(const std::string& text) { return text.substr(0, text.empty() ? 0 : text.size() - 2); }

// Calls visit(name, parameters, results, function) for each of the operators that make up one generated function. `plain` is
// `forward` for a call that wants neither options nor a derivative: the shortest way.
template <class Op, class Visit>
void each_operator(Visit&& visit) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  const std::string options =
      "float tol=0, int max_iterations=0, str adjoint=\"direct\", str on_failure=\"raise\"";
  const std::string x = parameters("Tensor", "x", n), y = parameters("Tensor", "y", k);
  const std::string initial = parameters("Tensor?", "initial", k, "=None"), g = parameters("Tensor?", "g", values);
  const std::string v = parameters("Tensor?", "v", n), w = parameters("Tensor?", "w", n), wanted = "int[] wanted";
  visit("plain", without_comma(x), results(values), solve<Op, false, true>);
  visit("forward", x + initial + options, results(values), solve<Op, false>);
  visit("solve", x + initial + options, results(values, ", Tensor, Tensor, Tensor"), solve<Op, true>);
  visit("adjoint", x + y + g + wanted + ", " + options, "Tensor[]", adjoint<Op>);
  visit("tangent", x + y + v + options, results(values), tangent<Op>);
  visit("second", x + y + g + v + wanted + ", " + options, "Tensor[]", second<Op>);
  visit("curvature", x + y + v + w + options, results(values), curvature<Op>);
  visit("residual", without_comma(x + y), results(k), residual<Op>);
  visit("residual_pullback", x + y + parameters("Tensor?", "g", k) + wanted, "Tensor[]", residual_pullback<Op>);
  visit("residual_tangent", without_comma(x + y + parameters("Tensor?", "v", n + k)), results(k), residual_tangent<Op>);
}

// Each name ends in the digest of the residual: two operators of one name may meet in a process, one edited since.
template <class Op>
void define(Library& library) {
  each_operator<Op>([&](const char* name, const std::string& in, const std::string& out, Boxed) {
    library.def((std::string(name) + "_" + Op::digest + "(" + in + ") -> " + out).c_str());
  });
}

template <class Op>
void implement(Library& library) {
  each_operator<Op>([&](const char* name, const std::string&, const std::string&, Boxed function) {
    library.impl((std::string(name) + "_" + Op::digest).c_str(), function);
  });
}

}  // namespace opgen::pytorch
#endif
