"""The end of a run that has lost a rank, where MPI does not notice: its host has no power, say."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable

from mpi_gd.comm import World
from mpi_gd.commands.kept import Kept
from mpi_gd.status import write_status

__all__ = ["ending"]

# By then the marker is written and MPI has aborted, unless that hangs as well.
_LAST_SECONDS = 10.0


def ending(world: World, kept: Kept) -> Callable[[str], None]:
    """Return what ends the run, from any thread, given the text that says who is lost."""

    def end(lost: str) -> None:
        last = threading.Timer(_LAST_SECONDS, os.kill, [os.getpid(), signal.SIGKILL])
        last.daemon = True
        last.start()
        is_first = True
        with contextlib.suppress(Exception):
            is_first = world.announce_abort()
        if is_first:
            _tell(lost, world, kept)
        world.abort()

    return end


def _tell(lost: str, world: World, kept: Kept) -> None:
    """Say it, and leave it in the marker."""
    message = (
        f"{lost} while the others wait; ending the run. Go on with --resume, on the hosts that are "
        "left"
    )
    with contextlib.suppress(OSError):
        # At once: the main thread, which waits in MPI, may hold the lock of a buffer.
        os.write(2, f"mpi_gd: error: {message}\n".encode("utf-8", "backslashreplace"))
    write_status(
        kept.folder.path if kept.folder and kept.has_begun else None,
        "failed",
        # That of a crash, after which a launcher starts again.
        1,
        message=message,
        iteration=kept.iteration,
        ranks=world.size,
    )
