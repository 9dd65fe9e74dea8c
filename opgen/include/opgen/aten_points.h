// One call of a derivative: its operands seen system by system, and what it says of a system that failed.
//
// The systems are the batch of the call, in a row; those of a pointwise operator are its points.
#ifndef OPGEN_ATEN_POINTS_H
#define OPGEN_ATEN_POINTS_H

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>

#include <cstdio>
#include <string>

#include "opgen/aten_fields.h"

namespace opgen {

struct Call {
  const AtenOperator& op;
  const opgen_points& points;
  const opgen_preconditioner* preconditioner;
  at::IntArrayRef shape;  // of the batch
  int64_t size;           // how many systems
  int policy;
  double tol;             // of the linear solves
  Fields inputs, unknowns, auxiliaries;
  Tensors x = {}, y = {};  // the values; an explicit operator's unknowns may be undefined

  at::ScalarType type() const { return points.dtype == OPGEN_FLOAT32 ? at::kFloat : at::kDouble; }

  // Whether an operand is the same for all systems.
  bool shared(const opgen_array& array) const {
    for (size_t d = 0; d < shape.size(); ++d)
      if (array.strides[d] != 0 && shape[d] != 1) return false;
    return true;
  }

  // The operand itself: its batch axes of stride 0 have one entry, also where there are no systems.
  at::Tensor operand(const opgen_array& array, const Extents& core) const {
    Extents extents(shape.begin(), shape.end());
    for (size_t d = 0; d < extents.size(); ++d)
      if (array.strides[d] == 0) extents[d] = 1;
    extents.insert(extents.end(), core.begin(), core.end());
    return at::from_blob(array.data, extents, at::IntArrayRef(array.strides, extents.size()),
                         at::TensorOptions(type()));
  }

  // Operand i of `fields` for every system, [size, core axes]; undefined if it is absent. One that all systems of a coupled
  // operator share stays [1, core axes]: n x n numbers are not repeated, and their gradient is summed on the way.
  at::Tensor lanes(const opgen_array& array, const Fields& fields, size_t i) const {
    if (!array.data) return {};
    const at::Tensor memory = operand(array, fields.cores[i]);
    if (op.coupled() && shared(array)) return memory.reshape(fields.shape(1, i));
    Extents all(shape.begin(), shape.end());
    all.insert(all.end(), fields.cores[i].begin(), fields.cores[i].end());
    return memory.expand(all).reshape(fields.shape(size, i));
  }

  Tensors lanes(const opgen_array* arrays, const Fields& fields) const {
    Tensors all;
    for (size_t i = 0; i < fields.cores.size(); ++i) all.push_back(lanes(arrays[i], fields, i));
    return all;
  }

  // Repeat the inputs that all systems share, but of which something like them, a tangent or a gradient, is not shared.
  void repeat_inputs(const opgen_array* like) {
    for (size_t i = 0; i < x.size(); ++i)
      if (like[i].data && !shared(like[i])) x[i] = x[i].expand(inputs.shape(size, i));
  }
};

// Why a system has no gradient. The first one is shown to the user.
enum class Cause : int64_t { none = 0, singular = 1, missed = 2, not_finite = 3 };

struct Failure {
  Cause cause;
  double residual;
  int64_t iterations;
};

// Say what happened at the first system that failed.
inline void describe(const Call& call, const opgen_array* inputs, const Failure& failure, opgen_report* report) {
  Extents index(call.shape.size());
  for (int64_t i = static_cast<int64_t>(index.size()) - 1, rest = report->first; i >= 0; rest /= call.shape[i], --i)
    index[i] = rest % call.shape[i];
  std::string at, values;
  for (size_t i = 0; i < index.size(); ++i) at += (i ? ", " : "") + std::to_string(index[i]);
  for (size_t i = 0; i < call.op.inputs.size(); ++i) {
    if (!call.inputs.cores[i].empty()) continue;
    int64_t offset = 0;
    for (size_t axis = 0; axis < index.size(); ++axis) offset += index[axis] * inputs[i].strides[axis];
    char number[32];
    std::snprintf(number, sizeof number, "%.6g",
                  call.type() == at::kFloat ? static_cast<const float*>(inputs[i].data)[offset]
                                            : static_cast<const double*>(inputs[i].data)[offset]);
    values += std::string(values.empty() ? " (" : ", ") + call.op.inputs[i] + " = " + number;
  }
  if (!values.empty()) values += ")";
  const char* what = "the adjoint solve missed its tolerance";
  const char* advice = "F_y is close to singular there; move the input, or on_failure=\"nan\"";
  if (call.op.coupled())
    advice = "F_y is close to singular there, or GMRES lacks a good preconditioner; use adjoint=\"direct\", move the input, "
             "or on_failure=\"nan\"";
  if (failure.cause == Cause::singular) {
    what = "F_y is singular";
    advice = "the root is not isolated there, so it has no gradient; move the input, or on_failure=\"nan\"";
  } else if (failure.cause == Cause::not_finite) {
    what = "the adjoint solve met a value that is not finite";
    advice = "look for NaN or infinity in the incoming gradient or in F_y";
  }
  std::string where;  // a coupled operator without a batch has one system, which needs no number
  if (!call.op.coupled() || !index.empty())
    where = " at " + std::to_string(report->failed) + " of " + std::to_string(call.size) +
            (call.op.coupled() ? " systems" : " points") + "; first at index [" + at + "]";
  std::snprintf(report->message, sizeof report->message, "%s: %s%s%s: relative residual %.3g after %lld iterations of GMRES; %s",
                call.op.name, what, where.c_str(), values.c_str(), failure.residual,
                static_cast<long long>(failure.iterations), advice);
}

}  // namespace opgen

#endif
