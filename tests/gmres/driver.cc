// What the tests call by ctypes: GMRES on matrices given as arrays, and on products only. Every function returns 0, or
// 1 with a message on standard error.
#include <ATen/ops/from_blob.h>
#include <ATen/ops/matmul.h>
#include <c10/core/InferenceMode.h>

#include <cstdio>

#include "opgen/abi.h"
#include "opgen/gmres.h"

namespace {

at::Tensor blob(const void* data, at::IntArrayRef shape, int single) {
  return at::from_blob(const_cast<void*>(data), shape, at::TensorOptions(single ? at::kFloat : at::kDouble));
}

template <class F>
int guarded(const F& f) {
  try {
    f();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

struct Outcome {  // of each system
  int64_t* iterations;
  double* residual;
  int64_t* status;
  int64_t* dimension;
};

void write(const opgen::GmresResult& result, at::Tensor x, const Outcome& outcome) {
  x.copy_(result.solution);
  for (int64_t i = 0; i < x.size(0); ++i) {
    outcome.iterations[i] = result.iterations.data_ptr<int64_t>()[i];
    outcome.residual[i] = result.residual.data_ptr<double>()[i];
    outcome.status[i] = result.status.data_ptr<int64_t>()[i];
    outcome.dimension[i] = result.dimension.data_ptr<int64_t>()[i];
  }
}

}  // namespace

// A, M^-1: [N, n, n]; b, x0, x: [N, n]; M^-1 and x0 may be null.
extern "C" OPGEN_EXPORT int solve_dense(const void* A, const void* inverse, const void* b, const void* x0, void* x,
                                        int64_t N, int64_t n, int single, double tol, int64_t restart, int64_t limit,
                                        Outcome outcome) {
  return guarded([&] {
    const at::Tensor a = blob(A, {N, n, n}, single), p = inverse ? blob(inverse, {N, n, n}, single) : at::Tensor();
    const auto times = [](const at::Tensor& m) {
      return [m](const at::Tensor& v) { return at::matmul(m, v.unsqueeze(2)).squeeze(2); };
    };
    const at::Tensor start = x0 ? blob(x0, {N, n}, single) : at::Tensor();
    write(opgen::gmres(times(a), blob(b, {N, n}, single), {tol, restart, limit},
                       inverse ? opgen::LinearMap(times(p)) : opgen::LinearMap(), start),
          blob(x, {N, n}, single), outcome);
  });
}

// (R R^T + I) x = b, [n], of which only the product is known; `products` counts them.
extern "C" OPGEN_EXPORT int solve_gram(const double* R, const double* b, double* x, int64_t n, double tol,
                                       int64_t* products, Outcome outcome) {
  return guarded([&] {
    const at::Tensor r = blob(R, {n, n}, 0);
    const auto product = [&](const at::Tensor& v) {
      ++*products;
      return at::matmul(at::matmul(v, r), r.t()) + v;
    };
    write(opgen::gmres(product, blob(b, {1, n}, 0), {tol, n, 10 * n}), blob(x, {1, n}, 0), outcome);
  });
}

// A v = d v with a diagonal d: [N, n]; cheap products, for time and memory.
extern "C" OPGEN_EXPORT int solve_diagonal(const double* d, const double* b, double* x, int64_t N, int64_t n,
                                           double tol, int64_t restart, int64_t limit, Outcome outcome) {
  return guarded([&] {
    const at::Tensor a = blob(d, {N, n}, 0);
    write(opgen::gmres([&](const at::Tensor& v) { return a * v; }, blob(b, {N, n}, 0), {tol, restart, limit}),
          blob(x, {N, n}, 0), outcome);
  });
}

extern "C" OPGEN_EXPORT const char* gmres_advice(int64_t status) {
  return opgen::advice(static_cast<opgen::GmresStatus>(status));
}
