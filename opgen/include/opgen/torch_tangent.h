// The PyTorch operators that return tangents of the outputs, or of the residual.
#ifndef OPGEN_TORCH_TANGENT_H
#define OPGEN_TORCH_TANGENT_H

#include <dlfcn.h>
#include <opgen/gmres_adjoint.h>
#include <opgen/torch.h>

namespace opgen::pytorch {

// Where PyTorch lies in this process, for the ATen adjoint.
template <class Op>
AtenLoader& aten_loader() {
  static AtenLoader loader(Op::name);
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(&aoti_torch_get_dtype), &info) && info.dli_fname) {
    const std::string path = info.dli_fname;  // <folder>/lib/libtorch_cpu.so
    loader.use_torch(path.substr(0, path.rfind('/', path.rfind('/') - 1)).c_str());
  }
  return loader;
}

template <class Op>
void tangent(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.optional_tensors(0, n, "tangent of ");
  call.options();
  call.points(2 * n + k, values);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), tangents = call.arrays(n + k, n);
  const auto outputs = call.results(n, values);
  if (call.gmres()) {
    call.check(gmres_tangent(aten_loader<Op>(), call.view(), inputs, unknowns, tangents, outputs, call.options_given()));
  } else {
    opgen_report report;
    call.check(opgen_tangent(&call.view(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(),
                             &call.options_given(), &report),
               report);
  }
  call.give();
}

template <class Op>
void curvature(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns, values = k + Op::auxiliaries;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.optional_tensors(0, n, "tangent of ");
  call.optional_tensors(0, n, "tangent of ");
  call.options();
  call.points(3 * n + k, values);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k);
  const auto v = call.arrays(n + k, n), w = call.arrays(2 * n + k, n), outputs = call.results(n, values);
  opgen_report report;
  call.check(opgen_curvature(&call.view(), inputs.data(), unknowns.data(), v.data(), w.data(), outputs.data(),
                             &call.options_given(), &report),
             report);
  call.give();
}

template <class Op>
void residual_tangent(StableIValue* stack, uint64_t, uint64_t) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  Call call(signature<Op>(), stack);
  call.tensors(0, n + k);
  call.optional_tensors(0, n + k, "tangent of ");
  call.points(2 * (n + k), k);
  const auto inputs = call.arrays(0, n), unknowns = call.arrays(n, k), tangents = call.arrays(n + k, n + k);
  const auto outputs = call.results(n, k);
  opgen_report report;
  call.check(opgen_residual_tangent(&call.view(), inputs.data(), unknowns.data(), tangents.data(), outputs.data(),
                                    &call.options_given(), &report),
             report);
  call.give();
}

}  // namespace opgen::pytorch
#endif
