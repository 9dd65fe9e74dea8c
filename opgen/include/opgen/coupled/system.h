// One system of a batch: its inputs, its unknowns, and its residual F with the products that derivatives are made of. All of
// them run the same nests: forwards for values and tangents, backwards for cotangents.
#ifndef OPGEN_COUPLED_SYSTEM_H
#define OPGEN_COUPLED_SYSTEM_H

#include <opgen/coupled/fields.h>
#include <opgen/coupled/reduce.h>
#include <opgen/parallel.h>

#include <cmath>

namespace opgen::coupled {

template <class... N>
struct Nests {
  template <class F>
  static constexpr void each(F&& f) {
    (f(N{}), ...);
  }
  template <class F>
  static void reversed(F&& f) {
    int unused = 0;
    (void)unused;
    ((f(N{}), unused) = ... = 0);  // assignments run from the right
  }
  static constexpr int count = sizeof...(N);
  static constexpr int fixed = (N::fixed + ... + 0);
};

template <class Op>
class System {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries, arrays = Op::array_count;

  System(std::vector<int64_t> sizes, int threads)
      : extents(std::move(sizes)), value(extents.data()), size(extents.data()), sizes_(extents.data()), threads_(threads) {
    for (int u = 0; u < k; ++u) {
      offset_[u] = unknowns_;
      unknowns_ += count(Op::arrays[n + u].core, sizes_);
      value.own(n + u);
    }
    for (int a = n + k; a < arrays; ++a) {
      value.own(a);
      if (Op::arrays[a].role == Role::sum) size.own(a);
    }
  }

  const std::vector<int64_t> extents;  // of the named dimensions
  Fields<Op> value, size;              // of arrays, and of the terms of sums

  // Whether others compute the sums that are products with matrices, which then need not be read.
  bool assisted = false;

  const int64_t* sizes() const { return sizes_; }
  int threads() const { return threads_; }
  int64_t unknowns() const { return unknowns_; }
  int64_t offset(int u) const { return offset_[u]; }

  // The part of a vector of unknowns that belongs to unknown u.
  View flat(double* vector, int u) const {
    View made;
    const Core& core = Op::arrays[n + u].core;
    int64_t step = 1;
    for (int d = core.rank - 1; d >= 0; --d) {
      made.stride[d] = step;
      step *= extent(core.axes[d], sizes_);
    }
    made.data = vector + offset_[u];
    return made;
  }

  // Copies between a vector of unknowns and the arrays of `fields`.
  void scatter(const double* vector, Fields<Op>& fields) const {
    for (int u = 0; u < k; ++u) {
      const double* from = vector + offset_[u];
      fields.rows(n + u, [&](double* to, int64_t stride, int64_t length) {
        if (stride == 1) {
          memcpy(to, from, static_cast<size_t>(length) * sizeof(double));
        } else {
          for (int64_t i = 0; i < length; ++i) to[i * stride] = from[i];
        }
        from += length;
      });
    }
  }
  void gather(const Fields<Op>& fields, double* vector) const {
    for (int u = 0; u < k; ++u) {
      double* to = vector + offset_[u];
      fields.rows(n + u, [&](const double* from, int64_t stride, int64_t length) {
        if (stride == 1) {
          memcpy(to, from, static_cast<size_t>(length) * sizeof(double));
        } else {
          for (int64_t i = 0; i < length; ++i) to[i] = from[i * stride];
        }
        to += length;
      });
    }
  }

  // Boundary values, and the sums that do not depend on the unknowns; once the inputs are in place.
  void prepare() {
    int at = 0;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      double scalars[N::reads + N::plain > 0 ? N::reads + N::plain : 1];
      if constexpr (N::fixed > 0) {
        for (int r = 0; r < N::reads; ++r) {
          const View& view = value.view[N::read[r].array];
          const bool known = Op::arrays[N::read[r].array].core.rank == 0 && !Op::arrays[N::read[r].array].active;
          scalars[r] = known && view.data ? *view.data : 0.0;
        }
        for (int p = 0; p < N::plain; ++p) {
          scalars[N::reads + p] = N::numbers[p].loop < 0 ? static_cast<double>(extent(N::numbers[p].size, sizes_)) : 0.0;
        }
        N::prepare(scalars, fixed_ + at);
      }
      at += N::fixed;
      if (N::stage == Stage::boundary || (N::stage == Stage::sum && !N::active_formula)) {
        if (!is_product<N>() || !assisted) measure<N>();
      }
    });
  }

  // The start that the user's formula gives; zero without one.
  void guess() {
    for (int u = 0; u < k; ++u) value.zero(n + u);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::guess) evaluate<N>(value.view[N::target]);
    });
  }

  // What the unknowns are outside their grids, and the sums that depend on them.
  void refresh(bool auxiliaries = false) {
    for (int u = 0; u < k; ++u) value.fill(n + u);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum && N::active_formula) {
        if ((N::of_equation || auxiliaries) && (!is_product<N>() || !assisted)) measure<N>();
      }
    });
  }

  // F at the refreshed unknowns, and how large it is.
  Ratio residual(double* F) {
    Ratio worst;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) sweep_measured<N>(flat(F, N::target - n), nullptr, worst);
    });
    return worst;
  }

  // The same, and f_a for each active read a: `slopes` has a place for each, equation after equation, with a number for every
  // point, or a single one if it is uniform.
  Ratio linearise(double* F, double* const* slopes) {
    Ratio worst;
    int at = 0;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        sweep_measured<N>(flat(F, N::target - n), slopes + at, worst);
        at += N::active;
      }
    });
    return worst;
  }

  void auxiliaries() {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::auxiliary) evaluate<N>(value.view[N::target]);
    });
  }
  // The right-hand sides of an explicit operator.
  void explicit_values() {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) evaluate<N>(value.view[N::target]);
    });
  }

  template <class N>
  const double* fixed() const {
    return fixed_ + fixed_before<N>();
  }

  // Calls body(part, number) for the parts of a nest's outermost loop, on threads; the parts do not depend on their number.
  template <class N, class Body>
  int64_t parts(Body&& body) const {
    const Part all = whole<Op, N>(sizes_);
    const int64_t length = all.end - all.begin;
    if (length <= 0) return 0;
    int64_t points = length;
    const int64_t index[max_loops] = {};
    for (int l = 1; l < N::loops; ++l) {
      const int64_t own = N::loop[l].stop.at(sizes_, index) - N::loop[l].start.at(sizes_, index);
      points *= own > 1 ? own : 1;
    }
    int64_t pieces = points / 8192;
    pieces = pieces > max_parts ? max_parts : pieces < 1 ? 1 : pieces;
    if (pieces > length) pieces = length;
    int64_t step = (length + pieces - 1) / pieces;
    if (N::loops == 1) step = (step + block - 1) / block * block;
    const int64_t made = (length + step - 1) / step;
    parallel_for(made, threads_, [&](int64_t p) {
      const int64_t begin = all.begin + p * step, end = begin + step < all.end ? begin + step : all.end;
      body(Part{begin, end}, p);
    });
    return made;
  }
  static constexpr int64_t max_parts = 64;

  // target = value, or the sum of values over the loops that the target does not have.
  template <class N>
  void evaluate(const View& target) const {
    const View* const views[] = {value.view};
    run<N, 1>(views, target, [f = fixed<N>()](const auto* a, auto* out) { N::value(a, f, out); });
  }

  // One computed number a point into a target that is stored or summed up.
  template <class N, int groups, class Compute>
  void run(const View* const (&views)[groups], const View& target, Compute&& compute) const {
    double partial[max_parts] = {};
    const int64_t made = parts<N>([&](Part part, int64_t p) {
      clear<N>(target, part);
      sweep<Op, N, groups, 1>(sizes_, views, part, compute,
                              [&](const int64_t* index, int64_t at, int64_t count, const double (*out)[block]) {
                                put<N>(target, index, at, count, out[0], partial[p]);
                              });
    });
    if constexpr (N::rank == 0 && N::loops > 0) {
      double total = 0;
      for (int64_t p = 0; p < made; ++p) total += partial[p];
      *target.data = total;
    }
  }

 private:
  template <class N>
  static constexpr int fixed_before() {
    int before = 0;
    bool found = false;
    Op::Nests::each([&](auto nest) {
      using Other = decltype(nest);
      if (Other::number == N::number) found = true;
      if (!found) before += Other::fixed;
    });
    return before;
  }

  // The value of a sum and, beside it, the size of its terms.
  template <class N>
  void measure() {
    if constexpr (N::stage != Stage::sum) {
      evaluate<N>(value.view[N::target]);
    } else {
      const View* const views[] = {value.view, size.view};
      const View target = value.view[N::target], sizes = size.view[N::target];
      double partial[max_parts] = {}, partial_size[max_parts] = {};
      const int64_t made = parts<N>([&](Part part, int64_t p) {
        clear<N>(target, part);
        clear<N>(sizes, part);
        sweep<Op, N, 2, 2>(
            sizes_, views, part,
            [f = fixed<N>()](const auto* a, auto* out) { N::measure(a, a + N::reads + N::plain, f, out); },
            [&](const int64_t* index, int64_t at, int64_t count, const double (*out)[block]) {
              put<N>(target, index, at, count, out[0], partial[p]);
              put<N>(sizes, index, at, count, out[1], partial_size[p]);
            });
      });
      if constexpr (N::rank == 0) {
        double total = 0, total_size = 0;
        for (int64_t p = 0; p < made; ++p) total += partial[p], total_size += partial_size[p];
        *target.data = total, *sizes.data = total_size;
      }
    }
  }

  template <class N>
  static void put(const View& target, const int64_t* index, int64_t at, int64_t count, const double* values, double& partial) {
    if constexpr (N::rank == 0) {
      partial += sum(values, count);
    } else if constexpr (N::rank == N::loops) {
      constexpr int last = N::loops - 1;
      double* const to = target.at(index, N::rank) + at * target.stride[last];
      const int64_t step = target.stride[last];
      if (step == 1) {
        memcpy(to, values, static_cast<size_t>(count) * sizeof(double));
      } else {
        for (int64_t i = 0; i < count; ++i) to[i * step] = values[i];
      }
    } else {
      *target.at(index, N::rank) += sum(values, count);
    }
  }

  // Zeros where sums are added up.
  template <class N>
  void clear(const View& target, Part part) const {
    if constexpr (N::rank > 0 && N::rank < N::loops) {
      int64_t position[max_rank] = {}, stop[max_rank];
      const int64_t none[max_loops] = {};
      for (int d = 0; d < N::rank; ++d) stop[d] = N::loop[d].stop.at(sizes_, none);
      position[0] = part.begin, stop[0] = part.end;
      for (int d = 0; d < N::rank; ++d) {
        if (position[d] >= stop[d]) return;
      }
      for (;;) {
        *target.at(position, N::rank) = 0;
        int d = N::rank - 1;
        while (d > 0 && ++position[d] == stop[d]) position[d--] = 0;
        if (d == 0 && ++position[0] == stop[0]) return;
      }
    }
  }

  // F, how large it is (the worst of that and what `worst` has), and slopes unless they are null.
  template <class N>
  void sweep_measured(const View& target, double* const* slopes, Ratio& worst) {
    const View* const views[] = {value.view, size.view};
    struct Noted {
      double ratio = 0, f = 0, size = 0;
    } noted[max_parts];
    const auto raise = [](double& most, double own) {
      if (!(own <= most)) most = most != most ? most : own;  // NaN stays
    };
    const auto note = [raise](Noted& most, const double* f, const double* scale, int64_t count) {
      constexpr double tiny = 1e-300;  // where all terms are zero, F is
      raise(most.ratio, largest(count, [&](int64_t i) { return std::fabs(f[i]) / (scale[i] + tiny); }));
      raise(most.f, largest(count, [&](int64_t i) { return std::fabs(f[i]); }));
      raise(most.size, largest(count, [&](int64_t i) { return scale[i]; }));
    };
    const auto store = [](double* data, const View& like, const int64_t* index, int64_t at, int64_t count, const double* values) {
      double unused = 0;
      View to = like;
      to.data = data;
      if constexpr (N::rank == 0) {
        *data = *values;
      } else {
        put<N>(to, index, at, count, values, unused);
      }
    };
    const int64_t made = parts<N>([&](Part part, int64_t p) {
      if (!slopes) {
        sweep<Op, N, 2, 2>(
            sizes_, views, part,
            [f = fixed<N>()](const auto* a, auto* out) { N::measure(a, a + N::reads + N::plain, f, out); },
            [&](const int64_t* index, int64_t at, int64_t count, const double (*out)[block]) {
              store(target.data, target, index, at, count, out[0]);
              note(noted[p], out[0], out[1], count);
            });
      } else {
        sweep<Op, N, 2, 2 + N::active>(
            sizes_, views, part,
            [f = fixed<N>()](const auto* a, auto* out) { N::linearise(a, a + N::reads + N::plain, f, out); },
            [&](const int64_t* index, int64_t at, int64_t count, const double (*out)[block]) {
              store(target.data, target, index, at, count, out[0]);
              note(noted[p], out[0], out[1], count);
              for (int s = 0; s < N::active; ++s) {
                if (!N::uniform[s]) {
                  store(slopes[s], target, index, at, count, out[2 + s]);
                } else if (p == 0) {
                  *slopes[s] = out[2 + s][0];
                }
              }
            });
      }
    });
    static_assert(N::rank == N::loops || N::rank == 0, "an equation has a loop for every axis");
    Noted all;
    for (int64_t p = 0; p < made; ++p) {
      raise(all.ratio, noted[p].ratio);
      raise(all.f, noted[p].f);
      raise(all.size, noted[p].size);
    }
    raise(worst.point, all.ratio);
    raise(worst.field, all.f > 0 ? all.f / all.size : all.f);
  }

  const int64_t* sizes_;
  int threads_;
  int64_t unknowns_ = 0, offset_[k > 0 ? k : 1] = {};
  double fixed_[Op::Nests::fixed > 0 ? Op::Nests::fixed : 1] = {};
};

}  // namespace opgen::coupled
#endif
