// Loads the ATen half of an operator when it is first asked for. Compiled into the framework adapters, without any
// header of PyTorch: the two libraries exchange plain C structs only, so their ABIs cannot clash.
//
// Beside the library that contains this code lie lib<op>_aten.so and lib<op>_aten.txt, which says what it was built
// against: the version of torch on its first line, the folder of the torch package on its second. ATen's C++ ABI holds
// for one version only, so another one is refused with a sentence before the dynamic linker can crash on it.
#ifndef OPGEN_ATEN_LOADER_H
#define OPGEN_ATEN_LOADER_H

#include <dlfcn.h>

#include <fstream>
#include <mutex>
#include <string>

#include "opgen/abi.h"
#include "opgen/signature.h"

namespace opgen {

using AtenAdjoint = int (*)(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                            const opgen_array* cotangents, const opgen_array* gradients, const opgen_options*,
                            const opgen_preconditioner*, opgen_report*);
using AtenTangent = int (*)(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                            const opgen_array* tangents, const opgen_array* outputs, const opgen_options*,
                            const opgen_preconditioner*, opgen_report*);
using AtenSecond = int (*)(const opgen_points*, const opgen_array* inputs, const opgen_array* unknowns,
                           const opgen_array* cotangents, const opgen_array* tangents, const opgen_array* gradients,
                           const opgen_options*, const opgen_preconditioner*, opgen_report*);
using AtenCores = const Core* (*)();

// Either all functions or, in `error`, one sentence saying why there is none. They do what opgen_adjoint, opgen_second
// and opgen_tangent of kernel.h do; `cores` of inputs, unknowns and auxiliaries is null if the operator is pointwise.
struct LoadedAdjoint {
  AtenAdjoint function = nullptr;
  AtenSecond second = nullptr;
  AtenTangent tangent = nullptr;
  const Core* cores = nullptr;
  std::string error;
};

class AtenLoader {
 public:
  explicit AtenLoader(std::string op) : op_(std::move(op)) {}

  // Name the folder of the torch package that this process would import; without it, the one at build time is used.
  void use_torch(const char* folder) {
    const std::lock_guard<std::mutex> lock(mutex_);
    folder_ = folder ? folder : "";
  }

  // Load once; a failure is tried again at the next call, because the folder may have been named since.
  LoadedAdjoint get() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!loaded_.function) loaded_ = load();
    return loaded_;
  }

 private:
  LoadedAdjoint load() const {
    const std::string advice = "; run opgen build again, or use adjoint=\"direct\"";
    const std::string library = beside() + "/lib" + op_ + "_aten.so";
    const std::string stamp = beside() + "/lib" + op_ + "_aten.txt";
    std::string built, folder;
    std::ifstream lines(stamp);
    if (!std::getline(lines, built) || !std::getline(lines, folder))
      return fail("its ATen adjoint is missing (" + stamp + ")" + advice);
    if (!folder_.empty()) folder = folder_;

    const std::string installed = version(folder);
    if (installed.empty())
      return fail("its ATen adjoint needs torch " + built + ", and there is none in " + folder +
                  "; install it, or use adjoint=\"direct\"");
    if (installed != built)
      return fail("its ATen adjoint was built against torch " + built + ", but torch " + installed + " is installed" +
                  advice);

    // By absolute path and in this order, so that each finds what it needs whoever else is in the process. If torch has
    // been imported these are the same libraries, and dlopen only counts them.
    for (const std::string& path : {folder + "/lib/libc10.so", folder + "/lib/libtorch_cpu.so", library}) {
      void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
      if (!handle) return fail(std::string("its ATen adjoint cannot be loaded: ") + dlerror() + advice);
      if (path != library) continue;
      const auto cores = reinterpret_cast<AtenCores>(dlsym(handle, "opgen_aten_cores"));
      const LoadedAdjoint found{reinterpret_cast<AtenAdjoint>(dlsym(handle, "opgen_aten_adjoint")),
                                reinterpret_cast<AtenSecond>(dlsym(handle, "opgen_aten_second")),
                                reinterpret_cast<AtenTangent>(dlsym(handle, "opgen_aten_tangent")),
                                cores ? cores() : nullptr, ""};
      if (found.function && found.second && found.tangent && cores) return found;
    }
    return fail("its ATen adjoint lacks a function that this adapter needs (" + library + ")" + advice);
  }

  LoadedAdjoint fail(const std::string& why) const { return {nullptr, nullptr, nullptr, nullptr, op_ + ": " + why}; }

  // The folder of the library that this code is part of.
  static std::string beside() {
    static const char here = 0;
    Dl_info info;
    const std::string path = dladdr(&here, &info) && info.dli_fname ? info.dli_fname : "";
    const size_t slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, slash);
  }

  // What <folder>/version.py assigns to __version__; empty if there is none.
  static std::string version(const std::string& folder) {
    std::ifstream file(folder + "/version.py");
    for (std::string line; std::getline(file, line);) {
      if (line.rfind("__version__", 0) != 0) continue;
      const size_t open = line.find_first_of("'\""), close = line.find_last_of("'\"");
      if (open != std::string::npos && close > open) return line.substr(open + 1, close - open - 1);
    }
    return "";
  }

  const std::string op_;
  std::mutex mutex_;
  std::string folder_;
  LoadedAdjoint loaded_;
};

}  // namespace opgen

#endif
