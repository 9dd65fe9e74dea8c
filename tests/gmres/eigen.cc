// Eigen's GMRES, to compare with. Not preconditioned, as ours is by default.
#include <Eigen/Dense>
#include <unsupported/Eigen/IterativeSolvers>

#include <cstdint>

extern "C" int eigen_solve(const double* A, const double* b, double* x, int64_t n, double tol, int64_t restart,
                           int64_t limit, int64_t* iterations, double* error) {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Matrix a = Eigen::Map<const Matrix>(A, n, n);
  Eigen::GMRES<Matrix, Eigen::IdentityPreconditioner> solver;
  solver.set_restart(restart);
  solver.setMaxIterations(limit);
  solver.setTolerance(tol);
  solver.compute(a);
  Eigen::Map<Eigen::VectorXd>(x, n) = solver.solve(Eigen::Map<const Eigen::VectorXd>(b, n));
  *iterations = solver.iterations();
  *error = solver.error();
  return solver.info() == Eigen::Success ? 0 : 1;
}
