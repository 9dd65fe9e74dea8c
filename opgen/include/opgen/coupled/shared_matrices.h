// Systems of a batch that share their matrices, and products with those.
//
// A nest that sums up M[i, j] v[j] is a product of a matrix and a vector. Where systems share M, their products are one of two
// matrices, at a speed that a single vector never reaches. Such systems are a group.
#ifndef OPGEN_COUPLED_SHARED_MATRICES_H
#define OPGEN_COUPLED_SHARED_MATRICES_H

#include <opgen/coupled/call.h>
#include <opgen/coupled/slopes.h>
#include <opgen/linear/packed.h>

#include <algorithm>

namespace opgen::coupled {

// A product that depends on the unknowns.
template <class N>
constexpr bool moves() {
  return is_product<N>() && N::active_formula;
}

// Whether an input is a matrix that vectors are multiplied with.
template <class Op>
constexpr bool is_matrix(int input) {
  bool found = false;
  Op::Nests::each([&](auto nest) {
    using N = decltype(nest);
    if constexpr (is_product<N>()) found = found || N::read[N::product.matrix].array == input;
  });
  return found;
}

// Whether an operator's equations see the unknowns entry by entry, and through products with matrices alone.
template <class Op>
constexpr bool shareable() {
  if (Op::explicit_ || Op::method != Method::dense) return false;
  bool fits = true, products = false;
  for (int a = 0; a < Op::array_count; ++a) {
    const Array& array = Op::arrays[a];
    fits = fits && array.role != Role::boundary && (array.role != Role::unknown || array.core.rank == 1);
    for (int d = 0; d < array.core.rank; ++d) fits = fits && array.side[d][0].halo == 0 && array.side[d][1].halo == 0;
  }
  Op::Nests::each([&](auto nest) {
    using N = decltype(nest);
    products = products || moves<N>();
    if (is_product<N>()) fits = fits && !N::of_auxiliary;
    if (N::stage == Stage::sum && N::of_equation && N::active_formula) fits = fits && is_product<N>();
    if (N::stage == Stage::equation) {
      for (int r = 0; r < N::active; ++r) {
        fits = fits && Op::arrays[N::read[r].array].core.rank == 1 && N::read[r].loop[0] == 0 && N::read[r].shift[0] == 0;
      }
    }
    for (int r = 0; r < N::reads; ++r) {  // a matrix is only multiplied with
      fits = fits && (r == N::product.matrix || !is_matrix<Op>(N::read[r].array));
    }
  });
  return fits && products;
}

// The matrices of a group, laid out for products: as they are, and in single precision.
template <class Op>
class SharedMatrices {
 public:
  const std::vector<int64_t> extents;

  SharedMatrices(std::vector<int64_t> sizes, int threads) : extents(std::move(sizes)), threads_(threads) {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) entries_ += rows<N>() * columns<N>();
    });
  }
  const SharedMatrices& held() const { return *this; }
  int threads() const { return threads_; }
  int64_t weight() const { return entries_; }

  template <class N>
  int64_t rows() const {
    return N::loop[0].stop.at(extents.data(), nullptr);
  }
  template <class N>
  int64_t columns() const {
    return std::max<int64_t>(N::loop[1].stop.at(extents.data(), nullptr), 0);
  }

  // Takes the matrices of a group, of which `system` is one; for the transposed products too if `backwards`.
  void take(const Batch& batch, const opgen_array* inputs, int64_t system, bool backwards) {
    single_ = batch.single();
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        Layouts& own = layouts_[N::number];
        batch.typed(inputs[N::read[N::product.matrix].array], system, [&](auto* data, const int64_t* stride) {
          const int64_t down = stride[N::product.transposed ? 1 : 0], right = stride[N::product.transposed ? 0 : 1];
          own.rough.pack(rows<N>(), columns<N>(), data, down, right, threads_);
          if (!single_) own.full.pack(rows<N>(), columns<N>(), data, down, right, threads_);
          if (!backwards) return single_ ? own.rough.row_norms(own.norms) : own.full.row_norms(own.norms);
          own.rough_transposed.pack(columns<N>(), rows<N>(), data, right, down, threads_);
          if (!single_) own.full_transposed.pack(columns<N>(), rows<N>(), data, right, down, threads_);
        });
      }
    });
  }

  // c = M v for `count` vectors, exact but for the rounding of T.
  template <class N, class T>
  void multiply(int64_t count, const T* const* v, T* const* c) const {
    const Layouts& own = layouts_[N::number];
    if (sizeof(T) == sizeof(double) && !single_) return own.full.multiply(count, v, c, false);
    own.rough.multiply(count, v, c, false);
  }
  // c += M^T v
  template <class N, class T>
  void add_transposed(int64_t count, const T* const* v, T* const* c) const {
    const Layouts& own = layouts_[N::number];
    if (sizeof(T) == sizeof(double) && !single_) return own.full_transposed.multiply(count, v, c, true);
    own.rough_transposed.multiply(count, v, c, true);
  }
  // The norms of the rows of M: a sum over a row is at most that times the norm of v.
  template <class N>
  const double* norms() const {
    return layouts_[N::number].norms.data();
  }

 private:
  struct Layouts {
    linear::Packed<float> rough, rough_transposed;
    linear::Packed<double> full, full_transposed;
    std::vector<double> norms;
  };

  int threads_;
  int64_t entries_ = 0;
  bool single_ = false;
  Layouts layouts_[Op::Nests::count];
};

}  // namespace opgen::coupled
#endif
