"""Weights as integers, whose sums no order and no number of ranks can change.

Numbers v_i >= 0 become integers c_i with v_i = c_i * unit. The unit is the largest power of two of
which all ranks' numbers are multiples, so counts, halves and quarters are exact. Where the integers
would then exceed 2^61 in sum (numbers with many digits), the unit is the smallest power of two with
which they do not: a number is rounded by less than 2^-60 of the sum of all, or to even less. The
unit is chosen from maxima and integer sums alone, so it is the same for any number of ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World

__all__ = ["TOTAL_BITS", "Counts", "Integers", "as_integers", "exact_dot", "sum_integer"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

TOTAL_BITS = 61
"""All ranks' integers sum to at most 2^61: twice as much, plus one of them, still fits int64."""
# No power of two: all numbers are 0.
_NO_BIT = -(1 << 20)
# Sums over ranks travel in digits of 31 bits: int64 sums of them have room for 2^32 ranks.
_DIGIT_BITS = 31
_DIGITS = 5
# Factors of products are cut into limbs of 21 bits, so that 2^21 products of limbs fit int64.
_LIMB_BITS = 21
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Integers:
    """Numbers of at least 0 as multiples of a unit that all ranks share."""

    counts: Counts
    """(n_local,)"""
    unit: float
    """What 1 stands for: a power of two, or the number that all of them are."""

    def value(self, count: int) -> float | int:
        """Return what a sum of counts stands for: an int where it is a whole number."""
        value = count * self.unit
        return int(value) if value.is_integer() and value < 2**53 else value


def as_integers(world: World, values: Floats) -> Integers:
    """Return all ranks' finite numbers (n_local,) of at least 0 as integers; collective."""
    extremes = np.array([values.max(initial=-np.inf), (-values).max(initial=-np.inf)])
    world.allreduce_max(extremes)
    high, low = float(extremes[0]), -float(extremes[1])
    if high <= low or high == 0:
        # All are the same, or there are none: no digit matters. Takes no memory.
        one = np.int64(1 if high > 0 else 0)
        return Integers(np.broadcast_to(one, len(values)), high if high > 0 else 1.0)
    n = np.array([len(values)], dtype=np.int64)
    world.allreduce_sum(n)
    # All are at most 2^frexp: with this unit their sum, rounded up, is at most 2^TOTAL_BITS.
    unit = math.frexp(high)[1] + int(n[0]).bit_length() - TOTAL_BITS
    lowest = _lowest_bit(world, values)
    if lowest < unit:
        total = np.array([_rounded(values, unit).sum()], dtype=np.int64)
        world.allreduce_sum(total)
        # Most numbers may be far below the largest one, which leaves bits to spare.
        unit -= TOTAL_BITS - int(total[0] + n[0]).bit_length()
    unit = max(unit, lowest)
    return Integers(_rounded(values, unit), math.ldexp(1.0, unit))


def _lowest_bit(world: World, values: Floats) -> int:
    """Return the largest b with all ranks' numbers multiples of 2^b; collective."""
    found = np.array([_NO_BIT], dtype=np.int64)
    for start in range(0, len(values), _CHUNK):
        mantissa, exponent = np.frexp(values[start : start + _CHUNK])
        digits = np.ldexp(mantissa, 53).astype(np.int64)
        # digits & -digits is the lowest bit that is set, 2^place.
        place = np.frexp((digits & -digits).astype(np.float64))[1] - 1
        lowest = np.where(digits > 0, 53 - place - exponent, _NO_BIT)
        found[0] = max(found[0], lowest.max())
    world.allreduce_max(found)
    return -int(found[0])


def _rounded(values: Floats, unit: int) -> Counts:
    """Return the numbers as multiples of 2^unit."""
    return np.rint(np.ldexp(values, -unit)).astype(np.int64)


def exact_dot(a: Counts, b: Counts) -> int:
    """Return sum_i a_i b_i for integers 0 <= a, b < 2^63, without rounding or overflow."""
    if not a.size:
        return 0
    if a.size * int(a.max()) * int(b.max()) < 2**63:
        return int(a @ b)
    total = 0
    for start in range(0, a.size, _CHUNK):
        of_a, of_b = (_limbs(x[start : start + _CHUNK]) for x in (a, b))
        for i, x in of_a:
            for j, y in of_b:
                total += int(x @ y) << (i + j)
    return total


def _limbs(a: Counts) -> list[tuple[int, Counts]]:
    """Return the limbs that are not all 0, each with its place in bits."""
    mask = (1 << _LIMB_BITS) - 1
    limbs = [(place, a >> place & mask) for place in range(0, 63, _LIMB_BITS)]
    return [(place, limb) for place, limb in limbs if limb.any()]


def sum_integer(world: World, value: int) -> int:
    """Return the sum over ranks of an integer in [0, 2^155); collective."""
    mask = (1 << _DIGIT_BITS) - 1
    digits = np.array([value >> _DIGIT_BITS * i & mask for i in range(_DIGITS)], dtype=np.int64)
    world.allreduce_sum(digits)
    return sum(int(digit) << _DIGIT_BITS * i for i, digit in enumerate(digits))
