// Large outputs: pages, and stores past the cache.
#ifndef OPGEN_PAGES_H
#define OPGEN_PAGES_H

#include <opgen/pack.h>
#include <stddef.h>
#include <sys/mman.h>

namespace opgen {

// Asks for large pages under fresh memory of this size: the kernel then clears 2 MiB at a time instead of 4 KiB, and taking a
// page costs more than solving the points on it. Memory that is in use already is left as it is.
constexpr size_t large = size_t{4} << 20;
inline void ask_for_large_pages([[maybe_unused]] void* data, [[maybe_unused]] size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t page = uintptr_t{2} << 20;
  if (bytes < large) return;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#endif
}

// Outputs beyond this size leave the cache before anyone reads them: they are written past it, without being read first.
constexpr size_t streamed = size_t{32} << 20;

#ifdef __SSE2__
// Copies a whole block of n numbers to memory that is aligned like a cache line.
template <class T, int n>
OPGEN_INLINE void stream(const T* from, T* to) {
  constexpr int step = 16 / sizeof(T);
  for (int i = 0; i < n; i += step) {
    _mm_stream_si128(reinterpret_cast<__m128i*>(to + i), _mm_load_si128(reinterpret_cast<const __m128i*>(from + i)));
  }
}
inline void finish_streams() { _mm_sfence(); }
constexpr bool can_stream = true;
#else
template <class T, int n>
void stream(const T*, T*) {}
inline void finish_streams() {}
constexpr bool can_stream = false;
#endif

}  // namespace opgen
#endif
