"""A world of MPI that survives the death of ranks, by User-Level Failure Mitigation.

MPI 5's chapter 11 and Bland, Bouteiller, Herault, Bosilca and Dongarra, "Post-failure recovery of
MPI communication capability", Int. J. High Perform. Comput. Appl. 27(3), 2013: what a collective
finds of a failure is raised; `Revoke` wakes the ranks that wait in others, `Shrink` makes a
communicator of those that are left. Open MPI offers it when its launcher is told so.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from mpi4py import MPI

from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.comm.world import World
from mpi_gd.errors import RankLost

__all__ = ["SurvivingWorld"]

F = TypeVar("F", bound=Callable[..., Any])

# Recoveries in which nobody turned out to be dead, after which something else must be wrong.
_MOST_FALSE_ALARMS = 3
# Ranks that have just agreed to leave may not have heard the last of it.
_LEAVE_SECONDS = 0.3
# MPI_Finalize was seen to wait for the dead.
_FINALIZE_SECONDS = 10.0


def _raising(collective: F) -> F:
    """Let any error of MPI in a collective be that of a lost rank.

    Which error a dead rank gives depends on the moment: process failed, revoked, or just other.
    """

    @functools.wraps(collective)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return collective(*args, **kwargs)
        except MPI.Exception as error:
            raise RankLost(str(error)) from error

    return call  # type: ignore[return-value]


class SurvivingWorld(MpiWorld):
    """The ranks that are left; after a loss, collectives raise RankLost until all recover."""

    can_survive = True

    def __init__(self) -> None:
        """Take all ranks; collective."""
        super().__init__(MPI.COMM_WORLD.Dup())
        me = f"rank {self.rank} (host {socket.gethostname()}, process {os.getpid()})"
        # Who is who by present rank; people know a rank by its number at the start.
        self._people = self.gather_small(me)
        self._n_started = self.size
        self._false_alarms = 0
        # It is never revoked.
        self._alarms = MPI.COMM_WORLD

    @property
    def has_lost(self) -> bool:
        """Whether any rank has died."""
        return self.size < self._n_started

    allreduce_sum = _raising(MpiWorld.allreduce_sum)
    # Not in the background: what is under way when a rank dies would go on in arrays that are gone.
    allreduce_pieces = World.allreduce_pieces
    allreduce_max = _raising(MpiWorld.allreduce_max)
    bcast_bytes = _raising(MpiWorld.bcast_bytes)
    gather_small = _raising(MpiWorld.gather_small)
    alltoallv = _raising(MpiWorld.alltoallv)
    meet = _raising(MpiWorld.meet)

    def recover(self) -> list[str]:
        """Go on with the ranks that are left, which this wakes; return who has died.

        Raises RuntimeError when MPI reports failures again and again but nobody is dead.
        """
        if self.hears_abort():
            # A rank has met a defect and has said what there is to say.
            os._exit(1)
        self._comm.Revoke()
        comm = cast(MPI.Intracomm, self._comm.Shrink())
        left = MPI.Group.Translate_ranks(
            comm.Get_group(), list(range(comm.size)), self._comm.Get_group()
        )
        lost = [name for rank, name in enumerate(self._people) if rank not in left]
        self._people = [self._people[rank] for rank in left]
        self._comm, self.rank, self.size = comm, comm.rank, comm.size
        self._false_alarms = 0 if lost else self._false_alarms + 1
        if self._false_alarms > _MOST_FALSE_ALARMS:
            raise RuntimeError("MPI reports failures, but all ranks are there")
        return lost

    def abort(self) -> None:
        """End this rank: MPI_Abort would do no more either.

        The others have been told (`announce_abort`), and leave when they notice that it is gone.
        """
        time.sleep(_LEAVE_SECONDS)
        # An exit by itself is not always noticed, death by a signal is.
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self, status: int) -> None:
        """End this process when all that are left have come here, or more have died.

        Returns, for an ordinary end, when no rank has died.
        """
        # All work is done: nobody needs those who die now.
        with contextlib.suppress(MPI.Exception):
            self._comm.Agree(1)
        sys.stdout.flush()
        sys.stderr.flush()
        if self.has_lost:
            time.sleep(_LEAVE_SECONDS)
            os._exit(status)
        watch = threading.Timer(_FINALIZE_SECONDS, os._exit, [status])
        watch.daemon = True
        watch.start()

    def hears_abort(self) -> bool:
        """Whether another rank has told that it aborts, dead ones among them."""
        try:
            # Without, any source may be a dead one, and nothing is seen.
            self._alarms.Ack_failed()
            return super().hears_abort()
        except MPI.Exception:
            return False
