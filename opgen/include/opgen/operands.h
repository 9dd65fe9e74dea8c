// The operands of a call: batch axes, which broadcast as in NumPy, and behind them core axes, whose extents have to agree.
// An operator that acts on every point alone has no core axes; its points are the batch.
#ifndef OPGEN_OPERANDS_H
#define OPGEN_OPERANDS_H

#include <opgen/broadcast.h>
#include <opgen/signature.h>

#include <cstdlib>
#include <memory>

namespace opgen {

// What adapters know of an operator's inputs, unknowns and auxiliaries, which are numbered in this order.
struct Signature {
  const char* op;
  const char* const* names;
  const Core* cores;
  const char* const* dimension_names;
  size_t dimensions;
  size_t rank;  // of the core that has most axes
};

template <class Op>
constexpr Signature signature() {
  int rank = 0;
  for (const Core& core : Op::cores) rank = core.rank > rank ? core.rank : rank;
  return {Op::name, Op::operand_names, Op::cores, Op::dimension_names, Op::dimensions, static_cast<size_t>(rank)};
}

constexpr int no_core = -1;  // the number of a result that has batch axes only

class OperandShapes {
 public:
  explicit OperandShapes(const Signature& signature)
      : signature_(signature), sizes_(signature.dimensions, unknown_extent), known_(signature.dimensions) {}

  // Takes the next argument of the call, which has the core axes of operand `number`; `role` is what else to call it, such as
  // "initial ". Its batch axes widen those of the call, or have to fit them. Returns the sentence of what is wrong, or none.
  std::string add(int number, const char* role, const Shape& shape, bool widens) {
    std::string fault = add_core(number, role, shape);
    if (!fault.empty()) return fault;
    const size_t rank = batch_rank(number, shape);
    if (widens ? broadcast(batch_, shape, rank) : fits(batch_, shape, rank)) return "";
    if (signature_.rank == 0) {
      return sentence("argument " + std::to_string(added_) + " has shape " + text(shape) + ", which does not broadcast to " +
                      text(batch_));
    }
    return sentence(role + name(number) + " has shape " + text(shape) + ", whose batch axes " +
                    text(Shape(shape.begin(), shape.begin() + static_cast<ptrdiff_t>(rank))) + " do not broadcast to " +
                    text(batch_));
  }
  // The same for its core axes alone, of which some extents may not be known.
  std::string add_core(int number, const char* role, const Shape& shape) {
    ++added_;
    const Core& core = signature_.cores[number];
    if (shape.size() < static_cast<size_t>(core.rank)) {
      return sentence(role + name(number) + " has shape " + text(shape) + ", but needs " + std::to_string(core.rank) +
                      (core.rank == 1 ? " core axis " : " core axes ") + text(core) + " behind its batch axes");
    }
    const size_t first = batch_rank(number, shape);
    for (int d = 0; d < core.rank; ++d) {
      const int64_t extent = shape[first + static_cast<size_t>(d)];
      if (extent == unknown_extent) continue;
      const Axis& axis = core.axes[d];
      const int64_t size = extent - axis.offset;
      bool misfit = axis.dimension < 0 ? size != 0 : size < 0;
      if (!misfit && axis.dimension >= 0) {
        const auto at = static_cast<size_t>(axis.dimension);
        if (sizes_[at] == unknown_extent) {
          sizes_[at] = size;
          known_[at] = {added_, number, role, axis, extent};
        } else if (sizes_[at] != size && known_[at].argument != added_) {
          return disagreement({added_, number, role, axis, extent}, known_[at]);
        }
        misfit = sizes_[at] != size;
      }
      if (misfit) return misshapen(number, role, shape);
    }
    return "";
  }
  // Counts an argument that is absent.
  void skip() { ++added_; }
  // Says which dimension no operand has.
  std::string incomplete() const {
    for (size_t i = 0; i < sizes_.size(); ++i) {
      if (sizes_[i] != unknown_extent) continue;
      return sentence(std::string("no input has the axis ") + signature_.dimension_names[i] +
                      "; give initial, whose shape says how large the grid is");
    }
    return "";
  }

  const Shape& batch() const { return batch_; }
  size_t core_rank(int number) const { return number < 0 ? 0 : static_cast<size_t>(signature_.cores[number].rank); }
  size_t largest_core_rank() const { return signature_.rank; }
  opgen_points points(bool single) const {
    return {single ? OPGEN_FLOAT32 : OPGEN_FLOAT64, static_cast<int32_t>(batch_.size()), batch_.data(),
            sizes_.empty() ? nullptr : sizes_.data()};
  }
  // The shape of a result.
  Shape shape(int number) const {
    Shape made = batch_;
    append_core(number, made);
    return made;
  }
  // Core extents as far as they are known.
  void append_core(int number, Shape& to) const {
    for (size_t d = 0; d < core_rank(number); ++d) {
      const Axis& axis = signature_.cores[number].axes[d];
      const bool known = axis.dimension < 0 || sizes_[static_cast<size_t>(axis.dimension)] != unknown_extent;
      to.push_back(known ? extent(axis, sizes_.data()) : unknown_extent);
    }
  }

  // Contiguous memory of `shape`, seen at every point of the batch.
  opgen_array array(void* data, const Shape& shape, int number) {
    strides_.push_back(std::make_unique<Shape>(strides(shape, batch_, core_rank(number))));
    return {data, strides_.back()->data()};
  }
  opgen_array absent() {
    strides_.push_back(std::make_unique<Shape>(batch_.size() + signature_.rank, 0));
    return {nullptr, strides_.back()->data()};
  }

 private:
  // An axis from which the size of a dimension is known.
  struct Source {
    int argument, number;
    const char* role;
    Axis axis;
    int64_t extent;
  };

  size_t batch_rank(int number, const Shape& shape) const { return shape.size() - core_rank(number); }
  std::string name(int number) const { return signature_.names[number]; }
  std::string sentence(const std::string& what) const { return std::string(signature_.op) + ": " + what; }
  std::string text(const Shape& shape) const { return opgen::text(shape); }
  // "n + 1"
  std::string text(const Axis& axis) const {
    if (axis.dimension < 0) return std::to_string(axis.offset);
    const std::string dimension = signature_.dimension_names[axis.dimension];
    if (axis.offset == 0) return dimension;
    return dimension + (axis.offset < 0 ? " - " : " + ") + std::to_string(std::abs(axis.offset));
  }
  // "(n, n + 1)"
  std::string text(const Core& core) const {
    std::string axes;
    for (int d = 0; d < core.rank; ++d) axes += (d ? ", " : "") + text(core.axes[d]);
    return "(" + axes + ")";
  }
  std::string disagreement(const Source& one, const Source& other) const {
    const std::string along = text(one.axis), there = text(other.axis);
    return sentence(one.role + name(one.number) + " has " + std::to_string(one.extent) + " entries along " + along + ", but " +
                    other.role + name(other.number) + " has " + std::to_string(other.extent) +
                    (along == there ? "" : " along " + there));
  }
  std::string misshapen(int number, const char* role, const Shape& shape) const {
    const Core& core = signature_.cores[number];
    const auto same = [&](int d) { return text(core.axes[d]) == text(core.axes[0]); };
    const bool square = core.rank == 2 && core.axes[0].dimension >= 0 && same(1);
    return sentence(role + name(number) + " has shape " + text(shape) + ", but its core " +
                    (core.rank == 1 ? "axis is " : "axes are ") + text(core) + (square ? "; give square matrices" : ""));
  }

  const Signature signature_;
  int added_ = 0;
  Shape batch_, sizes_;
  std::vector<Source> known_;
  std::vector<std::unique_ptr<Shape>> strides_;
};

}  // namespace opgen
#endif
