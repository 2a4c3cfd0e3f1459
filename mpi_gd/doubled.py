"""Arithmetic on arrays of about 32 digits: each number is the unevaluated sum of two float64.

Sources: Dekker, "A Floating-Point Technique for Extending the Available Precision", Numerische
Mathematik 18, 1971; Hida, Li and Bailey, "Algorithms for Quad-Double Precision Floating Point
Arithmetic", ARITH-15, 2001, sections 2 and 3. Relative errors are a few 2^-104; numbers must stay
well within the range of float64 (1e-140 to 1e140).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Doubled"]

Floats = NDArray[np.float64]

# 2^27 + 1 cuts a number into halves of 26 bits, whose products are exact.
_SPLITTER = 134217729.0


@dataclass(frozen=True, eq=False)
class Doubled:
    """An array hi + lo, |lo| at most half a unit in the last place of hi."""

    hi: Floats
    lo: Floats

    @classmethod
    def of(cls, value: Floats | float) -> Doubled:
        """Return a float64 array as it is."""
        hi = np.asarray(value, dtype=np.float64)
        return cls(hi, np.zeros_like(hi))

    @classmethod
    def sum_of(cls, a: Floats, b: Floats) -> Doubled:
        """Return the exact sum of two arrays."""
        return cls(*_two_sum(a, b))

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape."""
        return self.hi.shape

    def rounded(self) -> Floats:
        """Return the nearest float64 numbers."""
        return self.hi + self.lo

    def copy(self) -> Doubled:
        """Return a copy that can be written to."""
        return Doubled(self.hi.copy(), self.lo.copy())

    def __getitem__(self, place: Any) -> Doubled:
        """Return a part, as NumPy would."""
        return Doubled(self.hi[place], self.lo[place])

    def __setitem__(self, place: Any, value: Doubled) -> None:
        """Write a part."""
        self.hi[place] = value.hi
        self.lo[place] = value.lo

    def __add__(self, other: Doubled) -> Doubled:
        """Return the sum."""
        s, e = _two_sum(self.hi, other.hi)
        t, f = _two_sum(self.lo, other.lo)
        s, e = _quick_two_sum(s, e + t)
        return Doubled(*_quick_two_sum(s, e + f))

    def __neg__(self) -> Doubled:
        """Return the negative."""
        return Doubled(-self.hi, -self.lo)

    def __sub__(self, other: Doubled) -> Doubled:
        """Return the difference."""
        return self + (-other)

    def __mul__(self, other: Doubled) -> Doubled:
        """Return the product."""
        p, e = _two_product(self.hi, other.hi)
        return Doubled(*_quick_two_sum(p, e + (self.hi * other.lo + self.lo * other.hi)))

    def __truediv__(self, other: Doubled) -> Doubled:
        """Return the quotient, by three steps of long division."""
        first = self.hi / other.hi
        rest = self - other * Doubled.of(first)
        second = rest.hi / other.hi
        rest = rest - other * Doubled.of(second)
        third = rest.hi / other.hi
        first, second = _quick_two_sum(first, second)
        return Doubled(first, second) + Doubled.of(third)

    def sqrt(self) -> Doubled:
        """Return the square root of positive numbers: Karp's method, one Newton step."""
        root = np.sqrt(self.hi)
        rest = self - Doubled.of(root) * Doubled.of(root)
        return Doubled.sum_of(root, rest.hi / (2.0 * root))


def _two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return a + b rounded, and the rounding error."""
    s = a + b
    part = s - a
    return s, (a - (s - part)) + (b - part)


def _quick_two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return the same where |a| >= |b|."""
    s = a + b
    return s, b - (s - a)


def _split(a: Floats) -> tuple[Floats, Floats]:
    """Cut into a high and a low half."""
    t = _SPLITTER * a
    high = t - (t - a)
    return high, a - high


def _two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """Return a b rounded, and the rounding error."""
    p = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low
