// Direct solution of stencil matrices: sparse factors, made by opgen/runtime/sparse_runtime.cc.
//
// The unknowns are numbered as in a vector, field by field. In a row of the matrix two coefficients may have the same
// column (on a ring of two points, say): they are added.
#ifndef OPGEN_LINEAR_SPARSE_H
#define OPGEN_LINEAR_SPARSE_H

#include <opgen/linear/stencil.h>

#include <memory>

// Factors of a square matrix of n rows, whose entries k in [row_start[i], row_start[i + 1]) are values[k] at
// columns[k], in increasing order. Null if the matrix is singular, or has a NaN or an infinity.
extern "C" void* opgen_sparse_new(
    int64_t n, const int64_t* row_start, const int32_t* columns, const double* values);
// Factors another matrix with its entries at the same places, in half the time and with no new memory. 0 if it is
// singular: then there is nothing to solve with until the next update.
extern "C" int opgen_sparse_update(void* factors, const double* values);
// Solves A x = b, or A^T x = b. 0 if the solution is not finite. x may be b.
extern "C" int opgen_sparse_solve(const void* factors, int transposed, const double* b, double* x);
extern "C" void opgen_sparse_delete(void* factors);

namespace opgen::linear {

// A stencil matrix row by row. `set` keeps the places of the entries while the grid and the offsets stay the same.
class Csr {
 public:
  std::vector<int64_t> row_start;
  std::vector<int32_t> columns;
  std::vector<double> values;

  // True if the places are those of before.
  bool set(const StencilMatrix& A) {
    const bool same = is_like(A);
    if (!same) find_places(A);
    values.assign(columns.size(), 0.0);
    const int64_t N = A.grid.points();
    for (size_t k = 0; k < A.coefficients.size(); ++k) {
      const Coefficient& c = A.coefficients[k];
      const int64_t* place = &places_[k * N];
      for (int64_t p = 0; p < N; ++p)
        if (place[p] >= 0) values[place[p]] += c.constant ? *c.data : c.data[p];
    }
    return same;
  }

 private:
  bool is_like(const StencilMatrix& A) const {
    bool same = !row_start.empty() && A.fields == like_.fields && A.grid.rank == like_.grid.rank &&
                A.coefficients.size() == like_.coefficients.size();
    for (int a = 0; same && a < A.grid.rank; ++a)
      same = A.grid.extent[a] == like_.grid.extent[a] && A.grid.periodic[a] == like_.grid.periodic[a];
    for (size_t k = 0; same && k < A.coefficients.size(); ++k) {
      const Coefficient &c = A.coefficients[k], &d = like_.coefficients[k];
      same = c.row == d.row && c.column == d.column && std::equal(c.offset, c.offset + A.grid.rank, d.offset);
    }
    return same;
  }

  void find_places(const StencilMatrix& A) {
    like_ = A;
    const stencil::Rows rows(A.grid);
    const int64_t N = A.grid.points(), n = rows.n[2];
    places_.assign(A.coefficients.size() * N, -1);
    row_start.assign(1, 0);
    columns.clear();
    struct Found {
      int64_t column;
      size_t coefficient;
    };
    std::vector<Found> found;
    for (int field = 0; field < A.fields; ++field)
      for (int64_t p = 0; p < N; ++p) {
        found.clear();
        for (size_t k = 0; k < A.coefficients.size(); ++k) {
          const Coefficient& c = A.coefficients[k];
          if (c.row != field) continue;
          const stencil::Spread at(c, A.grid.rank);
          const int64_t row = rows.shifted(p / n, at.o);
          int64_t x = p % n + at.o[2];
          if (rows.ring[2]) x = stencil::wrap(x, n);
          if (row >= 0 && x >= 0 && x < n) found.push_back({c.column * N + row * n + x, k});
        }
        std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
          return a.column != b.column ? a.column < b.column : a.coefficient < b.coefficient;
        });
        for (size_t i = 0; i < found.size(); ++i) {
          if (i == 0 || found[i].column != found[i - 1].column)
            columns.push_back(static_cast<int32_t>(found[i].column));
          places_[found[i].coefficient * N + p] = static_cast<int64_t>(columns.size()) - 1;
        }
        row_start.push_back(static_cast<int64_t>(columns.size()));
      }
  }

  StencilMatrix like_;
  std::vector<int64_t> places_;  // of each coefficient at each point; -1: none
};

// Factors of a stencil matrix. Not for several threads at once while it is being factored.
class Sparse {
 public:
  // False if the matrix is singular or not finite: then there is nothing to solve with.
  bool factor(const StencilMatrix& A) {
    const bool same = csr_.set(A);
    const auto n = static_cast<int64_t>(csr_.row_start.size()) - 1;
    if (same && factors_) return usable_ = opgen_sparse_update(factors_.get(), csr_.values.data()) != 0;
    factors_.reset(opgen_sparse_new(n, csr_.row_start.data(), csr_.columns.data(), csr_.values.data()));
    return usable_ = factors_ != nullptr;
  }
  // x = A^-1 b or A^-T b; x may be b. False if it is not finite.
  bool solve(bool transposed, const double* b, double* x) const {
    return usable_ && opgen_sparse_solve(factors_.get(), transposed, b, x) != 0;
  }

 private:
  struct Delete {
    void operator()(void* factors) const { opgen_sparse_delete(factors); }
  };
  Csr csr_;
  std::unique_ptr<void, Delete> factors_;
  bool usable_ = false;
};

}  // namespace opgen::linear
#endif
