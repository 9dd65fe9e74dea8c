// The Jacobian of fields on a line: a band.
#ifndef OPGEN_COUPLED_BAND_H
#define OPGEN_COUPLED_BAND_H

#include <opgen/coupled/condition.h>
#include <opgen/coupled/jacobian.h>
#include <opgen/linear/tridiagonal.h>

#include <cstdlib>
#include <optional>

namespace opgen::coupled {

// Unknowns are ordered point by point, all fields of a point together. A ring is folded flat, 0, n - 1, 1, n - 2, ...: what were
// neighbours are two places apart at most, and no corner is left.
template <class Op>
class BandJacobian {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns;
  static constexpr bool iterative = false;

  BandJacobian(System<Op>& system, const Slopes<Op>& slopes)
      : system_(system), slopes_(slopes), points_(system.unknowns() / (k > 0 ? k : 1)) {
    const Array& field = Op::arrays[n];
    ring_ = field.side[0][0].kind == Outside::periodic;
    for (int u = 0; u < k; ++u) ring_ = ring_ || Op::arrays[n + u].side[0][0].kind == Outside::periodic;
    for (const Slope& slope : slopes.all()) {
      const int64_t own = slope.read->shift[0] < 0 ? -slope.read->shift[0] : slope.read->shift[0];
      reach_ = own > reach_ ? own : reach_;
      for (int end = 0; end < 2; ++end) {
        const Outside kind = Op::arrays[slope.read->array].side[0][end].kind;
        mirrored_ = mirrored_ || kind == Outside::face || kind == Outside::node;
      }
    }
    plain_ = k == 1 && !ring_ && reach_ <= 1 && !mirrored_;
    if (plain_) {
      tridiagonal_.emplace(points_);
    } else {
      const int64_t width = (ring_ ? 2 * reach_ : reach_) * k + k - 1;
      band_.emplace(points_ * k, width, width);
    }
    ordered_.resize(plain_ ? 0 : static_cast<size_t>(points_ * k));
  }

  // Takes the slopes of now; false if the matrix is singular.
  bool factor() {
    if (plain_) {
      const auto [lower, diagonal, upper] = diagonals();
      return tridiagonal_->factor(lower, diagonal, upper, system_.threads());
    }
    fill();
    return band_->factor();
  }

  // x = J^-1 b with a factorisation that is used once.
  bool factor_and_solve(const double* b, double* x, double tol) {
    if (plain_) {
      const auto [lower, diagonal, upper] = diagonals();
      return tridiagonal_->factor_and_solve(lower, diagonal, upper, b, x, system_.threads());
    }
    return factor() && solve(b, x, tol);
  }
  // x = (J + shift |diagonal|)^-1 b, with the diagonal's own signs.
  bool shifted_solve(double shift, const double* b, double* x) {
    if (plain_) {
      const auto [lower, diagonal, upper] = diagonals();
      std::vector<double> raised(static_cast<size_t>(points_));
      for (int64_t i = 0; i < points_; ++i) raised[static_cast<size_t>(i)] = diagonal[i] * (1 + shift);
      return tridiagonal_->factor_and_solve(lower, raised.data(), upper, b, x, system_.threads());
    }
    fill();
    for (int64_t i = 0; i < points_ * k; ++i) band_->at(i, i) *= 1 + shift;
    return band_->factor() && solve(b, x, 0);
  }

  bool solve(const double* b, double* x, double) {
    if (plain_) {
      tridiagonal_->solve(b, x, system_.threads());
    } else {
      reorder(b, x, [&](double* v) { band_->solve(v); });
    }
    return true;
  }
  bool solve_transposed(const double* b, double* x, double) {
    if (plain_) {
      tridiagonal_->solve_transposed(b, x, system_.threads());
    } else {
      reorder(b, x, [&](double* v) { band_->solve_transposed(v); });
    }
    return true;
  }

  // Whether no digit of a solution can be trusted.
  bool is_singular() {
    if (!factor()) return true;
    const double condition = scaled_condition(
        points_ * k, [&](auto&& body) { slopes_.entries(body); }, [&](double* x) { solve(x, x, 0); },
        [&](double* x) { solve_transposed(x, x, 0); });
    return !(condition >= singular_below);
  }
  bool precondition(bool transposed, const double* r, double* z) {
    return transposed ? solve_transposed(r, z, 0) : solve(r, z, 0);
  }
  // After factor(): is_singular() takes several solves, so first it is seen whether one of a rough vector grows at all.
  bool is_doubtful() {
    if (rough_.empty()) {
      rough_ = rough_vector(points_ * k);
      grown_.resize(rough_.size());
    }
    solve(rough_.data(), grown_.data(), 0);
    const double grown = largest(points_ * k, [&](int64_t i) { return std::fabs(grown_[static_cast<size_t>(i)]); });
    double size = 0;
    for (const Slope& slope : slopes_.all()) {
      const double own = largest(slope.uniform ? 1 : points_, [&](int64_t p) { return std::fabs(slope.data[p]); });
      size = own > size ? own : size;
    }
    return !(grown * size < doubtful_above) && is_singular();
  }
  int64_t iterations() const { return 0; }

 private:
  void fill() {
    band_->clear();
    slopes_.entries([&](int64_t row, int64_t column, double value) { band_->at(place(row), place(column)) += value; });
  }
  struct Three {
    linear::Diagonal lower, diagonal, upper;
  };
  Three diagonals() const {
    Three made{0.0, 0.0, 0.0};
    for (const Slope& slope : slopes_.all()) {
      const int64_t shift = slope.read->shift[0];
      linear::Diagonal& of = shift < 0 ? made.lower : shift > 0 ? made.upper : made.diagonal;
      of = slope.uniform ? linear::Diagonal(*slope.data) : linear::Diagonal(slope.data);
    }
    return made;
  }

  // Where an unknown stands in the band.
  int64_t place(int64_t unknown) const {
    const int64_t u = unknown / points_, p = unknown % points_;
    const int64_t folded = !ring_ ? p : 2 * p < points_ ? 2 * p : 2 * (points_ - 1 - p) + 1;
    return folded * k + u;
  }

  template <class Solve>
  void reorder(const double* b, double* x, Solve&& solve) {
    const int64_t total = points_ * k;
    for (int64_t i = 0; i < total; ++i) ordered_[static_cast<size_t>(place(i))] = b[i];
    solve(ordered_.data());
    for (int64_t i = 0; i < total; ++i) x[i] = ordered_[static_cast<size_t>(place(i))];
  }

  System<Op>& system_;
  const Slopes<Op>& slopes_;
  int64_t points_, reach_ = 0;
  bool ring_ = false, mirrored_ = false, plain_ = false;
  std::optional<linear::Tridiagonal> tridiagonal_;
  std::optional<linear::Band> band_;
  std::vector<double> ordered_, rough_, grown_;
};

template <class Op>
struct JacobianBy<Op, Method::band> {
  using Type = BandJacobian<Op>;
};

}  // namespace opgen::coupled
#endif
