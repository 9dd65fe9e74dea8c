"""Roots of the robustness suite in 40 digits, by bisection alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import mpmath as mp
import sympy as sp
from robustness_scalar import Case, Family, a, b, y

DIGITS = 40


def residual_of(family: Family, case: Case) -> Callable[[mp.mpf], mp.mpf]:
    """Give F(y) in 40 digits; NaN where it is not real."""
    F = sp.lambdify((y, a, b), family.residual, "mpmath")

    def at(value: mp.mpf) -> mp.mpf:
        with mp.workdps(DIGITS):
            try:
                result = mp.mpmathify(F(value, mp.mpf(case.a), mp.mpf(case.b)))
            except ZeroDivisionError:
                return mp.nan
            return result if mp.im(result) == 0 else mp.nan

    return at


@lru_cache
def reference(family: Family, case: Case) -> mp.mpf:
    """Halve the bracket until 40 digits are known, from the end at which F is not zero or infinite."""
    F = residual_of(family, case)
    with mp.workdps(DIGITS):
        low, high = mp.mpf(case.low), mp.mpf(case.high)
        sign = F(low)
        if not mp.isfinite(sign) or sign == 0:
            low += (high - low) * mp.mpf(10) ** -900
            sign = F(low)
        for _ in range(700):
            apart = low * high > 0 and high / low > 8
            middle = mp.sqrt(low * high) if apart else (low + high) / 2
            value = F(middle)
            if value == 0:
                return middle
            low, high = (middle, high) if (value < 0) == (sign < 0) else (low, middle)
        return (low + high) / 2
