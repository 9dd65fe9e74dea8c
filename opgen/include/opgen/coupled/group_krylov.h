// GMRES for the systems of a bundle, side by side in single precision. Each has its own Krylov space, and ends with the first
// of its columns that is enough: what becomes of one does not depend on the others.
//
// A x = r is solved with x = |r| V y, where the columns of V are an orthonormal basis of r, A r, A^2 r, ... and y minimises
// | e_1 - H y |, H being what remains of A in that basis. Whatever else is linear in x, as a matrix times x, is that of the
// columns combined with the same y.
//
// Source: Saad and Schultz, SIAM J. Sci. Stat. Comput. 7 (1986).
#ifndef OPGEN_COUPLED_GROUP_KRYLOV_H
#define OPGEN_COUPLED_GROUP_KRYLOV_H

#include <opgen/coupled/group_product.h>

#include <cmath>
#include <memory>
#include <new>
#include <vector>

namespace opgen::coupled {

// Rows of `wide` numbers that begin on a cache line and are not set to anything.
template <class T>
class Block {
 public:
  explicit Block(int64_t rows = 0)
      : memory_(rows > 0 ? static_cast<T*>(::operator new[](static_cast<size_t>(rows * wide) * sizeof(T), align)) : nullptr) {}
  T* data() const { return memory_.get(); }
  T* row(int64_t i) const { return memory_.get() + i * wide; }
  void swap(Block& other) { memory_.swap(other.memory_); }

 private:
  static constexpr std::align_val_t align{64};
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, align); }
  };
  std::unique_ptr<T[], Free> memory_;
};

// One number for every system of a bundle.
using Each = double[wide];

class BundleKrylov {
 public:
  static constexpr int most = 24;  // columns of a basis

  explicit BundleKrylov(int64_t n) : n_(n) { basis_.reserve(most + 1); }

  Each remaining;   // |r - A x| / |r|, as the recurrence has it
  Each stretch;     // |A| |x| / |r|, |A| being the largest |A v| of the basis: how much rounding may weigh in x
  int columns = 0;  // of the longest basis

  // Solves A x = r from x = 0 for the systems that are `going`, to remaining <= tol. multiply(v, w, j) makes w = A v of column j.
  template <class Multiply>
  void solve(const double* r, const Each& norm, const bool (&going)[wide], const Each& tol, int limit, Multiply&& multiply) {
    start(r, norm, going);
    columns = 0;
    bool open[wide], any = false;
    for (int l = 0; l < wide; ++l) any = (open[l] = going[l] && tol[l] < 1) || any;
    while (any && columns < most && columns < limit) {
      const int j = columns++;
      float* const w = column(j + 1);
      multiply(column(j), w, j);
      orthogonalise(w, j);
      any = append(j, open, tol);
    }
    back_substitute();
  }

  // Σ y_j |r| block_j, of blocks of as many rows each as `rows` says; column(j) gives them.
  template <class Column>
  void combine(int64_t rows, Column&& column, double* to) const {
    using R = linear::Register<float>;
    const float* from[most + 1];
    for (int j = 0; j < columns; ++j) from[j] = column(j);
    for (int64_t i = 0; i < rows; ++i) {
      float sum[wide];
      for (int q = 0; q < wide; q += R::width) {
        R::Vector s = {};
        for (int j = 0; j < columns; ++j) s += R::load(y_[j] + q) * R::load(from[j] + i * wide + q);
        R::store(s, sum + q);
      }
      for (int l = 0; l < wide; ++l) to[i * wide + l] = norm_[l] * sum[l];
    }
  }
  void solution(double* to) const {
    combine(n_, [this](int j) { return basis_[static_cast<size_t>(j)].data(); }, to);
  }

 private:
  using R = linear::Register<float>;
  using Vector = R::Vector;
  static constexpr int registers = wide / R::width;
  static_assert(registers == 2);

  float* column(int j) {
    while (static_cast<int>(basis_.size()) <= j) basis_.emplace_back(n_);
    return basis_[static_cast<size_t>(j)].data();
  }

  void start(const double* r, const Each& norm, const bool (&going)[wide]) {
    Each scale;
    for (int l = 0; l < wide; ++l) {
      const bool in = going[l] && norm[l] > 0;
      scale[l] = in ? 1 / norm[l] : 0;
      norm_[l] = in ? norm[l] : 0;
      g_[0][l] = in ? 1 : 0;
      remaining[l] = in ? 1 : 0;
      largest_[l] = 0;
      used_[l] = 0;
    }
    float* const v = column(0);
    for (int64_t i = 0; i < n_; ++i) {
      for (int l = 0; l < wide; ++l) v[i * wide + l] = scale[l] != 0 ? static_cast<float>(r[i * wide + l] * scale[l]) : 0.0f;
    }
  }

  // w loses its components h in the columns up to j, twice where much is lost. What remains is the next column.
  void orthogonalise(float* w, int j) {
    Each whole, left;
    components(w, j, h_, whole);
    subtract(w, j, h_, left);
    bool again[wide], any = false;
    for (int l = 0; l < wide; ++l) any = (again[l] = left[l] < 0.02 * whole[l]) || any;
    if (any) {
      components(w, j, second_, whole);
      for (int i = 0; i <= j; ++i) {
        for (int l = 0; l < wide; ++l) second_[i][l] = again[l] ? second_[i][l] : 0.0f, h_[i][l] += second_[i][l];
      }
      subtract(w, j, second_, left);
    }
    float scale[wide];
    for (int l = 0; l < wide; ++l) {
      double square = left[l];
      for (int i = 0; i <= j; ++i) square += static_cast<double>(h_[i][l]) * h_[i][l];
      size_[l] = std::sqrt(square);
      next_[l] = std::sqrt(left[l]);
      largest_[l] = size_[l] > largest_[l] ? size_[l] : largest_[l];
      scale[l] = left[l] > 0 ? static_cast<float>(1 / next_[l]) : 0.0f;
    }
    for (int64_t i = 0; i < n_; ++i) {
      for (int q = 0; q < wide; q += R::width) R::store(R::load(scale + q) * R::load(w + i * wide + q), w + i * wide + q);
    }
  }

  // h = V^T w and |w|^2. Sums run over a few rows in single precision, over all in double.
  void components(const float* w, int j, float (*h)[wide], Each& square) const {
    double sums[most + 1][wide] = {};
    for (int l = 0; l < wide; ++l) square[l] = 0;
    for (int64_t at = 0; at < n_; at += piece) {
      const int64_t end = std::min(n_, at + piece);
      for (int i = 0; i <= j; ++i) add_products(basis_[static_cast<size_t>(i)].data(), w, at, end, sums[i]);
      add_products(w, w, at, end, square);
    }
    for (int i = 0; i <= j; ++i) {
      for (int l = 0; l < wide; ++l) h[i][l] = static_cast<float>(sums[i][l]);
    }
  }

  static void add_products(const float* a, const float* b, int64_t at, int64_t end, double* sums) {
    Vector s[2][registers] = {};
    int64_t i = at;
    for (; i + 2 <= end; i += 2) {
      for (int k = 0; k < 2; ++k) {
        const int64_t row = (i + k) * wide;
        for (int q = 0; q < registers; ++q) s[k][q] += R::load(a + row + q * R::width) * R::load(b + row + q * R::width);
      }
    }
    if (i < end) {
      for (int q = 0; q < registers; ++q) s[0][q] += R::load(a + i * wide + q * R::width) * R::load(b + i * wide + q * R::width);
    }
    float total[wide];
    for (int q = 0; q < registers; ++q) R::store(s[0][q] + s[1][q], total + q * R::width);
    for (int l = 0; l < wide; ++l) sums[l] += total[l];
  }

  // w -= V h; `square` is |w|^2 then.
  void subtract(float* w, int j, const float (*h)[wide], Each& square) const {
    for (int l = 0; l < wide; ++l) square[l] = 0;
    for (int64_t at = 0; at < n_; at += piece) {
      const int64_t end = std::min(n_, at + piece);
      for (int i = 0; i <= j; ++i) {
        const float* const v = basis_[static_cast<size_t>(i)].data();
        Vector factor[registers];
        for (int q = 0; q < registers; ++q) factor[q] = R::load(h[i] + q * R::width);
        for (int64_t r = at; r < end; ++r) {
          for (int q = 0; q < registers; ++q) {
            float* const to = w + r * wide + q * R::width;
            R::store(R::load(to) - factor[q] * R::load(v + r * wide + q * R::width), to);
          }
        }
      }
      add_products(w, w, at, end, square);
    }
  }

  // Takes column j of H into the least-squares problem, a triangle by Givens rotations. Says whether a system is still open.
  bool append(int j, bool (&open)[wide], const Each& tol) {
    constexpr double eps = 1e-6;  // of single precision, with room for the sums
    double(*const r)[wide] = triangle_ + j * (j + 1) / 2;
    for (int i = 0; i <= j; ++i) {
      for (int l = 0; l < wide; ++l) r[i][l] = h_[i][l];
    }
    for (int i = 0; i < j; ++i) {
      for (int l = 0; l < wide; ++l) {
        const double above = c_[i][l] * r[i][l] + s_[i][l] * r[i + 1][l];
        r[i + 1][l] = c_[i][l] * r[i + 1][l] - s_[i][l] * r[i][l];
        r[i][l] = above;
      }
    }
    bool any = false;
    for (int l = 0; l < wide; ++l) {
      const bool closed = !(next_[l] > eps * size_[l]);
      const double next = closed ? 0 : next_[l], d = std::sqrt(r[j][l] * r[j][l] + next * next);
      // A closed space with a zero on the diagonal: the matrix is singular in it. NaN ends there too.
      const bool good = d > eps * size_[l] && d - d == 0;
      c_[j][l] = good ? r[j][l] / d : 1;
      s_[j][l] = good ? next / d : 0;
      r[j][l] = good ? d : 1;
      g_[j + 1][l] = -s_[j][l] * g_[j][l];
      g_[j][l] *= c_[j][l];
      if (!open[l]) continue;
      if (good) used_[l] = j + 1, remaining[l] = std::fabs(g_[j + 1][l]);
      open[l] = good && !closed && remaining[l] > tol[l];
      any = any || open[l];
    }
    return any;
  }

  // y, zero beyond the columns that a system has used.
  void back_substitute() {
    for (int l = 0; l < wide; ++l) {
      double y[most];
      for (int i = used_[l] - 1; i >= 0; --i) {
        double v = g_[i][l];
        for (int k = i + 1; k < used_[l]; ++k) v -= triangle_[k * (k + 1) / 2 + i][l] * y[k];
        y[i] = v / triangle_[i * (i + 1) / 2 + i][l];
      }
      double square = 0;
      for (int i = 0; i < columns; ++i) {
        y_[i][l] = i < used_[l] ? static_cast<float>(y[i]) : 0.0f;
        square += i < used_[l] ? y[i] * y[i] : 0;
      }
      stretch[l] = largest_[l] * std::sqrt(square);
    }
  }

  static constexpr int64_t piece = 64;

  int64_t n_;
  std::vector<Block<float>> basis_;
  int used_[wide];
  float h_[most + 1][wide], second_[most + 1][wide], y_[most][wide];
  double triangle_[most * (most + 1) / 2][wide], c_[most][wide], s_[most][wide], g_[most + 1][wide];
  Each norm_, size_, next_, largest_;
};

}  // namespace opgen::coupled
#endif
