// The linear systems of a batch of points, and which of them have no answer.
#ifndef OPGEN_ATEN_SOLVE_H
#define OPGEN_ATEN_SOLVE_H

#include "opgen/aten_batch.h"
#include "opgen/gmres.h"

namespace opgen {

constexpr double default_tol = 1e-12;  // on |b - A z| / |b|
constexpr double solved_tol = 1e-14;   // what the solve aims at: a few more products of a tiny system cost little
constexpr double rounding_tol = 1e-8;  // what a solve that rounding stopped must have reached

struct Solved {
  at::Tensor solution;    // [count, k]
  at::Tensor cause;       // [count] int64, values of Cause
  at::Tensor residual;    // [count]
  at::Tensor iterations;  // [count]
};

// Solve A z = b at every point, where A is F_y or its transpose.
//
// The solve goes on until rounding stops it. A space of full dimension and no progress is that point; the residual then
// says how far A is from singular. A right-hand side that is not finite is the caller's, or that of an infinite
// derivative: the solution is NaN, as everywhere.
//
// GMRES also solves a singular system if b happens to lie in the range of A (b = 0 does), but then z, and with it the
// gradient, is one of many. A Krylov space of full dimension proves that A is regular; where it is smaller, and if
// `prove` asks for it, a second right-hand side in general position, which lies in no proper subspace, decides.
inline Solved solve(const Call& call, const LinearMap& product, const at::Tensor& b, bool prove) {
  const int64_t count = b.size(0), k = b.size(1);
  const auto whole = [count] { return at::zeros({count}, at::kLong); };
  if (call.op.values) return {b, whole(), at::zeros({count}, at::kDouble), whole()};  // y - f(x): A is 1
  GmresResult result = gmres(product, b, {solved_tol, k, 20 * k});
  const at::Tensor full = result.dimension >= k, given = b.isfinite().all(1);
  const at::Tensor good = (result.residual <= call.tol).logical_or(full.logical_and(result.residual <= rounding_tol));
  at::Tensor cause = at::where(good, 0, at::where(result.residual > 0.1, 1, 2)).to(at::kLong);
  cause.masked_fill_(result.residual.isfinite().logical_not(), static_cast<int64_t>(Cause::not_finite));
  cause.masked_fill_(given.logical_not(), static_cast<int64_t>(Cause::none));

  const at::Tensor doubtful = good.logical_and(full.logical_not());
  if (prove && doubtful.any().item<bool>()) {
    at::Tensor probe = at::zeros_like(b);
    for (int64_t i = 0; i < k; ++i) probe.select(1, i).masked_fill_(doubtful, std::cos(1.0 + i * i));
    const GmresResult second = gmres(product, probe, {rounding_tol, k, 20 * k});
    const at::Tensor singular = (second.residual <= rounding_tol).logical_not();
    result.residual = at::where(singular, second.residual, result.residual);
    result.iterations = at::where(singular, second.iterations, result.iterations);
    cause.masked_fill_(singular, static_cast<int64_t>(Cause::singular));
  }
  result.solution.masked_fill_(given.logical_not().unsqueeze(1), std::numeric_limits<double>::quiet_NaN());
  return {result.solution, cause, result.residual, result.iterations};
}

// The points at which a solve failed, over all batches; the first one is shown to the user.
class Failures {
 public:
  explicit Failures(opgen_report* report) : report_(report) {}

  // Note those of a batch that went through several solves, each counted once; they are true in what is returned, which
  // is undefined if there are none.
  at::Tensor note(const Batch& batch, const std::vector<Solved>& solves) {
    at::Tensor failed = solves[0].cause > 0;
    for (const Solved& solved : solves) failed = failed.logical_or(solved.cause > 0);
    const at::Tensor bad = failed.nonzero().squeeze(1);
    if (bad.numel() == 0) return {};
    if (report_->failed == 0) {
      const int64_t i = bad[0].item<int64_t>();
      report_->first = batch.index(i);
      const auto worst = std::find_if(solves.begin(), solves.end(),
                                      [i](const Solved& solved) { return solved.cause[i].item<int64_t>() > 0; });
      first_ = {static_cast<Cause>(worst->cause[i].item<int64_t>()), worst->residual[i].item<double>(),
                worst->iterations[i].item<int64_t>()};
    }
    report_->failed += bad.numel();
    return failed;
  }

  // The status of the call.
  int conclude(const Call& call, const opgen_array* inputs) const {
    if (report_->failed == 0) return OPGEN_OK;
    describe(call, inputs, first_, report_);
    return call.policy == OPGEN_RAISE ? OPGEN_FAILED_POINTS : OPGEN_OK;
  }

 private:
  opgen_report* report_;
  Failure first_{};
};

}  // namespace opgen

#endif
