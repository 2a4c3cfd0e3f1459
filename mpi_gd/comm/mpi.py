"""The world of MPI. Importing this module starts MPI."""

from __future__ import annotations

import os
import sys
import time
import traceback
from types import TracebackType
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from mpi_gd.comm.world import World
from mpi_gd.errors import JobError

__all__ = ["MpiWorld", "abort_on_uncaught", "leave_together", "library_version", "stop_all"]

# Launchers tell a program their number of processes by these variables.
_SIZE_VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
# A rank waits so many seconds times its number before it prints a traceback: when all ranks raise,
# the first one's word that it prints comes before.
_TURN_SECONDS = 0.02
_LONGEST_TURN = 1.0
_ABORT_TAG = 911
# After which a rank that leaves the printing to another aborts by itself.
_ABORT_SECONDS = 5.0


class MpiWorld(World):
    """The ranks of an MPI communicator."""

    def __init__(self, comm: MPI.Intracomm | None = None) -> None:
        """Take `comm`, or all ranks of the program."""
        self._comm = MPI.COMM_WORLD if comm is None else comm
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()

    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        """Sum in place, by MPI's own SUM."""
        self._comm.Allreduce(MPI.IN_PLACE, buffer, MPI.SUM)

    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        """Take the maximum in place."""
        self._comm.Allreduce(MPI.IN_PLACE, buffer, MPI.MAX)

    def bcast_bytes(self, data: bytes | None) -> bytes:
        """Return the root's bytes."""
        return bytes(self._comm.bcast(data, root=0))

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

    def barrier(self) -> MPI.Request:
        """Begin a barrier; it completes when all ranks have begun it."""
        return self._comm.Ibarrier()

    def announce_abort(self) -> bool:
        """Tell the higher ranks that this one aborts; False if a lower one has told so before."""
        deadline = time.monotonic() + min(_TURN_SECONDS * self.rank, _LONGEST_TURN)
        while time.monotonic() < deadline:
            # A message is seen only while one looks for it.
            if self._comm.Iprobe(MPI.ANY_SOURCE, _ABORT_TAG):
                return False
            time.sleep(0.001)
        for rank in range(self.rank + 1, self.size):
            # Nothing but an envelope: it leaves at once, whatever the receiver is doing.
            self._comm.Isend([None, 0, MPI.BYTE], rank, _ABORT_TAG)
        return True

    def check_launcher(self) -> None:
        """Raise JobError if the launcher started several processes that MPI does not connect."""
        if self.size > 1:
            return
        for variable in _SIZE_VARIABLES:
            started = os.environ.get(variable, "")
            if started.isdigit() and int(started) > 1:
                raise JobError(
                    f"the launcher started {started} processes ({variable}) but MPI connects only "
                    f"this one: the launcher and {library_version()} belong to different MPIs; "
                    "use the mpirun of the MPI that mpi4py was installed with"
                )


def library_version() -> str:
    """Return the name and version of the MPI library, on one line."""
    version = MPI.Get_library_version().strip("\0 \n")
    lines = [line.split("\t")[-1].strip() for line in version.splitlines()]
    return f"MPICH {lines[0]}" if version.startswith("MPICH") else lines[0].split(",")[0]


def abort_on_uncaught(world: MpiWorld) -> None:
    """Let an exception that nothing caught be printed once, then end all ranks with status 1."""

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not world.announce_abort():
            time.sleep(_ABORT_SECONDS)
            stop_all(1)
        text = "".join(traceback.format_exception(kind, error, trace))
        sys.stderr.write(f"{text}mpi_gd: rank {world.rank}: a defect of mpi_gd; please report it\n")
        stop_all(1)

    sys.excepthook = hook


def leave_together(world: MpiWorld, seconds: float = 3.0) -> bool:
    """Whether all ranks come here within some seconds: an error that all of them have."""
    request = world.barrier()
    deadline = time.monotonic() + seconds
    while not request.Test():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def stop_all(status: int) -> None:
    """End all ranks at once with this exit status."""
    sys.stdout.flush()
    sys.stderr.flush()
    MPI.COMM_WORLD.Abort(status)
