"""The time limit of a job: stop so long before it that the state is safe."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["TimeLimit"]

# Of the time that is left at the start; a short job is not to end as it begins.
_LARGEST_SHARE = 0.1
# A question that takes a larger share of the time is not waited for.
_LARGEST_WAIT = 0.25
# An answer a little later than expected is no extension.
_SAME_SECONDS = 2.0


class TimeLimit:
    """Says when to stop. `ask` tells the seconds left, None if there is no limit."""

    def __init__(
        self,
        left: float | None,
        reserve: float,
        ask: Callable[[], float | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Let `left` be the seconds from now; stop `reserve` seconds before, 0 for never."""
        self._ask, self._clock = ask, clock
        self._reserve = min(reserve, _LARGEST_SHARE * left) if left and left > 0 else reserve
        self._stop_at: float | None = None
        self._is_near = False
        self._looked, self._longest = clock(), 0.0
        # What takes longer than this is set-up, or hopeless.
        self._most = _LARGEST_WAIT * left if left and left > 0 else 0.0
        if left is not None and reserve > 0:
            self._stop_at = clock() + left - self._reserve

    def is_near(self) -> bool:
        """Whether to stop now: the next look may come as late as the latest one has come yet.

        Before it says so it asks whether the limit has been moved.
        """
        now = self._clock()
        if now - self._looked <= self._most:
            self._longest = max(self._longest, now - self._looked)
        self._looked = now
        if self._is_near or self._stop_at is None or now < self._stop_at - self._longest:
            return self._is_near
        left = self._ask()
        if left is not None and left > self._reserve + self._longest + _SAME_SECONDS:
            self._stop_at = self._clock() + left - self._reserve
        else:
            self._is_near = True
        return self._is_near
