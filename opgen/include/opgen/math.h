// Elementary functions over one point and over packs. On x86-64 with glibc they are libmvec's vector functions (at most 4
// ulp from the true value); elsewhere each lane calls the scalar function.
#ifndef OPGEN_MATH_H
#define OPGEN_MATH_H

#include <opgen/pack.h>
#include <opgen/special.h>

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 35)
#define OPGEN_LIBMVEC 1
#endif
#endif

namespace opgen {

constexpr double nan = __builtin_nan("");
constexpr double infinity = __builtin_inf();
constexpr double epsilon = 2.220446049250313e-16;

OPGEN_INLINE double abs(double a) { return std::fabs(a); }
template <int N>
OPGEN_INLINE Pack<N> abs(const Pack<N>& a) {
  Pack<N> r;
  OPGEN_EACH(r.v[i] = (Vec)((Bits)a.v[i] & INT64_MAX))
  return r;
}

template <class R>
OPGEN_INLINE auto finite(const R& a) { return abs(a) <= R(1.7976931348623157e308); }

// NaN in either argument is passed on: a Max that swallowed it would hide a failure.
template <class R>
OPGEN_INLINE R max(const R& a, const R& b) { return select((a >= b) | (a != a), a, b); }
template <class R>
OPGEN_INLINE R min(const R& a, const R& b) { return select((a <= b) | (a != a), a, b); }

template <int N>
OPGEN_INLINE Pack<N> max(const Pack<N>& a, double b) { return max(a, Pack<N>(b)); }
template <int N>
OPGEN_INLINE Pack<N> max(double a, const Pack<N>& b) { return max(Pack<N>(a), b); }
template <int N>
OPGEN_INLINE Pack<N> min(const Pack<N>& a, double b) { return min(a, Pack<N>(b)); }
template <int N>
OPGEN_INLINE Pack<N> min(double a, const Pack<N>& b) { return min(Pack<N>(a), b); }

template <class R>
OPGEN_INLINE R sign(const R& a) { return select(a > 0.0, R(1.0), select(a < 0.0, R(-1.0), a)); }
// 0 below, 1 above and one half at zero, as SymPy defines it.
template <class R>
OPGEN_INLINE R heaviside(const R& a) { return select(a > 0.0, R(1.0), select(a < 0.0, R(0.0), a + 0.5)); }

// Lane by lane: the compiler makes one vector instruction of it where there is one.
#define OPGEN_LANEWISE(name, scalar)                                              \
  OPGEN_INLINE double name(double a) { return scalar(a); }                        \
  template <int N>                                                                \
  OPGEN_INLINE Pack<N> name(const Pack<N>& a) {                                   \
    double t[Pack<N>::size];                                                      \
    a.store(t);                                                                   \
    for (int i = 0; i < Pack<N>::size; ++i) t[i] = scalar(t[i]);                  \
    return Pack<N>::load(t);                                                      \
  }
OPGEN_LANEWISE(sqrt, __builtin_sqrt)
OPGEN_LANEWISE(floor, __builtin_floor)
OPGEN_LANEWISE(ceil, __builtin_ceil)
OPGEN_LANEWISE(gamma, gamma_function)
OPGEN_LANEWISE(loggamma, log_gamma)
OPGEN_LANEWISE(digamma, polygamma<0>)
OPGEN_LANEWISE(trigamma, polygamma<1>)
OPGEN_LANEWISE(tetragamma, polygamma<2>)
OPGEN_LANEWISE(pentagamma, polygamma<3>)

#ifdef OPGEN_LIBMVEC
#if defined(__AVX512F__) && defined(__AVX512DQ__)
#define OPGEN_VECTOR_NAME(args, f) _ZGVeN8##args##_##f
#elif defined(__AVX2__)
#define OPGEN_VECTOR_NAME(args, f) _ZGVdN4##args##_##f
#elif defined(__AVX__)
#define OPGEN_VECTOR_NAME(args, f) _ZGVcN4##args##_##f
#else
#define OPGEN_VECTOR_NAME(args, f) _ZGVbN2##args##_##f
#endif
#define OPGEN_UNARY(name)                                                         \
  extern "C" Vec OPGEN_VECTOR_NAME(v, name)(Vec) noexcept __attribute__((const));                      \
  OPGEN_INLINE double name(double a) { return std::name(a); }                     \
  template <int N>                                                                \
  OPGEN_INLINE Pack<N> name(const Pack<N>& a) {                                   \
    Pack<N> r;                                                                    \
    OPGEN_EACH(r.v[i] = OPGEN_VECTOR_NAME(v, name)(a.v[i]))      \
    return r;                                                                     \
  }
#define OPGEN_BINARY(name)                                                               \
  extern "C" Vec OPGEN_VECTOR_NAME(vv, name)(Vec, Vec) noexcept __attribute__((const));                       \
  OPGEN_INLINE double name(double a, double b) { return std::name(a, b); }               \
  template <int N>                                                                       \
  OPGEN_INLINE Pack<N> name(const Pack<N>& a, const Pack<N>& b) {                        \
    Pack<N> r;                                                                           \
    OPGEN_EACH(r.v[i] = OPGEN_VECTOR_NAME(vv, name)(a.v[i], b.v[i]))    \
    return r;                                                                            \
  }
#else
#define OPGEN_UNARY(name) OPGEN_LANEWISE(name, std::name)
#define OPGEN_BINARY(name)                                                               \
  OPGEN_INLINE double name(double a, double b) { return std::name(a, b); }               \
  template <int N>                                                                       \
  OPGEN_INLINE Pack<N> name(const Pack<N>& a, const Pack<N>& b) {                        \
    Pack<N> r;                                                                           \
    for (int i = 0; i < Pack<N>::size; ++i) set_lane(r, i, std::name(lane(a, i), lane(b, i))); \
    return r;                                                                            \
  }
#endif
OPGEN_UNARY(exp)
OPGEN_UNARY(expm1)
OPGEN_UNARY(log)
OPGEN_UNARY(log1p)
OPGEN_UNARY(sin)
OPGEN_UNARY(cos)
OPGEN_UNARY(tan)
OPGEN_UNARY(asin)
OPGEN_UNARY(acos)
OPGEN_UNARY(atan)
OPGEN_UNARY(sinh)
OPGEN_UNARY(cosh)
OPGEN_UNARY(tanh)
OPGEN_UNARY(asinh)
OPGEN_UNARY(acosh)
OPGEN_UNARY(atanh)
OPGEN_UNARY(cbrt)
OPGEN_UNARY(erf)
OPGEN_UNARY(erfc)
OPGEN_BINARY(pow)
OPGEN_BINARY(atan2)
#undef OPGEN_UNARY
#undef OPGEN_BINARY
#undef OPGEN_LANEWISE

template <int N>
OPGEN_INLINE Pack<N> pow(const Pack<N>& a, double b) { return pow(a, Pack<N>(b)); }
template <int N>
OPGEN_INLINE Pack<N> pow(double a, const Pack<N>& b) { return pow(Pack<N>(a), b); }
template <int N>
OPGEN_INLINE Pack<N> atan2(const Pack<N>& a, double b) { return atan2(a, Pack<N>(b)); }
template <int N>
OPGEN_INLINE Pack<N> atan2(double a, const Pack<N>& b) { return atan2(Pack<N>(a), b); }

// a^n by repeated squaring: n is part of the formula, so it is a template argument.
template <int n, class R>
OPGEN_INLINE R power(const R& a) {
  static_assert(n >= 1, "a negative power is written as a division");
  if constexpr (n == 1) {
    return a;
  } else if constexpr (n % 2 == 0) {
    const R half = power<n / 2>(a);
    return half * half;
  } else {
    return power<n - 1>(a) * a;
  }
}

// The real cube root of a number that may not be negative, as for every other rational power of a real symbol.
template <class R>
OPGEN_INLINE R root3(const R& a) { return select(a < 0.0, R(nan), cbrt(a)); }

}  // namespace opgen
#endif
