// The Jacobian of unknowns that are all coupled: every entry of it.
#ifndef OPGEN_COUPLED_DENSE_H
#define OPGEN_COUPLED_DENSE_H

#include <opgen/coupled/condition.h>
#include <opgen/coupled/products.h>
#include <opgen/coupled/jacobian.h>
#include <opgen/linear/dense.h>

#include <optional>

namespace opgen::coupled {

template <class Op>
class DenseJacobian {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns;
  static constexpr bool iterative = false;

  DenseJacobian(System<Op>& system, const Slopes<Op>& slopes)
      : system_(system), slopes_(slopes), matrix_(system.unknowns()), gradient_(static_cast<size_t>(system.unknowns())) {}

  bool factor() {
    fill();
    return matrix_.factor(system_.threads());
  }
  bool factor_and_solve(const double* b, double* x, double tol) { return factor() && solve(b, x, tol); }
  // x = (J + shift |diagonal|)^-1 b, with the diagonal's own signs.
  bool shifted_solve(double shift, const double* b, double* x) {
    fill();
    for (int64_t i = 0; i < system_.unknowns(); ++i) matrix_.row(i)[i] *= 1 + shift;
    return matrix_.factor(system_.threads()) && solve(b, x, 0);
  }
  // x = (J^T J + mu diag(J^T J))^-1 J^T b.
  bool damped_solve(double mu, const double* b, double* x) {
    fill();
    const int64_t n = system_.unknowns();
    if (!normal_) normal_.emplace(n);
    linear::multiply<double>(linear::Transpose::yes, linear::Transpose::no, n, n, n, 1.0, matrix_.row(0), matrix_.leading(),
                             matrix_.row(0), matrix_.leading(), 0.0, normal_->row(0), normal_->leading(), system_.threads());
    double most = 0;
    for (int64_t i = 0; i < n; ++i) most = std::fmax(most, normal_->row(i)[i]);
    for (int64_t i = 0; i < n; ++i) normal_->row(i)[i] += mu * (normal_->row(i)[i] + 1e-6 * most);
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) gradient_[static_cast<size_t>(j)] += matrix_.row(i)[j] * b[i];
    }
    if (!normal_->factor(system_.threads())) return false;
    memcpy(x, gradient_.data(), static_cast<size_t>(n) * sizeof(double));
    normal_->solve(x);
    return true;
  }
  bool solve(const double* b, double* x, double) {
    if (x != b) memcpy(x, b, static_cast<size_t>(system_.unknowns()) * sizeof(double));
    matrix_.solve(x);
    return true;
  }
  bool solve_transposed(const double* b, double* x, double) {
    if (x != b) memcpy(x, b, static_cast<size_t>(system_.unknowns()) * sizeof(double));
    matrix_.solve_transposed(x);
    return true;
  }
  // Whether no digit of a solution can be trusted.
  bool is_singular() {
    const auto total = static_cast<size_t>(system_.unknowns());
    fill();
    std::vector<double> kept(total * total);
    for (size_t i = 0; i < total; ++i) memcpy(&kept[i * total], matrix_.row(static_cast<int64_t>(i)), total * sizeof(double));
    if (!matrix_.factor(system_.threads())) return true;
    const auto entries = [&](auto&& body) {
      for (size_t at = 0; at < kept.size(); ++at) body(at / total, at % total, kept[at]);
    };
    const double condition = scaled_condition(
        system_.unknowns(), entries, [&](double* x) { matrix_.solve(x); }, [&](double* x) { matrix_.solve_transposed(x); });
    return !(condition >= singular_below);
  }
  bool precondition(bool transposed, const double* r, double* z) {
    return transposed ? solve_transposed(r, z, 0) : solve(r, z, 0);
  }
  // After factor(): is_singular() takes several solves, so first it is seen whether one of a rough vector grows at all.
  bool is_doubtful() {
    std::vector<double> grown = rough_vector(system_.unknowns());
    matrix_.solve(grown.data());
    const double most = largest(system_.unknowns(), [&](int64_t i) { return std::fabs(grown[static_cast<size_t>(i)]); });
    return !(most * matrix_.norm() < doubtful_above) && is_singular();
  }
  int64_t iterations() const { return 0; }

 private:
  void fill() {
    const int64_t total = system_.unknowns();
    for (int64_t i = 0; i < total; ++i) memset(matrix_.row(i), 0, static_cast<size_t>(total) * sizeof(double));
    if constexpr (nested()) {
      columns();
    } else {
      slopes_.entries([&](int64_t row, int64_t column, double value) { matrix_.row(row)[column] += value; });
      sums();
    }
  }

  // Whether a sum that moves is made of others that do.
  static constexpr bool nested() {
    bool found = false;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum && N::of_equation && N::active_formula) {
        for (int r = 0; r < N::active; ++r) found = found || Op::arrays[N::read[r].array].role == Role::sum;
      }
    });
    return found;
  }

  // The Jacobian's product with every unit vector.
  void columns() {
    const int64_t total = system_.unknowns();
    const Products<Op> products(system_);
    Fields<Op> t(system_.sizes());
    products.prepare(t);
    std::vector<double> unit(static_cast<size_t>(total)), moved(static_cast<size_t>(total));
    for (int64_t j = 0; j < total; ++j) {
      unit[static_cast<size_t>(j)] = 1;
      system_.scatter(unit.data(), t);
      products.push(t, moved.data(), false);
      unit[static_cast<size_t>(j)] = 0;
      for (int64_t i = 0; i < total; ++i) matrix_.row(i)[j] = moved[static_cast<size_t>(i)];
    }
  }

  // An equation that reads a sum changes with all that the sum adds up: row += F_sum (gradient of the sum).
  void sums() {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum && N::of_equation && N::active_formula) sums_of<N>();
    });
  }

  template <class N>
  void sums_of() {
    // The rows that read each entry of the sum, and with which weight.
    const int64_t entries = count(Op::arrays[N::target].core, system_.sizes());
    std::vector<std::vector<std::pair<int64_t, double>>> readers(static_cast<size_t>(entries));
    for (const Slope& slope : slopes_.all()) {
      if (slope.read->array != N::target) continue;
      slopes_.each_point(slope.row, [&](const int64_t* index, int64_t point) {
        int64_t position[max_rank] = {};
        slopes_.locate(slope, index, position);
        readers[static_cast<size_t>(entry<N>(position))].emplace_back(system_.offset(slope.row) + point, slope.at(point));
      });
    }
    const View* const views[] = {system_.value.view, system_.size.view};
    int64_t now = -1;
    std::fill(gradient_.begin(), gradient_.end(), 0.0);
    const auto flush = [&] {
      if (now < 0) return;
      const int64_t total = system_.unknowns();
      for (const auto& [row, weight] : readers[static_cast<size_t>(now)]) {
        double* const to = matrix_.row(row);
        for (int64_t j = 0; j < total; ++j) to[j] += weight * gradient_[static_cast<size_t>(j)];
      }
      std::fill(gradient_.begin(), gradient_.end(), 0.0);
    };
    sweep<Op, N, 2, 2 + N::active>(
        system_.sizes(), views, whole<Op, N>(system_.sizes()),
        [f = system_.template fixed<N>()](const auto* a, auto* out) { N::linearise(a, a + N::reads + N::plain, f, out); },
        [&](const int64_t* index, int64_t at, int64_t length, const double (*out)[block]) {
          const int64_t own = entry<N>(index);
          if (own != now) {
            flush();
            now = own;
          }
          for (int r = 0; r < N::active; ++r) add<N>(N::read[r], index, at, length, out[2 + r]);
        });
    flush();
  }

  template <class N>
  int64_t entry(const int64_t* position) const {
    int64_t flat = 0;
    for (int d = 0; d < N::rank; ++d) flat = flat * extent(Op::arrays[N::target].core.axes[d], system_.sizes()) + position[d];
    return flat;
  }

  // Adds the derivatives of a run of terms to the gradient of their sum.
  template <class N>
  void add(const Read& read, const int64_t* index, int64_t at, int64_t length, const double* values) {
    const Array& info = Op::arrays[read.array];
    constexpr int last = N::loops - 1;
    int64_t position[max_rank] = {};
    for (int64_t i = 0; i < length; ++i) {
      for (int d = 0; d < info.core.rank; ++d) {
        const int loop = read.loop[d];
        position[d] = read.shift[d] + (loop < 0 ? 0 : index[loop] + (loop == last ? at + i : 0));
      }
      const int64_t column = Slopes<Op>::column(system_, read.array, position);
      if (column >= 0) gradient_[static_cast<size_t>(column)] += values[i];
    }
  }

  System<Op>& system_;
  const Slopes<Op>& slopes_;
  linear::Dense matrix_;
  std::optional<linear::Dense> normal_;
  std::vector<double> gradient_;
};

template <class Op>
struct JacobianBy<Op, Method::dense> {
  using Type = DenseJacobian<Op>;
};

}  // namespace opgen::coupled
#endif
