// Adjoints of the systems of a bundle: F_y^T u = g solved side by side, and what u sends to the inputs.
#ifndef OPGEN_COUPLED_GROUP_ADJOINT_H
#define OPGEN_COUPLED_GROUP_ADJOINT_H

#include <opgen/coupled/gradients.h>
#include <opgen/coupled/group_solve.h>

namespace opgen::coupled {

// F_y x = b or F_y^T x = b by restarted GMRES in single precision: every start is from the true residual, in double.
template <class Op>
class BundleLinear {
 public:
  BundleLinear(const Bundle<Op>& bundle, bool transposed)
      : bundle_(bundle), transposed_(transposed), krylov_(bundle.unknowns()), x_(bundle.unknowns()), r_(bundle.unknowns()),
        step_(bundle.unknowns()), sums_(bundle.sums()), exact_sums_(bundle.sums()) {}

  int64_t products = 0;
  Block<double>& x() { return x_; }

  // Solves for the systems whose matrix has been factored.
  void solve_directly(const SharedFactor<Op>& factor, const double* b) {
    std::copy_n(b, bundle_.unknowns() * wide, x_.data());
    if (transposed_) {
      factor.solve_transposed(x_);
    } else {
      factor.solve(x_);
    }
  }

  // Solves for the systems that are `going`, and unmarks those that do not reach tol |b|. `single`: a residual is taken to be
  // what GMRES says, unless rounding weighs too much.
  void solve(const double* b, double tol, bool single, bool (&going)[wide]) {
    const int64_t n = bundle_.unknowns(), budget = std::max<int64_t>(2 * BundleKrylov::most, n);
    std::copy_n(b, n * wide, r_.data());
    std::fill_n(x_.data(), n * wide, 0.0);
    products = 0;
    Each first, norm, before;
    norm_of(b, n, first);
    bool open[wide];
    for (int l = 0; l < wide; ++l) {
      norm[l] = first[l], before[l] = 0;
      if (!std::isfinite(norm[l])) going[l] = false;
      open[l] = going[l] && norm[l] > 0;
    }
    for (;;) {
      bool any = false;
      Each tolerance;
      for (int l = 0; l < wide; ++l) {
        any = any || open[l];
        tolerance[l] = open[l] ? std::fmax(tol * first[l] / norm[l], single ? 0.5 * single_rounding : trusted) : 1;
      }
      if (!any) return;
      krylov_.solve(r_.data(), norm, open, tolerance, BundleKrylov::most, [&](const float* v, float* w, int) { multiply(v, sums_.data(), w); });
      products += krylov_.columns;
      krylov_.solution(step_.data());
      for (int64_t i = 0; i < n * wide; ++i) x_.data()[i] += step_.data()[i];
      any = false;
      for (int l = 0; l < wide; ++l) {
        if (!open[l]) continue;
        const bool doubtful = krylov_.remaining[l] < trusted && krylov_.stretch[l] > 8;
        if (krylov_.remaining[l] * norm[l] <= tol * first[l] && !doubtful) {
          open[l] = false;
        } else if (!(krylov_.remaining[l] <= 0.9) || products >= budget) {
          open[l] = going[l] = false;
        }
        any = any || open[l];
      }
      if (!any) return;
      multiply(x_.data(), exact_sums_.data(), step_.data());
      for (int64_t i = 0; i < n * wide; ++i) r_.data()[i] = b[i] - step_.data()[i];
      for (int l = 0; l < wide; ++l) before[l] = norm[l];
      norm_of(r_.data(), n, norm);
      for (int l = 0; l < wide; ++l) {
        if (!open[l]) continue;
        const bool stuck = !(norm[l] <= 0.5 * before[l]) && !(krylov_.remaining[l] > 0.5);
        if (stuck || norm[l] <= tol * first[l]) {  // rounding lets nothing better be reached
          open[l] = false;
          going[l] = norm[l] <= 1e3 * tol * first[l];
        }
      }
    }
  }

 private:
  static constexpr double trusted = 2e-4;  // how far single precision is taken between true residuals

  template <class T>
  void multiply(const T* v, T* sums, T* w) const {
    if (transposed_) {
      bundle_.multiply_transposed(v, sums, w);
    } else {
      bundle_.multiply(v, sums, w);
    }
  }

  const Bundle<Op>& bundle_;
  bool transposed_;
  BundleKrylov krylov_;
  Block<double> x_, r_, step_;
  Block<float> sums_;
  Block<double> exact_sums_;
};

// Products of two vectors of every system, left[i] right[j], summed up over systems: one product of matrices.
template <class T>
struct Outer {
  int64_t rows = 0, columns = 0, systems = 0;
  std::vector<T> left, right;

  void reserve(int64_t count) {
    systems = count;
    left.resize(static_cast<size_t>(rows * count));
    right.resize(static_cast<size_t>(columns * count));
  }
  // Takes the systems of a bundle.
  void put(int64_t bundle, const double* u, const double* v) {
    copy(u, rows, left.data() + bundle * wide);
    copy(v, columns, right.data() + bundle * wide);
  }
  // Forgets those that are not marked.
  void clear(int64_t bundle, const bool (&good)[wide]) {
    for (int l = 0; l < wide && systems > 0; ++l) {
      if (good[l]) continue;
      for (int64_t i = 0; i < rows; ++i) left[static_cast<size_t>(i * systems + bundle * wide + l)] = 0;
      for (int64_t i = 0; i < columns; ++i) right[static_cast<size_t>(i * systems + bundle * wide + l)] = 0;
    }
  }

 private:
  void copy(const double* from, int64_t length, T* to) const {
    for (int64_t i = 0; i < length; ++i) {
      for (int l = 0; l < wide; ++l) to[i * systems + l] = static_cast<T>(from[i * wide + l]);
    }
  }
};

// What the adjoints of a bundle send back, as `Products` has it for one system. take(nest, cotangent of its sum) is called for
// products with matrices.
template <class Op>
class BundlePull {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries, arrays = Op::array_count;

  Strip bar[arrays];

  // `wanted`: the inputs whose cotangents are asked for; those of matrices are not kept here.
  BundlePull(Bundle<Op>& bundle, const bool (&wanted)[n > 0 ? n : 1]) : bundle_(bundle) {
    for (int a = 0; a < arrays; ++a) {
      if (a < n && (!wanted[a] || Op::arrays[a].core.rank >= 2)) continue;
      bundle.own(bar, a);
    }
    for (int u = 0; u < k; ++u) unknowns_[u] = bar[n + u].data;
  }

  void zero(int first, int last) {
    for (int a = first; a < last; ++a) {
      if (bar[a].data) std::fill_n(bar[a].data, count(Op::arrays[a].core, bundle_.sizes()) * wide, 0.0);
    }
  }
  // From the auxiliaries, whose cotangents are in `bar`.
  template <class Take>
  void auxiliaries(Take&& take) {
    Op::Nests::reversed([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::auxiliary || (N::stage == Stage::sum && N::of_auxiliary)) pull<N>(bar[N::target], take);
    });
  }
  // From F, whose cotangent is c; the unknowns get none.
  template <class Take>
  void equations(double* c, Take&& take) {
    for (int u = 0; u < k; ++u) bar[n + u].data = nullptr;
    Op::Nests::reversed([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        Strip of = bundle_.value[N::target];
        of.data = c + bundle_.offset(N::target - n) * wide;
        pull<N>(of, take);
      } else if constexpr (N::stage == Stage::sum && N::of_equation) {
        pull<N>(bar[N::target], take);
      }
    });
    for (int u = 0; u < k; ++u) bar[n + u].data = unknowns_[u];
  }

 private:
  template <class N, class Take>
  void pull(const Strip& cotangent, Take&& take) {
    if constexpr (is_product<N>()) {
      constexpr int vector = N::read[N::product.vector].array;
      const int64_t first = bundle_.group().template first<N>() * wide;
      take(N{}, static_cast<const double*>(cotangent.data), static_cast<const double*>(bundle_.value[vector].data + first));
      if (!bar[vector].data) return;
      double* const to = bar[vector].data + first;
      bundle_.group().template matrix<N>([&](const auto& factor) { bundle_.apply(factor.transposed(), cotangent.data, to, true); });
    } else if constexpr (N::reads > 0) {
      const Strip* const strips[] = {bundle_.value};
      sweep_bundle<Op, N, 1, N::reads>(
          bundle_.sizes(), strips, bundle_.template fixed<N>(),
          [](const Pack<1>* a, const Pack<1>* fixed, Pack<1>* out) { N::pull(a, fixed, out); },
          [&](const int64_t* index, int q, const Pack<1>* out) {
            const Pack<1> c = Pack<1>::load(cotangent.at(index, N::rank) + q);
            for (int r = 0; r < N::reads; ++r) {
              const Read& read = N::read[r];
              const Strip& own = bar[read.array];
              if (!own.data) continue;
              double* to = own.data + q;
              for (int d = 0; d < Op::arrays[read.array].core.rank; ++d) {
                to += (read.shift[d] + (read.loop[d] < 0 ? 0 : index[read.loop[d]])) * own.stride[d];
              }
              (Pack<1>::load(to) + c * out[r]).store(to);
            }
          });
    }
  }

  Bundle<Op>& bundle_;
  double* unknowns_[k];
};

}  // namespace opgen::coupled
#endif
