// The systems of a batch in groups that share their matrices, and these in strips, each for a thread.
#ifndef OPGEN_COUPLED_GROUPS_H
#define OPGEN_COUPLED_GROUPS_H

#include <opgen/coupled/outer_products.h>
#include <opgen/coupled/strip.h>

#include <map>

namespace opgen::coupled {

// Below so many unknowns a factored matrix is the cheaper.
constexpr int64_t few_unknowns = 48;

template <class Op>
struct Group {
  std::vector<int64_t> systems;
  std::unique_ptr<SharedMatrices<Op>> matrices;
  std::unique_ptr<OuterProducts<Op>> outer;  // backwards
  std::unique_ptr<Solver<Op>> direct;        // of linear systems: with their factored Jacobian

  size_t strips() const { return (systems.size() + Strip<Op>::most - 1) / Strip<Op>::most; }
  // The systems of a strip: [begin, end) of `systems`.
  size_t begin(size_t strip) const { return strip * Strip<Op>::most; }
  size_t end(size_t strip) const { return std::min(systems.size(), begin(strip) + Strip<Op>::most); }

  void prepare(const Batch& batch, const opgen_array* inputs, bool backwards, int threads) {
    const int64_t* const sizes = batch.points().sizes;
    matrices = Bench<SharedMatrices<Op>>::take(sizes, threads, Op::dimensions);
    matrices->take(batch, inputs, systems[0], backwards);
    if (backwards) outer = std::make_unique<OuterProducts<Op>>(*matrices, systems.size(), batch.single());
    if constexpr (Op::linear) factor(batch, inputs, threads);
  }
  void release() {
    outer.reset();
    Bench<SharedMatrices<Op>>::put(std::move(matrices));
    if (direct) Bench<Solver<Op>>::put(std::move(direct));
  }
  // Whether a system has the Jacobian that is factored.
  bool has_jacobian(const Slopes<Op>& own) const {
    if (!direct) return false;
    for (size_t q = 0; q < own.all().size(); ++q) {
      const Slope &a = own.all()[q], &b = direct->slopes.all()[q];
      const int64_t rows = a.uniform ? 1 : count(Op::arrays[Op::inputs + a.row].core, direct->system.sizes());
      if (!std::equal(a.data, a.data + rows, b.data)) return false;
    }
    return true;
  }

 private:
  // The Jacobian of a linear system does not depend on its unknowns, and may be that of the others too.
  void factor(const Batch& batch, const opgen_array* inputs, int threads) {
    direct = Bench<Solver<Op>>::take(batch.points().sizes, threads, Op::dimensions);
    System<Op>& system = direct->system;
    for (int i = 0; i < Op::inputs; ++i) batch.read(inputs[i], systems[0], system.value, i);
    system.prepare();
    std::fill(direct->y.begin(), direct->y.end(), 0.0);
    direct->linearise(direct->y);
    if (!direct->jacobian.factor() || direct->jacobian.is_doubtful()) direct.reset();
  }
};

template <class Op>
std::vector<Group<Op>> groups(const Batch& batch, const opgen_array* inputs) {
  std::vector<Group<Op>> made;
  std::map<std::vector<int64_t>, size_t> known;
  std::vector<int64_t> key;
  for (int64_t b = 0; b < batch.count(); ++b) {
    key.clear();
    for (int i = 0; i < Op::inputs; ++i) {
      if (is_matrix<Op>(i)) key.push_back(batch.offset(inputs[i], b));
    }
    const auto [found, added] = known.try_emplace(key, made.size());
    if (added) made.emplace_back();
    made[found->second].systems.push_back(b);
  }
  int64_t unknowns = 0;
  for (int u = 0; u < Op::unknowns; ++u) unknowns += count(Op::arrays[Op::inputs + u].core, batch.points().sizes);
  made.erase(std::remove_if(made.begin(), made.end(),
                            [&](const Group<Op>& one) { return Op::linear ? one.systems.size() < 2 : unknowns < few_unknowns; }),
             made.end());
  return made;
}

// Calls body(group, strip, worker, slot) for all strips of all groups, and finish(group) when a group is done. Slots are below
// max_groups; which of them a strip has, and what comes before it there, does not depend on how many threads there are.
template <class Op, class Body, class Finish>
void for_strips(const Batch& batch, const opgen_array* inputs, bool backwards, int threads, Body&& body, Finish&& finish) {
  std::vector<Group<Op>> all = groups<Op>(batch, inputs);
  std::atomic<bool> exhausted{false};
  const auto side_by_side = [&](int64_t count, auto&& one) {
    parallel_for(count, threads, [&](int64_t slot) {
      try {
        one(slot);
      } catch (const std::bad_alloc&) {
        exhausted = true;
      }
    });
    if (exhausted) throw std::bad_alloc();
  };
  const auto run = [&](Group<Op>& group, size_t strip, int64_t slot) {
    auto worker = Bench<Strip<Op>>::take(batch.points().sizes, 1, Op::dimensions);
    body(group, strip, *worker, slot);
    Bench<Strip<Op>>::put(std::move(worker));
  };
  for (size_t g = 0; g < all.size();) {
    if (all[g].strips() > 1) {  // a group after the other, its strips side by side
      Group<Op>& group = all[g++];
      group.prepare(batch, inputs, backwards, threads);
      for (size_t first = 0; first < group.strips(); first += max_groups) {
        side_by_side(std::min<int64_t>(max_groups, static_cast<int64_t>(group.strips() - first)),
                     [&](int64_t slot) { run(group, first + static_cast<size_t>(slot), slot); });
      }
      finish(group);
      group.release();
      continue;
    }
    size_t end = g;
    while (end < all.size() && end - g < max_groups && all[end].strips() == 1) ++end;
    side_by_side(static_cast<int64_t>(end - g), [&](int64_t slot) {
      Group<Op>& group = all[g + static_cast<size_t>(slot)];
      group.prepare(batch, inputs, backwards, end - g > 1 ? 1 : threads);
      run(group, 0, slot);
    });
    for (; g < end; ++g) {
      finish(all[g]);
      all[g].release();
    }
  }
}

}  // namespace opgen::coupled
#endif
