// The adjoint through ATen, as the adapters of frameworks call it.
#ifndef OPGEN_GMRES_ADJOINT_H
#define OPGEN_GMRES_ADJOINT_H

#include <opgen/aten_loader.h>
#include <opgen/broadcast.h>
#include <opgen/kernel.h>
#include <opgen/status.h>

#include <cmath>
#include <string>
#include <vector>

namespace opgen {

// Unknowns of which some points were marked as failed: contiguous copies that hold NaN there.
struct MarkedUnknowns {
  std::vector<opgen_array> arrays;
  std::vector<std::vector<double>> data;  // of either dtype: double aligns both
  Shape strides;
};

// Marks what is no isolated root as failed: GMRES can solve a singular system that is consistent, and the gradient that comes
// out means nothing. The ATen adjoint passes over points whose unknowns are NaN. Returns the sentence of a failure, if any.
inline std::string mark_failed(const opgen_points& points, const opgen_array* inputs, const opgen_options& options,
                               MarkedUnknowns& unknowns) {
  const Shape shape(points.shape, points.shape + points.rank);
  const auto total = static_cast<size_t>(count(shape));
  std::vector<unsigned char> isolated(total);
  opgen_report report;
  if (opgen_isolated(&points, inputs, unknowns.arrays.data(), isolated.data(), &options, &report) != OPGEN_OK) {
    return report.message;
  }
  if (report.failed == 0) return "";
  unknowns.strides = strides(shape, shape);
  for (opgen_array& unknown : unknowns.arrays) {
    std::vector<double>& copy = unknowns.data.emplace_back(total);
    for (size_t i = 0; i < total; ++i) {
      const double value = isolated[i] ? value_at(unknown, points, static_cast<int64_t>(i)) : NAN;
      if (points.dtype == OPGEN_FLOAT32) {
        reinterpret_cast<float*>(copy.data())[i] = static_cast<float>(value);
      } else {
        copy[i] = value;
      }
    }
    unknown = {copy.data(), unknowns.strides.data()};
  }
  return "";
}

// Calls a function of the ATen library at the roots that have derivatives; `groups` are its operands after the unknowns.
// Returns the sentence of a failure, if any.
template <class Function, class... Groups>
std::string by_gmres(AtenLoader& loader, Function LoadedAdjoint::*function, const opgen_points& points,
                     const opgen_options& options, const std::vector<opgen_array>& inputs,
                     const std::vector<opgen_array>& unknowns, const Groups&... groups) {
  const LoadedAdjoint loaded = loader.get();
  if (!loaded.function) return loaded.error;
  MarkedUnknowns marked{unknowns, {}, {}};
  const std::string failure = mark_failed(points, inputs.data(), options, marked);
  if (!failure.empty()) return failure;
  opgen_report report;
  const int status =
      (loaded.*function)(&points, inputs.data(), marked.arrays.data(), groups.data()..., &options, &report);
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
