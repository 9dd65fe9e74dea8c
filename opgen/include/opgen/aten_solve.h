// The linear systems of a batch, and which of them have no answer.
#ifndef OPGEN_ATEN_SOLVE_H
#define OPGEN_ATEN_SOLVE_H

#include <ATen/ops/empty_like.h>

#include "opgen/aten_batch.h"
#include "opgen/gmres.h"

namespace opgen {

constexpr double default_tol = 1e-12;   // on |b - A z| / |b|
constexpr double solved_tol = 1e-14;    // what the solve aims at: a few more products cost little
constexpr double rounding_tol = 1e-8;   // what a pointwise solve that rounding stopped must have reached
constexpr double backward_tol = 1e-13;  // the same of a coupled one, beside the size of the terms of A z
constexpr double rounding = 2e-15;      // and where it may stop

enum class Matrix { forward, transposed };  // F_y or its transpose

struct Solved {
  at::Tensor solution;    // [count, N]
  at::Tensor cause;       // [count] int64, values of Cause
  at::Tensor residual;    // [count]
  at::Tensor iterations;  // [count]
};

// The caller's preconditioner, on the systems of a batch; it knows those of the whole call.
inline LinearMap preconditioner(const Call& call, const Batch& batch, Matrix matrix) {
  if (!call.preconditioner || !call.preconditioner->apply) return {};
  return [&call, &batch, matrix](const at::Tensor& r) {
    const bool all = batch.count() == call.size;
    const at::Tensor from = all ? r.contiguous() : at::zeros({call.size, r.size(1)}, r.options());
    if (!all) batch.put(from, r);
    const at::Tensor to = at::empty_like(from);
    const int status = call.preconditioner->apply(call.preconditioner->context, matrix == Matrix::transposed,
                                                  from.data_ptr<double>(), to.data_ptr<double>());
    TORCH_CHECK(status == OPGEN_OK, "the preconditioner of its adjoint solve failed");
    return all ? to : batch.take(to);
  };
}

// Solve A z = b for the systems of a coupled operator, with its preconditioner.
//
// Far from all residuals |b - A z| below tol |b| can be reached: F_y of a fine grid has a condition number of 1e10, and the
// terms of A z are as many times larger than b, with their rounding. A residual of the size of that is what a direct solve
// leaves, too. One that is neither small beside b nor beside those terms is a failure, and so is one that is not below
// |b| / 1000 at all: any solution of a singular system has terms that are large enough.
inline Solved solve_coupled(const Call& call, const Batch& batch, Matrix matrix, const LinearMap& product,
                            const at::Tensor& b) {
  const int64_t N = b.size(1);
  // Columns that fit into 256 MiB, for a single system of 1e6 unknowns 33.
  const int64_t fitting = (int64_t{1} << 25) / std::max<int64_t>(b.numel(), 1);
  const int64_t restart = std::min(N, std::clamp<int64_t>(fitting, 10, 200));
  const GmresOptions options{0.01 * call.tol, restart, 1000, rounding};
  const GmresResult result = gmres(product, b, options, preconditioner(call, batch, matrix));
  const at::Tensor good = (result.status == static_cast<int64_t>(GmresStatus::converged))
                              .logical_or(result.residual <= call.tol)
                              .logical_or(result.residual <= (backward_tol * result.terms).clamp_max(options.worst));
  at::Tensor cause = at::where(good, static_cast<int64_t>(Cause::none), static_cast<int64_t>(Cause::missed));
  cause.masked_fill_(result.residual.isfinite().logical_not(), static_cast<int64_t>(Cause::not_finite));
  return {result.solution, cause, result.residual, result.iterations};
}

// The same at every point of a pointwise one.
//
// The solve goes on until rounding stops it. A space of full dimension and no progress is that point; the residual then
// says how far A is from singular.
//
// GMRES also solves a singular system if b happens to lie in the range of A (b = 0 does), but then z, and with it the
// gradient, is one of many. A Krylov space of full dimension proves that A is regular; where it is smaller, and if
// `prove` asks for it, a second right-hand side in general position, which lies in no proper subspace, decides.
inline Solved solve_points(const Call& call, const LinearMap& product, const at::Tensor& b, bool prove) {
  const int64_t k = b.size(1);
  GmresResult result = gmres(product, b, {solved_tol, k, 20 * k});
  const at::Tensor full = result.dimension >= k;
  const at::Tensor good = (result.residual <= call.tol).logical_or(full.logical_and(result.residual <= rounding_tol));
  at::Tensor cause = at::where(good, 0, at::where(result.residual > 0.1, 1, 2)).to(at::kLong);
  cause.masked_fill_(result.residual.isfinite().logical_not(), static_cast<int64_t>(Cause::not_finite));

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
  return {result.solution, cause, result.residual, result.iterations};
}

// Solve A z = b for every system, where `product` is the one with A. A right-hand side that is not finite is the caller's, or
// that of an infinite derivative: the solution is NaN, as everywhere.
inline Solved solve(const Call& call, const Batch& batch, Matrix matrix, const LinearMap& product, const at::Tensor& b,
                    bool prove) {
  const int64_t count = b.size(0);
  const auto whole = [count] { return at::zeros({count}, at::kLong); };
  if (call.op.values) return {b, whole(), at::zeros({count}, at::kDouble), whole()};  // y - f(x): A is 1
  const Solved solved =
      call.op.coupled() ? solve_coupled(call, batch, matrix, product, b) : solve_points(call, product, b, prove);
  const at::Tensor lost = b.isfinite().all(1).logical_not();
  solved.cause.masked_fill_(lost, static_cast<int64_t>(Cause::none));
  solved.solution.masked_fill_(lost.unsqueeze(1), std::numeric_limits<double>::quiet_NaN());
  return solved;
}

// The systems of which a solve failed, over all batches; the first one is shown to the user.
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
    const int64_t i = bad[0].item<int64_t>();
    if (report_->failed == 0 || batch.index(i) < report_->first) {
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
