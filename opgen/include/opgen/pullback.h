// One loop for everything that is computed at known points: operands in, results out, and the results of a broadcast operand
// summed where they lie.
#ifndef OPGEN_PULLBACK_H
#define OPGEN_PULLBACK_H

#include <opgen/pointwise.h>

namespace opgen {

// The sums of the gradients of broadcast operands: one copy a slice, added up in the order of the slices.
template <int writes>
struct Sums {
  double* memory[writes > 0 ? writes : 1] = {};
  int64_t extent[writes > 0 ? writes : 1] = {};
  Sums() = default;
  Sums(const Sums&) = delete;
  ~Sums() {
    for (double* m : memory) free(m);
  }
};

// Runs body(reads, writes, at) on packs of points: `reads` operands go in, `writes` gradients come out, each stored or summed
// into memory of its own extent.
template <int reads, int writes, int width, class Body>
int pullback(const char* name, const opgen_points& points, const Call<reads + writes>& call, int threads,
             opgen_report* report, Failure& failure, Body&& body) {
  Grid<reads + writes> grid;
  if (!grid.merge(points, call.arrays)) return bad_call(report, name, "more than 32 axes that cannot be merged");
  const auto wanted = [&](int i) { return call.arrays[reads + i] && call.arrays[reads + i]->data; };
  bool summed[writes > 0 ? writes : 1] = {};
  int64_t largest = 0;
  Sums<writes> sums;
  for (int i = 0; i < writes; ++i) {
    summed[i] = wanted(i) && (grid.broadcast(reads + i) || grid.total == 0);
    if (summed[i]) {
      sums.extent[i] = 1;
      for (int d = 0; d < grid.rank; ++d) {
        if (grid.strides[reads + i][d] != 0) sums.extent[i] *= grid.shape[d];
      }
      if (sums.extent[i] > largest) largest = sums.extent[i];
    }
  }
  int64_t most = INT64_MAX;
  if (largest > 0) most = (int64_t{1} << 23) / largest < max_slices ? (int64_t{1} << 23) / largest : max_slices;
  const Slices slices(grid.total, most);
  for (int i = 0; i < writes; ++i) {
    if (!summed[i]) continue;
    const size_t copies = slices.count > 0 ? static_cast<size_t>(slices.count) : 1;
    const size_t size = copies * static_cast<size_t>(sums.extent[i]);
    sums.memory[i] = static_cast<double*>(calloc(size > 0 ? size : 1, sizeof(double)));
    if (!sums.memory[i]) return bad_call(report, name, "out of memory for the sums of a broadcast gradient");
  }
  const Streams<writes> streams(grid, reads, points.dtype, call.arrays);
  failure = for_blocks(slices, threads, [&](int64_t slice, int64_t begin, int64_t count, Failure& failed) {
    Rows<reads> in;
    Results<writes> out(streams);
    in.read(grid, 0, points.dtype, call.arrays, begin, count);
    out.place(grid, reads, points.dtype, call.arrays, begin, count);
    for (int at = 0; at < count; at += width) body(in.row, out.row, at, begin, count, failed);
    for (int i = 0; i < writes; ++i) {
      if (summed[i]) accumulate(grid, reads + i, sums.memory[i] + slice * sums.extent[i], begin, count, out.row[i]);
    }
    out.write(grid, reads, points.dtype, call.arrays, begin, count, summed);
  });
  for (int i = 0; i < writes; ++i) {
    if (!summed[i]) continue;
    double* const total = sums.memory[i];
    for (int64_t s = 1; s < slices.count; ++s) {
      for (int64_t j = 0; j < sums.extent[i]; ++j) total[j] += total[s * sums.extent[i] + j];
    }
    if (points.dtype == OPGEN_FLOAT32) {
      write_run(total, 1, sums.extent[i], static_cast<float*>(call.arrays[reads + i]->data));
    } else {
      write_run(total, 1, sums.extent[i], static_cast<double*>(call.arrays[reads + i]->data));
    }
  }
  return OPGEN_OK;
}

}  // namespace opgen
#endif
