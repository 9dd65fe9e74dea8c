// The machine's vector registers: their types, and what comparisons of them give.
#ifndef OPGEN_REGISTER_H
#define OPGEN_REGISTER_H

#include <cstdint>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define OPGEN_MASK_REGISTERS 1
#include <immintrin.h>
#elif defined(__SSE2__)
#include <immintrin.h>
#endif

#define OPGEN_UNROLL _Pragma("GCC unroll 8")
#define OPGEN_INLINE inline __attribute__((always_inline))

namespace opgen {

#if defined(OPGEN_MASK_REGISTERS)
constexpr int lanes = 8;
#elif defined(__AVX__)
constexpr int lanes = 4;
#else
constexpr int lanes = 2;
#endif

typedef double Vec __attribute__((vector_size(8 * lanes)));
typedef int64_t Bits __attribute__((vector_size(8 * lanes)));

// One register of numbers of type T, the integers of its size, and what a comparison of two gives: a bit for each lane
// where the machine has registers for masks, else all ones or all zeros in the lane.
template <class T>
struct Register;
template <>
struct Register<double> {
  static constexpr int lanes = opgen::lanes;
  typedef Vec Value;
  typedef opgen::Bits Bits;
#ifdef OPGEN_MASK_REGISTERS
  typedef uint8_t Mask;
#else
  typedef Bits Mask;
#endif
};
template <>
struct Register<float> {
  static constexpr int lanes = 2 * opgen::lanes;
  typedef float Value __attribute__((vector_size(8 * opgen::lanes)));
  typedef int32_t Bits __attribute__((vector_size(8 * opgen::lanes)));
#ifdef OPGEN_MASK_REGISTERS
  typedef uint16_t Mask;
#else
  typedef Bits Mask;
#endif
};

#ifdef OPGEN_MASK_REGISTERS
#define OPGEN_COMPARE(name, op, predicate) \
  OPGEN_INLINE uint8_t name(Register<double>::Value a, Register<double>::Value b) { \
    return _mm512_cmp_pd_mask(a, b, predicate); \
  } \
  OPGEN_INLINE uint16_t name(Register<float>::Value a, Register<float>::Value b) { \
    return _mm512_cmp_ps_mask(a, b, predicate); \
  }
OPGEN_INLINE Register<double>::Value blend(uint8_t m, Register<double>::Value a, Register<double>::Value b) {
  return _mm512_mask_blend_pd(m, b, a);
}
OPGEN_INLINE Register<float>::Value blend(uint16_t m, Register<float>::Value a, Register<float>::Value b) {
  return _mm512_mask_blend_ps(m, b, a);
}
#else
#define OPGEN_COMPARE(name, op, predicate) \
  OPGEN_INLINE Register<double>::Bits name(Register<double>::Value a, Register<double>::Value b) { \
    return a op b; \
  } \
  OPGEN_INLINE Register<float>::Bits name(Register<float>::Value a, Register<float>::Value b) { return a op b; }
template <class M, class V>
OPGEN_INLINE V blend(M m, V a, V b) {
  return m ? a : b;
}
#endif
OPGEN_COMPARE(is_less, <, _CMP_LT_OQ)
OPGEN_COMPARE(is_at_most, <=, _CMP_LE_OQ)
OPGEN_COMPARE(is_greater, >, _CMP_GT_OQ)
OPGEN_COMPARE(is_at_least, >=, _CMP_GE_OQ)
OPGEN_COMPARE(is_equal, ==, _CMP_EQ_OQ)
OPGEN_COMPARE(is_unequal, !=, _CMP_NEQ_UQ)
#undef OPGEN_COMPARE

}  // namespace opgen
#endif
