// Systems of a batch that share their matrices.
//
// A nest that sums up M[i, j] v[j] is a product of a matrix with a vector. Where the systems of a batch share M, those of many
// systems are one product of M with a block (group_product.h), at a speed that a single vector never reaches. A bundle is a
// number of systems that are solved side by side; a group is all that share their matrices.
#ifndef OPGEN_COUPLED_GROUP_H
#define OPGEN_COUPLED_GROUP_H

#include <opgen/coupled/call.h>
#include <opgen/coupled/group_nest.h>

#include <map>

namespace opgen::coupled {

template <class N>
constexpr bool is_product() {
  return N::product.matrix >= 0;
}

// Whether an operator's equations see the unknowns entry by entry and through products with matrices alone.
template <class Op>
constexpr bool groupable() {
  if (Op::explicit_ || Op::method != Method::dense) return false;
  bool fits = true, products = false;
  for (int a = 0; a < Op::array_count; ++a) {
    const Array& array = Op::arrays[a];
    fits = fits && array.role != Role::boundary && (array.role != Role::unknown || array.core.rank <= 1);
    for (int d = 0; d < array.core.rank; ++d) fits = fits && array.side[d][0].halo == 0 && array.side[d][1].halo == 0;
  }
  Op::Nests::each([&](auto nest) {
    using N = decltype(nest);
    if (N::stage == Stage::equation) {
      for (int r = 0; r < N::active; ++r) fits = fits && Op::arrays[N::read[r].array].core.rank <= 1;
    }
    if (N::stage == Stage::sum && N::of_equation && N::active_formula) fits = fits && is_product<N>(), products = true;
    for (int r = 0; r < N::reads; ++r) {  // a matrix is only multiplied with
      const Array& array = Op::arrays[N::read[r].array];
      fits = fits && (array.role != Role::input || array.core.rank < 2 || r == N::product.matrix);
    }
  });
  return fits && products;
}

// The inputs of systems that share their matrices.
template <class Op>
class Group {
 public:
  static constexpr int n = Op::inputs;

  const Batch& batch;
  const opgen_array* inputs;
  std::vector<int64_t> systems;

  // Groups of a batch, in the order of their first systems.
  static std::vector<std::unique_ptr<Group>> all(const Batch& batch, const opgen_array* inputs, int threads) {
    std::vector<std::unique_ptr<Group>> made;
    std::map<std::vector<int64_t>, Group*> known;
    std::vector<int64_t> key, last;
    Group* now = nullptr;
    for (int64_t b = 0; b < batch.count(); ++b) {
      key.clear();
      for (int i = 0; i < n; ++i) {
        if (Op::arrays[i].core.rank >= 2) key.push_back(batch.offset(inputs[i], b));
      }
      if (!now || key != last) {
        Group*& found = known[key];
        if (!found) {
          made.push_back(std::make_unique<Group>(batch, inputs));
          found = made.back().get();
        }
        now = found, last = key;
      }
      now->systems.push_back(b);
    }
    for (auto& group : made) group->prepare(threads);
    return made;
  }

  Group(const Batch& batch, const opgen_array* inputs) : batch(batch), inputs(inputs) {}

  const int64_t* sizes() const { return batch.points().sizes; }
  bool shared(int input) const { return shared_[input]; }
  // An input that is shared, and is no matrix.
  const Strip& strip(int input) const { return strips_[input]; }
  // |M_i|, the norm of every row of a product's matrix.
  const std::vector<double>& norms(int nest) const { return norms_[nest]; }

  // Calls body(matrix of product N).
  template <class N, class Body>
  void matrix(Body&& body) const {
    matrix<N>(inputs[N::read[N::product.matrix].array], body);
  }
  // The same of an operand like its matrix.
  template <class N, class Body>
  void matrix(const opgen_array& of, Body&& body) const {
    constexpr Read read = N::read[N::product.matrix];
    constexpr int along = read.loop[0] == 0 ? 0 : 1;  // the axis of the rows
    const int64_t index[max_loops] = {};
    const int64_t rows = N::loop[0].stop.at(sizes(), index), begin = N::loop[1].start.at(sizes(), index);
    const int64_t columns = std::max<int64_t>(N::loop[1].stop.at(sizes(), index) - begin, 0);
    batch.typed(of, systems[0], [&](auto* data, const int64_t* stride) {
      using M = std::remove_pointer_t<decltype(data)>;
      const int64_t right = stride[1 - along], first = read.shift[0] * stride[0] + read.shift[1] * stride[1] + begin * right;
      body(Factor<M>{data + first, rows, columns, stride[along], right});
    });
  }
  // The row of its vector at which product N begins.
  template <class N>
  int64_t first() const {
    const int64_t index[max_loops] = {};
    return N::loop[1].start.at(sizes(), index) + N::read[N::product.vector].shift[0];
  }

 private:
  void prepare(int threads) {
    for (int i = 0; i < n; ++i) {
      const int64_t first = batch.offset(inputs[i], systems[0]);
      shared_[i] = true;
      for (int64_t b : systems) shared_[i] = shared_[i] && batch.offset(inputs[i], b) == first;
      if (!shared_[i] || Op::arrays[i].core.rank >= 2 || !inputs[i].data) continue;
      const Core& core = Op::arrays[i].core;
      memory_[i].resize(static_cast<size_t>(count(core, sizes())));
      strips_[i].shared = true;
      row_major(core, sizes(), 1, strips_[i].stride);
      strips_[i].data = memory_[i].data();
      batch.typed(inputs[i], systems[0], [&](auto* data, const int64_t* stride) {
        for (size_t p = 0; p < memory_[i].size(); ++p) {
          memory_[i][p] = data[core.rank > 0 ? static_cast<int64_t>(p) * stride[0] : 0];
        }
      });
    }
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (is_product<N>()) {
        matrix<N>([&](const auto& m) {
          using M = std::remove_const_t<std::remove_pointer_t<decltype(m.data)>>;
          std::vector<double>& norms = norms_[N::number];
          norms.resize(static_cast<size_t>(m.rows));
          constexpr int64_t piece = 64;
          parallel_for((m.rows + piece - 1) / piece, m.rows * m.columns < 50000 ? 1 : threads, [&](int64_t p) {
            double* const to = norms.data() + p * piece;
            squares(Factor<M>{m.data + p * piece * m.down, std::min(piece, m.rows - p * piece), m.columns, m.down, m.right}, to);
          });
          for (double& v : norms) v = std::sqrt(v);
        });
      }
    });
  }
  // The squares of the rows of a matrix, added up.
  template <class M>
  static void squares(const Factor<M>& m, double* to) {
    for (int64_t i = 0; i < m.rows; ++i) {
      double s[16] = {};
      int64_t j = 0;
      if (m.right == 1) {
        const M* const row = m.data + i * m.down;
        for (; j + 16 <= m.columns; j += 16) {
          for (int q = 0; q < 16; ++q) s[q] += static_cast<double>(row[j + q]) * row[j + q];
        }
      }
      for (; j < m.columns; ++j) s[0] += static_cast<double>(m.data[i * m.down + j * m.right]) * m.data[i * m.down + j * m.right];
      to[i] = sum(s, 16);
    }
  }

  bool shared_[n > 0 ? n : 1] = {};
  Strip strips_[n > 0 ? n : 1];
  std::vector<double> memory_[n > 0 ? n : 1], norms_[Op::Nests::count];
};

}  // namespace opgen::coupled
#endif
