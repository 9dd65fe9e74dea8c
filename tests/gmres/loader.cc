// An adapter as the loader sees it: no torch headers, one loader, two C functions.
#include <cstdio>

#include "opgen/aten_loader.h"

namespace {

opgen::AtenLoader& loader() {
  static opgen::AtenLoader only("cuberoot");
  return only;
}

}  // namespace

extern "C" OPGEN_EXPORT void use_torch(const char* folder) { loader().use_torch(folder); }

// dy/dx of the operator at (x, y), or 1 and the reason why there is none.
extern "C" OPGEN_EXPORT int slope(double x, double y, double* result, char* message) {
  const opgen::LoadedAdjoint loaded = loader().get();
  if (!loaded.function) {
    std::snprintf(message, OPGEN_MESSAGE_SIZE, "%s", loaded.error.c_str());
    return 1;
  }
  double one = 1;
  const opgen_points points{OPGEN_FLOAT64, 0, nullptr, nullptr};
  const opgen_array in{&x, nullptr}, root{&y, nullptr}, cotangent{&one, nullptr}, gradient{result, nullptr};
  const opgen_options options{0, 0, OPGEN_RAISE, 0};
  opgen_report report;
  const int status = loaded.function(&points, &in, &root, &cotangent, &gradient, &options, nullptr, &report);
  std::snprintf(message, OPGEN_MESSAGE_SIZE, "%s", report.message);
  return status;
}
