// The adjoint of an operator whose residual is written in ATen; compiled once per torch, linked into every operator.
//
// At a root, F(x, y) = 0 and dJ = g^T dy, where F_x dx + F_y dy = 0. Hence
//
//     F_y^T u = g,      dJ/dx = -u^T F_x,
//
// and auxiliary outputs a(x, y) with cotangents h add a_y^T h to g and a_x^T h to dJ/dx. F_y is never formed: F_y^T u
// is one backward pass through F with u as its cotangent, from F to y; u^T F_x is one more, from F to x. The points are
// a batch of small independent systems. They are taken in chunks, so that what a pass touches stays in the caches.
#include <ATen/ops/alias.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/scalar_tensor.h>

#include "opgen/aten_adjoint.h"
#include "opgen/aten_autograd.h"
#include "opgen/aten_points.h"
#include "opgen/gmres.h"

namespace opgen {
namespace {

constexpr double default_tol = 1e-12;  // on |g - F_y^T u| / |g|
constexpr double solved_tol = 1e-14;   // what the solve aims at: a few more products of a tiny system cost little
constexpr double rounding_tol = 1e-8;  // what a solve that rounding stopped must have reached

struct Solved {
  at::Tensor u;           // [count, k]
  at::Tensor cause;       // [count] int64, values of Cause
  at::Tensor residual;    // [count]
  at::Tensor iterations;  // [count]
};

// Solve F_y^T u = g at every point, and see whether F_y is singular there.
//
// GMRES also solves a singular system if g happens to lie in the range of F_y^T (g = 0 does), but then u, and with it
// the gradient, is one of many. A Krylov space of full dimension proves that F_y is regular; where it is smaller, a
// second right-hand side in general position, which lies in no proper subspace, decides.
//
// The solve goes on until rounding stops it. A space of full dimension and no progress is that point; the residual then
// says how far F_y is from singular. A g that is not finite is the caller's: its gradient is NaN, as everywhere.
Solved solve(const Call& call, const LinearMap& product, const at::Tensor& g) {
  const int64_t k = g.size(1);
  GmresResult result = gmres(product, g, {solved_tol, k, 20 * k});
  const at::Tensor full = result.dimension >= k, given = g.isfinite().all(1);
  const at::Tensor good = (result.residual <= call.tol).logical_or(full.logical_and(result.residual <= rounding_tol));
  at::Tensor cause = at::where(good, 0, at::where(result.residual > 0.1, 1, 2)).to(at::kLong);
  cause.masked_fill_(result.residual.isfinite().logical_not(), static_cast<int64_t>(Cause::not_finite));
  cause.masked_fill_(given.logical_not(), static_cast<int64_t>(Cause::none));

  const at::Tensor doubtful = good.logical_and(full.logical_not());
  if (doubtful.any().item<bool>()) {
    at::Tensor probe = at::zeros_like(g);
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

// The points of a chunk at which `unknowns` is a root, as far as the policy lets others come here; all true, usually.
at::Tensor is_root(const Call& call, const Tensors& inputs, const Tensors& unknowns) {
  at::Tensor root = unknowns[0].isfinite();
  for (const at::Tensor& y : unknowns) root.logical_and_(y.isfinite());
  if (call.policy != OPGEN_KEEP || !call.op.residual) return root;

  // A last iterate is kept. F is small at a root, beside the first-order size of its terms, |F_x| |x| + |F_y| |y|.
  Tensors variables = inputs;
  variables.insert(variables.end(), unknowns.begin(), unknowns.end());
  for (at::Tensor& v : variables) v = v.detach().to(at::kDouble).alias().requires_grad_();
  const auto middle = variables.begin() + inputs.size();
  const Tensors F = call.op.residual({variables.begin(), middle}, {middle, variables.end()});
  const double small = std::max(call.points.dtype == OPGEN_FLOAT32 ? 1e-4 : 1e-8, 1e3 * call.tol);
  for (const at::Tensor& f : F) {
    if (!f.requires_grad()) continue;
    at::Tensor terms = at::zeros_like(root, at::kDouble);
    f.backward(at::zeros_like(f).fill_(1), true, false, variables);
    for (at::Tensor& v : variables) {
      if (v.grad().defined()) terms += (v.grad() * v.detach()).abs();
      v.mutable_grad().reset();
    }
    root.logical_and_(f.detach().abs() <= small * terms);
  }
  return root;
}

int run(const Call& call, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* cotangents,
        const opgen_array* gradients, opgen_report* report) {
  const PlainAutograd guard;
  const AtenOperator& op = call.op;
  const int64_t nx = op.inputs.size(), ny = op.unknowns, na = op.auxiliaries;

  // Gradients per point, [size]; memory that already has this form is written directly.
  Tensors gradient(nx);
  bool wanted = false;
  for (int64_t i = 0; i < nx; ++i) {
    if (!gradients[i].data) continue;
    wanted = true;
    const at::Tensor memory = call.operand(gradients[i]).zero_();
    const bool direct = memory.numel() == call.size && memory.is_contiguous();
    gradient[i] = direct ? memory.view({call.size}) : at::zeros({call.size}, at::kDouble);
  }
  if (!wanted || call.size == 0) return OPGEN_OK;

  Tensors x(nx), y(ny), dy(ny), da(na);
  for (int64_t i = 0; i < nx; ++i) {
    TORCH_CHECK(inputs[i].data, "input ", op.inputs[i], " is missing");
    x[i] = call.lanes(inputs[i]);
  }
  for (int64_t i = 0; i < ny; ++i) {
    TORCH_CHECK(op.values || (unknowns && unknowns[i].data), "unknown ", i, " is missing");
    if (unknowns) y[i] = call.lanes(unknowns[i]);
    dy[i] = call.lanes(cotangents[i]);
  }
  for (int64_t i = 0; i < na; ++i) da[i] = call.lanes(cotangents[ny + i]);

  Failure first{};
  const int64_t chunk = std::max<int64_t>(65536, 32768 * at::get_num_threads());
  for (int64_t begin = 0; begin < call.size; begin += chunk) {
    int64_t count = std::min(chunk, call.size - begin);
    const auto slice = [&](const Tensors& all) {
      Tensors part;
      for (const at::Tensor& t : all) part.push_back(t.defined() ? t.narrow(0, begin, count) : t);
      return part;
    };
    Tensors xs = slice(x), ys = slice(y), dys = slice(dy), das = slice(da);
    for (int64_t i = 0; i < ny; ++i)
      if (!ys[i].defined()) ys[i] = columns(op.values(xs), count).select(1, i).detach();

    // Leave out the points that have no root: masking their NaN afterwards would not do, 0 * NaN is NaN.
    at::Tensor kept;
    const at::Tensor root = is_root(call, xs, ys);
    if (!root.all().item<bool>()) {
      kept = root.nonzero().squeeze(1);
      count = kept.numel();
    }
    if (count == 0) continue;
    const auto take = [&](at::Tensor t) {
      if (!t.defined()) return at::zeros({count}, at::kDouble);
      return (kept.defined() ? t.index_select(0, kept) : t).to(at::kDouble);
    };
    const auto take_all = [&](const Tensors& all) {
      Tensors part;
      for (const at::Tensor& t : all) part.push_back(take(t));
      return part;
    };

    Tensors leaves, asked;
    for (int64_t i = 0; i < nx; ++i) {
      leaves.push_back(take(xs[i]).detach());
      if (gradient[i].defined()) asked.push_back(leaves[i].requires_grad_());
    }
    at::Tensor g = columns(take_all(dys), count), failed;
    const auto add_to_gradients = [&](const at::Tensor& f, const at::Tensor& u) {
      if (f.requires_grad()) f.backward(u, /*retain_graph=*/false, /*create_graph=*/false, asked);
    };

    if (op.values) {
      const Tensors values = op.values(leaves);
      add_to_gradients(columns(values, count), g);
      if (std::any_of(das.begin(), das.end(), [](const at::Tensor& t) { return t.defined(); }))
        add_to_gradients(columns(op.auxiliary(leaves, op.values(leaves)), count), columns(take_all(das), count));
    } else {
      const at::Tensor Y = columns(take_all(ys), count).detach().requires_grad_();
      const Tensors roots = Y.unbind(1);
      if (std::any_of(das.begin(), das.end(), [](const at::Tensor& t) { return t.defined(); })) {
        const at::Tensor a = columns(op.auxiliary(leaves, roots), count), h = columns(take_all(das), count);
        g = g + pull_back(a, Y, h);
        add_to_gradients(a, h);
      }
      const at::Tensor F = columns(op.residual(leaves, roots), count);
      const Solved adjoint = solve(call, [&](const at::Tensor& u) { return pull_back(F, Y, u); }, g);
      add_to_gradients(F, -adjoint.u);

      const at::Tensor bad = (adjoint.cause > 0).nonzero().squeeze(1);
      if (bad.numel() > 0) {
        if (report->failed == 0) {
          const int64_t i = bad[0].item<int64_t>();
          report->first = begin + (kept.defined() ? kept[i].item<int64_t>() : i);
          first = {static_cast<Cause>(adjoint.cause[i].item<int64_t>()), adjoint.residual[i].item<double>(),
                   adjoint.iterations[i].item<int64_t>()};
        }
        report->failed += bad.numel();
        failed = adjoint.cause > 0;
      }
    }

    for (int64_t i = 0; i < nx; ++i) {
      if (!gradient[i].defined() || !leaves[i].grad().defined()) continue;
      at::Tensor part = leaves[i].grad(), lanes = gradient[i].narrow(0, begin, std::min(chunk, call.size - begin));
      if (failed.defined()) part = part.masked_fill(failed, 0);
      if (kept.defined()) lanes.index_copy_(0, kept, part.to(lanes.scalar_type()));
      else lanes.copy_(part);
    }
  }

  for (int64_t i = 0; i < nx; ++i) {
    if (!gradient[i].defined() || gradient[i].data_ptr() == gradients[i].data) continue;
    at::Tensor memory = call.operand(gradients[i]);
    memory.copy_(gradient[i].view(call.shape).sum_to_size(memory.sizes()));
  }
  if (report->failed == 0) return OPGEN_OK;
  describe(call, inputs, first, report);
  return call.policy == OPGEN_RAISE ? OPGEN_FAILED_POINTS : OPGEN_OK;
}

}  // namespace

int aten_adjoint(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* gradients,
                 const opgen_options* options, opgen_report* report) noexcept {
  report->failed = 0;
  report->first = -1;
  report->message[0] = '\0';
  const auto refuse = [&](const char* why) {
    std::snprintf(report->message, sizeof report->message, "%s: %s", op.name, why);
    return OPGEN_BAD_CALL;
  };
  if (points->dtype != OPGEN_FLOAT32 && points->dtype != OPGEN_FLOAT64) return refuse("the dtype is not one of ours");
  if (options->on_failure < OPGEN_RAISE || options->on_failure > OPGEN_KEEP) return refuse("unknown failure policy");
  try {
    const at::IntArrayRef shape(points->shape, points->rank);
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    const Call call{op, *points, shape, size, options->on_failure, std::max(options->tol, default_tol)};
    return run(call, inputs, unknowns, cotangents, gradients, report);
  } catch (const c10::Error& error) {
    return refuse(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return refuse(error.what());
  } catch (...) {
    return refuse("the ATen adjoint stopped for an unknown reason");
  }
}

at::Tensor constant(double value) { return at::scalar_tensor(value, at::kDouble); }

// exp(log |gamma|) has lost the sign, which changes at each pole: negative on (-1, 0), positive on (-2, -1), ...
at::Tensor gamma(const at::Tensor& x) {
  const at::Tensor v = x.detach(), below = v.floor();
  at::Tensor sign = 1 - 2 * (v < 0).logical_and(below.remainder(2) != 0).to(v.scalar_type());
  sign.masked_fill_((v <= 0).logical_and(v == below), std::numeric_limits<double>::quiet_NaN());
  return sign * x.lgamma().exp();
}

// ATen differentiates digamma by an asymptotic series that has ten digits at x = 6; sixteen steps of the recurrence
// digamma(x) = digamma(x + 1) - 1 / x take it to where it has all.
at::Tensor digamma(const at::Tensor& x) {
  at::Tensor sum = (x + 16).digamma();
  for (int i = 0; i < 16; ++i) sum = sum - (x + i).reciprocal();
  return sum;
}

at::Tensor heaviside(const at::Tensor& x, double at_zero) {
  const at::Tensor v = x.detach();
  return (v > 0).to(at::kDouble) + at_zero * (v == 0).to(at::kDouble);
}

namespace detail {

at::Tensor piecewise(const at::Tensor& condition, const Branch& then, const Branch& otherwise,
                     const Tensors& variables) {
  const at::IntArrayRef shape = variables.front().sizes();
  const at::Tensor holds = condition.expand(shape).reshape({-1});
  if (holds.all().item<bool>()) return then(variables).expand(shape);
  if (!holds.any().item<bool>()) return otherwise(variables).expand(shape);

  const auto evaluate = [&](const Branch& branch, const at::Tensor& at) {
    Tensors active;
    for (const at::Tensor& v : variables) active.push_back(v.expand(shape).reshape({-1}).index_select(0, at));
    return branch(active).expand({at.numel()});
  };
  const at::Tensor yes = holds.nonzero().squeeze(1), no = holds.logical_not().nonzero().squeeze(1);
  const at::Tensor values = at::cat({evaluate(then, yes), evaluate(otherwise, no)});
  return at::zeros({holds.numel()}, values.options()).index_copy(0, at::cat({yes, no}), values).reshape(shape);
}

}  // namespace detail
}  // namespace opgen
