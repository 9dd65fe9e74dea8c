// The PyTorch operators that return gradients: of the inputs that are asked for, as a list.
#ifndef OPGEN_TORCH_PULLBACK_H
#define OPGEN_TORCH_PULLBACK_H

#include <opgen/torch_tangent.h>

namespace opgen::pytorch {

// Gradients of the operands in `wanted`, which are among the first `of`; the others are absent.
inline std::vector<opgen_array> gradients(Call& call, const std::vector<int64_t>& wanted, int of) {
  std::vector<opgen_array> made(of, call.absent());
  for (const int64_t i : wanted) {
    if (i < 0 || i >= of || made[i].data) call.fail("there is no gradient " + std::to_string(i) + ", or it is wanted twice");
    made[i] = call.result_like(static_cast<int>(i));
  }
  return made;
}

template <class Op>
void adjoint(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.optional_tensors(n, values, "cotangent of ");
  const auto wanted = call.integers();
  call.options();
  call.points(n + k + values, n);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), cotangents = call.arrays(n + k, values);
  const auto made = gradients(call, wanted, n);
  if (call.gmres()) {
    call.check(gmres_adjoint(aten_loader<Op>(), call.view(), inputs, unknowns, cotangents, made, call.options_given()));
  } else {
    opgen_report report;
    call.check(opgen_adjoint(&call.view(), inputs.data(), unknowns.data(), cotangents.data(), made.data(),
                             &call.options_given(), &report),
               report);
  }
  call.give_list();
}

template <class Op>
void second(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.optional_tensors(n, values, "cotangent of ");
  call.optional_tensors(0, n, "tangent of ");
  const auto wanted = call.integers();
  call.options();
  call.points(2 * n + k + values, n);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), cotangents = call.arrays(n + k, values);
  const auto tangents = call.arrays(n + k + values, n), made = gradients(call, wanted, n);
  if (call.gmres()) {
    call.check(gmres_second(aten_loader<Op>(), call.view(), inputs, unknowns, cotangents, tangents, made,
                            call.options_given()));
  } else {
    opgen_report report;
    call.check(opgen_second(&call.view(), inputs.data(), unknowns.data(), cotangents.data(), tangents.data(), made.data(),
                            &call.options_given(), &report),
               report);
  }
  call.give_list();
}

template <class Op>
void residual_pullback(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.optional_tensors(n, k, "cotangent of F at ");
  const auto wanted = call.integers();
  call.points(n + 2 * k, n + k);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), cotangents = call.arrays(n + k, k);
  const auto made = gradients(call, wanted, n + k);
  opgen_report report;
  call.check(opgen_residual_pullback(&call.view(), inputs.data(), unknowns.data(), cotangents.data(), made.data(),
                                     &call.options_given(), &report),
             report);
  call.give_list();
}

}  // namespace opgen::pytorch
#endif
