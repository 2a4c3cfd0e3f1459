"""The world of MPI. Importing this module starts MPI."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mpi_gd import launcher
from mpi_gd.comm.start import library_version, remedy, start_mpi
from mpi_gd.comm.world import World
from mpi_gd.errors import LauncherError

start_mpi()

from mpi4py import MPI  # noqa: E402 - started before it is imported

from mpi_gd.comm.levels import find_levels  # noqa: E402

__all__ = ["MpiWorld", "abort_on_uncaught", "library_version"]

# A rank waits so many seconds times its number before it prints a traceback: when all ranks raise,
# the first one's word that it prints comes before.
_TURN_SECONDS = 0.1
_LONGEST_TURN = 1.0
_ABORT_TAG, _TEXT_TAG = 911, 912
# After which a rank that leaves the printing to another aborts by itself.
_ABORT_SECONDS = 5.0
# What is printed goes through a pipe to the launcher, which an abort may end before it has read it.
_FORWARDING_SECONDS = 0.5


class MpiWorld(World):
    """The ranks of an MPI communicator."""

    def __init__(self, comm: MPI.Intracomm | None = None) -> None:
        """Take `comm`, or all ranks of the program."""
        self._comm = MPI.COMM_WORLD if comm is None else comm
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()
        # Whatever becomes of the communicator, by this one ranks hear of an abort.
        self._alarms = self._comm
        # Not where it may have to do with fewer ranks.
        is_open = library_version().startswith("Open MPI")
        self._levels = find_levels(self._comm) if is_open and not self.can_survive else None

    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        """Sum in place, by MPI's own SUM."""
        if self._levels:
            self._levels.sum(buffer)
        else:
            self._comm.Allreduce(MPI.IN_PLACE, buffer, MPI.SUM)

    def allreduce_pieces(self, pieces: Iterable[NDArray[Any]]) -> None:
        """Sum each in place; those that are made travel while the next is."""
        if self._levels:
            self._levels.sum_pieces(pieces)
            return
        requests: list[MPI.Request] = []
        for piece in pieces:
            requests.append(self._comm.Iallreduce(MPI.IN_PLACE, piece, MPI.SUM))
            # MPI does its part of the work when it is called.
            MPI.Request.Testall(requests)
        MPI.Request.Waitall(requests)

    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        """Take the maximum in place."""
        self._comm.Allreduce(MPI.IN_PLACE, buffer, MPI.MAX)

    def bcast_bytes(self, data: bytes | None, source: int = 0) -> bytes:
        """Return the bytes of rank `source`."""
        return bytes(self._comm.bcast(data, root=source))

    def gather_small(self, text: str) -> list[str]:
        """Return all texts, on all ranks."""
        return list(self._comm.allgather(text))

    def alltoallv(self, pieces: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Exchange arrays of one type; the counts go first."""
        counts = np.array([piece.size for piece in pieces], dtype=np.int64)
        coming = np.empty_like(counts)
        self._comm.Alltoall(counts, coming)
        sent = np.concatenate(pieces)
        received = np.empty(int(coming.sum()), dtype=sent.dtype)
        self._comm.Alltoallv([sent, counts], [received, coming])
        return np.split(received, np.cumsum(coming)[:-1])

    def split(self, color: int) -> World:
        """Return the world of the ranks of a color; an abort in it ends all of this one."""
        part = MpiWorld(cast(MPI.Intracomm, self._comm.Split(color, self.rank)))
        part._alarms = self._alarms
        return part

    def send_text(self, text: str, rank: int) -> None:
        """Send a text; it is taken by `receive_text`, sooner or later."""
        self._comm.Send([text.encode("utf-8"), MPI.BYTE], rank, _TEXT_TAG)

    def receive_text(self) -> tuple[int, str] | None:
        """Return a text that has come, if there is one."""
        status = MPI.Status()
        if not self._comm.Iprobe(MPI.ANY_SOURCE, _TEXT_TAG, status):
            return None
        data = bytearray(status.Get_count(MPI.BYTE))
        self._comm.Recv([data, MPI.BYTE], status.Get_source(), _TEXT_TAG)
        return status.Get_source(), data.decode("utf-8")

    def meet(self, seconds: float = 3.0) -> bool:
        """Whether all ranks come here within some seconds: an error that all of them have."""
        request = self._comm.Ibarrier()
        deadline = time.monotonic() + seconds
        while not request.Test():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def leave(self, status: int) -> None:
        """Prepare for the end of the program with this exit status; collective."""

    def announce_abort(self) -> bool:
        """Tell the others that this rank aborts; False if another one has told so before."""
        deadline = time.monotonic() + min(_TURN_SECONDS * self.rank, _LONGEST_TURN)
        while not self.hears_abort():
            if time.monotonic() >= deadline:
                break
            time.sleep(0.001)
        else:
            return False
        me = self._alarms.Get_rank()
        for rank in range(self._alarms.Get_size()):
            if rank != me:
                with contextlib.suppress(MPI.Exception):
                    # Nothing but an envelope: it leaves at once, whatever the receiver is doing.
                    self._alarms.Isend([None, 0, MPI.BYTE], rank, _ABORT_TAG)
        return True

    def hears_abort(self) -> bool:
        """Whether another rank has told that it aborts: seen only when one looks for it."""
        return bool(self._alarms.Iprobe(MPI.ANY_SOURCE, _ABORT_TAG))

    def abort(self) -> None:
        """End all ranks at once with status 1."""
        MPI.COMM_WORLD.Abort(1)

    def check_launcher(self) -> None:
        """Raise LauncherError if MPI does not connect all processes that the launcher started."""
        if not launcher.lacks(self.size):
            return
        started, variable = launcher.started_size()
        found = "only this one" if self.size == 1 else f"{self.size}"
        raise LauncherError(
            f"the launcher started {started} processes ({variable}) but MPI connects {found}: "
            f"the launcher and {library_version()} do not know each other; {remedy()}"
        )


def abort_on_uncaught(world: MpiWorld) -> None:
    """Let an exception that nothing caught be printed once, then end all ranks with status 1."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        pause = _ABORT_SECONDS
        if world.announce_abort():
            pause = _FORWARDING_SECONDS
            text = "".join(traceback.format_exception(kind, error, trace))
            sys.stderr.write(
                f"{text}mpi_gd: rank {world.rank}: a defect of mpi_gd; please report it\n"
            )
        sys.stdout.flush()
        sys.stderr.flush()
        time.sleep(pause)
        world.abort()

    sys.excepthook = hook
