// The one table of what can go wrong at a point, and the sentence that says so.
#ifndef OPGEN_STATUS_H
#define OPGEN_STATUS_H

#include <opgen/abi.h>
#include <stdarg.h>
#include <stdio.h>

namespace opgen {

enum class Cause { none, input, iterations, value, singular, linear };

// The lowest failing point of a call, and how many there are.
struct Failure {
  int64_t count = 0;
  int64_t index = -1;
  Cause cause = Cause::none;
  double residual = 0;
  int64_t iterations = 0;

  void add(int64_t at, Cause why, double norm, int64_t steps) {
    ++count;
    if (index < 0 || at < index) index = at, cause = why, residual = norm, iterations = steps;
  }
  void merge(const Failure& other) {
    count += other.count;
    if (other.index >= 0 && (index < 0 || other.index < index)) {
      index = other.index, cause = other.cause, residual = other.residual, iterations = other.iterations;
    }
  }
};

// Text of bounded length: what does not fit is cut, never overrun.
class Sentence {
 public:
  explicit Sentence(char* out) : out_(out) { out_[0] = 0; }
  __attribute__((format(printf, 2, 3))) Sentence& add(const char* format, ...) {
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(out_ + used_, OPGEN_MESSAGE_SIZE - used_, format, args);
    va_end(args);
    used_ = n < 0 || n >= OPGEN_MESSAGE_SIZE - used_ ? OPGEN_MESSAGE_SIZE - 1 : used_ + n;
    return *this;
  }

 private:
  char* out_;
  int used_ = 0;
};

inline double value_at(const opgen_array& a, const opgen_points& points, int64_t index) {
  int64_t offset = 0;
  for (int d = points.rank - 1; d >= 0; --d) {
    offset += index % points.shape[d] * a.strides[d];
    index /= points.shape[d];
  }
  return points.dtype == OPGEN_FLOAT32 ? static_cast<const float*>(a.data)[offset]
                                       : static_cast<const double*>(a.data)[offset];
}

// "[1, 2]": the place of a linear index.
inline void add_index(Sentence& text, const opgen_points& points, int64_t index) {
  int64_t below = 1;
  for (int d = 0; d < points.rank; ++d) below *= points.shape[d];
  text.add("[");
  for (int d = 0; d < points.rank; ++d) {
    below /= points.shape[d];
    text.add("%s%lld", d ? ", " : "", static_cast<long long>(index / below));
    index %= below;
  }
  text.add("]");
}

// Writes the sentence for `failure` and says whether the call fails.
template <class Op>
int conclude(const Failure& failure, const opgen_points& points, const opgen_array* inputs,
             const opgen_options& options, opgen_report* report) {
  report->failed = failure.count;
  report->first = failure.index;
  report->message[0] = 0;
  if (failure.count == 0) return OPGEN_OK;
  int64_t total = 1;
  for (int d = 0; d < points.rank; ++d) total *= points.shape[d];
  const auto failed = static_cast<long long>(failure.count), of = static_cast<long long>(total);
  Sentence text(report->message);
  text.add("%s: ", Op::name);
  switch (failure.cause) {
    case Cause::input:
      text.add("%lld of %lld points failed; first at index ", failed, of);
      break;
    case Cause::value:
      text.add("%lld of %lld points have no finite value; first at index ", failed, of);
      break;
    case Cause::singular:
      text.add("%s is singular at %lld of %lld points; first at index ", Op::jacobian_name, failed, of);
      break;
    default:
      text.add("%lld of %lld points did not converge; first at index ", failed, of);
  }
  add_index(text, points, failure.index);
  for (int i = 0; i < Op::inputs; ++i) {
    text.add("%s%s = %g", i ? ", " : " (", Op::input_names[i], value_at(inputs[i], points, failure.index));
  }
  if (Op::inputs > 0) text.add(")");
  switch (failure.cause) {
    case Cause::input:
      text.add(": an input is not finite; mend the input");
      break;
    case Cause::value:
      text.add(": the inputs lie outside the formula's domain; keep them inside");
      break;
    case Cause::singular:
      text.add(": the root is not isolated there and has no gradient; move the inputs");
      break;
    default:
      text.add(": residual %g after %lld iterations; %s", failure.residual, static_cast<long long>(failure.iterations),
               Op::linear ? "the linear system is singular there, move the inputs"
               : failure.residual == failure.residual ? "give a guess or bounds"
                                                      : "F is not finite where it was tried, move the inputs or give a guess");
  }
  text.add(", or on_failure=\"nan\"");
  return options.on_failure == OPGEN_RAISE ? OPGEN_FAILED_POINTS : OPGEN_OK;
}

}  // namespace opgen
#endif
