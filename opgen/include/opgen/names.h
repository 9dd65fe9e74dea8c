// Gives the functions of a kernel a second name that starts with the operator's: a C program that links several operators
// tells them apart by these, and <op>.h declares them.
#ifndef OPGEN_NAMES_H
#define OPGEN_NAMES_H

#include <opgen/kernel.h>

#define OPGEN_NAME(op, function) \
  extern "C" OPGEN_EXPORT decltype(opgen_##function) op##_##function __attribute__((alias("opgen_" #function)));
#define OPGEN_NAMES(op)              \
  OPGEN_NAME(op, solve)              \
  OPGEN_NAME(op, residual)           \
  OPGEN_NAME(op, adjoint)            \
  OPGEN_NAME(op, tangent)            \
  OPGEN_NAME(op, second)             \
  OPGEN_NAME(op, curvature)          \
  OPGEN_NAME(op, isolated)           \
  OPGEN_NAME(op, residual_pullback)  \
  OPGEN_NAME(op, residual_tangent)

#endif
