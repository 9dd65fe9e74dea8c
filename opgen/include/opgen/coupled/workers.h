// Who solves the systems of a call, and what is known of each afterwards.
#ifndef OPGEN_COUPLED_WORKERS_H
#define OPGEN_COUPLED_WORKERS_H

#include <opgen/coupled/report.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

namespace opgen::coupled {

constexpr int64_t max_groups = 16;  // of systems that a thread takes together

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
    if (worker->weight() > heaviest) return;
    const std::lock_guard<std::mutex> lock(mutex());
    if (shelf().size() < most) shelf().push_back(std::move(worker));
  }

 private:
  static constexpr int64_t heaviest = int64_t{1} << 22;  // of a worker that is kept
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

// Collects what happened to systems, in any order.
class Ledger {
 public:
  explicit Ledger(int64_t count) : standings_(static_cast<size_t>(count)), settled_(standings_.size()) {}
  Standing& operator[](int64_t number) { return standings_[static_cast<size_t>(number)]; }
  // Systems of which nothing more is to be done.
  void settle(int64_t number, const Standing& standing) {
    (*this)[number] = standing;
    settled_[static_cast<size_t>(number)] = 1;
  }
  bool settled(int64_t number) const { return settled_[static_cast<size_t>(number)] != 0; }
  bool all_settled() const { return std::all_of(settled_.begin(), settled_.end(), [](char one) { return one != 0; }); }
  int64_t count() const { return static_cast<int64_t>(standings_.size()); }
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
  std::vector<char> settled_;
};

// Calls body(worker, system, group) for all systems that are not settled. One system has all threads; several are shared out
// among them, in groups that do not depend on how many threads there are.
template <class Worker, class Body>
void for_systems(const opgen_points& points, int dimensions, const Ledger& ledger, int threads, Body&& body) {
  const int64_t count = ledger.count();
  if (ledger.all_settled()) return;
  if (count == 1) {
    auto worker = Bench<Worker>::take(points.sizes, threads, dimensions);
    body(*worker, int64_t{0}, int64_t{0});
    return Bench<Worker>::put(std::move(worker));
  }
  const int64_t groups = count < max_groups ? count : max_groups, step = (count + groups - 1) / groups;
  std::atomic<bool> exhausted{false};
  parallel_for((count + step - 1) / step, threads, [&](int64_t group) {
    try {  // nothing may be thrown through the pool
      std::unique_ptr<Worker> worker;
      for (int64_t b = group * step; b < count && b < (group + 1) * step; ++b) {
        if (ledger.settled(b)) continue;
        if (!worker) worker = Bench<Worker>::take(points.sizes, 1, dimensions);
        body(*worker, b, group);
      }
      if (worker) Bench<Worker>::put(std::move(worker));
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


}  // namespace opgen::coupled
#endif
