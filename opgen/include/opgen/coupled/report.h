// What is said of systems that fail.
#ifndef OPGEN_COUPLED_REPORT_H
#define OPGEN_COUPLED_REPORT_H

#include <opgen/coupled/call.h>
#include <opgen/status.h>

namespace opgen::coupled {

// What is wrong, and with how many of the systems: of a call without a batch there is one, which needs no number.
inline void add_failure(Sentence& text, const Failure& failure, const opgen_points& points, int64_t systems) {
  const auto failed = static_cast<long long>(failure.count), of = static_cast<long long>(systems);
  const bool alone = points.rank == 0;
  const char* const noun = of == 1 ? "system" : "systems";
  switch (failure.cause) {
    case Cause::input:
      alone ? text.add("the system failed") : text.add("%lld of %lld %s failed", failed, of, noun);
      break;
    case Cause::value:
      alone ? text.add("the system has no finite value")
            : text.add("%lld of %lld %s %s no finite value", failed, of, noun, of == 1 ? "has" : "have");
      break;
    case Cause::singular:
      alone ? text.add("F_y is singular") : text.add("F_y is singular at %lld of %lld %s", failed, of, noun);
      break;
    case Cause::linear:
      alone ? text.add("the linear solve missed its tolerance")
            : text.add("the linear solve missed its tolerance at %lld of %lld %s", failed, of, noun);
      break;
    default:
      alone ? text.add("the system did not converge") : text.add("%lld of %lld %s did not converge", failed, of, noun);
  }
  if (alone) return;
  text.add("; first at index ");
  add_index(text, points, failure.index);
}

// Writes the sentence for `failure` and says whether the call fails.
template <class Op>
int conclude(const Failure& failure, const Batch& batch, const opgen_array* inputs, const opgen_options& options,
             opgen_report* report) {
  const opgen_points& points = batch.points();
  report->failed = failure.count;
  report->first = failure.index;
  report->message[0] = 0;
  if (failure.count == 0) return OPGEN_OK;
  Sentence text(report->message);
  text.add("%s: ", Op::name);
  add_failure(text, failure, points, batch.count());
  bool any = false;
  for (int i = 0; i < Op::inputs; ++i) {
    if (Op::arrays[i].core.rank > 0 || !inputs[i].data) continue;
    text.add("%s%s = %g", any ? ", " : " (", Op::input_names[i], value_at(inputs[i], points, failure.index));
    any = true;
  }
  if (any) text.add(")");
  switch (failure.cause) {
    case Cause::input:
      text.add(": an input is not finite; mend the input");
      break;
    case Cause::value:
      text.add(": the inputs lie outside the formula's domain; keep them inside");
      break;
    case Cause::singular:
      text.add(": its unknowns are not determined there (a field without a fixed value, or a fold); fix a value or move the inputs");
      break;
    case Cause::linear:
      text.add(": after %lld iterations; F_y is close to singular there, move the inputs", static_cast<long long>(failure.iterations));
      break;
    default:
      text.add(": residual %g after %lld iterations; %s", failure.residual, static_cast<long long>(failure.iterations),
               failure.residual == failure.residual ? "give a guess or initial, or move the inputs"
                                                    : "F is not finite where it was tried, give a guess or initial");
  }
  text.add(", or on_failure=\"nan\"");
  return options.on_failure == OPGEN_RAISE ? OPGEN_FAILED_POINTS : OPGEN_OK;
}

// What happened to one system.
struct Standing {
  Cause cause = Cause::none;
  double residual = 0;
  int64_t iterations = 0;
  int64_t krylov = 0;
};

inline int bad_call(opgen_report* report, const char* name, const char* what) {
  Sentence text(report->message);
  text.add("%s: %s", name, what);
  report->failed = 0, report->first = -1;
  return OPGEN_BAD_CALL;
}

}  // namespace opgen::coupled
#endif
