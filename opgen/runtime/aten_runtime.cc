// The derivatives of an operator whose residual is written in ATen; compiled once per torch, linked into every one.
//
// At a root F(x, y) = 0. Outputs are y and the auxiliaries a(x, y), with cotangents g and h. F_x dx + F_y dy = 0, so
//
//     the tangent w of y along dx = v:      F_y w = -F_x v
//     the adjoint u:                        F_y^T u = g + a_y^T h,      dJ/dx = a_x^T h - F_x^T u
//
// For second derivatives let S = h^T a - u^T F with u and h fixed. Cotangents paired with tangents give
//
//     L = g^T w + h^T (a_x v + a_y w) - u^T (F_x v + F_y w) = g^T w + S_x v + S_y w,
//
// the terms with u being zero in sum. By w it changes by g + a_y^T h - F_y^T u = 0, and by u by -(F_x v + F_y w) = 0:
// both can be held fixed when it is differentiated by x. Then g^T w drops out, and what is left is
//
//     L_x + (dy/dx)^T L_y = L_x - F_x^T p,      F_y^T p = L_y.
//
// F_y is never formed. F_y^T u is one backward pass through F with u as its cotangent, from F to y; F_x^T u is another,
// from F to x; F_y w is one through the graph of such a pass; L_x and L_y are one through the graph of S_x and S_y.
#include <ATen/ops/cat.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/special_zeta.h>

#include "opgen/aten_functions.h"
#include "opgen/aten_solve.h"

namespace opgen {
namespace {

// An operator at the points of a batch, as functions of x and y that autograd can differentiate.
struct Graph {
  Tensors x;     // [count] each; leaves where a derivative is wanted
  at::Tensor y;  // [count, k], a leaf
  at::Tensor F;  // [count, k]; y - f(x) if the operator is explicit
  at::Tensor a;  // [count, m]; undefined if there are no auxiliaries, or nobody asks for them

  template <class Wanted>
  Graph(const Call& call, const Batch& batch, bool auxiliary, const Wanted& wanted) : x(batch.take(call.x)) {
    const AtenOperator& op = call.op;
    for (size_t i = 0; i < x.size(); ++i)
      if (wanted(i)) x[i].requires_grad_();
    if (op.values) {
      const at::Tensor f = columns(op.values(x), batch.count());
      y = f.detach().clone().requires_grad_();
      F = y - f;
    } else {
      y = columns(batch.take(call.y), batch.count()).requires_grad_();
      F = columns(op.residual(x, y.unbind(1)), batch.count());
    }
    if (auxiliary && op.auxiliaries > 0) a = columns(op.auxiliary(x, y.unbind(1)), batch.count());
  }

  Tensors variables() const {
    Tensors all = x;
    all.push_back(y);
    return all;
  }
};

// Solve F_y^T u = g + a_y^T h, h undefined if it is zero.
Solved solve_adjoint(const Call& call, const Graph& graph, at::Tensor g, const at::Tensor& h) {
  if (h.defined()) g = g + pull_back(graph.a, h, graph.y);
  return solve(call, [&](const at::Tensor& u) { return pull_back(graph.F, u, graph.y); }, g, /*prove=*/true);
}

// Solve F_y w = -F_x v; v are the tangents of x, and an undefined one that stands for y's.
Solved solve_tangent(const Call& call, const Graph& graph, Tensors v, bool prove) {
  const PushForward push(graph.F, graph.variables());
  const at::Tensor b = -push(v);
  const auto product = [&](const at::Tensor& w) {
    Tensors along(v.size());
    along.back() = w;
    return push(along);
  };
  return solve(call, product, b, prove);
}

int adjoint(const Call& call, const opgen_array* inputs, const opgen_array* cotangents, const opgen_array* gradients,
            opgen_report* report) {
  const int64_t n = call.x.size(), k = call.op.unknowns;
  const Tensors g = call.lanes(cotangents, k), h = call.lanes(cotangents + k, call.op.auxiliaries);
  Results results(call, gradients, n);
  if (!results.wanted()) return OPGEN_OK;
  Failures failures(report);
  for_batches(call, [&](const Batch& batch) {
    const at::Tensor hs = batch.take_columns(h);
    const Graph graph(call, batch, hs.defined(), [&](int64_t i) { return results.wanted(i); });
    const Solved u = solve_adjoint(call, graph, columns(batch.take(g), batch.count()), hs);
    const at::Tensor failed = failures.note(batch, {u});
    Tensors asked;
    for (const at::Tensor& x : graph.x)
      if (x.requires_grad()) asked.push_back(x);
    const Tensors parts = pull_back({graph.F, graph.a}, {-u.solution, hs}, asked);
    for (int64_t i = 0, at = 0; i < n; ++i)
      if (results.wanted(i)) results.put(batch, i, parts[at++], failed);
  });
  results.finish();
  return failures.conclude(call, inputs);
}

int tangent(const Call& call, const opgen_array* inputs, const opgen_array* tangents, const opgen_array* outputs,
            opgen_report* report) {
  const int64_t n = call.x.size(), k = call.op.unknowns, m = call.op.auxiliaries;
  const Tensors v = call.lanes(tangents, n);
  Results results(call, outputs, k + m);
  Failures failures(report);
  for_batches(call, [&](const Batch& batch) {
    const Graph graph(call, batch, true, [](int64_t) { return true; });
    Tensors along = batch.take(v);
    along.emplace_back();
    const Solved w = solve_tangent(call, graph, along, /*prove=*/true);
    const at::Tensor failed = failures.note(batch, {w});
    along.back() = w.solution;
    const at::Tensor moved = m > 0 ? PushForward(graph.a, graph.variables())(along) : at::Tensor();
    for (int64_t i = 0; i < k; ++i) results.put(batch, i, w.solution.select(1, i), failed);
    for (int64_t i = 0; i < m; ++i) results.put(batch, k + i, moved.select(1, i), failed);
  });
  results.finish();
  return failures.conclude(call, inputs);
}

int second(const Call& call, const opgen_array* inputs, const opgen_array* cotangents, const opgen_array* tangents,
           const opgen_array* gradients, opgen_report* report) {
  const int64_t n = call.x.size(), k = call.op.unknowns;
  const Tensors g = call.lanes(cotangents, k), h = call.lanes(cotangents + k, call.op.auxiliaries);
  const Tensors v = call.lanes(tangents, n);
  Results results(call, gradients, n);
  if (!results.wanted()) return OPGEN_OK;
  Failures failures(report);
  for_batches(call, [&](const Batch& batch) {
    const at::Tensor hs = batch.take_columns(h);
    const Graph graph(call, batch, hs.defined(), [](int64_t) { return true; });
    const Solved u = solve_adjoint(call, graph, columns(batch.take(g), batch.count()), hs);
    Tensors along = batch.take(v);
    along.emplace_back();
    const Solved w = solve_tangent(call, graph, along, /*prove=*/false);
    along.back() = w.solution;

    // S_x and S_y; L, but for g^T w, is their product with v and w.
    const Tensors variables = graph.variables();
    const Tensors S = pull_back({graph.F, graph.a}, {-u.solution, hs}, variables, /*differentiable=*/true);
    const Tensors L = pull_back(S, along, variables);
    const LinearMap product = [&](const at::Tensor& p) { return pull_back(graph.F, p, graph.y); };
    const Solved p = solve(call, product, L.back(), /*prove=*/false);
    const at::Tensor failed = failures.note(batch, {u, w, p});
    const Tensors through = pull_back({graph.F}, {-p.solution}, graph.x);
    for (int64_t i = 0; i < n; ++i) results.put(batch, i, L[i] + through[i], failed);
  });
  results.finish();
  return failures.conclude(call, inputs);
}

// Make a call of plain C into ours, f(call), and what is thrown into a status.
template <class F>
int guarded(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,
            const opgen_options* options, opgen_report* report, const F& f) noexcept {
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
    const PlainAutograd guard;
    const at::IntArrayRef shape(points->shape, points->rank);
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    Call call{op, *points, shape, size, options->on_failure, std::max(options->tol, default_tol), {}, {}};
    for (size_t i = 0; i < op.inputs.size() && size > 0; ++i)
      TORCH_CHECK(inputs[i].data, "input ", op.inputs[i], " is missing");
    for (int i = 0; i < op.unknowns && size > 0; ++i)
      TORCH_CHECK(op.values || (unknowns && unknowns[i].data), "unknown ", i, " is missing");
    call.x = call.lanes(inputs, op.inputs.size());
    call.y = unknowns ? call.lanes(unknowns, op.unknowns) : Tensors(op.unknowns);
    return f(call);
  } catch (const c10::Error& error) {
    return refuse(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return refuse(error.what());
  } catch (...) {
    return refuse("the ATen half stopped for an unknown reason");
  }
}

}  // namespace

int aten_adjoint(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* gradients,
                 const opgen_options* options, opgen_report* report) noexcept {
  return guarded(op, points, inputs, unknowns, options, report,
                 [&](const Call& call) { return adjoint(call, inputs, cotangents, gradients, report); });
}

int aten_tangent(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* tangents, const opgen_array* outputs,
                 const opgen_options* options, opgen_report* report) noexcept {
  return guarded(op, points, inputs, unknowns, options, report,
                 [&](const Call& call) { return tangent(call, inputs, tangents, outputs, report); });
}

int aten_second(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* tangents,
                const opgen_array* gradients, const opgen_options* options, opgen_report* report) noexcept {
  return guarded(op, points, inputs, unknowns, options, report,
                 [&](const Call& call) { return second(call, inputs, cotangents, tangents, gradients, report); });
}

namespace formula {

at::Tensor constant(double value) { return at::scalar_tensor(value, at::kDouble); }

#define UNARY(name) at::Tensor name(const at::Tensor& x) { return x.name(); }
OPGEN_ATEN_UNARY(UNARY)

// The same of two arguments: a number on the right is passed as it is or, where there is no such method, as a tensor.
#define BINARY(name, method, number)                                                \
  at::Tensor name(const at::Tensor& a, const at::Tensor& b) { return a.method(b); } \
  at::Tensor name(const at::Tensor& a, double b) { return a.method(number(b)); }    \
  at::Tensor name(double a, const at::Tensor& b) { return constant(a).method(b); }
BINARY(operator+, add, double)
BINARY(operator-, sub, double)
BINARY(operator*, mul, double)
BINARY(operator/, div, double)
BINARY(pow, pow, double)
BINARY(remainder, remainder, double)
BINARY(atan2, atan2, constant)
BINARY(max, maximum, constant)
BINARY(min, minimum, constant)
BINARY(operator>, gt, double)
BINARY(operator>=, ge, double)
BINARY(operator<, lt, double)
BINARY(operator<=, le, double)
BINARY(operator==, eq, double)
BINARY(operator!=, ne, double)
at::Tensor operator!(const at::Tensor& x) { return x.logical_not(); }
at::Tensor operator&&(const at::Tensor& a, const at::Tensor& b) { return a.logical_and(b); }
at::Tensor operator||(const at::Tensor& a, const at::Tensor& b) { return a.logical_or(b); }

// From here on two tensors are joined by methods: operators would be ambiguous with ATen's, which this file knows.
at::Tensor sinc(const at::Tensor& x) { return (x / M_PI).sinc(); }  // ATen's is sin(pi x) / (pi x)

// exp(log |gamma|) has lost the sign, which changes at each pole: negative on (-1, 0), positive on (-2, -1), ...
at::Tensor gamma(const at::Tensor& x) {
  const at::Tensor v = x.detach(), below = v.floor();
  at::Tensor sign = 1 - 2 * (v < 0).logical_and(below.remainder(2) != 0).to(v.scalar_type());
  sign.masked_fill_((v <= 0).logical_and(v.eq(below)), NAN);
  return loggamma(x).exp().mul(sign);
}

// ATen differentiates lgamma twice by the series of digamma's derivative, below, so the derivatives are taken from
// log |gamma(x + 16)| - log |x (x + 1) ... (x + 15)|, which as a value would lose digits.
at::Tensor loggamma(const at::Tensor& x) {
  if (!x.requires_grad()) return x.lgamma();
  at::Tensor same = (x + 16).lgamma();
  for (int i = 0; i < 16; ++i) same = same.sub((x + i).abs().log());
  return x.detach().lgamma().add(same.sub(same.detach()));
}

// ATen differentiates digamma by an asymptotic series that has ten digits at x = 6; sixteen steps of the recurrence
// digamma(x) = digamma(x + 1) - 1 / x take it to where it has all.
at::Tensor digamma(const at::Tensor& x) {
  at::Tensor sum = (x + 16).digamma();
  for (int i = 0; i < 16; ++i) sum = sum.sub((x + i).reciprocal());
  return sum;
}

at::Tensor trigamma(const at::Tensor& x) { return at::special_zeta(2, x); }  // ATen's polygamma(1, x) is that series
at::Tensor polygamma(int order, const at::Tensor& x) { return x.polygamma(order); }

at::Tensor heaviside(const at::Tensor& x, double at_zero) {
  const at::Tensor v = x.detach();
  return (v > 0).to(at::kDouble).add((v == 0).to(at::kDouble) * at_zero);
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
}  // namespace formula
}  // namespace opgen
