// Gradients of a batch's operands: one for each system or, where systems share an operand, a sum.
#ifndef OPGEN_COUPLED_GRADIENTS_H
#define OPGEN_COUPLED_GRADIENTS_H

#include <opgen/coupled/call.h>

namespace opgen::coupled {

constexpr int64_t max_groups = 16;  // of systems that a thread takes together

// Operands [0, count) of a call are arrays [0, count) of the operator. Each group of systems adds up its own sums, which are
// added in the order of the groups: who computed them does not matter.
template <class Op>
class Gradients {
 public:
  Gradients(const Batch& batch, const opgen_array* arrays, int count) : batch_(batch), arrays_(arrays), count_(count) {
    const opgen_points& points = batch.points();
    for (int i = 0; i < count; ++i) {
      Operand& own = operands_[i];
      own.length = opgen::count(Op::arrays[i].core, points.sizes);
      own.shared = arrays[i].data && (batch.shared(arrays[i]) || batch.count() == 0);
      if (!own.shared) continue;
      own.stride.assign(static_cast<size_t>(points.rank), 0);
      for (int d = points.rank - 1; d >= 0; --d) {
        if (arrays[i].strides[d] == 0) continue;
        own.stride[static_cast<size_t>(d)] = own.copies;
        own.copies *= points.shape[d];
      }
      own.sums.resize(static_cast<size_t>(max_groups));
    }
  }

  bool wanted(int i) const { return i < count_ && arrays_[i].data; }

  // Takes one system's gradients from `bar`.
  void put(const Fields<Op>& bar, int64_t number, int64_t group) {
    for (int i = 0; i < count_; ++i) {
      if (!wanted(i)) continue;
      Operand& own = operands_[i];
      if (!own.shared) {
        batch_.write(bar, i, arrays_[i], number);
        continue;
      }
      std::vector<double>& sum = own.sums[static_cast<size_t>(group)];
      if (sum.empty()) sum.resize(static_cast<size_t>(own.copies * own.length));
      double* to = sum.data() + copy(own, number) * own.length;
      bar.rows(i, [&](const double* row, int64_t step, int64_t length) {
        for (int64_t j = 0; j < length; ++j) to[j] += row[j * step];
        to += length;
      });
    }
  }

  // Writes the sums.
  void finish(const int64_t* sizes) {
    const opgen_points& points = batch_.points();
    for (int i = 0; i < count_; ++i) {
      Operand& own = operands_[i];
      if (!own.shared) continue;
      Fields<Op> total(sizes);
      total.own(i);
      std::vector<int64_t> index(static_cast<size_t>(points.rank), 0);
      for (int64_t c = 0; c < own.copies; ++c) {
        total.zero(i);
        for (const std::vector<double>& sum : own.sums) {
          if (sum.empty()) continue;
          const double* from = sum.data() + c * own.length;
          total.rows(i, [&](double* row, int64_t step, int64_t length) {
            for (int64_t j = 0; j < length; ++j) row[j * step] += from[j];
            from += length;
          });
        }
        opgen_array there = arrays_[i];
        int64_t at = 0;
        for (int d = 0; d < points.rank; ++d) at += index[static_cast<size_t>(d)] * there.strides[d];
        there.data = batch_.single() ? static_cast<void*>(static_cast<float*>(there.data) + at)
                                     : static_cast<void*>(static_cast<double*>(there.data) + at);
        batch_.write(total, i, there, 0);
        int d = points.rank - 1;
        while (d >= 0 && (there.strides[d] == 0 || ++index[static_cast<size_t>(d)] == points.shape[d])) {
          index[static_cast<size_t>(d--)] = 0;
        }
      }
    }
  }

 private:
  struct Operand {
    int64_t length = 0, copies = 1;
    bool shared = false;
    std::vector<int64_t> stride;  // from the batch's axes to the copies
    std::vector<std::vector<double>> sums;
  };

  int64_t copy(const Operand& own, int64_t number) const {
    const opgen_points& points = batch_.points();
    int64_t at = 0;
    for (int d = points.rank - 1; d >= 0; --d) {
      at += number % points.shape[d] * own.stride[static_cast<size_t>(d)];
      number /= points.shape[d];
    }
    return at;
  }

  const Batch& batch_;
  const opgen_array* arrays_;
  int count_;
  Operand operands_[Op::inputs + Op::unknowns];
};

}  // namespace opgen::coupled
#endif
