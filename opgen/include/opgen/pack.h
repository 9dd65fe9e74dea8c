// Several points at once: a value type over the machine's vector registers, so that generated formulas read the same for
// one point (double) and for a pack of them. Comparisons give masks; `select` chooses lane by lane and never branches.
#ifndef OPGEN_PACK_H
#define OPGEN_PACK_H

#include <cmath>
#include <cstdint>
#include <cstring>

#include <opgen/register.h>

// The body for i = 0 .. N - 1; thousands of loops of one turn are what takes a compiler long.
#define OPGEN_EACH(...)                                    \
  if constexpr (N == 1) {                                  \
    constexpr int i = 0;                                   \
    __VA_ARGS__;                                           \
  } else {                                                 \
    OPGEN_UNROLL for (int i = 0; i < N; ++i) __VA_ARGS__;  \
  }
namespace opgen {

template <class T = double>
struct Mask {
  typename Register<T>::Mask v;
};

// One register of points.
template <class T = double>
struct Pack {
  static constexpr int size = Register<T>::lanes;
  typename Register<T>::Value v;

  Pack() = default;
  OPGEN_INLINE Pack(double a) {
    v = typename Register<T>::Value{} + static_cast<T>(a);
  }
  OPGEN_INLINE static Pack load(const T* p) {
    Pack r;
    std::memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  OPGEN_INLINE void store(T* p) const { std::memcpy(p, &v, sizeof v); }
};

// One point is a pack of one lane.
template <class R>
struct Traits {
  using Bool = bool;
  using Element = double;
  static constexpr int size = 1;
  OPGEN_INLINE static double load(const double* p) { return *p; }
  OPGEN_INLINE static void store(double a, double* p) { *p = a; }
};
template <class T>
struct Traits<Pack<T>> {
  using Bool = Mask<T>;
  using Element = T;
  static constexpr int size = Pack<T>::size;
  OPGEN_INLINE static Pack<T> load(const T* p) { return Pack<T>::load(p); }
  OPGEN_INLINE static void store(const Pack<T>& a, T* p) { a.store(p); }
};

#define OPGEN_BINARY(result, name, apply) \
  template <class T> \
  OPGEN_INLINE result<T> name(const Pack<T>& a, const Pack<T>& b) { \
    result<T> r; \
    r.v = apply; \
    return r; \
  } \
  template <class T> \
  OPGEN_INLINE result<T> name(double a, const Pack<T>& b) { return name(Pack<T>(a), b); } \
  template <class T> \
  OPGEN_INLINE result<T> name(const Pack<T>& a, double b) { return name(a, Pack<T>(b)); }
OPGEN_BINARY(Pack, operator+, a.v + b.v)
OPGEN_BINARY(Pack, operator-, a.v - b.v)
OPGEN_BINARY(Pack, operator*, a.v * b.v)
OPGEN_BINARY(Pack, operator/, a.v / b.v)
OPGEN_BINARY(Mask, operator<, is_less(a.v, b.v))
OPGEN_BINARY(Mask, operator<=, is_at_most(a.v, b.v))
OPGEN_BINARY(Mask, operator>, is_greater(a.v, b.v))
OPGEN_BINARY(Mask, operator>=, is_at_least(a.v, b.v))
OPGEN_BINARY(Mask, operator==, is_equal(a.v, b.v))
OPGEN_BINARY(Mask, operator!=, is_unequal(a.v, b.v))
#undef OPGEN_BINARY

template <class T>
OPGEN_INLINE Pack<T> operator-(const Pack<T>& a) {
  Pack<T> r;
  r.v = -a.v;
  return r;
}

// `&`, `|` and `!` work on masks as they do on bool.
template <class T>
OPGEN_INLINE Mask<T> operator&(const Mask<T>& a, const Mask<T>& b) {
  Mask<T> r;
  r.v = a.v & b.v;
  return r;
}
template <class T>
OPGEN_INLINE Mask<T> operator|(const Mask<T>& a, const Mask<T>& b) {
  Mask<T> r;
  r.v = a.v | b.v;
  return r;
}
template <class T>
OPGEN_INLINE Mask<T> operator!(const Mask<T>& a) {
  Mask<T> r;
  r.v = static_cast<typename Register<T>::Mask>(~a.v);
  return r;
}

OPGEN_INLINE bool any_bit(const Bits& b) {
  int64_t r = 0;
  for (int j = 0; j < lanes; ++j) r |= b[j];
  return r != 0;
}
OPGEN_INLINE bool all(bool m) { return m; }
OPGEN_INLINE bool any(bool m) { return m; }
template <class T>
OPGEN_INLINE bool any(const Mask<T>& m) {
#if defined(OPGEN_MASK_REGISTERS)
  return m.v != 0;
#elif defined(__AVX__)
  return _mm256_movemask_pd((__m256d)m.v) != 0;
#elif defined(__SSE2__)
  return _mm_movemask_pd((__m128d)m.v) != 0;
#else
  return any_bit((Bits)m.v);
#endif
}
template <class T>
OPGEN_INLINE bool all(const Mask<T>& m) { return !any(!m); }

OPGEN_INLINE bool lane(bool m, int) { return m; }
OPGEN_INLINE double lane(double a, int) { return a; }
template <class T>
OPGEN_INLINE T lane(const Pack<T>& a, int i) { return a.v[i]; }
OPGEN_INLINE void set_lane(double& a, int, double value) { a = value; }
OPGEN_INLINE void set_lane(bool& m, int, bool value) { m = value; }
template <class T>
OPGEN_INLINE void set_lane(Pack<T>& a, int i, double value) {
  a.v[i] = static_cast<T>(value);
}
template <class T>
OPGEN_INLINE bool lane(const Mask<T>& m, int i) {
#ifdef OPGEN_MASK_REGISTERS
  return m.v >> i & 1;
#else
  return m.v[i] != 0;
#endif
}
template <class T>
OPGEN_INLINE void set_lane(Mask<T>& m, int i, bool value) {
#ifdef OPGEN_MASK_REGISTERS
  m.v = static_cast<typename Register<T>::Mask>((m.v & ~(1 << i)) | value << i);
#else
  m.v[i] = -static_cast<int>(value);
#endif
}

OPGEN_INLINE double select(bool m, double a, double b) { return m ? a : b; }
template <class T>
OPGEN_INLINE Pack<T> select(const Mask<T>& m, const Pack<T>& a, const Pack<T>& b) {
  Pack<T> r;
  r.v = blend(m.v, a.v, b.v);
  return r;
}
template <class T>
OPGEN_INLINE Pack<T> select(const Mask<T>& m, const Pack<T>& a, double b) { return select(m, a, Pack<T>(b)); }
template <class T>
OPGEN_INLINE Pack<T> select(const Mask<T>& m, double a, const Pack<T>& b) { return select(m, Pack<T>(a), b); }
template <class T>
OPGEN_INLINE Pack<T> select(const Mask<T>& m, double a, double b) { return select(m, Pack<T>(a), Pack<T>(b)); }

// A condition on numbers alone is a bool: it chooses for all lanes.
template <class T>
OPGEN_INLINE Pack<T> select(bool m, const Pack<T>& a, const Pack<T>& b) { return m ? a : b; }
template <class T>
OPGEN_INLINE Pack<T> select(bool m, const Pack<T>& a, double b) { return m ? a : Pack<T>(b); }
template <class T>
OPGEN_INLINE Pack<T> select(bool m, double a, const Pack<T>& b) { return m ? Pack<T>(a) : b; }

template <class R>
OPGEN_INLINE typename Traits<R>::Bool none() { return R(0.0) != R(0.0); }

}  // namespace opgen
#endif
