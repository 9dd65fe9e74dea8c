// The forward pass over a batch of systems.
#ifndef OPGEN_COUPLED_SOLVE_H
#define OPGEN_COUPLED_SOLVE_H

#include <opgen/coupled/gradients.h>
#include <opgen/coupled/root.h>

#include <algorithm>
#include <mutex>
#include <new>

namespace opgen::coupled {

// Workers that have done their work, kept for the next call: fresh memory costs more than many a solve.
template <class Worker>
class Bench {
 public:
  static std::unique_ptr<Worker> take(const int64_t* sizes, int threads, int dimensions) {
    const std::lock_guard<std::mutex> lock(mutex());
    for (auto& kept : shelf()) {
      const auto& system = kept->held();
      if (system.threads() != threads || !std::equal(system.extents.begin(), system.extents.end(), sizes)) continue;
      std::swap(kept, shelf().back());
      std::unique_ptr<Worker> found = std::move(shelf().back());
      shelf().pop_back();
      return found;
    }
    shelf().clear();  // of another size: it will hardly be back
    return std::make_unique<Worker>(std::vector<int64_t>(sizes, sizes + dimensions), threads);
  }
  static void put(std::unique_ptr<Worker> worker) {
    if (worker->held().unknowns() > largest) return;
    const std::lock_guard<std::mutex> lock(mutex());
    if (shelf().size() < most) shelf().push_back(std::move(worker));
  }

 private:
  static constexpr int64_t largest = int64_t{1} << 22;  // unknowns of a worker that is kept
  static constexpr size_t most = 16;
  // Never destroyed: a thread may still solve when the process ends.
  static std::mutex& mutex() {
    static auto* const made = new std::mutex;
    return *made;
  }
  static std::vector<std::unique_ptr<Worker>>& shelf() {
    static auto* const made = new std::vector<std::unique_ptr<Worker>>;
    return *made;
  }
};

// Calls body(worker, system, group) for all systems. One system has all threads; several are shared out among them, in groups
// that do not depend on how many threads there are.
template <class Worker, class Body>
void for_systems(const opgen_points& points, int dimensions, int64_t count, int threads, Body&& body) {
  if (count == 0) return;
  if (count == 1) {
    auto worker = Bench<Worker>::take(points.sizes, threads, dimensions);
    body(*worker, int64_t{0}, int64_t{0});
    return Bench<Worker>::put(std::move(worker));
  }
  const int64_t groups = count < max_groups ? count : max_groups, step = (count + groups - 1) / groups;
  std::atomic<bool> exhausted{false};
  parallel_for((count + step - 1) / step, threads, [&](int64_t group) {
    try {  // nothing may be thrown through the pool
      auto worker = Bench<Worker>::take(points.sizes, 1, dimensions);
      for (int64_t b = group * step; b < count && b < (group + 1) * step; ++b) body(*worker, b, group);
      Bench<Worker>::put(std::move(worker));
    } catch (const std::bad_alloc&) {
      exhausted = true;
    }
  });
  if (exhausted) throw std::bad_alloc();
}

// Runs `body` and turns what it throws into a status.
template <class Op, class Body>
int guarded(opgen_report* report, Body&& body) {
  report->message[0] = 0;
  report->failed = 0, report->first = -1, report->krylov = 0;
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return bad_call(report, Op::name, "out of memory; solve a smaller grid or fewer systems at once");
  } catch (...) {
    return bad_call(report, Op::name, "the solve stopped for an unknown reason");
  }
}

// Collects what happened to systems, in any order.
class Ledger {
 public:
  explicit Ledger(int64_t count) : standings_(static_cast<size_t>(count)) {}
  Standing& operator[](int64_t number) { return standings_[static_cast<size_t>(number)]; }
  Failure failure() const {
    Failure all;
    for (size_t b = 0; b < standings_.size(); ++b) {
      const Standing& s = standings_[b];
      if (s.cause != Cause::none) all.add(static_cast<int64_t>(b), s.cause, s.residual, s.iterations);
    }
    return all;
  }
  int64_t krylov() const {
    int64_t all = 0;
    for (const Standing& s : standings_) all += s.krylov;
    return all;
  }

 private:
  std::vector<Standing> standings_;
};

template <class Op>
int solve(const opgen_points& points, const opgen_array* inputs, const opgen_array* initial, const opgen_array* outputs,
          int32_t* iterations, unsigned char* converged, const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    Ledger ledger(batch.count());
    const double tol = options.tol > 0 ? options.tol : Op::tol > 0 ? Op::tol : default_tolerance;
    const Settings settings{std::fmax(tol, 4 * rounding), options.max_iterations > 0 ? options.max_iterations : Op::max_iterations};
    for_systems<Solver<Op>>(points, Op::dimensions, batch.count(), options.threads, [&](Solver<Op>& solver, int64_t b, int64_t) {
      System<Op>& system = solver.system;
      for (int i = 0; i < n; ++i) batch.read(inputs[i], b, system.value, i);
      system.prepare();
      Found found;
      if constexpr (Op::explicit_) {
        system.refresh(true);
        system.explicit_values();
      } else {
        if (initial) {
          for (int u = 0; u < k; ++u) batch.read(initial[u], b, system.value, n + u);
          system.gather(system.value, solver.y.data());
        }
        found = solver.solve(settings, initial != nullptr);
        system.scatter(solver.y.data(), system.value);
      }
      system.refresh(m > 0);
      system.auxiliaries();
      Standing& standing = ledger[b];
      standing = {found.cause, found.norm, found.iterations, found.krylov};
      bool good = found.cause == Cause::none;
      if (good) {
        for (int a = n; a < n + k + m; ++a) good = good && finite(system.value, a);
        if (!good) standing.cause = Cause::value;
      }
      if (!good) {
        for (int i = 0; i < n; ++i) {
          if (!finite(system.value, i)) standing.cause = Cause::input;
        }
      }
      for (int o = 0; o < k + m; ++o) {
        if (!good && options.on_failure == OPGEN_NAN) {
          batch.fill(system.value, n + o, outputs[o], b, NAN);
        } else {
          batch.write(system.value, n + o, outputs[o], b);
        }
      }
      batch.put(outputs[k + m], b, found.norm);
      if (iterations) iterations[b] = static_cast<int32_t>(found.iterations);
      if (converged) converged[b] = good;
    });
    report->krylov = ledger.krylov();
    return conclude<Op>(ledger.failure(), batch, inputs, options, report);
  });
}

template <class Op>
int residual(const opgen_points& points, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* outputs,
             const opgen_options& options, opgen_report* report) {
  constexpr int n = Op::inputs, k = Op::unknowns;
  return guarded<Op>(report, [&] {
    const Batch batch(points);
    for_systems<Solver<Op>>(points, Op::dimensions, batch.count(), options.threads, [&](Solver<Op>& solver, int64_t b, int64_t) {
      System<Op>& system = solver.system;
      for (int i = 0; i < n; ++i) batch.read(inputs[i], b, system.value, i);
      system.prepare();
      std::vector<double> y(static_cast<size_t>(system.unknowns())), F(y.size());
      for (int u = 0; u < k; ++u) batch.read(unknowns[u], b, system.value, n + u);
      system.gather(system.value, y.data());
      system.refresh(Op::explicit_);
      system.residual(F.data());
      if (Op::explicit_) {
        for (size_t i = 0; i < F.size(); ++i) F[i] = y[i] - F[i];
      }
      system.scatter(F.data(), system.value);
      for (int u = 0; u < k; ++u) batch.write(system.value, n + u, outputs[u], b);
    });
    return static_cast<int>(OPGEN_OK);
  });
}

}  // namespace opgen::coupled
#endif
