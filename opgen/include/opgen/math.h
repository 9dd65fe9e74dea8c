// Elementary functions over one point and over packs. On x86-64 with glibc they are libmvec's vector functions (at most 4
// ulp from the true value); elsewhere each lane calls the scalar function.
#ifndef OPGEN_MATH_H
#define OPGEN_MATH_H

#include <opgen/pack.h>
#include <opgen/special.h>
#include <opgen/elementary.h>

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
template <class T>
OPGEN_INLINE Pack<T> abs(const Pack<T>& a) {
  using V = typename Register<T>::Value;
  using B = typename Register<T>::Bits;
  Pack<T> r;
  r.v = (V)((B)a.v & ~(B)-V{});
  return r;
}

template <class R>
OPGEN_INLINE auto finite(const R& a) { return abs(a) < R(infinity); }

// y in [lo, hi]; NaN stays NaN.
template <class R>
OPGEN_INLINE R clamp(const R& y, const R& lo, const R& hi) {
  const R above = select(y < lo, lo, y);
  return select(above > hi, hi, above);
}

// Where a formula has no value, another one.
template <class R>
OPGEN_INLINE R finite_or(const R& a, const R& b) { return select(finite(a), a, b); }
template <class T>
OPGEN_INLINE Pack<T> finite_or(const Pack<T>& a, double b) { return finite_or(a, Pack<T>(b)); }

// NaN in either argument is passed on: a Max that swallowed it would hide a failure.
template <class R>
OPGEN_INLINE R max(const R& a, const R& b) { return select((a >= b) | (a != a), a, b); }
template <class R>
OPGEN_INLINE R min(const R& a, const R& b) { return select((a <= b) | (a != a), a, b); }

template <class T>
OPGEN_INLINE Pack<T> max(const Pack<T>& a, double b) { return max(a, Pack<T>(b)); }
template <class T>
OPGEN_INLINE Pack<T> max(double a, const Pack<T>& b) { return max(Pack<T>(a), b); }
template <class T>
OPGEN_INLINE Pack<T> min(const Pack<T>& a, double b) { return min(a, Pack<T>(b)); }
template <class T>
OPGEN_INLINE Pack<T> min(double a, const Pack<T>& b) { return min(Pack<T>(a), b); }

template <class R>
OPGEN_INLINE R sign(const R& a) { return select(a > 0.0, R(1.0), select(a < 0.0, R(-1.0), a)); }
// 0 below, 1 above and one half at zero, as SymPy defines it.
template <class R>
OPGEN_INLINE R heaviside(const R& a) { return select(a > 0.0, R(1.0), select(a < 0.0, R(0.0), a + 0.5)); }

// Lane by lane: the compiler makes one vector instruction of it where there is one.
#define OPGEN_LANEWISE(name, scalar)                                                       \
  OPGEN_INLINE double name(double a) { return scalar(a); }                                 \
  template <class T>                                                                \
  OPGEN_INLINE Pack<T> name(const Pack<T>& a) {                                      \
    T t[Pack<T>::size];                                                                 \
    a.store(t);                                                                            \
    for (int i = 0; i < Pack<T>::size; ++i) t[i] = static_cast<T>(scalar(t[i]));        \
    return Pack<T>::load(t);                                                            \
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
#define OPGEN_DOUBLES(args, f) _ZGVeN8##args##_##f
#define OPGEN_FLOATS(args, name) _ZGVeN16##args##_##name##f
#elif defined(__AVX2__)
#define OPGEN_DOUBLES(args, f) _ZGVdN4##args##_##f
#define OPGEN_FLOATS(args, name) _ZGVdN8##args##_##name##f
#elif defined(__AVX__)
#define OPGEN_DOUBLES(args, f) _ZGVcN4##args##_##f
#define OPGEN_FLOATS(args, name) _ZGVcN8##args##_##name##f
#else
#define OPGEN_DOUBLES(args, f) _ZGVbN2##args##_##f
#define OPGEN_FLOATS(args, name) _ZGVbN4##args##_##name##f
#endif
using Doubles = Register<double>::Value;
using Floats = Register<float>::Value;
#define OPGEN_UNARY(name)                                                                          \
  extern "C" Doubles OPGEN_DOUBLES(v, name)(Doubles) noexcept __attribute__((const));              \
  extern "C" Floats OPGEN_FLOATS(v, name)(Floats) noexcept __attribute__((const));                 \
  OPGEN_INLINE Doubles vector_##name(Doubles a) { return OPGEN_DOUBLES(v, name)(a); }              \
  OPGEN_INLINE Floats vector_##name(Floats a) { return OPGEN_FLOATS(v, name)(a); }                 \
  OPGEN_INLINE double name(double a) { return std::name(a); }                                      \
  template <class T>                                                                        \
  OPGEN_INLINE Pack<T> name(const Pack<T>& a) {                                              \
    Pack<T> r;                                                                                  \
    r.v = vector_##name(a.v);                       \
    return r;                                                                                      \
  }
#define OPGEN_BINARY(name)                                                                         \
  extern "C" Doubles OPGEN_DOUBLES(vv, name)(Doubles, Doubles) noexcept __attribute__((const));    \
  extern "C" Floats OPGEN_FLOATS(vv, name)(Floats, Floats) noexcept __attribute__((const));        \
  OPGEN_INLINE Doubles vector_##name(Doubles a, Doubles b) { return OPGEN_DOUBLES(vv, name)(a, b); } \
  OPGEN_INLINE Floats vector_##name(Floats a, Floats b) { return OPGEN_FLOATS(vv, name)(a, b); }   \
  OPGEN_INLINE double name(double a, double b) { return std::name(a, b); }                         \
  template <class T>                                                                        \
  OPGEN_INLINE Pack<T> name(const Pack<T>& a, const Pack<T>& b) {                         \
    Pack<T> r;                                                                                  \
    r.v = vector_##name(a.v, b.v);               \
    return r;                                                                                      \
  }
#else
#define OPGEN_UNARY(name) OPGEN_LANEWISE(name, std::name)
#define OPGEN_BINARY(name)                                                                         \
  OPGEN_INLINE double name(double a, double b) { return std::name(a, b); }                         \
  template <class T>                                                                        \
  OPGEN_INLINE Pack<T> name(const Pack<T>& a, const Pack<T>& b) {                         \
    Pack<T> r;                                                                                  \
    for (int i = 0; i < Pack<T>::size; ++i) set_lane(r, i, std::name(lane(a, i), lane(b, i)));  \
    return r;                                                                                      \
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

// In double precision the library's are for numbers close to overflow and underflow only, lane by lane: what a point gives does
// not depend on its neighbours.
__attribute__((noinline, cold, const)) inline Pack<> cbrt_of_extreme(Pack<> a) { return cbrt<double>(a); }
OPGEN_INLINE Pack<> cbrt(const Pack<>& a) {
  Pack<> r;
  r.v = cube_root(a.v);
  const Pack<> size = abs(a);
  const auto normal = (size > 1e-290) & (size < 1e290);
  if (__builtin_expect(!all(normal), 0)) r = select(normal, r, cbrt_of_extreme(a));
  return r;
}

// And for large angles.
#define OPGEN_CIRCULAR(name, turns)                                                          \
  __attribute__((noinline, cold, const)) inline Pack<> name##_of_large(Pack<> a) {           \
    return name<double>(a);                                                                  \
  }                                                                                          \
  OPGEN_INLINE Pack<> name(const Pack<>& a) {                                                \
    Pack<> r;                                                                                \
    r.v = turned_sine<turns>(reduce(a.v));                                                   \
    const auto large = abs(a) > largest_angle;                                               \
    if (__builtin_expect(any(large), 0)) r = select(large, name##_of_large(a), r);           \
    return r;                                                                                \
  }
OPGEN_CIRCULAR(sin, 0)
OPGEN_CIRCULAR(cos, 1)
#undef OPGEN_CIRCULAR
#undef OPGEN_UNARY
#undef OPGEN_BINARY
#undef OPGEN_LANEWISE

template <class T>
OPGEN_INLINE Pack<T> pow(const Pack<T>& a, double b) { return pow(a, Pack<T>(b)); }
template <class T>
OPGEN_INLINE Pack<T> pow(double a, const Pack<T>& b) { return pow(Pack<T>(a), b); }
template <class T>
OPGEN_INLINE Pack<T> atan2(const Pack<T>& a, double b) { return atan2(a, Pack<T>(b)); }
template <class T>
OPGEN_INLINE Pack<T> atan2(double a, const Pack<T>& b) { return atan2(Pack<T>(a), b); }

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
