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
#include <ATen/ops/arange.h>
#include <ATen/ops/broadcast_tensors.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/einsum.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/special_zeta.h>

#include "opgen/aten_arrays.h"
#include "opgen/aten_solve.h"

namespace opgen {
namespace {

// An operator at the systems of a batch, as functions of x and y that autograd can differentiate.
struct Graph {
  Tensors x;     // leaves where a derivative is wanted
  at::Tensor y;  // [count, N], a leaf: the unknowns side by side
  at::Tensor F;  // [count, N]; y - f(x) if the operator is explicit
  at::Tensor a;  // the auxiliaries side by side; undefined if there are none, or nobody asks for them

  template <class Wanted>
  Graph(const Call& call, const Batch& batch, bool auxiliary, const Wanted& wanted) : x(batch.take(call.x)) {
    const AtenOperator& op = call.op;
    const int64_t* sizes = call.points.sizes;
    for (size_t i = 0; i < x.size(); ++i)
      if (wanted(i)) x[i].requires_grad_();
    if (op.values) {
      const at::Tensor f = call.unknowns.join(op.values(x, sizes), batch.count());
      y = f.detach().clone().requires_grad_();
      F = y - f;
    } else {
      y = batch.take(call.y, call.unknowns).detach().requires_grad_();
      F = call.unknowns.join(op.residual(x, call.unknowns.split(y), sizes), batch.count());
    }
    if (auxiliary && op.auxiliaries > 0)
      a = call.auxiliaries.join(op.auxiliary(x, call.unknowns.split(y), sizes), batch.count());
  }

  Tensors variables() const {
    Tensors all = x;
    all.push_back(y);
    return all;
  }

  // Tangents of the variables: v of x, as far as they are given, and that of y.
  Tensors along(const Batch& batch, const Tensors& v, const at::Tensor& w = {}) const {
    Tensors all = batch.take(v);
    for (size_t i = 0; i < all.size(); ++i)
      if (all[i].defined()) all[i] = all[i].expand_as(x[i]);
    all.push_back(w);
    return all;
  }
};

// Solve F_y^T u = g + a_y^T h, g and h undefined if they are zero.
Solved solve_adjoint(const Call& call, const Batch& batch, const Graph& graph, const at::Tensor& g,
                     const at::Tensor& h) {
  at::Tensor b = g.defined() ? g : at::zeros_like(graph.y);
  if (h.defined()) b = b + pull_back(graph.a, h, graph.y);
  const auto product = [&](const at::Tensor& u) { return pull_back(graph.F, u, graph.y); };
  return solve(call, batch, Matrix::transposed, product, b, /*prove=*/true);
}

// Solve F_y w = -F_x v; `along` are the tangents of x, and an undefined one that stands for y's.
Solved solve_tangent(const Call& call, const Batch& batch, const Graph& graph, const Tensors& along, bool prove) {
  const PushForward push(graph.F, graph.variables());
  const at::Tensor b = -push(along);
  const auto product = [&](const at::Tensor& w) {
    Tensors of_y(along.size());
    of_y.back() = w;
    return push(of_y);
  };
  return solve(call, batch, Matrix::forward, product, b, prove);
}

// The cotangents of a call.
struct Cotangents {
  Tensors g, h;  // of unknowns and auxiliaries

  Cotangents(const Call& call, const opgen_array* arrays)
      : g(call.lanes(arrays, call.unknowns)), h(call.lanes(arrays + g.size(), call.auxiliaries)) {}
};

int adjoint(Call& call, const opgen_array* inputs, const opgen_array* cotangents, const opgen_array* gradients,
            opgen_report* report) {
  const Cotangents given(call, cotangents);
  Results results(call, gradients, {&call.inputs});
  if (!results.wanted()) return OPGEN_OK;
  call.repeat_inputs(gradients);
  Failures failures(report);
  for_batches(call, [&](const Batch& batch) -> at::Tensor {
    const at::Tensor g = batch.take(given.g, call.unknowns), h = batch.take(given.h, call.auxiliaries);
    const Graph graph(call, batch, h.defined(), [&](size_t i) { return results.wanted(i); });
    const Solved u = solve_adjoint(call, batch, graph, g, h);
    if (const at::Tensor failed = failures.note(batch, {u}); failed.defined()) return failed;
    Tensors asked;
    for (const at::Tensor& x : graph.x)
      if (x.requires_grad()) asked.push_back(x);
    const Tensors parts = pull_back({graph.F, graph.a}, {-u.solution, h}, asked);
    for (size_t i = 0, at = 0; i < graph.x.size(); ++i)
      if (results.wanted(i)) results.put(batch, i, parts[at++]);
    return {};
  });
  results.finish();
  return failures.conclude(call, inputs);
}

int tangent(Call& call, const opgen_array* inputs, const opgen_array* tangents, const opgen_array* outputs,
            opgen_report* report) {
  const Tensors v = call.lanes(tangents, call.inputs);
  Results results(call, outputs, {&call.unknowns, &call.auxiliaries});
  call.repeat_inputs(tangents);
  Failures failures(report);
  for_batches(call, [&](const Batch& batch) -> at::Tensor {
    const Graph graph(call, batch, true, [](size_t) { return true; });
    const Solved w = solve_tangent(call, batch, graph, graph.along(batch, v), /*prove=*/true);
    if (const at::Tensor failed = failures.note(batch, {w}); failed.defined()) return failed;
    size_t i = 0;
    for (const at::Tensor& moved : call.unknowns.split(w.solution)) results.put(batch, i++, moved);
    if (!graph.a.defined()) return {};
    const at::Tensor moved_a = PushForward(graph.a, graph.variables())(graph.along(batch, v, w.solution));
    for (const at::Tensor& moved : call.auxiliaries.split(moved_a)) results.put(batch, i++, moved);
    return {};
  });
  results.finish();
  return failures.conclude(call, inputs);
}

int second(Call& call, const opgen_array* inputs, const opgen_array* cotangents, const opgen_array* tangents,
           const opgen_array* gradients, opgen_report* report) {
  const Cotangents given(call, cotangents);
  const Tensors v = call.lanes(tangents, call.inputs);
  Results results(call, gradients, {&call.inputs});
  if (!results.wanted()) return OPGEN_OK;
  call.repeat_inputs(tangents);
  call.repeat_inputs(gradients);
  Failures failures(report);
  for_batches(call, [&](const Batch& batch) -> at::Tensor {
    const at::Tensor g = batch.take(given.g, call.unknowns), h = batch.take(given.h, call.auxiliaries);
    const Graph graph(call, batch, h.defined(), [](size_t) { return true; });
    const Solved u = solve_adjoint(call, batch, graph, g, h);
    const Solved w = solve_tangent(call, batch, graph, graph.along(batch, v), /*prove=*/false);

    // S_x and S_y; L, but for g^T w, is their product with v and w.
    const Tensors variables = graph.variables();
    const Tensors S = pull_back({graph.F, graph.a}, {-u.solution, h}, variables, /*differentiable=*/true);
    const Tensors L = pull_back(S, graph.along(batch, v, w.solution), variables);
    const LinearMap product = [&](const at::Tensor& p) { return pull_back(graph.F, p, graph.y); };
    const Solved p = solve(call, batch, Matrix::transposed, product, L.back(), /*prove=*/false);
    if (const at::Tensor failed = failures.note(batch, {u, w, p}); failed.defined()) return failed;
    const Tensors through = pull_back({graph.F}, {-p.solution}, graph.x);
    for (size_t i = 0; i < graph.x.size(); ++i) results.put(batch, i, L[i] + through[i]);
    return {};
  });
  results.finish();
  return failures.conclude(call, inputs);
}

// Make a call of plain C into ours, f(call), and what is thrown into a status.
template <class F>
int guarded(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,
            const opgen_options* options, const opgen_preconditioner* preconditioner, opgen_report* report,
            const F& f) noexcept {
  report->failed = 0;
  report->first = -1;
  report->message[0] = '\0';
  const auto refuse = [&](const char* why) {
    std::snprintf(report->message, sizeof report->message, "%s: %s", op.name, why);
    return OPGEN_BAD_CALL;
  };
  if (points->dtype != OPGEN_FLOAT32 && points->dtype != OPGEN_FLOAT64) return refuse("the dtype is not one of ours");
  if (options->on_failure < OPGEN_RAISE || options->on_failure > OPGEN_KEEP) return refuse("unknown failure policy");
  for (const Core& core : op.cores)
    for (int d = 0; d < core.rank; ++d)
      if (core.axes[d].dimension >= 0 && !points->sizes) return refuse("the sizes of its dimensions are missing");
  try {
    const PlainAutograd guard;
    const at::IntArrayRef shape(points->shape, points->rank);
    int64_t size = 1;
    for (const int64_t extent : shape) size *= extent;
    const size_t n = op.inputs.size();
    const auto fields = [&](size_t from, size_t count) { return Fields(op, from, count, points->sizes); };
    Call call{op, *points, preconditioner, shape, size, options->on_failure, std::max(options->tol, default_tol),
              fields(0, n), fields(n, op.unknowns), fields(n + op.unknowns, op.auxiliaries)};
    for (size_t i = 0; i < n && size > 0; ++i) TORCH_CHECK(inputs[i].data, "input ", op.inputs[i], " is missing");
    for (int i = 0; i < op.unknowns && size > 0; ++i)
      TORCH_CHECK(op.values || (unknowns && unknowns[i].data), "unknown ", i, " is missing");
    call.x = call.lanes(inputs, call.inputs);
    call.y = unknowns ? call.lanes(unknowns, call.unknowns) : Tensors(op.unknowns);
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
                 const opgen_options* options, const opgen_preconditioner* preconditioner,
                 opgen_report* report) noexcept {
  return guarded(op, points, inputs, unknowns, options, preconditioner, report,
                 [&](Call& call) { return adjoint(call, inputs, cotangents, gradients, report); });
}

int aten_tangent(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                 const opgen_array* unknowns, const opgen_array* tangents, const opgen_array* outputs,
                 const opgen_options* options, const opgen_preconditioner* preconditioner,
                 opgen_report* report) noexcept {
  return guarded(op, points, inputs, unknowns, options, preconditioner, report,
                 [&](Call& call) { return tangent(call, inputs, tangents, outputs, report); });
}

int aten_second(const AtenOperator& op, const opgen_points* points, const opgen_array* inputs,
                const opgen_array* unknowns, const opgen_array* cotangents, const opgen_array* tangents,
                const opgen_array* gradients, const opgen_options* options, const opgen_preconditioner* preconditioner,
                opgen_report* report) noexcept {
  return guarded(op, points, inputs, unknowns, options, preconditioner, report,
                 [&](Call& call) { return second(call, inputs, cotangents, tangents, gradients, report); });
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
  at::Tensor widest = condition;
  for (const at::Tensor& v : variables) widest = at::broadcast_tensors({widest, v})[0];
  const at::IntArrayRef shape = widest.sizes();
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

// Arrays.

namespace {

int64_t length(const Loop& loop) { return std::max<int64_t>(0, loop.stop - loop.start); }

// The place inside a grid of n points of which position `at` is an image, as the kernel has it; -1 if it is an image of none.
int64_t inside(int64_t at, int64_t n, Outside kind) {
  if (kind == Outside::periodic) return (at % n + n) % n;
  if (kind != Outside::face && kind != Outside::node) return -1;
  const int64_t shift = kind == Outside::face, period = 2 * (n - 1 + shift);
  if (period == 0) return 0;
  const int64_t image = (at < 0 ? -at - shift : at) % period;  // a grid narrower than the halo mirrors again
  return image < n ? image : period - shift - image;
}

at::Tensor selected(const at::Tensor& values, int64_t dim, const std::vector<int64_t>& places) {
  const auto count = static_cast<int64_t>(places.size());
  return values.index_select(
      dim, at::from_blob(const_cast<int64_t*>(places.data()), {count}, at::TensorOptions(at::kLong)).clone());
}

// The slab of an array at `begin` ... `begin + halo - 1` along an axis, outside one of its ends.
at::Tensor slab(const Array& array, int axis, const Side& side, int64_t begin, bool low) {
  const int64_t dim = axis + 1, n = array.values.size(dim);
  std::vector<int64_t> images, distances;
  for (int64_t k = 0; k < side.halo; ++k) {
    images.push_back(n > 0 ? inside(begin + k, n, side.kind) : -1);
    distances.push_back(low ? side.halo - 1 - k : k);
  }
  at::Tensor values;
  if (side.halo > 0 && images[0] >= 0) values = selected(array.values, dim, images);
  if (side.value.defined()) {
    at::Tensor added = selected(side.value, 1, distances);
    for (int d = 0, own = 2; d + 1 < array.values.dim(); ++d) {  // beyond a corner the nearest value is taken
      if (d == axis) continue;
      const int64_t count = added.size(own), whole = array.values.size(d + 1), before = array.origin[d];
      std::vector<int64_t> places;
      for (int64_t p = 0; p < whole; ++p) places.push_back(std::clamp<int64_t>(p - before, 0, std::max<int64_t>(count - 1, 0)));
      if (whole != count) added = selected(added, own, places);
      ++own;
    }
    added = added.movedim(1, dim);
    values = values.defined() ? values.add(added) : added;
  }
  if (values.defined()) return values;
  std::vector<int64_t> shape = array.values.sizes().vec();
  shape[dim] = side.halo;
  return at::zeros(shape, array.values.options());
}

}  // namespace

at::Tensor read(const Array& array, const Loops& loops, const std::vector<Position>& at) {
  at::Tensor values = array.values;
  std::vector<int64_t> dims(loops.size(), -1);  // the dimension of `values` along each loop
  for (size_t axis = 0, dim = 1; axis < at.size(); ++axis) {
    const int64_t first = array.origin[axis] + at[axis].shift;
    if (at[axis].loop < 0) {
      values = values.select(dim, first);
      continue;
    }
    const Loop& loop = loops[at[axis].loop];
    const int64_t begin = first + loop.start;
    if (begin != 0 || length(loop) != values.size(dim)) values = values.narrow(dim, begin, length(loop));
    int64_t& own = dims[at[axis].loop];
    if (own < 0) {
      own = dim++;
      continue;
    }
    // The second axis along the same loop: what is read is a diagonal, which diagonal() puts last.
    values = values.diagonal(0, own, dim).movedim(-1, own);
  }
  std::vector<int64_t> order{0}, shape{values.size(0)};
  for (size_t i = 0; i < loops.size(); ++i) {
    if (dims[i] >= 0) order.push_back(dims[i]);
    shape.push_back(dims[i] >= 0 ? values.size(dims[i]) : 1);
  }
  return values.permute(order).reshape(shape);
}

at::Tensor index(const Loops& loops, int loop) {
  std::vector<int64_t> shape(loops.size() + 1, 1);
  const auto [start, stop] = loops[loop];
  shape[loop + 1] = length(loops[loop]);
  return at::arange(start, std::max(start, stop), at::kDouble).reshape(shape);
}

at::Tensor filled(const at::Tensor& value, const Loops& loops) {
  std::vector<int64_t> shape{value.dim() > 0 ? value.size(0) : 1};
  for (const Loop& loop : loops) shape.push_back(length(loop));
  return value.expand(shape);
}

at::Tensor sum(const at::Tensor& value, const Loops& loops, int rank) {
  std::vector<int64_t> over;
  for (int64_t dim = rank + 1; dim <= static_cast<int64_t>(loops.size()); ++dim) over.push_back(dim);
  return filled(value, loops).sum(over);
}

at::Tensor contract(const std::vector<at::Tensor>& factors, const Loops& loops, int rank) {
  // Axes of length 1 are left out, so that what all systems share is multiplied with all at once.
  Tensors operands;
  std::string equation, present;
  for (const at::Tensor& factor : factors) {
    std::vector<int64_t> shape;
    if (!operands.empty()) equation += ',';
    for (int64_t dim = 0; dim < factor.dim(); ++dim) {
      if (factor.size(dim) == 1) continue;
      shape.push_back(factor.size(dim));
      equation += static_cast<char>('a' + dim);
    }
    operands.push_back(factor.reshape(shape));
  }
  equation += "->";
  std::vector<int64_t> full;
  for (int64_t dim = 0; dim <= rank; ++dim) {
    int64_t extent = 1;
    for (const at::Tensor& factor : factors)
      if (dim < factor.dim() && factor.size(dim) != 1) extent = factor.size(dim);
    if (extent != 1) equation += static_cast<char>('a' + dim);
    full.push_back(extent);
  }
  return filled(at::einsum(equation, operands).reshape(full), {loops.begin(), loops.begin() + rank});
}

at::Tensor only(const at::Tensor& condition, const at::Tensor& value) { return at::where(condition, value, 0.0); }

Array extended(const Array& array, int axis, const Side& low, const Side& high) {
  Array made = array;
  made.origin[axis] += low.halo;
  const auto zero = [](const Side& side) {
    return side.halo == 0 || (side.kind == Outside::dirichlet && !side.value.defined());
  };
  const int64_t dim = axis + 1, n = array.values.size(dim);
  if (zero(low) && zero(high)) {
    std::vector<int64_t> pad(2 * (array.values.dim() - dim), 0);
    pad[pad.size() - 2] = low.halo;
    pad[pad.size() - 1] = high.halo;
    made.values = at::constant_pad_nd(array.values, pad, 0);
    return made;
  }
  Tensors parts{slab(array, axis, low, -low.halo, true), array.values, slab(array, axis, high, n, false)};
  // A value outside may be that of each system though the array is the same for all, and the other way round.
  int64_t systems = 1;
  for (const at::Tensor& part : parts) systems = std::max(systems, part.size(0));
  for (at::Tensor& part : parts)
    if (part.size(0) != systems) {
      std::vector<int64_t> shape = part.sizes().vec();
      shape[0] = systems;
      part = part.expand(shape);
    }
  made.values = at::cat(parts, dim);
  return made;
}

}  // namespace formula
}  // namespace opgen
