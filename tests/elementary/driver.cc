// Elementary functions of packs, called on arrays whose length is a multiple of a register's.
#include <opgen/math.h>

namespace {

template <class F>
void each(int64_t n, const double* x, double* y, F f) {
  for (int64_t i = 0; i < n; i += opgen::lanes) f(opgen::Pack<>::load(x + i)).store(y + i);
}

}  // namespace

extern "C" {
__attribute__((visibility("default"))) void vector_sin(int64_t n, const double* x, double* y) {
  each(n, x, y, [](const opgen::Pack<>& a) { return opgen::sin(a); });
}
__attribute__((visibility("default"))) void vector_cos(int64_t n, const double* x, double* y) {
  each(n, x, y, [](const opgen::Pack<>& a) { return opgen::cos(a); });
}
__attribute__((visibility("default"))) void vector_cbrt(int64_t n, const double* x, double* y) {
  each(n, x, y, [](const opgen::Pack<>& a) { return opgen::cbrt(a); });
}
}
