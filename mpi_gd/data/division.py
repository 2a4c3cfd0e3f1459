"""Who owns which tiles: contiguous runs, as even as whole tiles allow."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

__all__ = ["divide"]


def divide(
    n: int,
    size: int,
    weights: NDArray[np.int64] | None = None,
    shares: Sequence[int] | None = None,
) -> list[int]:
    """Return where each of `size` runs of `n` things begins, and n: (size + 1,).

    No division has a smaller largest run, in parts of its rank; and as far as that leaves a choice,
    a rank begins where those before it have about their parts. Of equal things rank r begins with
    n r // size. `weights` (n,) are not negative; `shares` (size,) are at least 1.
    """
    parts = [1] * size if shares is None else [int(share) for share in shares]
    before = [0, *accumulate(parts)]
    if weights is None or (weights[:1] == weights).all():
        return [n * part // before[-1] for part in before]
    # Python's numbers: the products may need more than 64 bits.
    sums = [0, *np.cumsum(weights).tolist()]
    total = sums[-1]
    level = _least_level(sums, parts)
    earliest = _earliest(sums, parts, level)
    bounds = [0]
    for rank in range(1, size):
        wanted = _nearest(sums, total * before[rank] / before[-1])
        furthest = _furthest(sums, bounds[-1], level * parts[rank - 1])
        bounds.append(min(max(wanted, earliest[rank], bounds[-1]), furthest))
    return [*bounds, n]


def _nearest(sums: list[int], target: float) -> int:
    """Return the first thing before which there is about so much."""
    after = min(bisect_left(sums, target), len(sums) - 1)
    is_near = after == 0 or sums[after] - target < target - sums[after - 1]
    return after if is_near else after - 1


def _least_level(sums: list[int], parts: list[int]) -> int:
    """Return the least load of a part with which the runs reach the end."""
    low, high = -(-sums[-1] // sum(parts)), sums[-1]
    while low < high:
        level = (low + high) // 2
        end = 0
        for part in parts:
            end = _furthest(sums, end, level * part)
        if end == len(sums) - 1:
            high = level
        else:
            low = level + 1
    return low


def _furthest(sums: list[int], first: int, room: int) -> int:
    """Return the end of the longest run from `first` that weighs no more than `room`."""
    return bisect_right(sums, sums[first] + room) - 1


def _earliest(sums: list[int], parts: list[int], level: int) -> list[int]:
    """Return the first thing of each rank at which those from it on can take all that follows."""
    begins = [len(sums) - 1]
    for part in reversed(parts):
        begins.append(bisect_left(sums, sums[begins[-1]] - level * part))
    return begins[::-1]
