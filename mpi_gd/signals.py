"""Signals that ask the program to stop: noted, and obeyed at the next question.

The handlers must be there before MPI starts: a signal that meets MPI_Init without one kills.
"""

from __future__ import annotations

import signal
from types import FrameType

__all__ = ["install", "stop_requested"]

# TERM: the scheduler's preemption, mpirun's end. USR1: what one asks the scheduler to send ahead
# of the time limit. INT: the keyboard.
_STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_received: list[int] = []


def install() -> None:
    """Note the stopping signals from now on."""
    for number in _STOPPING:
        signal.signal(number, _note)


def stop_requested() -> bool:
    """Whether a stopping signal has come."""
    return bool(_received)


def _note(number: int, frame: FrameType | None) -> None:
    """Note a signal; the same from the keyboard again means now."""
    if number == signal.SIGINT and number in _received:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _received.append(number)
