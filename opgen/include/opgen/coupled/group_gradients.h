// Gradients over the groups of a batch.
#ifndef OPGEN_COUPLED_GROUP_GRADIENTS_H
#define OPGEN_COUPLED_GROUP_GRADIENTS_H

#include <opgen/coupled/group_adjoint.h>
#include <opgen/linear/product.h>

namespace opgen::coupled {

// The gradients of a group's inputs. Bundles work in waves; what systems share is added up after each, in the order of the
// bundles.
template <class Op, class T>
class GroupAdjoint {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;

  GroupAdjoint(const Group<Op>& group, Gradients<Op>& results, const opgen_array* unknowns, const opgen_array* cotangents,
               const opgen_options& options)
      : group_(group), results_(results), unknowns_(unknowns), cotangents_(cotangents), options_(options) {
    for (int i = 0; i < n; ++i) wanted_[i] = results.wanted(i);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        group.template matrix<N>([&](const auto& factor) {
          for (Outer<T>& outer : outers_[N::number]) outer.rows = factor.rows, outer.columns = factor.columns;
        });
      }
    });
  }

  // `solved` marks the systems whose gradients are there; krylov(system, products) is told of each.
  template <class Note>
  void run(std::vector<unsigned char>& solved, Note&& note) {
    factor_ = shared_factor(group_, options_.threads);
    const auto size = static_cast<int64_t>(group_.systems.size()), bundles = (size + wide - 1) / wide;
    for (int64_t first = 0; first < bundles; first += wave) {
      const int64_t length = std::min(wave, bundles - first);
      sums_.assign(static_cast<size_t>(length), {});
      Op::Nests::each([&](auto nest) {
        using N = decltype(nest);
        if constexpr (is_product<N>()) {
          if (!wanted_[N::read[N::product.matrix].array]) return;
          if (N::of_equation) outers_[N::number][0].reserve(length * wide);
          if (N::of_auxiliary) outers_[N::number][1].reserve(length * wide);
        }
      });
      for_bundles(length, options_.threads, [&](int64_t b, int threads) {
        bundle(b, group_.systems.data() + (first + b) * wide, static_cast<int>(std::min<int64_t>(wide, size - (first + b) * wide)),
               threads, solved, note);
      });
      add_up();
    }
  }

 private:
  static constexpr int64_t wave = 64;

  template <class Note>
  void bundle(int64_t number, const int64_t* systems, int used, int threads, std::vector<unsigned char>& solved, Note&& note) {
    const Batch& batch = group_.batch;
    Bundle<Op> bundle(group_, true, batch.single(), threads);
    typename Bundle<Op>::State at = bundle.state();
    bundle.bind(at);
    bundle.place(systems, used);
    for (int u = 0; u < k; ++u) bundle.read(unknowns_[u], bundle.value[n + u], n + u);
    bundle.add_up();
    if (m > 0) bundle.auxiliaries();
    const double allowed = std::fmax(1e3 * options_.tol, batch.single() ? 1e-3 : 1e-7);
    const auto measured = bundle.linearise(allowed, allowed);
    bool good[wide];
    for (int l = 0; l < wide; ++l) good[l] = l < used && measured.within[l];

    BundlePull<Op> pull(bundle, wanted_);
    pull.zero(0, Op::array_count);
    for (int o = 0; o < k + m; ++o) bundle.read(cotangents_[o], pull.bar[n + o], n + o);
    if (m > 0) {
      pull.auxiliaries([&](auto nest, const double* u, const double* v) { take<decltype(nest)>(1, number, u, v); });
    }
    Block<double> g(bundle.unknowns());
    for (int u = 0; u < k; ++u) {
      std::copy_n(pull.bar[n + u].data, count(Op::arrays[n + u].core, bundle.sizes()) * wide, g.row(bundle.offset(u)));
    }
    BundleLinear<Op> linear(bundle, true);
    bool same[wide] = {}, others = true;
    if (factor_) {
      factor_->find(bundle, same);
      others = std::find(same, same + used, false) != same + used;
    }
    if (!others) {
      linear.solve_directly(*factor_, g.data());
    } else {
      linear.solve(g.data(), batch.single() ? 2 * single_rounding : 1e-14, batch.single(), good);
    }
    double* const c = linear.x().data();
    for (int64_t i = 0; i < bundle.unknowns() * wide; ++i) c[i] = -c[i];
    pull.zero(n, Op::array_count);
    pull.equations(c, [&](auto nest, const double* u, const double* v) { take<decltype(nest)>(0, number, u, v); });
    for (auto& pair : outers_) {
      for (Outer<T>& outer : pair) outer.clear(number, good);
    }
    for (int i = 0; i < n; ++i) {
      if (!wanted_[i] || Op::arrays[i].core.rank >= 2) continue;
      if (results_.shared(i)) {
        keep(i, number, pull.bar[i].data, systems, good);
      } else {
        bundle.write(results_.array(i), pull.bar[i], i, used, good);
      }
    }
    for (int l = 0; l < used; ++l) {
      if (!good[l]) continue;
      solved[static_cast<size_t>(systems[l])] = 1;
      note(systems[l], linear.products);
    }
  }

  template <class N>
  void take(int phase, int64_t number, const double* u, const double* v) {
    if (wanted_[N::read[N::product.matrix].array]) outers_[N::number][phase].put(number, u, v);
  }

  // What a bundle adds to the gradient of an input that systems share: one sum, or, where not all of the group do, one for each.
  struct Sum {
    int input;
    std::vector<double> entries;
    std::vector<int64_t> systems;
  };
  void keep(int input, int64_t number, const double* bar, const int64_t* systems, const bool (&good)[wide]) {
    const int64_t length = count(Op::arrays[input].core, group_.sizes());
    if (group_.shared(input)) {
      Sum one{input, std::vector<double>(static_cast<size_t>(length), 0.0), {systems[0]}};
      for (int64_t i = 0; i < length; ++i) {
        double total = 0;
        for (int l = 0; l < wide; ++l) total += good[l] ? bar[i * wide + l] : 0.0;
        one.entries[static_cast<size_t>(i)] = total;
      }
      sums_[static_cast<size_t>(number)].push_back(std::move(one));
      return;
    }
    Sum all{input, {}, {}};
    for (int l = 0; l < wide; ++l) {
      if (!good[l]) continue;
      all.systems.push_back(systems[l]);
      for (int64_t i = 0; i < length; ++i) all.entries.push_back(bar[i * wide + l]);
    }
    sums_[static_cast<size_t>(number)].push_back(std::move(all));
  }

  void add_up() {
    for (const std::vector<Sum>& bundle : sums_) {
      for (const Sum& sum : bundle) {
        const auto length = static_cast<int64_t>(sum.systems.empty() ? 0 : sum.entries.size() / sum.systems.size());
        for (size_t s = 0; s < sum.systems.size(); ++s) {
          results_.add(sum.input, sum.systems[s], sum.entries.data() + static_cast<int64_t>(s) * length);
        }
      }
    }
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        for (const Outer<T>& outer : outers_[N::number]) {
          if (outer.systems > 0) add_product<N>(outer);
        }
      }
    });
  }

  // The gradient of a matrix, where it lies.
  template <class N>
  void add_product(const Outer<T>& outer) {
    constexpr int input = N::read[N::product.matrix].array;
    const opgen_array& to = results_.array(input);
    group_.template matrix<N>(to, [&](const auto& factor) {
      using Stored = std::remove_const_t<std::remove_pointer_t<decltype(factor.data)>>;
      if constexpr (std::is_same_v<Stored, T>) {
        T beta = 1;
        if (results_.begin(input, group_.systems[0])) {
          if (outer.rows * outer.columns == count(Op::arrays[input].core, group_.sizes())) {
            beta = 0;
          } else {
            clear(to, input);
          }
        }
        T* const c = const_cast<T*>(factor.data);
        using linear::Transpose;
        if (factor.right == 1) {
          linear::multiply<T>(Transpose::no, Transpose::yes, outer.rows, outer.columns, outer.systems, 1, outer.left.data(),
                              outer.systems, outer.right.data(), outer.systems, beta, c, factor.down, options_.threads);
        } else if (factor.down == 1) {
          linear::multiply<T>(Transpose::no, Transpose::yes, outer.columns, outer.rows, outer.systems, 1, outer.right.data(),
                              outer.systems, outer.left.data(), outer.systems, beta, c, factor.right, options_.threads);
        } else {
          std::vector<T> made(static_cast<size_t>(outer.rows * outer.columns));
          linear::multiply<T>(Transpose::no, Transpose::yes, outer.rows, outer.columns, outer.systems, 1, outer.left.data(),
                              outer.systems, outer.right.data(), outer.systems, 0, made.data(), outer.columns, options_.threads);
          for (int64_t i = 0; i < outer.rows; ++i) {
            for (int64_t j = 0; j < outer.columns; ++j) {
              T& own = c[i * factor.down + j * factor.right];
              own = (beta == 0 ? T(0) : own) + made[static_cast<size_t>(i * outer.columns + j)];
            }
          }
        }
      }
    });
  }
  void clear(const opgen_array& array, int input) {
    const Core& core = Op::arrays[input].core;
    const int64_t rows = extent(core.axes[0], group_.sizes()), columns = extent(core.axes[1], group_.sizes());
    group_.batch.typed(array, group_.systems[0], [&](auto* data, const int64_t* stride) {
      for (int64_t i = 0; i < rows; ++i) {
        for (int64_t j = 0; j < columns; ++j) data[i * stride[0] + j * stride[1]] = 0;
      }
    });
  }

  const Group<Op>& group_;
  Gradients<Op>& results_;
  const opgen_array* unknowns_;
  const opgen_array* cotangents_;
  const opgen_options& options_;
  bool wanted_[n > 0 ? n : 1] = {};
  Outer<T> outers_[Op::Nests::count][2];  // of a nest: what the equations send to it, and the auxiliaries
  std::vector<std::vector<Sum>> sums_;
  std::unique_ptr<SharedFactor<Op>> factor_;
};

// Gradients of what can be solved side by side; `rest` is what is left. Returns the iterations of all systems.
template <class Op>
int64_t adjoint_groups(const Batch& batch, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* cotangents,
                       const opgen_options& options, Gradients<Op>& results, Rest& rest) {
  std::vector<unsigned char> solved(static_cast<size_t>(batch.count()), 0);
  std::atomic<int64_t> products{0};
  const auto note = [&](int64_t, int64_t own) { products += own; };
  for (const auto& group : Group<Op>::all(batch, inputs, options.threads)) {
    if (!pays(static_cast<int64_t>(group->systems.size()), unknowns_of<Op>(batch.points().sizes), 1, batch.single())) continue;
    if (batch.single()) {
      GroupAdjoint<Op, float>(*group, results, unknowns, cotangents, options).run(solved, note);
    } else {
      GroupAdjoint<Op, double>(*group, results, unknowns, cotangents, options).run(solved, note);
    }
  }
  rest.drop(solved);
  return products;
}


}  // namespace opgen::coupled
#endif
