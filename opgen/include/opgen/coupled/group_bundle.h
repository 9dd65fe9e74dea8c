// A bundle of systems of a group: their arrays, their residuals F, and products with F_y.
#ifndef OPGEN_COUPLED_GROUP_BUNDLE_H
#define OPGEN_COUPLED_GROUP_BUNDLE_H

#include <opgen/coupled/group.h>

namespace opgen::coupled {

// |v|, for every system.
inline void norm_of(const double* v, int64_t rows, Each& norm) {
  Vec squares[wide / lanes] = {};
  for (int64_t i = 0; i < rows; ++i) {
    for (int q = 0; q < wide / lanes; ++q) {
      const Vec own = linear::load(v + i * wide + q * lanes);
      squares[q] += own * own;
    }
  }
  for (int l = 0; l < wide; ++l) norm[l] = std::sqrt(squares[l / lanes][l % lanes]);
}

template <class Op>
class Bundle {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns, m = Op::auxiliaries, arrays = Op::array_count;
  using Real = Pack<1>;

  // Unknowns, and the sums that equations make of them: their entries one after the other.
  struct State {
    Block<double> y, sums;
    void swap(State& other) { y.swap(other.y), sums.swap(other.sums); }
  };

  // How large F is, and whether it is within some bounds of the size of its terms at every point.
  struct Measured {
    Each norm, size;
    bool within[wide], near[wide];
  };

  Strip value[arrays], size[arrays];  // of arrays, and of the terms of sums

  // `exact`: slopes are kept in double, too; `rough`: values are made by products in single precision.
  Bundle(const Group<Op>& group, bool exact, bool rough, int threads)
      : group_(group), exact_(exact), rough_(rough), threads_(threads) {
    for (int u = 0; u < k; ++u) {
      offset_[u] = unknowns_;
      unknowns_ += count(Op::arrays[n + u].core, sizes());
      row_major(Op::arrays[n + u].core, sizes(), wide, value[n + u].stride);
    }
    for (int i = 0; i < n; ++i) {
      if (Op::arrays[i].core.rank >= 2) continue;
      value[i] = group.strip(i);
      if (!group.shared(i)) own(value, i);
    }
    for (int a = n + k; a < n + k + m; ++a) own(value, a);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum) {
        own(size, N::target);
        if constexpr (moves<N>()) {
          sum_offset_[N::target] = sums_;
          sums_ += count(Op::arrays[N::target].core, sizes());
          row_major(Op::arrays[N::target].core, sizes(), wide, value[N::target].stride);
        } else {
          own(value, N::target);
        }
        if constexpr (is_product<N>()) {
          constexpr int vector = N::read[N::product.vector].array;
          if (vector < n && group.shared(vector)) spread(vector);
        }
      } else if constexpr (N::stage == Stage::equation) {
        const int64_t points = count(Op::arrays[N::target].core, sizes());
        for (int s = 0; s < N::active; ++s) {
          const int64_t rows = N::uniform[s] ? 1 : points;
          slopes_.emplace_back(rows);
          exact_slopes_.emplace_back(exact ? rows : 0);
        }
      }
      fixed_at_[N::number] = fixed_.size();
      fixed_.resize(fixed_.size() + static_cast<size_t>(wide / lanes * N::fixed), Real(0.0));
    });
    F_ = Block<double>(unknowns_);
  }

  const int64_t* sizes() const { return group_.sizes(); }
  int64_t unknowns() const { return unknowns_; }
  int64_t sums() const { return sums_; }
  int64_t offset(int u) const { return offset_[u]; }
  const double* F() const { return F_.data(); }
  State state() const { return {Block<double>(unknowns_), Block<double>(sums_)}; }

  // Arrays of one number a system and entry.
  void own(Strip (&strips)[arrays], int array) {
    strips[array].shared = false;
    const int64_t total = row_major(Op::arrays[array].core, sizes(), wide, strips[array].stride);
    memory_.emplace_back(total > 0 ? total : 1);
    strips[array].data = memory_.back().data();
  }

  // Takes on systems, at most `wide`; what is left over repeats the first.
  void place(const int64_t* systems, int count) {
    for (int l = 0; l < wide; ++l) systems_[l] = systems[l < count ? l : 0];
    for (int i = 0; i < n; ++i) {
      if (Op::arrays[i].core.rank < 2 && !group_.shared(i)) read(group_.inputs[i], value[i], i);
    }
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::fixed > 0) prepare_fixed<N>();
      if constexpr (N::stage == Stage::sum && !N::active_formula) measure<N>();
    });
  }

  // One system of an operand for every column.
  void read(const opgen_array& array, const Strip& to, int of) const {
    if (!array.data) return;
    each_system(array, to, of, [](auto& from, double& own) { own = from; });
  }
  // Calls body(entry in the call's memory, the same entry in a strip) for the first `used` systems.
  template <class Body>
  void each_system(const opgen_array& array, const Strip& strip, int of, Body&& body, int used = wide, const bool* only = nullptr) const {
    const Core& core = Op::arrays[of].core;
    int64_t length[max_rank] = {1, 1, 1, 1};
    for (int d = 0; d < core.rank; ++d) length[d] = extent(core.axes[d], sizes());
    for (int l = 0; l < used; ++l) {
      if (only && !only[l]) continue;
      group_.batch.typed(array, systems_[l], [&](auto* data, const int64_t* stride) {
        int64_t position[max_rank] = {};
        for (int d = 0; d < core.rank; ++d) {
          if (length[d] <= 0) return;
        }
        const int last = core.rank - 1;
        const int64_t along = core.rank > 0 ? stride[last] : 0, step = core.rank > 0 ? strip.stride[last] : 0;
        const int64_t row = core.rank > 0 ? length[last] : 1;
        for (;;) {
          auto* from = data;
          for (int d = 0; d < last; ++d) from += position[d] * stride[d];
          double* const to = strip.at(position, core.rank) + l;
          for (int64_t i = 0; i < row; ++i) body(from[i * along], to[i * step]);
          int d = last - 1;
          while (d >= 0 && ++position[d] == length[d]) position[d--] = 0;
          if (d < 0) return;
        }
      });
    }
  }

  // The columns of an array that are marked, to their systems of an operand.
  void write(const opgen_array& array, const Strip& from, int of, int used, const bool* only) const {
    each_system(
        array, from, of, [](auto& to, double& own) { to = static_cast<std::remove_reference_t<decltype(to)>>(own); }, used, only);
  }
  // Unmarks the systems whose entries of an array are not all finite.
  void check_finite(int array, bool (&good)[wide]) const {
    const int64_t rows = count(Op::arrays[array].core, sizes());
    Each sum = {};
    for (int64_t i = 0; i < rows; ++i) {
      for (int l = 0; l < wide; ++l) sum[l] += value[array].data[i * wide + l] * 0.0;
    }
    for (int l = 0; l < wide; ++l) good[l] = good[l] && sum[l] == 0;
  }

  // Makes the arrays those of a state.
  void bind(const State& at) {
    for (int u = 0; u < k; ++u) value[n + u].data = at.y.row(offset_[u]);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) value[N::target].data = at.sums.row(sum_offset_[N::target]);
    });
  }
  void guess() {
    for (int u = 0; u < k; ++u) std::fill_n(value[n + u].data, count(Op::arrays[n + u].core, sizes()) * wide, 0.0);
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::guess) evaluate<N>();
    });
  }
  // The sums that move, from the unknowns.
  void add_up() {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) product<N>();
    });
  }
  // Sums and values of the auxiliaries.
  void auxiliaries() {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::sum && N::active_formula && !N::of_equation) measure<N>();
      if constexpr (N::stage == Stage::auxiliary) evaluate<N>();
    });
  }

  // F and its slopes; |F| is compared with `tol` and `loose` times its size.
  Measured linearise(double tol, double loose) {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) size_of_product<N>();
    });
    Vec squares[wide / lanes] = {}, sizes_squared[wide / lanes] = {};
    Mask<1> within[wide / lanes], near[wide / lanes];
    for (int q = 0; q < wide / lanes; ++q) within[q].v[0] = near[q].v[0] = ~Bits{};
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        const Strip* const strips[] = {value, size};
        double* const F = F_.row(offset_[N::target - n]);
        constexpr int before = slopes_before<N>();
        sweep_bundle<Op, N, 2, 2 + N::active>(
            sizes(), strips, fixed<N>(),
            [](const Real* a, const Real* fixed, Real* out) { N::linearise(a, a + N::reads + N::plain, fixed, out); },
            [&](const int64_t* index, int q, const Real* out) {
              const int64_t p = N::rank == 0 ? 0 : index[0];
              out[0].store(F + p * wide + q);
              squares[q / lanes] += out[0].v[0] * out[0].v[0];
              sizes_squared[q / lanes] += out[1].v[0] * out[1].v[0];
              const Real f = abs(out[0]);
              within[q / lanes] = within[q / lanes] & (f <= tol * out[1]);
              near[q / lanes] = near[q / lanes] & (f <= loose * out[1]);
              for (int s = 0; s < N::active; ++s) {
                if (N::uniform[s] && p > 0) continue;
                store_single(out[2 + s], slopes_[before + s].row(N::uniform[s] ? 0 : p) + q);
                if (exact_) out[2 + s].store(exact_slopes_[before + s].row(N::uniform[s] ? 0 : p) + q);
              }
            });
      }
    });
    Measured all;
    for (int l = 0; l < wide; ++l) {
      all.norm[l] = std::sqrt(squares[l / lanes][l % lanes]);
      all.size[l] = std::sqrt(sizes_squared[l / lanes][l % lanes]);
      all.within[l] = within[l / lanes].v[0][l % lanes] != 0;
      all.near[l] = near[l / lanes].v[0][l % lanes] != 0;
    }
    return all;
  }

  // w = F_y v; `sums` are those of v.
  template <class T>
  void multiply(const T* v, T* sums, T* w) const {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) {
        const T* const vector = vector_of<N>(v, static_cast<const T*>(sums));
        T* const to = sums + sum_offset_[N::target] * wide;
        group_.template matrix<N>([&](const auto& m) { coupled::multiply<T>(m, vector, to, false, threads_); });
      }
    });
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        T* const to = w + offset_[N::target - n] * wide;
        rows<N, T>(v, sums, [&](int64_t p, const auto& part) {
          for (int q = 0; q < wide; q += linear::Register<T>::width) {
            typename linear::Register<T>::Vector s = {};
            OPGEN_UNROLL for (int r = 0; r < N::active; ++r) s += part[r].slope(p, q) * part[r].at(p, q);
            linear::Register<T>::store(s, to + p * wide + q);
          }
        });
      }
    });
  }

  // w = F_y^T u; `sums` gets the cotangents of the sums.
  template <class T>
  void multiply_transposed(const T* u, T* sums, T* w) const {
    for (int a = 0; a < arrays; ++a) {
      if (started(a)) continue;
      if (Op::arrays[a].role == Role::unknown) std::fill_n(w + offset_[a - n] * wide, count(Op::arrays[a].core, sizes()) * wide, T(0));
      if (moving(a)) std::fill_n(sums + sum_offset_[a] * wide, count(Op::arrays[a].core, sizes()) * wide, T(0));
    }
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        const T* const of = u + offset_[N::target - n] * wide;
        rows<N, T>(w, sums, [&](int64_t p, const auto& part) {
          for (int q = 0; q < wide; q += linear::Register<T>::width) {
            const auto c = linear::Register<T>::load(of + p * wide + q);
            OPGEN_UNROLL for (int r = 0; r < N::active; ++r) {
              if (starts<N>(r)) {
                part[r].set(p, q, part[r].slope(p, q) * c);
              } else {
                part[r].set(p, q, part[r].at(p, q) + part[r].slope(p, q) * c);
              }
            }
          }
        });
      }
    });
    Op::Nests::reversed([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) {
        T* const vector = vector_of<N>(w, sums);
        const T* const from = sums + sum_offset_[N::target] * wide;
        group_.template matrix<N>([&](const auto& m) { coupled::multiply<T>(m.transposed(), from, vector, true, threads_); });
      }
    });
  }

  // The slopes of one system, all of them.
  std::vector<double> slopes(int system) const {
    std::vector<double> all;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        const int64_t points = count(Op::arrays[N::target].core, sizes());
        for (int r = 0; r < N::active; ++r) {
          const Block<double>& own = exact_slopes_[static_cast<size_t>(slopes_before<N>() + r)];
          for (int64_t p = 0; p < (N::uniform[r] ? 1 : points); ++p) all.push_back(own.row(p)[system]);
        }
      }
    });
    return all;
  }
  // Adds the Jacobian of one system to a matrix; its sums are of unknowns.
  template <class Matrix>
  void jacobian(int system, Matrix& to) const {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        const int64_t points = count(Op::arrays[N::target].core, sizes());
        for (int r = 0; r < N::active; ++r) {
          const Read& read = N::read[r];
          const Block<double>& own = exact_slopes_[static_cast<size_t>(slopes_before<N>() + r)];
          const bool single = Op::arrays[read.array].core.rank == 0;
          for (int64_t p = 0; p < points; ++p) {
            const double slope = own.row(N::uniform[r] ? 0 : p)[system];
            const int64_t at = single ? 0 : read.shift[0] + (read.loop[0] == 0 ? p : 0);
            double* const row = to.row(offset_[N::target - n] + p);
            if (Op::arrays[read.array].role == Role::unknown) {
              row[offset_[read.array - n] + at] += slope;
            } else {
              add_row(read.array, at, slope, row);
            }
          }
        }
      }
    });
  }

  // to = factor v, or to += factor v.
  template <class M>
  void apply(const Factor<M>& factor, const double* v, double* to, bool add) {
    if (!rough_) return coupled::multiply<double>(factor, v, to, add, threads_);
    if (const int64_t room = factor.rows + factor.columns; room > room_) single_ = Block<float>(room_ = room);
    float *const from = single_.data(), *const made = single_.row(factor.columns);
    for (int64_t i = 0; i < factor.columns * wide; ++i) from[i] = static_cast<float>(v[i]);
    coupled::multiply<float>(factor, static_cast<const float*>(from), made, false, threads_);
    if (add) {
      for (int64_t i = 0; i < factor.rows * wide; ++i) to[i] += made[i];
    } else {
      for (int64_t i = 0; i < factor.rows * wide; ++i) to[i] = made[i];
    }
  }

  template <class N>
  const Real* fixed() const {
    return fixed_.data() + fixed_at_[N::number];
  }
  const Group<Op>& group() const { return group_; }
  int threads() const { return threads_; }

  // A sum that changes with the unknowns, and F with it.
  template <class N>
  static constexpr bool moves() {
    return N::stage == Stage::sum && N::active_formula && N::of_equation;
  }

 private:
  template <class T>
  struct Part {
    const T* slopes;
    T* entries;
    int64_t slope_step, step;
    auto slope(int64_t p, int q) const { return linear::Register<T>::load(slopes + p * slope_step + q); }
    auto at(int64_t p, int q) const { return linear::Register<T>::load(entries + p * step + q); }
    template <class V>
    void set(int64_t p, int q, const V& v) const {
      linear::Register<T>::store(v, entries + p * step + q);
    }
  };

  // Calls body(point, parts) for the points of an equation: a part is an active read, its slope and where it is in v or `sums`.
  template <class N, class T, class Body>
  void rows(const T* v, const T* sums, Body&& body) const {
    Part<T> part[N::active > 0 ? N::active : 1];
    constexpr int before = slopes_before<N>();
    for (int r = 0; r < N::active; ++r) {
      const Read& read = N::read[r];
      const bool is_sum = Op::arrays[read.array].role == Role::sum;
      const int64_t row = (is_sum ? sum_offset_[read.array] : offset_[read.array - n]) + (Op::arrays[read.array].core.rank > 0 ? read.shift[0] : 0);
      part[r].entries = const_cast<T*>(is_sum ? sums : v) + row * wide;
      part[r].step = Op::arrays[read.array].core.rank > 0 && read.loop[0] == 0 ? wide : 0;
      part[r].slope_step = N::uniform[r] ? 0 : wide;
      if constexpr (sizeof(T) == sizeof(float)) {
        part[r].slopes = slopes_[static_cast<size_t>(before + r)].data();
      } else {
        part[r].slopes = exact_slopes_[static_cast<size_t>(before + r)].data();
      }
    }
    const int64_t points = count(Op::arrays[N::target].core, sizes());
    for (int64_t p = 0; p < points; ++p) body(p, part);
  }

  // Where the vector of product N begins, among unknowns or among sums, whose rows are `step` apart.
  template <class N, class T>
  T* vector_of(T* v, T* sums, int64_t step = wide) const {
    constexpr int array = N::read[N::product.vector].array;
    if constexpr (Op::arrays[array].role == Role::unknown) {
      return v + (offset_[array - n] + group_.template first<N>()) * step;
    } else {
      return sums + (sum_offset_[array] + group_.template first<N>()) * step;
    }
  }

  template <class N>
  static constexpr int slopes_before() {
    int before = 0;
    bool found = false;
    Op::Nests::each([&](auto nest) {
      using Other = decltype(nest);
      if (Other::number == N::number) found = true;
      if (!found && Other::stage == Stage::equation) before += Other::active;
    });
    return before;
  }

  // Whether the active read r is the first of its array, and of all of its entries: those of a transposed product begin with it.
  template <class N>
  static constexpr bool starts(int r) {
    const Core &own = Op::arrays[N::read[r].array].core, &points = Op::arrays[N::target].core;
    bool all = own.rank == points.rank, first = true;
    for (int d = 0; all && d < own.rank; ++d) {
      all = N::read[r].loop[d] == d && N::read[r].shift[d] == 0 && own.axes[d].dimension == points.axes[d].dimension &&
            own.axes[d].offset == points.axes[d].offset;
    }
    Op::Nests::each([&](auto nest) {
      using Other = decltype(nest);
      if (Other::stage != Stage::equation) return;
      for (int q = 0; q < Other::active; ++q) {
        const bool before = Other::number < N::number || (Other::number == N::number && q < r);
        first = first && !(before && Other::read[q].array == N::read[r].array);
      }
    });
    return all && first;
  }
  static constexpr bool started(int array) {
    bool found = false;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        for (int r = 0; r < N::active; ++r) found = found || (N::read[r].array == array && starts<N>(r));
      }
    });
    return found;
  }
  static constexpr bool moving(int array) {
    bool found = false;
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) found = found || N::target == array;
    });
    return found;
  }

  // row += slope (the matrix of which an entry of a sum is a product, its row `at`).
  void add_row(int sum, int64_t at, double slope, double* row) const {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (moves<N>()) {
        if (N::target != sum) return;
        double* const to = vector_of<N>(row, static_cast<double*>(nullptr), 1);
        group_.template matrix<N>([&](const auto& m) {
          for (int64_t j = 0; j < m.columns; ++j) to[j] += slope * static_cast<double>(m.data[at * m.down + j * m.right]);
        });
      }
    });
  }

  static void store_single(const Real& from, float* to) {
    typedef float Half __attribute__((vector_size(4 * lanes)));
    const Half half = __builtin_convertvector(from.v[0], Half);
    std::memcpy(to, &half, sizeof half);
  }

  template <class N>
  void prepare_fixed() {
    for (int q = 0; q < wide / lanes; ++q) {
      Real a[N::reads + N::plain > 0 ? N::reads + N::plain : 1];
      for (int r = 0; r < N::reads; ++r) {
        const Strip& strip = value[N::read[r].array];
        const Array& array = Op::arrays[N::read[r].array];
        const bool known = array.core.rank == 0 && !array.active && strip.data;
        a[r] = !known ? Real(0.0) : strip.shared ? Real(*strip.data) : Real::load(strip.data + q * lanes);
      }
      for (int p = 0; p < N::plain; ++p) {
        a[N::reads + p] = Real(N::numbers[p].loop < 0 ? static_cast<double>(extent(N::numbers[p].size, sizes())) : 0.0);
      }
      N::prepare(static_cast<const Real*>(a), fixed_.data() + fixed_at_[N::number] + static_cast<size_t>(q * N::fixed));
    }
  }

  // target = value, or the sum of values.
  template <class N>
  void evaluate() {
    const Strip* const strips[] = {value};
    const Strip& target = value[N::target];
    clear<N>(target);
    sweep_bundle<Op, N, 1, 1>(
        sizes(), strips, fixed<N>(), [](const Real* a, const Real* fixed, Real* out) { N::value(a, fixed, out); },
        [&](const int64_t* index, int q, const Real* out) { put<N>(target, index, q, out[0]); });
  }

  // The value of a sum and, beside it, the size of its terms.
  template <class N>
  void measure() {
    if constexpr (is_product<N>()) {
      product<N>();
      size_of_product<N>();
    } else {
      const Strip* const strips[] = {value, size};
      const Strip &target = value[N::target], &sizes_of = size[N::target];
      clear<N>(target);
      clear<N>(sizes_of);
      sweep_bundle<Op, N, 2, 2>(
          sizes(), strips, fixed<N>(),
          [](const Real* a, const Real* fixed, Real* out) { N::measure(a, a + N::reads + N::plain, fixed, out); },
          [&](const int64_t* index, int q, const Real* out) {
            put<N>(target, index, q, out[0]);
            put<N>(sizes_of, index, q, out[1]);
          });
    }
  }

  template <class N>
  static void put(const Strip& target, const int64_t* index, int q, const Real& v) {
    double* const to = target.at(index, N::rank) + q;
    (N::rank == N::loops ? v : Real::load(to) + v).store(to);
  }
  template <class N>
  void clear(const Strip& target) const {
    std::fill_n(target.data, count(Op::arrays[N::target].core, sizes()) * wide, 0.0);
  }

  template <class N>
  void product() {
    const Strip& vector = value[N::read[N::product.vector].array];
    const double* const from = vector.data + group_.template first<N>() * vector.stride[0];
    group_.template matrix<N>([&](const auto& factor) { apply(factor, from, value[N::target].data, false); });
  }

  // |M_i v| <= sum |M_ij| |v_j| <= |M_i| |v|: the last is taken for the size of the terms. It is little more than the sum, which
  // would be a product of its own.
  template <class N>
  void size_of_product() {
    const Strip& vector = value[N::read[N::product.vector].array];
    const double* const from = vector.data + group_.template first<N>() * vector.stride[0];
    const std::vector<double>& norms = group_.norms(N::number);
    int64_t columns = 0;
    group_.template matrix<N>([&](const auto& factor) { columns = factor.columns; });
    Each size_of_vector;
    norm_of(from, columns, size_of_vector);
    double* const to = size[N::target].data;
    for (size_t i = 0; i < norms.size(); ++i) {
      for (int l = 0; l < wide; ++l) to[static_cast<int64_t>(i) * wide + l] = norms[i] * size_of_vector[l];
    }
  }

  // An input that all systems share, for each of them: products need it so.
  void spread(int input) {
    const Strip from = value[input];
    if (!from.shared) return;
    own(value, input);
    const int64_t total = count(Op::arrays[input].core, sizes());
    for (int64_t p = 0; p < total; ++p) std::fill_n(value[input].data + p * wide, wide, from.data[p]);
  }

  const Group<Op>& group_;
  bool exact_, rough_;
  int threads_;
  int64_t systems_[wide] = {};
  int64_t unknowns_ = 0, sums_ = 0, offset_[k] = {}, sum_offset_[arrays] = {};
  std::vector<Block<double>> memory_;
  Block<double> F_;
  Block<float> single_;
  int64_t room_ = 0;
  std::vector<Block<float>> slopes_;
  std::vector<Block<double>> exact_slopes_;
  std::vector<Real> fixed_;
  size_t fixed_at_[Op::Nests::count] = {};
};

}  // namespace opgen::coupled
#endif
