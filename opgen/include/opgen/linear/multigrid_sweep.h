// In which order the planes of a level are worked through, by one thread or several.
//
// One pass over the memory does a whole sequence of steps. Step k at a plane needs step k - 1 at the planes within
// `reach` of it, and nobody needs its old values then. So a front moves through the planes with step k trailing `reach`
// planes behind step k - 1. Several threads take a slab of planes each, in which step k leaves out k * reach planes at
// either end; these seams are made up afterwards. Every value is computed from the same values in whatever order: the
// result depends neither on the number of slabs nor on who runs them.
#ifndef OPGEN_LINEAR_MULTIGRID_SWEEP_H
#define OPGEN_LINEAR_MULTIGRID_SWEEP_H

#include <opgen/linear/multigrid_layout.h>

namespace opgen::linear::multigrid {

// A level of fewer points is faster done by one thread than by waking another.
constexpr int64_t few_points = 32768;

// How many pieces there can be at a time; each has a number below this, for memory of its own.
inline int workers(int threads) { return threads == 1 ? 1 : 2 * threads; }

// Calls step(k, plane, worker) for all planes and steps. On a ring of planes the last one always comes before the
// first.
template <class Step>
void sweep(const Layout& at, int reach, int steps, int threads, Step&& step) {
  const int64_t planes = at.n[0];
  const bool ring = at.ring[0];
  const int64_t slabs = std::min<int64_t>(workers(threads), planes / (2 * static_cast<int64_t>(steps) * reach));
  if (slabs == 0 && ring) {
    for (int k = 0; k < steps; ++k)
      for (int64_t p = -1; p < planes - 1; ++p) step(k, p < 0 ? planes - 1 : p, 0);
    return;
  }
  // How many planes step k leaves out at the seam before a plane. On a ring step 0, too, leaves out some at its seam.
  const auto left_out = [&](int64_t plane, int k) -> int64_t {
    if (plane == 0 || plane == planes) return ring ? static_cast<int64_t>(k + 1) * reach : 0;
    return static_cast<int64_t>(k) * reach;
  };
  const auto slab = [&](int64_t first, int64_t last, int worker) {
    for (int64_t front = first; front < last + (steps - 1) * reach; ++front)
      for (int k = 0; k < steps; ++k) {
        const int64_t p = front - static_cast<int64_t>(k) * reach;
        if (p >= first + left_out(first, k) && p < last - left_out(last, k)) step(k, p, worker);
      }
  };
  if (slabs <= 1 && !ring) return slab(0, planes, 0);
  parallel_for(slabs, threads, [&](int64_t s) {
    slab(planes * s / slabs, planes * (s + 1) / slabs, static_cast<int>(s));
  });
  const bool short_seams = at.n[1] * at.n[2] < few_points / 8;
  parallel_for(ring ? slabs : slabs - 1, short_seams ? 1 : threads, [&](int64_t s) {
    const int64_t middle = planes * (s + 1) / slabs;
    for (int k = 0; k < steps; ++k)
      for (int64_t p = middle - left_out(middle, k); p < middle + left_out(middle, k); ++p)
        step(k, p < planes ? p : p - planes, static_cast<int>(s));
  });
}

}  // namespace opgen::linear::multigrid
#endif
