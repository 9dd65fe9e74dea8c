// The plain C interface between a kernel and whoever calls it: TensorFlow, PyTorch, JAX, NumPy, or a C program.
// Nothing here knows a framework, and nothing here owns memory.
#ifndef OPGEN_ABI_H
#define OPGEN_ABI_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OPGEN_ABI_VERSION 2
#define OPGEN_MESSAGE_SIZE 1024
#define OPGEN_EXPORT __attribute__((visibility("default")))

enum opgen_dtype { OPGEN_FLOAT32 = 0, OPGEN_FLOAT64 = 1 };

// What a point that fails does: stop the call, become NaN, or keep its last iterate.
enum opgen_policy { OPGEN_RAISE = 0, OPGEN_NAN = 1, OPGEN_KEEP = 2 };

enum opgen_status {
  OPGEN_OK = 0,
  OPGEN_FAILED_POINTS = 1,  // see opgen_report: a point failed and the policy is OPGEN_RAISE
  OPGEN_BAD_CALL = 2        // the call itself is wrong; the message says how
};

// The points at which the operator acts: the broadcast shape of its inputs. For a coupled operator, whose operands have core
// axes behind those, the batch of its systems.
typedef struct opgen_points {
  int32_t dtype;         // of every array in the call
  int32_t rank;
  const int64_t* shape;  // rank extents
  const int64_t* sizes;  // of the named dimensions of core axes; NULL if the operator has none
} opgen_points;

// One operand seen at every point. Strides count elements and are 0 along a broadcast axis,
// so an operand of fewer elements than points is read, and its gradient is summed, in place.
typedef struct opgen_array {
  void* data;              // NULL: absent
  const int64_t* strides;  // rank strides, then one for each of the operand's core axes
} opgen_array;

typedef struct opgen_options {
  double tol;              // on the residual, relative to the size of its terms; <= 0: the default
  int64_t max_iterations;  // <= 0: the default
  int32_t on_failure;      // enum opgen_policy
  int32_t threads;         // <= 0: all that the process may use
} opgen_options;

// What went wrong, for all points together. `message` is empty if nothing did.
typedef struct opgen_report {
  int64_t failed;  // how many points
  int64_t first;   // the lowest linear index of one, -1 if none
  char message[OPGEN_MESSAGE_SIZE];
  int64_t krylov;  // coupled operators: iterations of linear solves, all systems together
} opgen_report;

// An approximate inverse of F_y at the roots of a batch of coupled systems, for solvers outside the kernel.
typedef struct opgen_preconditioner {
  void* context;
  // z = M^-1 r, or M^-T r: contiguous, [systems, unknowns of a system], the unknowns field after field, each row-major.
  // Returns an opgen_status.
  int (*apply)(void* context, int transposed, const double* r, double* z);
} opgen_preconditioner;

#ifdef __cplusplus
}
#endif
#endif
