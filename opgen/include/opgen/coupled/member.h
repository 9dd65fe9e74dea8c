// One of several systems that share their matrices: all of it but the products with them.
#ifndef OPGEN_COUPLED_MEMBER_H
#define OPGEN_COUPLED_MEMBER_H

#include <opgen/coupled/krylov_space.h>
#include <opgen/coupled/newton.h>
#include <opgen/coupled/products.h>
#include <opgen/coupled/shared_matrices.h>

namespace opgen::coupled {

template <class Op>
class Member {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  using Vector = std::vector<double>;

  System<Op> system;
  Slopes<Op> slopes;
  Fields<Op> bar;  // cotangents
  KrylovSpace space, probe;
  Vector y, F, step, sum_step, sums;  // sums: those that move, one after the other
  Ratio ratio;
  double norm = 0;  // |F|

  explicit Member(const std::vector<int64_t>& sizes)
      : system(sizes, 1), slopes(system), bar(system.sizes()), space(system.unknowns(), moving()), probe(system.unknowns(), moving()),
        y(length()), F(length()), step(length()), sum_step(static_cast<size_t>(moving())), sums(sum_step.size()) {
    system.assisted = true;
    for (const Slope& slope : slopes.all()) rough_.emplace_back(slope.uniform ? 1 : static_cast<size_t>(rows(slope)));
  }

  size_t length() const { return static_cast<size_t>(system.unknowns()); }

  // Where the sum of a product, or the unknown that one multiplies, begins among those of all.
  template <class N>
  int64_t sum_at() const {
    int64_t before = 0;
    Op::Nests::each([&](auto nest) {
      using Other = decltype(nest);
      if (moves<Other>() && Other::number < N::number) before += count(Op::arrays[Other::target].core, system.sizes());
    });
    return before;
  }
  template <class N>
  int64_t vector_at() const {
    return system.offset(N::read[N::product.vector].array - n);
  }

  // Reads the inputs of a system but matrices.
  void read(const Batch& batch, const opgen_array* inputs, int64_t number) {
    for (int i = 0; i < n; ++i) {
      if (is_matrix<Op>(i)) continue;
      batch.read(inputs[i], number, system.value, i);
      if (Op::arrays[i].core.rank != 1 || system.value.view[i].stride[0] == 1) continue;
      const View from = system.value.view[i];  // products want vectors without gaps
      system.value.own(i);
      const int64_t total = count(Op::arrays[i].core, system.sizes());
      for (int64_t p = 0; p < total; ++p) system.value.view[i].data[p] = from.data[p * from.stride[0]];
    }
  }

  // Whether all unknowns are zero; then their sums are made so.
  bool is_zero() {
    system.gather(system.value, y.data());
    if (std::any_of(y.begin(), y.end(), [](double v) { return v != 0; })) return false;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) system.value.zero(N::target), system.size.zero(N::target);
    });
    return true;
  }

  // F and its slopes at y + t step with sums that fit it.
  void linearise(double t) {
    for (int u = 0; u < k; ++u) {
      const int64_t at = system.offset(u), total = count(Op::arrays[n + u].core, system.sizes());
      moved(y.data() + at, step.data() + at, t, total, system.value.view[n + u].data);
    }
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) {
        const int64_t at = sum_at<N>(), total = count(Op::arrays[N::target].core, system.sizes());
        moved(sums.data() + at, sum_step.data() + at, t, total, system.value.view[N::target].data);
      }
    });
    linearise();
  }
  void linearise() {
    ratio = slopes.linearise(F.data());
    norm = linear::norm(F.data(), system.unknowns(), 1);
  }
  // Makes what linearise() was last called for the state.
  void accept() {
    system.gather(system.value, y.data());
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) {
        const double* const from = system.value.view[N::target].data;
        std::copy(from, from + count(Op::arrays[N::target].core, system.sizes()), sums.data() + sum_at<N>());
      }
    });
  }

  // Before products with F_y in single precision.
  void round_slopes() {
    for (size_t q = 0; q < rough_.size(); ++q) {
      const double* const from = slopes.all()[q].data;
      for (size_t i = 0; i < rough_[q].size(); ++i) rough_[q][i] = static_cast<float>(from[i]);
    }
  }

  // w = F_y v, where `made` are the sums of v.
  void multiply(const float* v, const float* made, float* w) const {
    std::fill(w, w + length(), 0.0f);
    each_slope<float>([&](int row, int64_t unknown, int64_t sum, int64_t total, const float* slope, bool uniform) {
      float* const to = w + system.offset(row);
      const float* const from = sum < 0 ? v + unknown : made + sum;
      add(slope, uniform, from, total, to);
    });
  }
  // w = F_y^T u but for products; `of` gets the cotangents of the sums.
  template <class T>
  void multiply_transposed(const T* u, T* of, T* w) const {
    std::fill(w, w + length(), T(0));
    std::fill(of, of + moving(), T(0));
    each_slope<T>([&](int row, int64_t unknown, int64_t sum, int64_t total, const T* slope, bool uniform) {
      const T* const from = u + system.offset(row);
      T* const to = sum < 0 ? w + unknown : of + sum;
      add(slope, uniform, from, total, to);
    });
  }

  // Makes `bar` zero, with memory for cotangents of the inputs that are wanted but matrices.
  template <class Wanted>
  void prepare_cotangents(const Wanted& gradients) {
    for (int a = 0; a < Op::array_count; ++a) {
      if (a < n && (!gradients.wanted(a) || is_matrix<Op>(a))) {
        bar.view[a] = View{};
        continue;
      }
      bar.own(a);
      bar.zero(a);
    }
  }

  // How many numbers the sums have that move.
  int64_t moving() const {
    int64_t all = 0;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if (moves<N>()) all += count(Op::arrays[N::target].core, system.sizes());
    });
    return all;
  }

 private:
  template <class T>
  static void add(const T* slope, bool uniform, const T* from, int64_t total, T* to) {
    if (uniform) {
      const T factor = *slope;
      for (int64_t i = 0; i < total; ++i) to[i] += factor * from[i];
    } else {
      for (int64_t i = 0; i < total; ++i) to[i] += slope[i] * from[i];
    }
  }
  static void moved(const double* from, const double* step, double t, int64_t total, double* to) {
    for (int64_t i = 0; i < total; ++i) to[i] = from[i] + t * step[i];
  }
  int64_t rows(const Slope& slope) const { return count(Op::arrays[n + slope.row].core, system.sizes()); }

  // Calls body(equation, where in the unknowns, or -1; where in the sums, or -1; points, slopes, one for all points?).
  template <class T, class Body>
  void each_slope(Body&& body) const {
    for (size_t q = 0; q < rough_.size(); ++q) {
      const Slope& slope = slopes.all()[q];
      const int array = slope.read->array;
      const bool unknown = Op::arrays[array].role == Role::unknown;
      int64_t sum = -1;
      Op::Nests::each([&](auto nest) {
        using N = decltype(nest);
        if constexpr (moves<N>()) {
          if (N::target == array) sum = sum_at<N>();
        }
      });
      const T* of;
      if constexpr (sizeof(T) == sizeof(float)) {
        of = rough_[q].data();
      } else {
        of = slope.data;
      }
      body(slope.row, unknown ? system.offset(array - n) : -1, unknown ? -1 : sum, rows(slope), of, slope.uniform);
    }
  }

  std::vector<std::vector<float>> rough_;
};

}  // namespace opgen::coupled
#endif
