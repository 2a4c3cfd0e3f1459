"""Which ranks are slow, from the seconds that all of them compute: every reply tells these to all.

A rank is slow where something else runs on its core, or its processor is throttled. What is decided
here follows from numbers that all ranks have, so all decide the same. To divide the rows anew costs
about what setting up did; it is done when waiting for slow ranks has cost as much (so that the
total is at most twice the best that was possible), and each further time takes twice the waste.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Pace"]

Floats = NDArray[np.float64]

# The median of so many questions, and of at least so many.
_WINDOW = 9
_LEAST = 5
# A rank that takes so many times the usual for its rows is slow, and one that takes so many
# seconds longer for a question.
_SLOW = 1.3
_LEAST_SECONDS = 1e-3
# What a new division has to save of a question.
_LEAST_GAIN = 0.1
# Waiting that is worth a word, seconds.
_TOLD_SECONDS = 1.0
_PARTS = 1000


class Pace:
    """The pace of the ranks through their rows; `add` each question about all of them."""

    def __init__(self, loads: Sequence[int], cost: float = 0.0) -> None:
        """Take what each rank has to do, and the seconds that it is worth to wait for slow ones."""
        self._loads, self._cost = np.array(loads, dtype=np.float64), cost
        self._seen: deque[Floats] = deque(maxlen=_WINDOW)
        self._is_told = False
        self.wasted = 0.0
        """Seconds that the mean rank has waited for slow ones."""

    def add(self, compute: Floats) -> None:
        """Take the seconds that each rank has computed, (size,)."""
        self._seen.append(np.array(compute, dtype=np.float64))
        if self.slow_ranks():
            self.wasted += float(compute.max() - compute.mean())

    def slow_ranks(self) -> dict[int, float]:
        """Return the ranks that are slow, and how many times the usual they take for their rows."""
        if len(self._seen) < _LEAST:
            return {}
        usual, seconds, rates = self._rates()
        slow = (rates > _SLOW * usual) & (seconds - usual * self._loads > _LEAST_SECONDS)
        return {int(rank): float(rates[rank] / usual) for rank in np.flatnonzero(slow)}

    def _rates(self) -> tuple[float, Floats, Floats]:
        """Return the usual seconds for one part of the load, and each rank's, in all and for one.

        Who has nothing to do is as fast as is usual.
        """
        seconds = np.median(np.stack(self._seen), axis=0)
        has_rows = self._loads > 0
        rates = np.zeros(len(seconds))
        np.divide(seconds, self._loads, out=rates, where=has_rows)
        some = np.sort(rates[has_rows])
        # Of two the faster.
        usual = float(some[(len(some) - 1) // 2]) if len(some) else 0.0
        rates[~has_rows] = usual
        return usual, seconds, rates

    def is_worth_a_word(self) -> bool:
        """Whether slow ranks have cost enough to be told of, which is so once."""
        is_now = not self._is_told and self.wasted > _TOLD_SECONDS and bool(self.slow_ranks())
        self._is_told = self._is_told or is_now
        return is_now

    def shares(self) -> list[int] | None:
        """Return what part of the rows each rank should have, if that is worth its cost; else None.

        (size,): at least 1 each.
        """
        if self.wasted <= self._cost or not self.slow_ranks():
            return None
        usual, seconds, rates = self._rates()
        speeds = usual / np.maximum(rates, usual / _PARTS)
        best = self._loads.sum() * usual / speeds.sum()
        if best > (1.0 - _LEAST_GAIN) * seconds.max():
            return None
        return [max(1, round(_PARTS * speed)) for speed in (speeds / speeds.max()).tolist()]
