// The forward pass over the groups of a batch.
#ifndef OPGEN_COUPLED_GROUP_SOLVE_H
#define OPGEN_COUPLED_GROUP_SOLVE_H

#include <opgen/coupled/group_newton.h>
#include <opgen/coupled/report.h>

namespace opgen::coupled {

// Whether systems are solved faster side by side than each with `factorisations` of its own. Seconds of one core, from times
// taken with 8 to 512 unknowns and 1 to 64 systems; both sides are slower alike on others.
inline bool pays(int64_t count, int64_t unknowns, double factorisations, bool single) {
  const auto n = static_cast<double>(unknowns), bundles = static_cast<double>((count + wide - 1) / wide);
  const double together = bundles * n * (6e-7 + 1.6e-8 * n) * (single ? 1 : 2);
  const double apart = static_cast<double>(count) * factorisations * n * n * (6e-9 + 4e-11 * n);
  return unknowns >= 16 && together < apart;
}

// The systems of a batch that are solved each alone.
class Rest {
 public:
  explicit Rest(int64_t count) : count_(count) {}
  int64_t count() const { return all_ ? count_ : static_cast<int64_t>(systems_.size()); }
  int64_t operator[](int64_t number) const { return all_ ? number : systems_[static_cast<size_t>(number)]; }
  // Keeps those that are not marked.
  void drop(const std::vector<unsigned char>& marked) {
    all_ = false;
    for (int64_t b = 0; b < count_; ++b) {
      if (!marked[static_cast<size_t>(b)]) systems_.push_back(b);
    }
  }

 private:
  int64_t count_;
  bool all_ = true;
  std::vector<int64_t> systems_;
};

// Calls work(bundle number, threads of a product) for the bundles of a group: bundles on threads, or, where there are fewer,
// one after the other with the rows of their products on threads.
template <class Work>
void for_bundles(int64_t count, int threads, Work&& work) {
  if (threads <= 0) threads = PoolV1::hardware_threads();
  if (count < threads) {
    for (int64_t b = 0; b < count; ++b) work(b, threads);
    return;
  }
  std::atomic<bool> exhausted{false};
  parallel_for(count, threads, [&](int64_t b) {
    try {  // nothing may be thrown through the pool
      work(b, 1);
    } catch (const std::bad_alloc&) {
      exhausted = true;
    }
  });
  if (exhausted) throw std::bad_alloc();
}

// What the systems of a group have in common beside their matrices, if there is anything.
template <class Op>
std::unique_ptr<SharedFactor<Op>> shared_factor(const Group<Op>& group, int threads) {
  if constexpr (may_share_factor<Op>()) {
    if (group.systems.size() < 4) return nullptr;
    Bundle<Op> bundle(group, true, false, threads);
    const typename Bundle<Op>::State at = bundle.state();
    std::fill_n(at.y.data(), bundle.unknowns() * wide, 0.0);
    std::fill_n(at.sums.data(), bundle.sums() * wide, 0.0);
    bundle.bind(at);
    bundle.place(group.systems.data(), 1);
    bundle.linearise(0, 0);
    return std::make_unique<SharedFactor<Op>>(bundle, threads);
  }
  return nullptr;
}

template <class Op>
int64_t unknowns_of(const int64_t* sizes) {
  int64_t total = 0;
  for (int u = 0; u < Op::unknowns; ++u) total += count(Op::arrays[Op::inputs + u].core, sizes);
  return total;
}

// Solves what can be solved side by side; `rest` is what is left.
template <class Op, class Ledger>
void solve_groups(const Batch& batch, const opgen_array* inputs, const opgen_array* initial, const opgen_array* outputs,
                  int32_t* iterations, unsigned char* converged, const opgen_options& options, const Settings& settings,
                  Ledger& ledger, Rest& rest) {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  using Newton = BundleNewton<Op>;
  const int64_t unknowns = unknowns_of<Op>(batch.points().sizes);
  std::vector<unsigned char> solved(static_cast<size_t>(batch.count()), 0);
  for (const auto& group : Group<Op>::all(batch, inputs, options.threads)) {
    const auto size = static_cast<int64_t>(group->systems.size());
    if (!pays(size, unknowns, 2.5, batch.single())) continue;
    const std::unique_ptr<SharedFactor<Op>> factor = shared_factor(*group, options.threads);
    for_bundles((size + wide - 1) / wide, options.threads, [&](int64_t number, int threads) {
      const int64_t* const systems = group->systems.data() + number * wide;
      const int used = static_cast<int>(std::min<int64_t>(wide, size - number * wide));
      Bundle<Op> bundle(*group, factor != nullptr, false, threads);
      Newton newton(bundle);
      bundle.bind(newton.state());
      bundle.place(systems, used);
      if (initial) {
        for (int u = 0; u < k; ++u) bundle.read(initial[u], bundle.value[n + u], n + u);
      } else {
        bundle.guess();
      }
      newton.solve(settings, batch.single(), used, factor.get());
      bundle.bind(newton.state());
      if (m > 0) bundle.auxiliaries();
      bool good[wide];
      for (int l = 0; l < wide; ++l) good[l] = l < used && newton.fate[l] == Newton::Fate::done;
      for (int a = n; a < n + k + m; ++a) bundle.check_finite(a, good);
      for (int o = 0; o < k + m; ++o) {
        if (outputs[o].data) bundle.write(outputs[o], bundle.value[n + o], n + o, used, good);
      }
      for (int l = 0; l < used; ++l) {
        if (!good[l]) continue;
        const int64_t b = systems[l];
        const Found& found = newton.found[l];
        solved[static_cast<size_t>(b)] = 1;
        Standing& standing = ledger[b];
        standing.residual = found.norm, standing.iterations = found.iterations, standing.krylov = found.krylov;
        batch.put(outputs[k + m], b, found.norm);
        if (iterations) iterations[b] = static_cast<int32_t>(found.iterations);
        if (converged) converged[b] = 1;
      }
    });
  }
  rest.drop(solved);
}

}  // namespace opgen::coupled
#endif
