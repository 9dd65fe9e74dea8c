// One custom call of XLA: its attributes, and its buffers as the kernel takes them.
#ifndef OPGEN_XLA_CALL_H
#define OPGEN_XLA_CALL_H

#include <opgen/kernel.h>
#include <opgen/operands.h>
#include <xla/ffi/api/ffi.h>

#include <string_view>

namespace opgen::xla {

namespace ffi = ::xla::ffi;

struct Attributes {
  opgen_options options;
  bool gmres;
  std::string_view present, wanted;  // "101": the first and third are there
};

// The buffers of one call, seen at its points: what the shapes of all operands broadcast to.
class Call {
 public:
  Call(const Signature& signature, ffi::RemainingArgs operands, ffi::RemainingRets results, const Attributes& attributes)
      : attributes(attributes), op_(signature.op), buffers_(operands), results_(results), operands_(signature) {}
  Call(const Call&) = delete;

  const Attributes attributes;
  const opgen_points* points() const { return &points_; }
  bool has_more() const { return buffer_ < buffers_.size(); }
  bool has_results() const { return result_ < results_.size(); }

  // The next n arguments are those of operands `first`, `first` + 1, ...
  void take(int first, int n, const char* role = "") {
    for (int number = first; number < first + n; ++number) add(number, role, true);
  }
  // The same where some may be absent.
  void take_present(int first, int n, const char* role) {
    for (int number = first; number < first + n; ++number) add(number, role, attributes.present[letter_++] == '1');
  }
  // After all of them; false if the call is wrong.
  bool taken() {
    if (error_.empty()) error_ = operands_.incomplete();
    points_ = operands_.points(dtype_ == ffi::F32);
    return error_.empty();
  }
  ffi::Error fault() const { return ffi::Error::InvalidArgument(error_); }

  std::vector<opgen_array> arguments(int first, int n) {
    std::vector<opgen_array> arrays;
    for (int i = first; i < first + n; ++i) {
      const Argument& taken = arguments_[i];
      arrays.push_back(taken.data ? operands_.array(taken.data, taken.shape, taken.number) : absent());
    }
    return arrays;
  }
  // The next results, with the axes of operands `first`, `first` + 1, ...
  std::vector<opgen_array> give(int first, int n) {
    std::vector<opgen_array> arrays;
    for (int number = first; number < first + n; ++number) arrays.push_back(view(next_result(), number));
    return arrays;
  }
  opgen_array give_norm() { return view(next_result(), no_core); }
  // The next results: of n gradients those that somebody wants.
  std::vector<opgen_array> give_wanted(int n) {
    std::vector<opgen_array> arrays;
    for (int i = 0; i < n; ++i) arrays.push_back(attributes.wanted[i] == '1' ? view(next_result(), i) : absent());
    return arrays;
  }
  opgen_array absent() { return operands_.absent(); }
  ffi::AnyBuffer next_result() { return **results_.get<ffi::AnyBuffer>(result_++); }

 private:
  struct Argument {
    void* data;
    Shape shape;
    int number;
  };

  static Shape shape_of(const ffi::AnyBuffer& buffer) {
    return Shape(buffer.dimensions().begin(), buffer.dimensions().end());
  }
  void add(int number, const char* role, bool present) {
    if (!present) {
      operands_.skip();
      arguments_.push_back({nullptr, {}, number});
      return;
    }
    const ffi::AnyBuffer buffer = *buffers_.get<ffi::AnyBuffer>(buffer_++);
    if (buffer_ == 1) dtype_ = buffer.element_type();
    if (buffer.element_type() != dtype_) fail("operands of different dtypes in one call");
    if (dtype_ != ffi::F32 && dtype_ != ffi::F64) fail("an operand is neither float32 nor float64");
    Shape shape = shape_of(buffer);
    const std::string fault = operands_.add(number, role, shape, true);
    if (error_.empty()) error_ = fault;
    arguments_.push_back({buffer.untyped_data(), std::move(shape), number});
  }
  opgen_array view(const ffi::AnyBuffer& buffer, int number) {
    return operands_.array(buffer.untyped_data(), shape_of(buffer), number);
  }
  void fail(const char* what) {
    if (error_.empty()) error_ = std::string(op_) + ": " + what;
  }

  const char* op_;
  ffi::RemainingArgs buffers_;
  ffi::RemainingRets results_;
  ffi::DataType dtype_ = ffi::F64;
  size_t buffer_ = 0, result_ = 0, letter_ = 0;
  std::vector<Argument> arguments_;
  OperandShapes operands_;
  opgen_points points_{};
  std::string error_;
};

// The end of a call; `failure` is empty where there is none.
inline ffi::Error end(const std::string& failure) {
  return failure.empty() ? ffi::Error::Success() : ffi::Error::InvalidArgument(failure);
}
inline ffi::Error end(int status, const opgen_report& report) { return end(status == OPGEN_OK ? "" : report.message); }

}  // namespace opgen::xla
#endif
