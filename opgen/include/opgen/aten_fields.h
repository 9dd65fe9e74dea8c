// The fields of a system, side by side in one vector: its unknowns, its equations or its auxiliaries.
#ifndef OPGEN_ATEN_FIELDS_H
#define OPGEN_ATEN_FIELDS_H

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <vector>

#include "opgen/aten_adjoint.h"

namespace opgen {

using Extents = std::vector<int64_t>;

struct Fields {
  std::vector<Extents> cores;  // extents of each field; none for a pointwise operator, whose systems are points
  Extents lengths;             // entries of each field
  int64_t length = 0;          // of all

  // Those `from` ... `from + n - 1` in the signature of an operator.
  Fields(const AtenOperator& op, size_t from, size_t n, const int64_t* sizes) : cores(n), lengths(n, 1) {
    for (size_t i = 0; i < n; ++i) {
      if (op.coupled()) {
        const Core& core = op.cores[from + i];
        for (int d = 0; d < core.rank; ++d) cores[i].push_back(extent(core.axes[d], sizes));
        lengths[i] = count(core, sizes);
      }
      length += lengths[i];
    }
  }

  // The shape of field i for so many systems.
  Extents shape(int64_t systems, size_t i) const {
    Extents all{systems};
    all.insert(all.end(), cores[i].begin(), cores[i].end());
    return all;
  }

  // [systems, length] of what broadcasts to the fields, such as constants; zeros where one is undefined.
  at::Tensor join(const Tensors& fields, int64_t systems) const {
    Tensors flat;
    for (size_t i = 0; i < fields.size(); ++i)
      flat.push_back(fields[i].defined() ? fields[i].expand(shape(systems, i)).reshape({systems, lengths[i]})
                                         : at::zeros({systems, lengths[i]}, at::kDouble));
    return flat.size() == 1 ? flat[0] : at::cat(flat, 1);
  }

  // The fields in [systems, length].
  Tensors split(const at::Tensor& joined) const {
    Tensors fields = joined.split_with_sizes(lengths, 1);
    for (size_t i = 0; i < fields.size(); ++i) fields[i] = fields[i].reshape(shape(joined.size(0), i));
    return fields;
  }
};

}  // namespace opgen

#endif
