// The adjoint through ATen, as the adapters of frameworks call it.
#ifndef OPGEN_GMRES_ADJOINT_H
#define OPGEN_GMRES_ADJOINT_H

#include <opgen/aten_loader.h>
#include <opgen/broadcast.h>
#include <opgen/kernel.h>
#include <opgen/status.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

// Kernels of pointwise operators have none.
extern "C" __attribute__((weak)) decltype(opgen_preconditioner_new) opgen_preconditioner_new;
extern "C" __attribute__((weak)) decltype(opgen_preconditioner_delete) opgen_preconditioner_delete;

namespace opgen {

// Unknowns of which some systems were marked as failed: contiguous copies that hold NaN there.
struct MarkedUnknowns {
  std::vector<opgen_array> arrays;
  std::vector<std::vector<double>> data;  // of either dtype: double aligns both
  std::vector<Shape> strides;
};

// Replaces unknown i by its copy; `core` are its core axes.
inline void mark(const opgen_points& points, const Core& core, const std::vector<unsigned char>& isolated, size_t i,
                 MarkedUnknowns& unknowns) {
  const Shape batch(points.shape, points.shape + points.rank);
  Shape all = batch;
  for (int d = 0; d < core.rank; ++d) all.push_back(extent(core.axes[d], points.sizes));
  const opgen_points entries{points.dtype, static_cast<int32_t>(all.size()), all.data(), points.sizes};
  const int64_t total = count(all), each = count(core, points.sizes);
  std::vector<double> copy(static_cast<size_t>(total));
  for (int64_t at = 0; at < total; ++at) {
    const auto system = static_cast<size_t>(at / each);
    const double value = isolated[system] ? value_at(unknowns.arrays[i], entries, at) : NAN;
    if (points.dtype == OPGEN_FLOAT32) {
      reinterpret_cast<float*>(copy.data())[at] = static_cast<float>(value);
    } else {
      copy[static_cast<size_t>(at)] = value;
    }
  }
  unknowns.data[i] = std::move(copy);
  unknowns.strides[i] = strides(all, batch, static_cast<size_t>(core.rank));
  unknowns.arrays[i] = {unknowns.data[i].data(), unknowns.strides[i].data()};
}

// Marks what is no isolated root as failed: GMRES can solve a singular system that is consistent, and the gradient that comes
// out means nothing. The ATen adjoint passes over systems whose unknowns are NaN. Returns the sentence of a failure, if any.
inline std::string mark_failed(const opgen_points& points, const opgen_array* inputs, const opgen_options& options,
                               const Core* cores, MarkedUnknowns& unknowns) {
  const Shape shape(points.shape, points.shape + points.rank);
  std::vector<unsigned char> isolated(static_cast<size_t>(count(shape)));
  opgen_report report;
  if (opgen_isolated(&points, inputs, unknowns.arrays.data(), isolated.data(), &options, &report) != OPGEN_OK) {
    return report.message;
  }
  if (std::all_of(isolated.begin(), isolated.end(), [](unsigned char flag) { return flag != 0; })) return "";
  unknowns.data.resize(unknowns.arrays.size());
  unknowns.strides.resize(unknowns.arrays.size());
  for (size_t i = 0; i < unknowns.arrays.size(); ++i) {
    mark(points, cores ? cores[i] : Core{}, isolated, i, unknowns);
  }
  return "";
}

// The kernel's preconditioner at the roots of a coupled operator.
class Preconditioner {
 public:
  Preconditioner() = default;
  Preconditioner(const Preconditioner&) = delete;
  Preconditioner& operator=(const Preconditioner&) = delete;
  ~Preconditioner() {
    if (made_) opgen_preconditioner_delete(&made_with_);
  }

  // Returns the sentence of a failure, if any.
  std::string make(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns,
                   const opgen_options& options) {
    opgen_report report;
    made_ = opgen_preconditioner_new(&points, inputs, unknowns, &options, &made_with_, &report) == OPGEN_OK;
    return made_ ? "" : report.message;
  }

  const opgen_preconditioner* get() const { return made_ ? &made_with_ : nullptr; }

 private:
  opgen_preconditioner made_with_{};
  bool made_ = false;
};

// Calls a function of the ATen library at the roots that have derivatives; `groups` are its operands after the unknowns.
// Returns the sentence of a failure, if any.
template <class Function, class... Groups>
std::string by_gmres(AtenLoader& loader, Function LoadedAdjoint::*function, const opgen_points& points,
                     const opgen_options& options, const std::vector<opgen_array>& inputs,
                     const std::vector<opgen_array>& unknowns, const Groups&... groups) {
  const LoadedAdjoint loaded = loader.get();
  if (!loaded.function) return loaded.error;
  MarkedUnknowns marked{unknowns, {}, {}};
  const Core* of_unknowns = loaded.cores ? loaded.cores + inputs.size() : nullptr;
  std::string failure = mark_failed(points, inputs.data(), options, of_unknowns, marked);
  if (!failure.empty()) return failure;
  Preconditioner preconditioner;
  if (loaded.cores && opgen_preconditioner_new) {
    failure = preconditioner.make(points, inputs.data(), marked.arrays.data(), options);
    if (!failure.empty()) return failure;
  }
  opgen_report report;
  const int status = (loaded.*function)(&points, inputs.data(), marked.arrays.data(), groups.data()..., &options,
                                        preconditioner.get(), &report);
  return status == OPGEN_OK ? "" : report.message;
}

using Operands = std::vector<opgen_array>;

// opgen_adjoint, opgen_tangent and opgen_second by GMRES.
inline std::string gmres_adjoint(AtenLoader& loader, const opgen_points& points, const Operands& inputs,
                                 const Operands& unknowns, const Operands& cotangents, const Operands& gradients,
                                 const opgen_options& options) {
  return by_gmres(loader, &LoadedAdjoint::function, points, options, inputs, unknowns, cotangents, gradients);
}
inline std::string gmres_tangent(AtenLoader& loader, const opgen_points& points, const Operands& inputs,
                                 const Operands& unknowns, const Operands& tangents, const Operands& outputs,
                                 const opgen_options& options) {
  return by_gmres(loader, &LoadedAdjoint::tangent, points, options, inputs, unknowns, tangents, outputs);
}
inline std::string gmres_second(AtenLoader& loader, const opgen_points& points, const Operands& inputs,
                                const Operands& unknowns, const Operands& cotangents, const Operands& tangents,
                                const Operands& gradients, const opgen_options& options) {
  return by_gmres(loader, &LoadedAdjoint::second, points, options, inputs, unknowns, cotangents, tangents, gradients);
}

}  // namespace opgen
#endif
