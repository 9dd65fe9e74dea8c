// One V cycle of geometric multigrid as a preconditioner for stencil matrices, with coarse operators made from their
// coefficients.
//
// A cycle smooths the error that varies from point to point, and leaves the rest to a grid with half the points, on
// which it is the same problem again:
//
//     z = smooth(r),   z += P cycle(R (r - A z)),   z = smooth again, in the opposite order.
//
// An axis is coarsened only if its coupling is not much weaker than the strongest, so that point-wise smoothing
// suffices. Two kinds of levels: separable ones (multigrid_separable.h) for constants off the diagonal, else general
// ones (multigrid_general.h). Both are symmetric when the matrix is, and then a preconditioner for conjugate gradients.
// For a transposed system take a cycle set up with the transposed matrix.
//
// Sources: Trottenberg, Oosterlee and Schueller, Multigrid (2001), chapters 2, 4, 5 and 7; for the weights Alcouffe,
// Brandt, Dendy and Painter, SIAM J. Sci. Stat. Comput. 2 (1981), and for R Dendy, Appl. Math. Comput. 13 (1983).
#ifndef OPGEN_LINEAR_MULTIGRID_H
#define OPGEN_LINEAR_MULTIGRID_H

#include <opgen/linear/multigrid_coarsest.h>
#include <opgen/linear/multigrid_general.h>
#include <opgen/linear/multigrid_recognise.h>
#include <opgen/linear/multigrid_separable.h>

#include <deque>

namespace opgen::linear {

class Multigrid {
 public:
  // Takes over a matrix: its coefficients are not read afterwards. Memory is reused from call to call. False, and then
  // `cycle` must not be called, if the block of fields at some point is singular, or something is not finite.
  bool setup(const StencilMatrix& A, int threads) {
    if (threads <= 0) threads = PoolV1::hardware_threads();
    empty_ = A.unknowns() == 0;
    if (empty_) return true;
    if (separable_.empty()) separable_.resize(1);
    is_separable_ = recognised_.of(A, separable_[0], threads);
    return is_separable_ ? set_separable(threads) : set_general(A, threads);
  }

  // z = M^-1 r. z must not overlap r. Not for several threads at once.
  void cycle(const double* r, double* z) {
    if (empty_) return;
    if (is_separable_) run(separable_, r, z);
    else run(general_, r, z);
  }

 private:
  static constexpr int64_t few = 100, moderate = 600;  // unknowns that are solved for directly

  bool set_separable(int threads) {
    size_t l = 0;
    while (separable_[l].prepare(threads, l % 2 == 0) && separable_[l].unknowns() > few) {
      if (separable_.size() == ++l) separable_.emplace_back();
      separable_[l - 1].next(separable_[l]);
    }
    count_ = l + 1;
    for (l = 0; l < count_; ++l)
      if (!separable_[l].invert(l == 0 ? &recognised_.diagonal : nullptr,
                                l + 1 < count_ ? &separable_[l + 1] : nullptr))
        return false;
    return set_coarsest(separable_[count_ - 1]);
  }

  bool set_general(const StencilMatrix& A, int threads) {
    if (general_.empty()) general_.resize(1);
    general_[0].matrix().set(A, threads);
    size_t l = 0;
    for (;; ++l) {
      if (general_.size() == l + 1) general_.emplace_back();
      const bool more = general_[l].unknowns() > few &&
                        general_[l].coarsen(general_[l + 1], l % 2 == 0, threads);
      if (!general_[l].prepare(!more, threads)) return false;
      if (!more) break;
    }
    count_ = l + 1;
    return set_coarsest(general_[l]);
  }

  template <class Level>
  bool set_coarsest(Level& level) {
    const int64_t n = level.unknowns();
    direct_ = n <= moderate;
    if (!direct_) return true;
    level.assemble(coarsest_.matrix(n));
    return coarsest_.factor();
  }

  template <class Level>
  void run(std::deque<Level>& levels, const double* r, double* z) {
    levels[0].set_rhs(r);
    levels[0].result = z;
    for (size_t l = 0; l + 1 < count_; ++l) levels[l].descend(levels[l + 1]);
    Level& last = levels[count_ - 1];
    if (direct_) {
      last.gather(coarsest_.vector());
      coarsest_.solve();
      last.scatter(coarsest_.vector());
    } else {
      last.relax_only();
    }
    for (size_t l = count_ - 1; l-- > 0;) levels[l].ascend(levels[l + 1]);
  }

  bool empty_ = true, is_separable_ = false, direct_ = true;
  size_t count_ = 0;
  multigrid::Recognised recognised_;
  std::deque<multigrid::Separable> separable_;
  std::deque<multigrid::General> general_;
  multigrid::Coarsest coarsest_;
};

}  // namespace opgen::linear
#endif
