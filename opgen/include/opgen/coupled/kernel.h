// The C functions of a coupled operator's kernel.
#ifndef OPGEN_COUPLED_KERNEL_H
#define OPGEN_COUPLED_KERNEL_H

#include <opgen/coupled/derivatives.h>
#include <opgen/coupled/preconditioner.h>
#include <opgen/coupled/residual_products.h>
#include <opgen/coupled/solve.h>
#include <opgen/kernel.h>

#define OPGEN_COUPLED_KERNEL(Op)                                                                                        \
  extern "C" {                                                                                                          \
  OPGEN_EXPORT int opgen_solve(const opgen_points* points, const opgen_array* inputs, const opgen_array* initial,       \
                               const opgen_array* outputs, int32_t* iterations, unsigned char* converged,               \
                               const opgen_options* options, opgen_report* report) {                                    \
    return opgen::coupled::solve<Op>(*points, inputs, initial, outputs, iterations, converged, *options, report);       \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_residual(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,   \
                                  const opgen_array* outputs, const opgen_options* options, opgen_report* report) {     \
    return opgen::coupled::residual<Op>(*points, inputs, unknowns, outputs, *options, report);                          \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_adjoint(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,    \
                                 const opgen_array* cotangents, const opgen_array* gradients,                           \
                                 const opgen_options* options, opgen_report* report) {                                  \
    return opgen::coupled::adjoint<Op>(*points, inputs, unknowns, cotangents, gradients, *options, report);             \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_tangent(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,    \
                                 const opgen_array* tangents, const opgen_array* outputs, const opgen_options* options, \
                                 opgen_report* report) {                                                                \
    return opgen::coupled::tangent<Op>(*points, inputs, unknowns, tangents, outputs, *options, report);                 \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_second(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,     \
                                const opgen_array* cotangents, const opgen_array* tangents,                             \
                                const opgen_array* gradients, const opgen_options* options, opgen_report* report) {     \
    return opgen::coupled::second<Op>(*points, inputs, unknowns, cotangents, tangents, gradients, *options, report);    \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_curvature(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,  \
                                   const opgen_array* v, const opgen_array* w, const opgen_array* outputs,              \
                                   const opgen_options* options, opgen_report* report) {                                \
    return opgen::coupled::curvature<Op>(*points, inputs, unknowns, v, w, outputs, *options, report);                   \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_isolated(const opgen_points* points, const opgen_array* inputs, const opgen_array* unknowns,   \
                                  unsigned char* flags, const opgen_options* options, opgen_report* report) {           \
    return opgen::coupled::isolated<Op>(*points, inputs, unknowns, flags, *options, report);                            \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_residual_pullback(const opgen_points* points, const opgen_array* inputs,                       \
                                           const opgen_array* unknowns, const opgen_array* cotangents,                  \
                                           const opgen_array* gradients, const opgen_options* options,                  \
                                           opgen_report* report) {                                                      \
    return opgen::coupled::residual_pullback<Op>(*points, inputs, unknowns, cotangents, gradients, *options, report);   \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_residual_tangent(const opgen_points* points, const opgen_array* inputs,                        \
                                          const opgen_array* unknowns, const opgen_array* tangents,                     \
                                          const opgen_array* outputs, const opgen_options* options,                     \
                                          opgen_report* report) {                                                       \
    return opgen::coupled::residual_tangent<Op>(*points, inputs, unknowns, tangents, outputs, *options, report);        \
  }                                                                                                                     \
  OPGEN_EXPORT int opgen_preconditioner_new(const opgen_points* points, const opgen_array* inputs,                      \
                                            const opgen_array* unknowns, const opgen_options* options,                  \
                                            opgen_preconditioner* made, opgen_report* report) {                         \
    return opgen::coupled::new_preconditioner<Op>(*points, inputs, unknowns, *options, made, report);                   \
  }                                                                                                                     \
  OPGEN_EXPORT void opgen_preconditioner_delete(opgen_preconditioner* made) {                                           \
    opgen::coupled::delete_preconditioner<Op>(made);                                                                    \
  }                                                                                                                     \
  }

#endif
