// Matrices of stencil form on a grid of one, two or three axes: products, residuals, transpose.
//
// A coefficient c of (row, column, offset o) is one diagonal of the matrix: (A x)_row(p) += c(p) x_column(p + o). Its
// transpose carries the value to where it was read, (A^T y)_column(p + o) += c(p) y_row(p), so with q = p + o it is the
// coefficient of (column, row, -o) with c^T(q) = c(q - o). Whatever points outside the grid counts as absent.
#ifndef OPGEN_LINEAR_STENCIL_H
#define OPGEN_LINEAR_STENCIL_H

#include <opgen/pack.h>
#include <opgen/parallel.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

namespace opgen::linear {

// Row-major: the last axis is contiguous.
struct Grid {
  int rank = 1;
  int64_t extent[3] = {1, 1, 1};
  bool periodic[3] = {false, false, false};

  int64_t points() const {
    int64_t n = 1;
    for (int a = 0; a < rank; ++a) n *= extent[a];
    return n;
  }
};

struct Coefficient {
  int row = 0, column = 0;  // fields
  int offset[3] = {0, 0, 0};
  const double* data = nullptr;  // one value per grid point, or a single one
  bool constant = false;
};

// A vector has its fields one after the other: fields * points doubles.
struct StencilMatrix {
  Grid grid;
  int fields = 1;
  std::vector<Coefficient> coefficients;

  int64_t unknowns() const { return fields * grid.points(); }
};

namespace stencil {

// The axis among three that an axis of the grid becomes: the last one stays last, so that rows are contiguous.
inline int axis_of(int rank, int axis) { return axis == rank - 1 ? 2 : axis; }

inline int64_t wrap(int64_t i, int64_t n) {
  i %= n;
  return i < 0 ? i + n : i;
}

// The grid as planes of rows.
struct Rows {
  int64_t n[3] = {1, 1, 1};
  bool ring[3] = {false, false, false};

  explicit Rows(const Grid& grid) {
    for (int a = 0; a < grid.rank; ++a) {
      n[axis_of(grid.rank, a)] = grid.extent[a];
      ring[axis_of(grid.rank, a)] = grid.periodic[a];
    }
  }
  int64_t count() const { return n[0] * n[1]; }

  // The row that lies o[0] planes and o[1] rows on; -1 outside the grid.
  int64_t shifted(int64_t row, const int (&o)[3]) const {
    int64_t i = row / n[1] + o[0], j = row % n[1] + o[1];
    if (ring[0]) i = wrap(i, n[0]);
    if (ring[1]) j = wrap(j, n[1]);
    return i < 0 || i >= n[0] || j < 0 || j >= n[1] ? -1 : i * n[1] + j;
  }
};

struct Spread {
  int o[3] = {0, 0, 0};
  Spread(const Coefficient& c, int rank) {
    for (int a = 0; a < rank; ++a) o[axis_of(rank, a)] = c.offset[a];
  }
};

// One diagonal at one row of points.
struct Term {
  const double* x;  // the neighbours' values, shifted so that they have the index of the point
  const double* c;  // null: `value` is the coefficient of all points
  double value;
  int shift;
};

template <int count, class R, bool subtract>
OPGEN_INLINE void add_terms(const Term* terms, size_t constants, size_t total, const double* b, double* y, int64_t at) {
  constexpr int step = Traits<R>::size;
  R sum[count];
  OPGEN_UNROLL for (int i = 0; i < count; ++i) sum[i] = b ? Traits<R>::load(b + at + i * step) : R(0.0);
  for (size_t t = 0; t < total; ++t) {
    OPGEN_UNROLL for (int i = 0; i < count; ++i) {
      const R x = Traits<R>::load(terms[t].x + at + i * step);
      const R c = t < constants ? R(terms[t].value) : Traits<R>::load(terms[t].c + at + i * step);
      sum[i] = subtract ? sum[i] - c * x : sum[i] + c * x;
    }
  }
  OPGEN_UNROLL for (int i = 0; i < count; ++i) Traits<R>::store(sum[i], y + at + i * step);
}

// y = b + A x or b - A x at one row of n points, b being zero if null; constant terms come first.
template <bool subtract>
__attribute__((noinline)) void multiply_row(
    const std::vector<Term>& terms, size_t constants, int64_t n, bool ring, const double* b, double* y) {
  int64_t low = 0, high = n;  // where no neighbour lies beyond the row's ends
  for (const Term& t : terms) {
    low = std::max<int64_t>(low, -t.shift);
    high = std::min<int64_t>(high, n - t.shift);
  }
  low = std::min(low, n);
  high = std::max(high, low);
  const auto edge = [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; ++p) {
      double sum = b ? b[p] : 0.0;
      for (const Term& t : terms) {
        int64_t q = p + t.shift;
        if (ring) q = wrap(q, n);
        if (q < 0 || q >= n) continue;
        const double product = (t.c ? t.c[p] : t.value) * t.x[q - t.shift];
        sum = subtract ? sum - product : sum + product;
      }
      y[p] = sum;
    }
  };
  edge(0, low);
  const size_t total = terms.size();
  int64_t at = low;
  for (; at + 4 * lanes <= high; at += 4 * lanes) add_terms<4, Pack<>, subtract>(terms.data(), constants, total, b, y, at);
  for (; at + lanes <= high; at += lanes) add_terms<1, Pack<>, subtract>(terms.data(), constants, total, b, y, at);
  for (; at < high; ++at) add_terms<1, double, subtract>(terms.data(), constants, total, b, y, at);
  edge(high, n);
}

template <bool subtract>
void multiply(const StencilMatrix& A, const double* b, const double* x, double* y, int threads) {
  const Rows rows(A.grid);
  const int64_t N = A.grid.points(), n = rows.n[2];
  if (N == 0) return;
  const int64_t work = N * static_cast<int64_t>(A.coefficients.size());
  const int64_t tasks = std::clamp<int64_t>(work / 65536, 1, std::min<int64_t>(64, rows.count()));
  parallel_for(tasks, threads, [&](int64_t task) {
    std::vector<Term> terms;
    for (int field = 0; field < A.fields; ++field)
      for (int64_t row = rows.count() * task / tasks; row < rows.count() * (task + 1) / tasks; ++row) {
        terms.clear();
        size_t constants = 0;
        for (const bool constant : {true, false}) {
          for (const Coefficient& c : A.coefficients) {
            if (c.row != field || c.constant != constant) continue;
            const Spread at(c, A.grid.rank);
            const int64_t from = rows.shifted(row, at.o);
            if (from < 0) continue;
            terms.push_back({x + c.column * N + from * n + at.o[2], constant ? nullptr : c.data + row * n,
                             constant ? *c.data : 0.0, at.o[2]});
          }
          if (constant) constants = terms.size();
        }
        const int64_t start = field * N + row * n;
        multiply_row<subtract>(terms, constants, n, rows.ring[2], b ? b + start : nullptr, y + start);
      }
  });
}

}  // namespace stencil

// y = A x. x and y must not overlap.
inline void multiply(const StencilMatrix& A, const double* x, double* y, int threads) {
  stencil::multiply<false>(A, nullptr, x, y, threads);
}

// r = b - A x. r may be b, not x.
inline void residual(const StencilMatrix& A, const double* b, const double* x, double* r, int threads) {
  stencil::multiply<true>(A, b, x, r, threads);
}

// The coupling of the fields at each point itself: the sum of what A has at (row, column, offset 0).
inline void diagonal(const StencilMatrix& A, int row, int column, double* d) {
  const int64_t N = A.grid.points();
  std::fill(d, d + N, 0.0);
  for (const Coefficient& c : A.coefficients) {
    bool here = c.row == row && c.column == column;
    for (int a = 0; a < A.grid.rank; ++a)
      here = here && (c.offset[a] == 0 || (A.grid.periodic[a] && c.offset[a] % A.grid.extent[a] == 0));
    if (!here) continue;
    for (int64_t p = 0; p < N; ++p) d[p] += c.constant ? *c.data : c.data[p];
  }
}

// A^T with arrays of its own, except for coefficients at offset 0 and constants, which are those of A: they must
// outlive it.
class Transposed {
 public:
  void set(const StencilMatrix& A, int threads) {
    const int64_t N = A.grid.points();
    matrix_.grid = A.grid;
    matrix_.fields = A.fields;
    matrix_.coefficients.resize(A.coefficients.size());
    arrays_.resize(A.coefficients.size());
    for (size_t k = 0; k < A.coefficients.size(); ++k) {
      const Coefficient& c = A.coefficients[k];
      const bool here = c.offset[0] == 0 && c.offset[1] == 0 && c.offset[2] == 0;
      Coefficient& t = matrix_.coefficients[k] = c;
      std::swap(t.row, t.column);
      for (int& o : t.offset) o = -o;
      if (c.constant || here) continue;
      arrays_[k].resize(N);
      t.data = arrays_[k].data();
      shift(A.grid, t, c.data, arrays_[k].data(), threads);
    }
  }
  const StencilMatrix& matrix() const { return matrix_; }

 private:
  // out(q) = c(q + t.offset), 0 where that is outside the grid.
  static void shift(const Grid& grid, const Coefficient& t, const double* c, double* out, int threads) {
    const stencil::Rows rows(grid);
    const stencil::Spread at(t, grid.rank);
    const int64_t n = rows.n[2], o = at.o[2];
    const int64_t tasks = std::clamp<int64_t>(grid.points() / 65536, 1, std::min<int64_t>(64, rows.count()));
    parallel_for(tasks, threads, [&](int64_t task) {
      for (int64_t row = rows.count() * task / tasks; row < rows.count() * (task + 1) / tasks; ++row) {
        const int64_t from = rows.shifted(row, at.o);
        double* to = out + row * n;
        const double* source = c + from * n;
        const int64_t low = std::clamp<int64_t>(-o, 0, n), high = std::clamp<int64_t>(n - o, low, n);
        const auto edge = [&](int64_t q) {
          to[q] = from >= 0 && rows.ring[2] ? source[stencil::wrap(q + o, n)] : 0.0;
        };
        for (int64_t q = 0; q < low; ++q) edge(q);
        for (int64_t q = low; q < high; ++q) to[q] = from < 0 ? 0.0 : source[q + o];
        for (int64_t q = high; q < n; ++q) edge(q);
      }
    });
  }

  StencilMatrix matrix_;
  std::vector<std::vector<double>> arrays_;
};

}  // namespace opgen::linear
#endif
