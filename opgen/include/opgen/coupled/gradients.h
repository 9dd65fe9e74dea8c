// Gradients of a batch's operands: one for each system or, where systems share an operand, a sum.
#ifndef OPGEN_COUPLED_GRADIENTS_H
#define OPGEN_COUPLED_GRADIENTS_H

#include <opgen/coupled/workers.h>
#include <opgen/linear/product.h>

#include <algorithm>
#include <set>

namespace opgen::coupled {

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
      if (!wanted(i) || !bar.view[i].data) continue;
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

  // Takes the gradient of a matrix, the sum of left right^T over systems: row s of `left` and of `right` is that of systems[s].
  template <class T>
  void add_products(int i, bool transposed, const std::vector<int64_t>& systems, const std::vector<T>& left, int64_t rows,
                    const std::vector<T>& right, int64_t columns, int threads) {
    for (size_t s = 0, end; s < systems.size(); s = end) {
      const int64_t at = batch_.offset(arrays_[i], systems[s]);
      for (end = s + 1; end < systems.size() && batch_.offset(arrays_[i], systems[end]) == at;) ++end;
      T* const data = static_cast<T*>(arrays_[i].data) + at;
      const int64_t* const stride = arrays_[i].strides + batch_.points().rank;
      const int64_t down = stride[transposed ? 1 : 0], across = stride[transposed ? 0 : 1];
      const auto first = static_cast<int64_t>(s), count = static_cast<int64_t>(end - s);
      const T *const l = left.data() + first * rows, *const r = right.data() + first * columns;
      const T before = written_.insert(data).second ? T(0) : T(1);
      const auto product = [&](const T* a, int64_t m, const T* b, int64_t n, T beta, T* c, int64_t leading) {
        linear::multiply<T>(linear::Transpose::yes, linear::Transpose::no, m, n, count, 1, a, m, b, n, beta, c, leading, threads);
      };
      if (across == 1) {
        product(l, rows, r, columns, before, data, down);
      } else if (down == 1) {
        product(r, columns, l, rows, before, data, across);
      } else {
        std::vector<T> made(static_cast<size_t>(rows * columns));
        product(l, rows, r, columns, T(0), made.data(), columns);
        for (int64_t p = 0; p < rows; ++p) {
          for (int64_t q = 0; q < columns; ++q) {
            T& own = data[p * down + q * across];
            own = (before == T(0) ? T(0) : own) + made[static_cast<size_t>(p * columns + q)];
          }
        }
      }
    }
  }

  // Writes the sums.
  void finish(const int64_t* sizes) {
    const opgen_points& points = batch_.points();
    for (int i = 0; i < count_; ++i) {
      Operand& own = operands_[i];
      if (!own.shared) continue;
      const bool any = std::any_of(own.sums.begin(), own.sums.end(), [](const auto& sum) { return !sum.empty(); });
      if (!any && !written_.empty() && written_.count(arrays_[i].data)) continue;  // by products alone
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
        batch_.write(total, i, there, 0, written_.count(there.data) > 0);
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
  std::set<const void*> written_;  // what has products in it already
};

}  // namespace opgen::coupled
#endif
