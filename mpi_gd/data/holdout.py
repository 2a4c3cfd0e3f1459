"""Which rows are held out: a function of the seed and the global row number alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["hashed", "held_out"]

_GOLDEN = 0x9E3779B97F4A7C15
_ALL = (1 << 64) - 1


def held_out(start: int, stop: int, fraction: float, seed: int) -> NDArray[np.bool_]:
    """Return which of the global rows [start, stop) are held out, each with chance `fraction`.

    A hash of row and seed, uniform in [0, 2^64), is compared with fraction * 2^64. The hash is
    the output function of SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
    Generators", OOPSLA 2014, figure 17), of a counter that the seed moves.
    """
    if fraction <= 0:
        return np.zeros(stop - start, dtype=bool)
    row = np.arange(start, stop, dtype=np.uint64)
    return np.asarray(hashed(row, seed) < np.uint64(min(_ALL, int(fraction * 2.0**64))))


def hashed(numbers: NDArray[np.uint64], seed: int) -> NDArray[np.uint64]:
    """Return SplitMix64's output at the places `numbers` of the sequence that the seed begins."""
    origin = _mixed(np.array([seed & _ALL], dtype=np.uint64))
    return _mixed(origin + (numbers + np.uint64(1)) * np.uint64(_GOLDEN))


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's mix of 64-bit numbers; products wrap around."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
