// How the linear systems of an operator are solved: by the structure of its Jacobian.
#ifndef OPGEN_COUPLED_JACOBIAN_H
#define OPGEN_COUPLED_JACOBIAN_H

#include <opgen/coupled/slopes.h>

namespace opgen::coupled {

// Each of band.h, stencil.h and dense.h says what its method is done by; a kernel includes the one that it needs.
template <class Op, Method method>
struct JacobianBy;

template <class Op>
using Jacobian = typename JacobianBy<Op, Op::method>::Type;

}  // namespace opgen::coupled
#endif
