// The arrays of a call, system by system.
#ifndef OPGEN_COUPLED_CALL_H
#define OPGEN_COUPLED_CALL_H

#include <opgen/abi.h>
#include <opgen/coupled/fields.h>

namespace opgen::coupled {

class Batch {
 public:
  explicit Batch(const opgen_points& points) : points_(points) {
    for (int d = 0; d < points.rank; ++d) count_ *= points.shape[d];
  }
  int64_t count() const { return count_; }
  const opgen_points& points() const { return points_; }
  bool single() const { return points_.dtype == OPGEN_FLOAT32; }

  // Where system `number` of an operand starts, in elements.
  int64_t offset(const opgen_array& array, int64_t number) const {
    int64_t at = 0;
    for (int d = points_.rank - 1; d >= 0 && number > 0; --d) {
      at += number % points_.shape[d] * array.strides[d];
      number /= points_.shape[d];
    }
    return at;
  }
  // Whether several systems share an operand's numbers.
  bool shared(const opgen_array& array) const {
    for (int d = 0; d < points_.rank; ++d) {
      if (points_.shape[d] > 1 && array.strides[d] == 0) return true;
    }
    return false;
  }

  // Calls body(address, strides of the core axes) for the entries of one system of an operand, as `float` or `double`.
  template <class Body>
  auto typed(const opgen_array& array, int64_t number, Body&& body) const {
    const int64_t at = offset(array, number);
    const int64_t* const core = array.strides + points_.rank;
    if (single()) return body(static_cast<float*>(array.data) + at, core);
    return body(static_cast<double*>(array.data) + at, core);
  }

  // Calls body(entry in the call's memory, the same entry in `to`), row-major.
  template <class Op, class T, class Body>
  static void each(const Fields<Op>& fields, int array, T* data, const int64_t* strides, Body&& body) {
    const Core& core = Op::arrays[array].core;
    int64_t position[max_rank] = {};
    const int last = core.rank - 1;
    fields.rows(array, [&](double* row, int64_t step, int64_t length) {
      T* from = data;
      for (int d = 0; d < last; ++d) from += position[d] * strides[d];
      const int64_t own = core.rank > 0 ? strides[last] : 0;
      if (own == 1 && step == 1) {
        for (int64_t i = 0; i < length; ++i) body(from[i], row[i]);
      } else {
        for (int64_t i = 0; i < length; ++i) body(from[i * own], row[i * step]);
      }
      for (int d = last - 1; d >= 0 && ++position[d] == extent(core.axes[d], fields.sizes()); --d) position[d] = 0;
    });
  }

  // Makes one system of an operand readable as array `number_of` of `fields`: in place if it is double and never read outside
  // its grid, else as a copy.
  template <class Op>
  void read(const opgen_array& array, int64_t number, Fields<Op>& fields, int of) const {
    if (!array.data) return;
    const Array& info = Op::arrays[of];
    bool outside = false;
    for (int d = 0; d < info.core.rank; ++d) outside = outside || info.side[d][0].halo + info.side[d][1].halo > 0;
    if (!single() && !outside && info.role == Role::input) {
      fields.view[of].data = static_cast<double*>(array.data) + offset(array, number);
      for (int d = 0; d < info.core.rank; ++d) fields.view[of].stride[d] = array.strides[points_.rank + d];
      return;
    }
    fields.own(of);
    typed(array, number, [&](auto* data, const int64_t* strides) {
      each(fields, of, data, strides, [](auto& from, double& to) { to = from; });
    });
    if (info.role == Role::input) fields.fill(of);
  }

  // Writes an array of `fields` to one system of an operand; `add` adds it to what is there.
  template <class Op>
  void write(const Fields<Op>& fields, int of, const opgen_array& array, int64_t number, bool add = false) const {
    if (!array.data) return;
    typed(array, number, [&](auto* data, const int64_t* strides) {
      using T = std::remove_pointer_t<decltype(data)>;
      if (add) {
        each(fields, of, data, strides, [](T& to, double& from) { to = static_cast<T>(to + from); });
      } else {
        each(fields, of, data, strides, [](T& to, double& from) { to = static_cast<T>(from); });
      }
    });
  }
  template <class Op>
  void fill(const Fields<Op>& fields, int of, const opgen_array& array, int64_t number, double value) const {
    if (!array.data) return;
    typed(array, number, [&](auto* data, const int64_t* strides) {
      using T = std::remove_pointer_t<decltype(data)>;
      each(fields, of, data, strides, [value](T& to, double&) { to = static_cast<T>(value); });
    });
  }

  // One number a system.
  void put(const opgen_array& array, int64_t number, double value) const {
    if (!array.data) return;
    typed(array, number, [&](auto* data, const int64_t*) { *data = static_cast<std::remove_pointer_t<decltype(data)>>(value); });
  }

 private:
  const opgen_points& points_;
  int64_t count_ = 1;
};

template <class Op>
bool finite(const Fields<Op>& fields, int array) {
  double nothing[8] = {};
  if (!fields.view[array].data) return true;
  fields.rows(array, [&](const double* row, int64_t step, int64_t length) {
    int64_t i = 0;
    for (; step == 1 && i + 8 <= length; i += 8) {
      for (int j = 0; j < 8; ++j) nothing[j] += row[i + j] - row[i + j];
    }
    for (; i < length; ++i) nothing[0] += row[i * step] - row[i * step];
  });
  double all = 0;
  for (double v : nothing) all += v;
  return all == 0;
}

}  // namespace opgen::coupled
#endif
