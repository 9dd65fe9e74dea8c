// What the tests of multigrid and of the sparse factors call by ctypes: a stencil matrix and all that can be done with it.
#include <opgen/linear/krylov.h>
#include <opgen/linear/multigrid.h>
#ifdef OPGEN_SPARSE
#include <opgen/linear/sparse.h>
#endif

namespace {

using opgen::linear::Coefficient;
using opgen::linear::KrylovOptions;
using opgen::linear::Multigrid;
using opgen::linear::StencilMatrix;
using opgen::linear::Transposed;

struct Problem {
  StencilMatrix matrix;
  Transposed transposed;
  Multigrid forward, backward;
#ifdef OPGEN_SPARSE
  opgen::linear::Sparse sparse;
#endif

  const StencilMatrix& side(int transpose) { return transpose ? transposed.matrix() : matrix; }
  Multigrid& multigrid(int transpose) { return transpose ? backward : forward; }
};

}  // namespace

extern "C" {

Problem* problem_new(int rank, const int64_t* extent, const int32_t* periodic, int fields) {
  auto* problem = new Problem;
  problem->matrix.grid.rank = rank;
  for (int a = 0; a < rank; ++a) {
    problem->matrix.grid.extent[a] = extent[a];
    problem->matrix.grid.periodic[a] = periodic[a] != 0;
  }
  problem->matrix.fields = fields;
  return problem;
}
void problem_delete(Problem* problem) { delete problem; }

// The array stays the caller's; the matrix keeps its address.
void problem_add(Problem* problem, int row, int column, const int32_t* offset, const double* data, int constant) {
  Coefficient c;
  c.row = row, c.column = column, c.data = data, c.constant = constant != 0;
  for (int a = 0; a < problem->matrix.grid.rank; ++a) c.offset[a] = offset[a];
  problem->matrix.coefficients.push_back(c);
}

// Called before anything is done with the transpose.
void problem_transpose(Problem* problem, int threads) { problem->transposed.set(problem->matrix, threads); }

void problem_multiply(Problem* problem, int transpose, const double* x, double* y, int threads) {
  opgen::linear::multiply(problem->side(transpose), x, y, threads);
}
void problem_residual(Problem* problem, const double* b, const double* x, double* r, int threads) {
  opgen::linear::residual(problem->matrix, b, x, r, threads);
}
void problem_diagonal(Problem* problem, int row, int column, double* d) {
  opgen::linear::diagonal(problem->matrix, row, column, d);
}

int problem_setup(Problem* problem, int transpose, int threads) {
  return problem->multigrid(transpose).setup(problem->side(transpose), threads);
}
void problem_cycle(Problem* problem, int transpose, const double* r, double* z) {
  problem->multigrid(transpose).cycle(r, z);
}

// Iterations; -1 if the residual did not become small enough.
int problem_solve(Problem* problem, int gmres, int transpose, const double* b, double* x, double tol, int limit) {
  const StencilMatrix& matrix = problem->side(transpose);
  opgen::linear::Workspace workspace;
  KrylovOptions options;
  options.tol = tol, options.restart = limit, options.max_iterations = limit, options.threads = 1;
  const auto apply = [&](const double* v, double* product) { opgen::linear::multiply(matrix, v, product, 1); };
  const auto precondition = [&](const double* r, double* z) { problem->multigrid(transpose).cycle(r, z); };
  const int64_t n = matrix.unknowns();
  const opgen::linear::Outcome outcome =
      gmres ? opgen::linear::gmres(n, apply, precondition, b, x, options, workspace)
            : opgen::linear::conjugate_gradients(n, apply, precondition, b, x, options, workspace);
  return outcome.status == opgen::linear::Outcome::converged ? static_cast<int>(outcome.iterations) : -1;
}

#ifdef OPGEN_SPARSE
int problem_factor(Problem* problem) { return problem->sparse.factor(problem->matrix); }
int problem_direct(Problem* problem, int transpose, const double* b, double* x) {
  return problem->sparse.solve(transpose != 0, b, x);
}
#endif
}
