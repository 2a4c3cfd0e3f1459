"""Sums of float64 numbers without any rounding, in integers that ranks can add in any order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_LIMBS", "ExactSum", "mean_of_limbs"]

# A sum is a whole number of units 2^-1127: a float64 is M 2^(e - 53), M whole, e from -1073 on.
_UNIT = 1074 + 53
_LIMB_BITS = 32
N_LIMBS = 70
"""Limbs of 32 bits: 53 for the digits, 2098 for the exponents, and room for 2^80 numbers."""
_LOW_BITS = 27
# Sums of so many numbers of 27 bits are exact in float64.
_MOST_AT_A_TIME = 1 << 26


class ExactSum:
    """The exact sum of numbers that come a piece at a time."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._total = 0

    def add(self, values: NDArray[np.float64]) -> None:
        """Add finite numbers (n,)."""
        for first in range(0, len(values), _MOST_AT_A_TIME):
            mantissas, exponents = np.frexp(values[first : first + _MOST_AT_A_TIME])
            whole = (mantissas * 2.0**53).astype(np.int64)
            different, group = np.unique(exponents, return_inverse=True)
            low = whole & ((1 << _LOW_BITS) - 1)
            highs = np.bincount(group, whole >> _LOW_BITS, len(different))
            lows = np.bincount(group, low, len(different))
            for exponent, high, rest in zip(different, highs, lows, strict=True):
                self._total += ((int(high) << _LOW_BITS) + int(rest)) << (int(exponent) + 1074)

    def limbs(self) -> NDArray[np.int64]:
        """Return the sum as limbs (N_LIMBS,), which may be added up over 2^31 ranks."""
        sign, rest, limbs = (-1 if self._total < 0 else 1), abs(self._total), []
        for _ in range(N_LIMBS):
            limbs.append(sign * (rest & ((1 << _LIMB_BITS) - 1)))
            rest >>= _LIMB_BITS
        return np.array(limbs, dtype=np.int64)


def mean_of_limbs(limbs: NDArray[np.int64], n: int) -> float:
    """Return the sum that limbs stand for, divided by n: the float64 nearest to it."""
    total = sum(int(limb) << (_LIMB_BITS * k) for k, limb in enumerate(limbs))
    return float(Fraction(total, n << _UNIT))
