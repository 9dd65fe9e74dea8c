// Elementary functions of a register of doubles, written out rather than called, so that registers survive.
#ifndef OPGEN_ELEMENTARY_H
#define OPGEN_ELEMENTARY_H

#include <opgen/pack.h>

namespace opgen {

// x = q pi/2 + r with |r| <= pi/4, pi/2 being the sum of three numbers of 33 bits, the last of 53, so that the products with q are
// exact (Cody and Waite). Polynomials: sin r = r + r^3 S(r^2), cos r = 1 - r^2/2 + r^4 C(r^2), those of FreeBSD's msun
// (relative error below 2^-58). The error of the results is below one unit in the last place. The sine and the cosine of one
// angle share all of it.
struct Angle {
  Vec r, sine, cosine;  // of the reduced angle
  Bits quadrant;
};

constexpr double largest_angle = 1e5;

OPGEN_INLINE Angle reduce(Vec x) {
  constexpr double shift = 0x1.8p52;  // adding it rounds to a whole number, which then stands in the low bits
  const Vec shifted = x * 0.63661977236758134308 + shift;
  const Vec q = shifted - shift;
  Angle a;
  a.quadrant = (Bits)shifted;
  const Vec first = x - q * 1.57079632673412561417e+00, middle = q * 6.07710050630396597660e-11;
  const Vec second = first - middle;
  a.r = second + (((first - second) - middle) - q * 2.02226624879595063154e-21);
  const Vec z = a.r * a.r;
  const Vec s = -1.66666666666666324348e-01 + z * (8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 +
                z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10))));
  const Vec c = 4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 +
                z * (-2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11))));
  a.sine = a.r + a.r * z * s;
  const Vec half = 0.5 * z, w = 1.0 - half;
  a.cosine = w + (((1.0 - w) - half) + z * z * c);
  return a;
}

// The sine of x + k pi/2.
template <int k>
OPGEN_INLINE Vec turned_sine(const Angle& a) {
  const Bits quadrant = a.quadrant + k;
  const Bits odd = -(quadrant & 1);  // bit by bit: g++ 12 crashes on a choice of vectors here
  return (Vec)((((Bits)a.cosine & odd) | ((Bits)a.sine & ~odd)) ^ ((quadrant & 2) << 62));
}

// The real cube root of a normal number. r = |x|^(-1/3) is guessed from the exponent to 3 %, and improved twice by the series
//   r (1 - h)^(-1/3) = r (1 + h/3 + 2h^2/9 + 14h^3/81 + ...),  h = 1 - |x| r^3,
// which has no division; then |x| r^2 by a step of Newton's method.
OPGEN_INLINE Vec cube_root(Vec x) {
  constexpr double shift = 0x1p52;  // a whole number below it stands in its low bits after it is added
  const Bits sign = (Bits)x & (Bits)-Vec{};
  const Vec a = (Vec)((Bits)x ^ sign);
  const Vec high = (Vec)(((Bits)a >> 32) | (Bits)(Vec{} + shift)) - shift;
  Vec r = (Vec)((Bits)((1430194684.0 - high * (1.0 / 3)) + shift) << 32);
  for (int i = 0; i < 2; ++i) {
    const Vec h = 1.0 - a * r * (r * r);
    r += r * h * (1.0 / 3 + h * (2.0 / 9 + h * (14.0 / 81 + h * (35.0 / 243))));
  }
  const Vec square = r * r, y = a * square;
  return (Vec)((Bits)(y - (y * y * y - a) * (square * (1.0 / 3))) | sign);
}

}  // namespace opgen
#endif
