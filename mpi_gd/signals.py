"""Signals that ask the program to stop: noted, and obeyed at the next question.

The handlers must be there before MPI starts: a signal that meets MPI_Init without one kills.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

__all__ = ["install", "stop_requested"]

# TERM: the scheduler's preemption, mpirun's end. USR1: what one asks the scheduler to send ahead
# of the time limit. INT: the keyboard.
_STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
# A launcher passes on what the keyboard has sent already: what comes so soon is the same request.
_SAME_SECONDS = 1.0
# Set by our own launcher, which ends ranks by itself at a second request.
_LAUNCHED = "MPI_GD_STATUS"
_received: list[int] = []


def install() -> None:
    """Note the stopping signals from now on; a second one, a while later, ends the program."""
    for number in _STOPPING:
        signal.signal(number, _note)
    # Handlers of Python run between its own instructions, so not while MPI waits for a rank that
    # will never come. What writes to the pipe is the C handler, at once.
    reading, writing = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True).start()


def stop_requested() -> bool:
    """Whether a stopping signal has come."""
    return bool(_received)


def _note(number: int, frame: FrameType | None) -> None:
    """Note a signal."""
    _received.append(number)


def _watch(reading: int) -> None:
    """End the program at the second request."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    first = 0.0
    while True:
        for number in os.read(reading, 64):
            now = time.monotonic()
            # To a launcher's ranks the scheduler and the launcher may both send, one later.
            is_passed_on = number == signal.SIGUSR1 and _LAUNCHED in os.environ
            if number not in _STOPPING or (first and is_passed_on):
                continue
            if first and now - first > _SAME_SECONDS:
                os.write(2, b"mpi_gd: a second signal to stop: ending at once\n")
                # Not by an exit, which would wait for the main thread's MPI.
                os.kill(os.getpid(), signal.SIGKILL)
            first = first or now
