// The Jacobian of fields on a grid of two or three axes: a stencil.
#ifndef OPGEN_COUPLED_STENCIL_H
#define OPGEN_COUPLED_STENCIL_H

#include <opgen/coupled/jacobian.h>
#include <opgen/linear/krylov.h>
#include <opgen/linear/multigrid.h>
#ifdef OPGEN_SPARSE
#include <opgen/linear/sparse.h>
#endif

#include <algorithm>
#include <deque>

namespace opgen::coupled {

// Conjugate gradients if the stencil is symmetric, else GMRES, preconditioned by a multigrid cycle. The transposed systems are
// those of the transposed matrix, with a multigrid of its own. Where the iteration stalls, sparse factors.
template <class Op>
class StencilJacobian {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns;

  StencilJacobian(System<Op>& system, const Slopes<Op>& slopes) : system_(system), slopes_(slopes) {
    const Core& core = Op::arrays[n].core;
    linear::Grid& grid = matrix_.grid;
    grid.rank = core.rank;
    for (int d = 0; d < core.rank; ++d) {
      grid.extent[d] = extent(core.axes[d], system.sizes());
      grid.periodic[d] = Op::arrays[n].side[d][0].kind == Outside::periodic;
    }
    matrix_.fields = k;
    points_ = grid.points();
    for (int u = 0; u < k; ++u) {
      for (int d = 0; d < core.rank; ++d) {
        for (int end = 0; end < 2; ++end) {
          const Outside kind = Op::arrays[n + u].side[d][end].kind;
          mirrored_ = mirrored_ || kind == Outside::face || kind == Outside::node;
        }
      }
    }
    for (const Slope& slope : slopes.all()) {
      linear::Coefficient c;
      c.row = slope.row, c.column = slope.read->array - n;
      for (int d = 0; d < core.rank; ++d) c.offset[d] = static_cast<int>(slope.read->shift[d]);
      c.data = slope.data, c.constant = slope.uniform;
      matrix_.coefficients.push_back(c);
    }
  }

  bool factor() {
    if (mirrored_) fold();
    forward_.fresh = backward_.fresh = factored_ = false;
    return finite();
  }
  bool factor_and_solve(const double* b, double* x, double tol) { return factor() && solve(b, x, tol); }

  // x = (J + shift |diagonal|)^-1 b, with the diagonal's own signs.
  bool shifted_solve(double shift, const double* b, double* x) {
    if (!factor()) return false;
    linear::StencilMatrix kept = matrix_;
    std::deque<std::vector<double>> raised;
    for (linear::Coefficient& c : matrix_.coefficients) {
      if (c.row != c.column || c.offset[0] != 0 || c.offset[1] != 0 || c.offset[2] != 0) continue;
      std::vector<double>& own = raised.emplace_back(static_cast<size_t>(points_));
      for (int64_t p = 0; p < points_; ++p) own[static_cast<size_t>(p)] = (c.constant ? *c.data : c.data[p]) * (1 + shift);
      c.data = own.data(), c.constant = false;
    }
    const bool solved = solve(b, x, 1e-4);
    matrix_ = kept;
    forward_.fresh = backward_.fresh = factored_ = false;
    return solved;
  }

  // x may be b.
  bool solve(const double* b, double* x, double tol) { return krylov(matrix_, forward_, b, x, tol); }
  bool solve_transposed(const double* b, double* x, double tol) {
    if constexpr (Op::symmetric) {
      return solve(b, x, tol);
    } else {
      return krylov(transposed(), backward_, b, x, tol);
    }
  }
  bool precondition(bool transpose, const double* r, double* z) {
    if (transpose && !Op::symmetric) return cycle(transposed(), backward_, r, z);
    return cycle(matrix_, forward_, r, z);
  }

  // A field whose values are fixed nowhere: a constant is in the null space of F_y or of its transpose.
  bool is_doubtful() { return is_singular(); }
  bool is_singular() {
    return has_null_constant(matrix_) || (!Op::symmetric && has_null_constant(transposed()));
  }
  int64_t iterations() const { return iterations_; }

 private:
  static constexpr int64_t largest_direct = int64_t{1} << 18;  // unknowns; beyond, factors take gigabytes

  struct Side {
    linear::Multigrid multigrid;
    bool fresh = false, usable = false;
  };

  bool prepare(const linear::StencilMatrix& matrix, Side& side) {
    if (!side.fresh) {
      side.usable = side.multigrid.setup(matrix, system_.threads());
      side.fresh = true;
    }
    return side.usable;
  }

  bool cycle(const linear::StencilMatrix& matrix, Side& side, const double* r, double* z) {
    if (!prepare(matrix, side)) return false;
    side.multigrid.cycle(r, z);
    return true;
  }

  bool krylov(const linear::StencilMatrix& matrix, Side& side, const double* b, double* x, double tol) {
    if (b == x) {
      copy_.assign(b, b + matrix.unknowns());
      b = copy_.data();
    }
    const int threads = system_.threads();
    const auto apply = [&](const double* v, double* product) { linear::multiply(matrix, v, product, threads); };
    linear::KrylovOptions options;
    options.tol = tol, options.threads = threads, options.restart = 30, options.max_iterations = 60;
    iterations_ = 0;
    // What rounding lets a residual reach, |A| |x| eps; less can be asked for, but not had.
    const double size = matrix_size(matrix), length = linear::norm(b, matrix.unknowns(), threads);
    const auto enough = [&](const linear::Outcome& outcome) {
      if (outcome.status == linear::Outcome::converged || length == 0) return true;
      return outcome.residual <= 32 * rounding * size * linear::norm(x, matrix.unknowns(), threads) / length;
    };
    const auto run = [&](const auto& precondition) {
      linear::Outcome outcome{};
      if constexpr (Op::symmetric) {
        outcome = linear::conjugate_gradients(matrix.unknowns(), apply, precondition, b, x, options, workspace_);
        iterations_ += outcome.iterations;
        if (enough(outcome)) return true;
      }
      options.max_iterations = 300;
      outcome = linear::gmres(matrix.unknowns(), apply, precondition, b, x, options, workspace_);
      iterations_ += outcome.iterations;
      return enough(outcome);
    };
    if (prepare(matrix, side) && run([&](const double* r, double* z) { side.multigrid.cycle(r, z); })) return true;
    if (direct(&matrix == &transposed_.matrix(), b, x)) return true;
    return run(linear::NoPreconditioner{});
  }

  // By sparse factors of F_y, which serve both ways.
  bool direct([[maybe_unused]] bool transpose, [[maybe_unused]] const double* b, [[maybe_unused]] double* x) {
#ifdef OPGEN_SPARSE
    if (matrix_.unknowns() > largest_direct) return false;
    if (!factored_) usable_ = sparse_.factor(matrix_);
    factored_ = true;
    return usable_ && sparse_.solve(transpose, b, x);
#else
    return false;
#endif
  }

  const linear::StencilMatrix& transposed() {
    if (!backward_.fresh) transposed_.set(matrix_, system_.threads());
    return transposed_.matrix();
  }

  // Adds what a mirror shows to the coefficient of the place of which it is the image. Then every coefficient has its own array.
  void fold() {
    const int rank = matrix_.grid.rank;
    owned_.clear();
    matrix_.coefficients.clear();
    const auto find = [&](int row, int column, const int64_t* offset) -> double* {
      for (size_t c = 0; c < matrix_.coefficients.size(); ++c) {
        const linear::Coefficient& own = matrix_.coefficients[c];
        bool same = own.row == row && own.column == column;
        for (int d = 0; d < rank; ++d) same = same && own.offset[d] == offset[d];
        if (same) return owned_[c].data();
      }
      linear::Coefficient made;
      made.row = row, made.column = column, made.constant = false;
      for (int d = 0; d < rank; ++d) made.offset[d] = static_cast<int>(offset[d]);
      owned_.emplace_back(static_cast<size_t>(points_), 0.0);
      made.data = owned_.back().data();
      matrix_.coefficients.push_back(made);
      return owned_.back().data();
    };
    for (const Slope& slope : slopes_.all()) {
      double* const own = find(slope.row, slope.read->array - n, slope.read->shift);
      for (int64_t p = 0; p < points_; ++p) own[p] += slope.at(p);
    }
    for (const Slope& slope : slopes_.all()) {
      const Array& info = Op::arrays[slope.read->array];
      slopes_.each_point(slope.row, [&](const int64_t* index, int64_t point) {
        int64_t offset[max_rank] = {};
        bool outside = false, seen = true;
        for (int d = 0; d < rank; ++d) {
          const int64_t at = index[d] + slope.read->shift[d], length = matrix_.grid.extent[d];
          offset[d] = slope.read->shift[d];
          if ((at < 0 || at >= length) && info.side[d][at < 0 ? 0 : 1].kind != Outside::periodic) {
            const int64_t image = inside(info.side[d], at, length);
            outside = true, seen = seen && image >= 0;
            offset[d] = image - index[d];
          }
        }
        if (outside && seen) find(slope.row, slope.read->array - n, offset)[point] += slope.at(point);
      });
    }
  }

  // About |A|: the sum of the largest coefficients.
  double matrix_size(const linear::StencilMatrix& matrix) const {
    double size = 0;
    for (const linear::Coefficient& c : matrix.coefficients) {
      size += largest(c.constant ? 1 : points_, [&](int64_t p) { return std::fabs(c.data[p]); });
    }
    return size;
  }

  bool finite() const {
    double sum = 0;
    for (const linear::Coefficient& c : matrix_.coefficients) {
      const int64_t length = c.constant ? 1 : points_;
      for (int64_t p = 0; p < length; ++p) sum += c.data[p] * 0.0;
    }
    return sum == 0;
  }

  bool has_null_constant(const linear::StencilMatrix& matrix) const {
    const auto total = static_cast<size_t>(matrix.unknowns());
    std::vector<double> ones(total, 1.0), sums(total), sizes(total);
    linear::multiply(matrix, ones.data(), sums.data(), system_.threads());
    double largest = 0, size = 0;
    for (double v : sums) largest = std::fmax(largest, std::fabs(v));
    for (const linear::Coefficient& c : matrix.coefficients) {
      const int64_t length = c.constant ? 1 : points_;
      for (int64_t p = 0; p < length; ++p) size = std::fmax(size, std::fabs(c.data[p]));
    }
    return !(largest > 1e-13 * size);
  }

  System<Op>& system_;
  const Slopes<Op>& slopes_;
  linear::StencilMatrix matrix_;
  linear::Transposed transposed_;
  std::deque<std::vector<double>> owned_;
  Side forward_, backward_;
  linear::Workspace workspace_;
  std::vector<double> copy_;
#ifdef OPGEN_SPARSE
  linear::Sparse sparse_;
  bool usable_ = false;
#endif
  bool factored_ = false;
  int64_t points_ = 0, iterations_ = 0;
  bool mirrored_ = false;
};

template <class Op>
struct JacobianBy<Op, Method::stencil> {
  using Type = StencilJacobian<Op>;
};

}  // namespace opgen::coupled
#endif
