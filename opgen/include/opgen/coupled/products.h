// Products with the derivatives of a system's nests: along tangents, against cotangents, and of second order.
//
// A nest computes f(a) of what it reads, a. With tangents t of a:        f' = f_a t
// with a cotangent c of f:                                               a gets c f_a
// with cotangents c of f and d of f' at once:                            a gets c f_a + d f_aa t,  t gets d f_a
// with tangents t and s, and r the second derivative of a along both:    f'' = f_a r + t f_aa s
#ifndef OPGEN_COUPLED_PRODUCTS_H
#define OPGEN_COUPLED_PRODUCTS_H

#include <opgen/coupled/system.h>

#include <initializer_list>

namespace opgen::coupled {

template <class Op>
class Products {
 public:
  using S = System<Op>;
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;

  explicit Products(const S& system) : system_(system) {}

  // Memory for what nests make in between, and for the unknowns.
  void prepare(Fields<Op>& fields) const {
    for (int a = n; a < Op::array_count; ++a) {
      if (!fields.owned(a)) fields.own(a);
    }
  }

  // Tangents of everything from those of inputs and unknowns in `t`; F's into the vector `moved` unless it is null.
  void push(Fields<Op>& t, double* moved, bool auxiliaries) const {
    forwards(t, moved, auxiliaries, [&](auto nest, const View& target) { push_nest<decltype(nest)>(t, target); });
  }

  // Second derivatives of everything along t and s, from those of the unknowns in r.
  void curve(const Fields<Op>& t, const Fields<Op>& s, Fields<Op>& r, double* moved, bool auxiliaries) const {
    forwards(r, moved, auxiliaries, [&](auto nest, const View& target) { curve_nest<decltype(nest)>(t, s, r, target); });
  }

  // Cotangents of inputs and unknowns, added to what `bar` holds, from those of F (`cotangent`, or null) and of the auxiliaries
  // (in `bar`).
  void pull(Fields<Op>& bar, const double* cotangent, bool auxiliaries) const {
    backwards({&bar}, cotangent, auxiliaries, [&](auto nest, const View& of_residual) {
      using N = decltype(nest);
      pull_nest<N>(bar, N::stage == Stage::equation ? of_residual : bar.view[N::target]);
    });
  }

  // The same for values and tangents t together: `bar` gets the cotangents of values, `dot` those of tangents. d is the
  // cotangent of the tangent of F (or null); those of the auxiliaries are in `bar` and `dot`.
  void second(const Fields<Op>& t, Fields<Op>& bar, Fields<Op>& dot, const double* d, bool auxiliaries) const {
    backwards({&bar, &dot}, d, auxiliaries, [&](auto nest, const View& of_residual) {
      using N = decltype(nest);
      constexpr bool equation = N::stage == Stage::equation;
      second_nest<N>(t, bar, dot, equation ? View{} : bar.view[N::target], equation ? of_residual : dot.view[N::target]);
    });
  }

 private:
  template <class Visit>
  void forwards(Fields<Op>& fields, double* moved, bool auxiliaries, Visit&& visit) const {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if (N::stage == Stage::boundary || (N::stage == Stage::sum && N::of_boundary)) visit(nest, fields.view[N::target]);
    });
    for (int a = 0; a < n + k; ++a) {
      if (fields.owned(a) && fields.view[a].data) fields.fill(a);
    }
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum && !N::of_boundary) {
        if ((moved && N::of_equation) || (auxiliaries && N::of_auxiliary)) visit(nest, fields.view[N::target]);
      } else if constexpr (N::stage == Stage::equation) {
        if (moved) visit(nest, system_.flat(moved, N::target - n));
      } else if constexpr (N::stage == Stage::auxiliary) {
        if (auxiliaries) visit(nest, fields.view[N::target]);
      }
    });
  }

  template <class Visit>
  void backwards(std::initializer_list<Fields<Op>*> fields, const double* cotangent, bool auxiliaries, Visit&& visit) const {
    Op::Nests::reversed([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum && !N::of_boundary) {
        if (is_product<N>() && system_.assisted) return;
        if ((cotangent && N::of_equation) || (auxiliaries && N::of_auxiliary)) visit(nest, View{});
      } else if constexpr (N::stage == Stage::equation) {
        if (cotangent) visit(nest, system_.flat(const_cast<double*>(cotangent), N::target - n));
      } else if constexpr (N::stage == Stage::auxiliary) {
        if (auxiliaries) visit(nest, View{});
      }
    });
    for (Fields<Op>* own : fields) {
      for (int a = n + k - 1; a >= 0; --a) {
        if (own->owned(a) && own->view[a].data) own->fold(a);
      }
    }
    Op::Nests::reversed([&](auto nest) {
      using N = decltype(nest);
      if (N::stage == Stage::boundary || (N::stage == Stage::sum && N::of_boundary)) visit(nest, View{});
    });
  }
  template <class N>
  void push_nest(const Fields<Op>& t, const View& target) const {
    const View* const views[] = {system_.value.view, t.view};
    system_.template run<N, 2>(views, target, [f = system_.template fixed<N>()](const auto* a, auto* out) {
      N::push(a, a + N::reads + N::plain, f, out);
    });
  }

  template <class N>
  void curve_nest(const Fields<Op>& t, const Fields<Op>& s, const Fields<Op>& r, const View& target) const {
    const View* const views[] = {system_.value.view, t.view, s.view, r.view};
    system_.template run<N, 4>(views, target, [f = system_.template fixed<N>()](const auto* a, auto* out) {
      const auto* const first = a + N::reads + N::plain;
      N::curve(a, first, first + N::reads, first + 2 * N::reads, f, out);
    });
  }

  // A cotangent of the target as it is seen from all loops: the same for all terms of a sum.
  template <class N>
  static double seen(const View& of, const int64_t* index, int64_t at, int64_t count, double* to) {
    if (!of.data) {
      for (int64_t i = 0; i < count; ++i) to[i] = 0;
    } else if constexpr (N::rank == N::loops) {
      constexpr int last = N::loops - 1;
      const double* const from = of.at(index, N::rank) + at * of.stride[last];
      for (int64_t i = 0; i < count; ++i) to[i] = from[i * of.stride[last]];
    } else {
      const double value = *of.at(index, N::rank);
      for (int64_t i = 0; i < count; ++i) to[i] = value;
    }
    return 0;
  }

  // Adds a block of cotangents to where a read came from.
  template <class N>
  static void add(const View& to, const Read& read, const int64_t* index, int64_t at, int64_t count, const double* values) {
    if (!to.data) return;
    const Run run = run_of<N>(read, to, Op::arrays[read.array].core.rank, index);
    double* const first = run.first + at * run.stride;
    if (run.stride == 0) {
      *first += sum(values, count);
    } else if (run.stride == 1) {
      for (int64_t i = 0; i < count; ++i) first[i] += values[i];
    } else {
      for (int64_t i = 0; i < count; ++i) first[i * run.stride] += values[i];
    }
  }

  // Whether parts of the outermost loop add to different entries, so that threads may.
  template <class N>
  static bool apart(const Fields<Op>& bar) {
    for (int r = 0; r < N::reads; ++r) {
      const Read& read = N::read[r];
      if (!bar.view[read.array].data) continue;
      if (N::loops == 1 && Op::arrays[read.array].core.rank == 0) return false;
      int axis = -1;
      for (int d = 0; d < Op::arrays[read.array].core.rank; ++d) {
        if (read.loop[d] == 0) axis = d;
      }
      if (axis < 0) return false;
      for (int q = 0; q < N::reads; ++q) {
        const Read& other = N::read[q];
        if (other.array == read.array && (other.loop[axis] != 0 || other.shift[axis] != read.shift[axis])) return false;
      }
    }
    return true;
  }

  template <class N, class Body>
  void over(const Fields<Op>& bar, const Fields<Op>* dot, Body&& body) const {
    if (apart<N>(bar) && (!dot || apart<N>(*dot))) {
      system_.template parts<N>([&](Part part, int64_t) { body(part); });
    } else {
      body(whole<Op, N>(system_.sizes()));
    }
  }

  template <class N>
  void pull_nest(Fields<Op>& bar, const View& cotangent) const {
    if constexpr (N::reads > 0) {
      if (!cotangent.data) return;
      const View* const views[] = {system_.value.view};
      over<N>(bar, nullptr, [&](Part part) {
        sweep<Op, N, 1, N::reads>(
            system_.sizes(), views, part,
            [f = system_.template fixed<N>()](const auto* a, auto* out) { N::pull(a, f, out); },
            [&](const int64_t* index, int64_t at, int64_t count, double (*out)[block]) {
              double c[block];
              seen<N>(cotangent, index, at, count, c);
              for (int r = 0; r < N::reads; ++r) {
                if (!bar.view[N::read[r].array].data) continue;
                for (int64_t i = 0; i < count; ++i) out[r][i] *= c[i];
                add<N>(bar.view[N::read[r].array], N::read[r], index, at, count, out[r]);
              }
            });
      });
    }
  }

  template <class N>
  void second_nest(const Fields<Op>& t, Fields<Op>& bar, Fields<Op>& dot, const View& c, const View& d) const {
    if constexpr (N::reads > 0) {
      const View* const views[] = {system_.value.view, t.view};
      over<N>(bar, &dot, [&](Part part) {
        sweep<Op, N, 2, 2 * N::reads>(
            system_.sizes(), views, part,
            [f = system_.template fixed<N>()](const auto* a, auto* out) { N::second(a, a + N::reads + N::plain, f, out); },
            [&](const int64_t* index, int64_t at, int64_t count, double (*out)[block]) {
              double of_value[block], of_tangent[block], both[block];
              seen<N>(c, index, at, count, of_value);
              seen<N>(d, index, at, count, of_tangent);
              for (int r = 0; r < N::reads; ++r) {  // out: f_a, then f_aa t
                const Read& read = N::read[r];
                for (int64_t i = 0; i < count; ++i) both[i] = of_value[i] * out[r][i] + of_tangent[i] * out[N::reads + r][i];
                add<N>(bar.view[read.array], read, index, at, count, both);
                for (int64_t i = 0; i < count; ++i) both[i] = of_tangent[i] * out[r][i];
                add<N>(dot.view[read.array], read, index, at, count, both);
              }
            });
      });
    }
  }

  const S& system_;
};

}  // namespace opgen::coupled
#endif
