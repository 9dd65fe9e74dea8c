// Several points at once: a value type over the machine's vector registers, so that generated formulas read the same for
// one point (double) and for a pack of them. Comparisons give masks; `select` chooses lane by lane and never branches.
#ifndef OPGEN_PACK_H
#define OPGEN_PACK_H

#include <cmath>
#include <cstdint>
#include <cstring>

#define OPGEN_UNROLL _Pragma("GCC unroll 8")
#define OPGEN_INLINE inline __attribute__((always_inline))

// The body for i = 0 .. N - 1; thousands of loops of one turn are what takes a compiler long.
#define OPGEN_EACH(...)                                    \
  if constexpr (N == 1) {                                  \
    constexpr int i = 0;                                   \
    __VA_ARGS__;                                           \
  } else {                                                 \
    OPGEN_UNROLL for (int i = 0; i < N; ++i) __VA_ARGS__;  \
  }
namespace opgen {

#if defined(__AVX512F__) && defined(__AVX512DQ__)
constexpr int lanes = 8;
#elif defined(__AVX__)
constexpr int lanes = 4;
#else
constexpr int lanes = 2;
#endif

typedef double Vec __attribute__((vector_size(8 * lanes)));
typedef int64_t Bits __attribute__((vector_size(8 * lanes)));

// All ones where true, all zeros where false.
template <int N>
struct Mask {
  Bits v[N];
};

// N registers: independent chains of arithmetic hide the latency of divisions and of the Newton recurrence.
template <int N>
struct Pack {
  static constexpr int size = N * lanes;
  Vec v[N];

  Pack() = default;
  OPGEN_INLINE Pack(double a) {
    OPGEN_EACH(v[i] = Vec{} + a)
  }
  OPGEN_INLINE static Pack load(const double* p) {
    Pack r;
    std::memcpy(&r.v, p, sizeof r.v);
    return r;
  }
  OPGEN_INLINE void store(double* p) const { std::memcpy(p, &v, sizeof v); }
};

// One point is a pack of one lane.
template <class R>
struct Traits {
  using Bool = bool;
  static constexpr int size = 1;
  OPGEN_INLINE static double load(const double* p) { return *p; }
  OPGEN_INLINE static void store(double a, double* p) { *p = a; }
};
template <int N>
struct Traits<Pack<N>> {
  using Bool = Mask<N>;
  static constexpr int size = Pack<N>::size;
  OPGEN_INLINE static Pack<N> load(const double* p) { return Pack<N>::load(p); }
  OPGEN_INLINE static void store(const Pack<N>& a, double* p) { a.store(p); }
};

#define OPGEN_ARITHMETIC(op)                                                                    \
  template <int N>                                                                              \
  OPGEN_INLINE Pack<N> operator op(const Pack<N>& a, const Pack<N>& b) {                        \
    Pack<N> r;                                                                                  \
    OPGEN_EACH(r.v[i] = a.v[i] op b.v[i])                                      \
    return r;                                                                                   \
  }                                                                                             \
  template <int N>                                                                              \
  OPGEN_INLINE Pack<N> operator op(double a, const Pack<N>& b) { return Pack<N>(a) op b; }      \
  template <int N>                                                                              \
  OPGEN_INLINE Pack<N> operator op(const Pack<N>& a, double b) { return a op Pack<N>(b); }
OPGEN_ARITHMETIC(+)
OPGEN_ARITHMETIC(-)
OPGEN_ARITHMETIC(*)
OPGEN_ARITHMETIC(/)
#undef OPGEN_ARITHMETIC

#define OPGEN_COMPARISON(op)                                                                    \
  template <int N>                                                                              \
  OPGEN_INLINE Mask<N> operator op(const Pack<N>& a, const Pack<N>& b) {                        \
    Mask<N> r;                                                                                  \
    OPGEN_EACH(r.v[i] = a.v[i] op b.v[i])                                      \
    return r;                                                                                   \
  }                                                                                             \
  template <int N>                                                                              \
  OPGEN_INLINE Mask<N> operator op(double a, const Pack<N>& b) { return Pack<N>(a) op b; }      \
  template <int N>                                                                              \
  OPGEN_INLINE Mask<N> operator op(const Pack<N>& a, double b) { return a op Pack<N>(b); }
OPGEN_COMPARISON(<)
OPGEN_COMPARISON(<=)
OPGEN_COMPARISON(>)
OPGEN_COMPARISON(>=)
OPGEN_COMPARISON(==)
OPGEN_COMPARISON(!=)
#undef OPGEN_COMPARISON

template <int N>
OPGEN_INLINE Pack<N> operator-(const Pack<N>& a) {
  Pack<N> r;
  OPGEN_EACH(r.v[i] = -a.v[i])
  return r;
}

// `&`, `|` and `!` work on masks as they do on bool.
template <int N>
OPGEN_INLINE Mask<N> operator&(const Mask<N>& a, const Mask<N>& b) {
  Mask<N> r;
  OPGEN_EACH(r.v[i] = a.v[i] & b.v[i])
  return r;
}
template <int N>
OPGEN_INLINE Mask<N> operator|(const Mask<N>& a, const Mask<N>& b) {
  Mask<N> r;
  OPGEN_EACH(r.v[i] = a.v[i] | b.v[i])
  return r;
}
template <int N>
OPGEN_INLINE Mask<N> operator!(const Mask<N>& a) {
  Mask<N> r;
  OPGEN_EACH(r.v[i] = ~a.v[i])
  return r;
}

OPGEN_INLINE bool all(bool m) { return m; }
OPGEN_INLINE bool any(bool m) { return m; }
template <int N>
OPGEN_INLINE bool any(const Mask<N>& m) {
  Bits b = m.v[0];
  for (int i = 1; i < N; ++i) b |= m.v[i];
  int64_t r = 0;
  for (int j = 0; j < lanes; ++j) r |= b[j];
  return r != 0;
}
template <int N>
OPGEN_INLINE bool all(const Mask<N>& m) { return !any(!m); }

OPGEN_INLINE bool lane(bool m, int) { return m; }
OPGEN_INLINE double lane(double a, int) { return a; }
template <int N>
OPGEN_INLINE bool lane(const Mask<N>& m, int i) { return m.v[i / lanes][i % lanes] != 0; }
template <int N>
OPGEN_INLINE double lane(const Pack<N>& a, int i) { return a.v[i / lanes][i % lanes]; }

OPGEN_INLINE void set_lane(double& a, int, double value) { a = value; }
template <int N>
OPGEN_INLINE void set_lane(Pack<N>& a, int i, double value) { a.v[i / lanes][i % lanes] = value; }
OPGEN_INLINE void set_lane(bool& m, int, bool value) { m = value; }
template <int N>
OPGEN_INLINE void set_lane(Mask<N>& m, int i, bool value) { m.v[i / lanes][i % lanes] = -int64_t(value); }

OPGEN_INLINE double select(bool m, double a, double b) { return m ? a : b; }
template <int N>
OPGEN_INLINE Pack<N> select(const Mask<N>& m, const Pack<N>& a, const Pack<N>& b) {
  Pack<N> r;
  OPGEN_EACH(r.v[i] = m.v[i] ? a.v[i] : b.v[i])
  return r;
}
template <int N>
OPGEN_INLINE Pack<N> select(const Mask<N>& m, const Pack<N>& a, double b) { return select(m, a, Pack<N>(b)); }
template <int N>
OPGEN_INLINE Pack<N> select(const Mask<N>& m, double a, const Pack<N>& b) { return select(m, Pack<N>(a), b); }
template <int N>
OPGEN_INLINE Pack<N> select(const Mask<N>& m, double a, double b) { return select(m, Pack<N>(a), Pack<N>(b)); }

// A condition on numbers alone is a bool: it chooses for all lanes.
template <int N>
OPGEN_INLINE Pack<N> select(bool m, const Pack<N>& a, const Pack<N>& b) { return m ? a : b; }
template <int N>
OPGEN_INLINE Pack<N> select(bool m, const Pack<N>& a, double b) { return m ? a : Pack<N>(b); }
template <int N>
OPGEN_INLINE Pack<N> select(bool m, double a, const Pack<N>& b) { return m ? Pack<N>(a) : b; }

template <class R>
OPGEN_INLINE typename Traits<R>::Bool none() { return R(0.0) != R(0.0); }

}  // namespace opgen
#endif
