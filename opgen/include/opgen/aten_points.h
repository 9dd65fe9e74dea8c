// One call of a derivative: its operands seen as vectors with one entry per point, and what it says of a failed point.
#ifndef OPGEN_ATEN_POINTS_H
#define OPGEN_ATEN_POINTS_H

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <cstdio>
#include <string>
#include <vector>

#include "opgen/aten_adjoint.h"

namespace opgen {

struct Call {
  const AtenOperator& op;
  const opgen_points& points;
  at::IntArrayRef shape;
  int64_t size;
  int policy;
  double tol;     // of the linear solves
  Tensors x, y;   // inputs and unknowns at every point; an explicit operator's unknowns may be undefined

  at::ScalarType type() const { return points.dtype == OPGEN_FLOAT32 ? at::kFloat : at::kDouble; }

  // The operand itself: its axes of stride 0 have one entry, also where there are no points.
  at::Tensor operand(const opgen_array& array) const {
    std::vector<int64_t> sizes(shape.begin(), shape.end());
    for (size_t i = 0; i < sizes.size(); ++i)
      if (array.strides[i] == 0) sizes[i] = 1;
    return at::from_blob(array.data, sizes, at::IntArrayRef(array.strides, sizes.size()), at::TensorOptions(type()));
  }

  // The operand at every point; undefined if it is absent.
  at::Tensor lanes(const opgen_array& array) const {
    if (!array.data) return {};
    return operand(array).expand(shape).reshape({size});
  }

  Tensors lanes(const opgen_array* arrays, int64_t count) const {
    Tensors all;
    for (int64_t i = 0; i < count; ++i) all.push_back(lanes(arrays[i]));
    return all;
  }
};

// Why a point has no gradient. The first one is shown to the user.
enum class Cause : int64_t { none = 0, singular = 1, missed = 2, not_finite = 3 };

struct Failure {
  Cause cause;
  double residual;
  int64_t iterations;
};

// Say what happened at the first point that failed.
inline void describe(const Call& call, const opgen_array* inputs, const Failure& failure, opgen_report* report) {
  std::vector<int64_t> index(call.shape.size());
  for (int64_t i = static_cast<int64_t>(index.size()) - 1, rest = report->first; i >= 0; rest /= call.shape[i], --i)
    index[i] = rest % call.shape[i];
  std::string at, values;
  for (size_t i = 0; i < index.size(); ++i) at += (i ? ", " : "") + std::to_string(index[i]);
  for (size_t i = 0; i < call.op.inputs.size(); ++i) {
    int64_t offset = 0;
    for (size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * inputs[i].strides[axis];
    char number[32];
    std::snprintf(number, sizeof number, "%.6g",
                  call.type() == at::kFloat ? static_cast<const float*>(inputs[i].data)[offset]
                                            : static_cast<const double*>(inputs[i].data)[offset]);
    values += std::string(i ? ", " : "") + call.op.inputs[i] + " = " + number;
  }
  const char* what = "the adjoint solve missed its tolerance";
  const char* advice = "F_y is close to singular there; move the input, or on_failure=\"nan\"";
  if (failure.cause == Cause::singular) {
    what = "F_y is singular";
    advice = "the root is not isolated there, so it has no gradient; move the input, or on_failure=\"nan\"";
  } else if (failure.cause == Cause::not_finite) {
    what = "the adjoint solve met a value that is not finite";
    advice = "look for NaN or infinity in the incoming gradient or in F_y";
  }
  std::snprintf(report->message, sizeof report->message,
                "%s: %s at %lld of %lld points; first at index [%s] (%s): relative residual %.3g after %lld iterations "
                "of GMRES; %s",
                call.op.name, what, static_cast<long long>(report->failed), static_cast<long long>(call.size),
                at.c_str(), values.c_str(), failure.residual, static_cast<long long>(failure.iterations), advice);
}

}  // namespace opgen

#endif
