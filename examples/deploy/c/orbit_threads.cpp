// The kernel itself, from C++: float32, one eccentricity for all points (stride 0), iterations, and threads of one's own.
#include <kepler.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
  const std::int64_t count = 100000, parts = 4;
  std::vector<float> M(count), E(count), r(count), norm(count);
  std::vector<std::int32_t> iterations(count);
  for (std::int64_t i = 0; i < count; ++i) M[i] = 6.28f * static_cast<float>(i) / count;
  float e = 0.6f;

  std::vector<std::thread> threads;
  std::vector<int> status(parts);
  for (std::int64_t part = 0; part < parts; ++part)
    threads.emplace_back([&, part] {
      const std::int64_t shape[] = {count / parts}, along[] = {1}, same[] = {0};
      const opgen_points points = {OPGEN_FLOAT32, 1, shape, nullptr};
      const std::int64_t begin = part * shape[0];
      const opgen_array inputs[] = {{&M[begin], along}, {&e, same}};
      const opgen_array outputs[] = {{&E[begin], along}, {&r[begin], along}, {&norm[begin], along}};
      const opgen_options options = {0.0, 0, OPGEN_RAISE, 1};  // one thread a call: the threads here are enough
      opgen_report report;
      status[part] = kepler_solve(&points, inputs, nullptr, outputs, &iterations[begin], nullptr, &options, &report);
    });
  for (auto& thread : threads) thread.join();

  float worst = 0;
  for (std::int64_t i = 0; i < count; ++i) worst = std::max(worst, std::fabs(E[i] - e * std::sin(E[i]) - M[i]));
  const bool good = std::count(status.begin(), status.end(), OPGEN_OK) == parts && worst < 2e-6f;
  std::printf("%s, at most %d iterations\n", good ? "all points solved" : "failed",
              *std::max_element(iterations.begin(), iterations.end()));
  return good ? 0 : 1;
}
