// The derivatives of F by what it reads, point by point: the Jacobian's entries before they are put into a matrix.
#ifndef OPGEN_COUPLED_SLOPES_H
#define OPGEN_COUPLED_SLOPES_H

#include <opgen/coupled/system.h>

namespace opgen::coupled {

// How the Jacobian is held.
enum class Method { band, stencil, dense };

constexpr double rounding = 2.220446049250313e-16;

// One diagonal of the Jacobian: how F of an unknown changes with what is read at a place.
struct Slope {
  int row;           // unknown whose equation it is
  const Read* read;  // what is read
  const double* data;
  bool uniform;      // one number for all points
  double at(int64_t point) const { return uniform ? *data : data[point]; }
};

template <class Op>
class Slopes {
 public:
  static constexpr int n = Op::inputs, k = Op::unknowns;

  explicit Slopes(System<Op>& system) : system_(system) {
    Op::Nests::each([&](auto nest) {
      using N = decltype(nest);
      if constexpr (N::stage == Stage::equation) {
        const int64_t points = count(Op::arrays[N::target].core, system.sizes());
        for (int s = 0; s < N::active; ++s) {
          const size_t length = N::uniform[s] ? 1 : static_cast<size_t>(points);
          memory_.emplace_back(new double[length > 0 ? length : 1]());
          places_.push_back(memory_.back().get());
          all_.push_back({N::target - n, &N::read[s], memory_.back().get(), N::uniform[s]});
        }
      }
    });
  }

  // F and its slopes at the refreshed unknowns; returns how large F is.
  Ratio linearise(double* F) { return system_.linearise(F, places_.data()); }

  const std::vector<Slope>& all() const { return all_; }

  // The column of the Jacobian that reads unknown `array` at a position, or -1 if only a boundary value stands there.
  static int64_t column(const System<Op>& system, int array, const int64_t* position) {
    const Array& info = Op::arrays[array];
    int64_t flat = 0;
    for (int d = 0; d < info.core.rank; ++d) {
      const int64_t length = extent(info.core.axes[d], system.sizes()), at = inside(info.side[d], position[d], length);
      if (at < 0) return -1;
      flat = flat * length + at;
    }
    return system.offset(array - n) + flat;
  }

  // Calls body(row, column, value) for each entry of the Jacobian that comes of reading unknowns directly. Several may fall on
  // one place: they add up.
  template <class Body>
  void entries(Body&& body) const {
    for (const Slope& slope : all_) {
      if (Op::arrays[slope.read->array].role != Role::unknown) continue;
      each_point(slope.row, [&](const int64_t* index, int64_t point) {
        int64_t position[max_rank] = {};
        locate(slope, index, position);
        const int64_t column = Slopes::column(system_, slope.read->array, position);
        if (column >= 0) body(system_.offset(slope.row) + point, column, slope.at(point));
      });
    }
  }

  // Calls body(index, number) for the points of an unknown, in order.
  template <class Body>
  void each_point(int unknown, Body&& body) const {
    const Core& core = Op::arrays[n + unknown].core;
    int64_t index[max_rank] = {}, length[max_rank] = {1, 1, 1, 1};
    for (int d = 0; d < core.rank; ++d) {
      length[d] = extent(core.axes[d], system_.sizes());
      if (length[d] <= 0) return;
    }
    for (int64_t point = 0;; ++point) {
      body(static_cast<const int64_t*>(index), point);
      int d = core.rank - 1;
      while (d >= 0 && ++index[d] == length[d]) index[d--] = 0;
      if (d < 0) return;
    }
  }

  static void locate(const Slope& slope, const int64_t* index, int64_t* position) {
    for (int d = 0; d < Op::arrays[slope.read->array].core.rank; ++d) {
      const int loop = slope.read->loop[d];
      position[d] = (loop < 0 ? 0 : index[loop]) + slope.read->shift[d];
    }
  }

 private:
  System<Op>& system_;
  std::vector<std::unique_ptr<double[]>> memory_;
  std::vector<double*> places_;
  std::vector<Slope> all_;
};

}  // namespace opgen::coupled
#endif
