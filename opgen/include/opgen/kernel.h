// The functions of a kernel, as every adapter calls them. Each library contains the kernel of one operator.
//
// n inputs x, k unknowns y, m auxiliaries. An array whose data is NULL is absent: a cotangent or tangent of zero, a gradient
// that nobody wants. Gradients are summed over the axes along which their operand is broadcast (stride 0).
// All return an opgen_status and write the sentence of a failure into the report.
#ifndef OPGEN_KERNEL_H
#define OPGEN_KERNEL_H

#include <opgen/abi.h>

extern "C" {
// outputs: k unknowns, m auxiliaries, residual norm. iterations, converged: contiguous, one a point, or NULL.
// initial: k unknowns, or NULL as a whole.
int opgen_solve(const opgen_points*, const opgen_array* inputs, const opgen_array* initial, const opgen_array* outputs,
                int32_t* iterations, unsigned char* converged, const opgen_options*, opgen_report*);

// F(x, y).
int opgen_residual(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                   const opgen_array* outputs, const opgen_options*, opgen_report*);

// cotangents: k + m; gradients: n.
int opgen_adjoint(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                  const opgen_array* cotangents, const opgen_array* gradients, const opgen_options*, opgen_report*);

// tangents: n, of the inputs; outputs: k + m.
int opgen_tangent(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* tangents,
                  const opgen_array* outputs, const opgen_options*, opgen_report*);

// gradients: n, of cotangents . (tangent of the outputs along tangents). It is the derivative of the adjoint's product with
// `tangents` and of the tangent's product with `cotangents` alike.
int opgen_second(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* cotangents,
                 const opgen_array* tangents, const opgen_array* gradients, const opgen_options*, opgen_report*);

// flags: contiguous, one a point: whether y is a root with a derivative.
int opgen_isolated(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns, unsigned char* flags,
                   const opgen_options*, opgen_report*);

// outputs: one, how far F_y is from singular: |F_y| for one unknown, else its condition number. Not of coupled operators.
int opgen_condition(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                    const opgen_array* outputs, const opgen_options*, opgen_report*);

// cotangents: k, of F; gradients: n + k.
int opgen_residual_pullback(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                            const opgen_array* cotangents, const opgen_array* gradients, const opgen_options*,
                            opgen_report*);

// v, w: n each, tangents of the inputs; outputs: k + m, the second derivative of the outputs along v and w.
int opgen_curvature(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns, const opgen_array* v,
                    const opgen_array* w, const opgen_array* outputs, const opgen_options*, opgen_report*);

// tangents: n + k; outputs: k, F_x v + F_y w.
int opgen_residual_tangent(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                           const opgen_array* tangents, const opgen_array* outputs, const opgen_options*, opgen_report*);

// Coupled operators only: an approximate inverse of F_y at the roots of the batch.
int opgen_preconditioner_new(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                             const opgen_options*, opgen_preconditioner*, opgen_report*);
void opgen_preconditioner_delete(opgen_preconditioner*);
}
#endif
