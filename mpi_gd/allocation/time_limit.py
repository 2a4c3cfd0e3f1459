"""The time limit of a job: stop so long before it that the state is safe."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["TimeLimit"]

# Of the time that is left at the start; a short job is not to end as it begins.
_LARGEST_SHARE = 0.1
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
        if left is not None and reserve > 0:
            self._stop_at = clock() + left - self._reserve

    def is_near(self) -> bool:
        """Whether to stop now. Before it says so it asks whether the limit has been moved."""
        if self._is_near or self._stop_at is None or self._clock() < self._stop_at:
            return self._is_near
        left = self._ask()
        if left is not None and left > self._reserve + _SAME_SECONDS:
            self._stop_at = self._clock() + left - self._reserve
        else:
            self._is_near = True
        return self._is_near
