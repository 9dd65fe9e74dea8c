// Gradients of matrices that a group of systems shares.
//
// Of a sum s = M v with the cotangent c, M has the cotangent c v^T: those of all systems together are a product of two matrices,
// in the precision of the call.
#ifndef OPGEN_COUPLED_OUTER_PRODUCTS_H
#define OPGEN_COUPLED_OUTER_PRODUCTS_H

#include <opgen/coupled/gradients.h>
#include <opgen/coupled/shared_matrices.h>

namespace opgen::coupled {

template <class Op>
class OuterProducts {
 public:
  OuterProducts(const SharedMatrices<Op>& matrices, size_t systems, bool single) : matrices_(matrices), single_(single) {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        Sides& own = sides_[N::number];
        const size_t left = systems * static_cast<size_t>(rows<N>()), right = systems * static_cast<size_t>(columns<N>());
        if (single) {
          own.singles[0].resize(left), own.singles[1].resize(right);
        } else {
          own.doubles[0].resize(left), own.doubles[1].resize(right);
        }
      }
    });
  }

  // c and v of the system in a row of the group. A system that gives none has zeros.
  template <class N>
  void put(size_t row, const double* c, const double* v) {
    Sides& own = sides_[N::number];
    const auto copy = [row](const double* from, int64_t length, auto& to) {
      using T = typename std::remove_reference_t<decltype(to)>::value_type;
      T* const first = to.data() + row * static_cast<size_t>(length);
      for (int64_t i = 0; i < length; ++i) first[i] = static_cast<T>(from[i]);
    };
    if (single_) {
      copy(c, rows<N>(), own.singles[0]), copy(v, columns<N>(), own.singles[1]);
    } else {
      copy(c, rows<N>(), own.doubles[0]), copy(v, columns<N>(), own.doubles[1]);
    }
  }

  void finish(const std::vector<int64_t>& systems, Gradients<Op>& results, int threads) const {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        constexpr int matrix = N::read[N::product.matrix].array;
        if (!results.wanted(matrix)) return;
        const auto add = [&](const auto& sides) {
          results.add_products(matrix, N::product.transposed, systems, sides[0], rows<N>(), sides[1], columns<N>(), threads);
        };
        if (single_) {
          add(sides_[N::number].singles);
        } else {
          add(sides_[N::number].doubles);
        }
      }
    });
  }

 private:
  struct Sides {
    std::vector<float> singles[2];
    std::vector<double> doubles[2];
  };
  template <class N>
  int64_t rows() const {
    return matrices_.template rows<N>();
  }
  template <class N>
  int64_t columns() const {
    return matrices_.template columns<N>();
  }

  const SharedMatrices<Op>& matrices_;
  bool single_;
  Sides sides_[Op::Nests::count];
};

}  // namespace opgen::coupled
#endif
