"""Sums in two levels: over the ranks of each host first, then over one of each.

Open MPI's own Allreduce does not know which ranks share a host, and sends a message through the
network more often than it must; MPICH's knows. `tests/benchmarks/network.py` measures both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

__all__ = ["Levels", "find_levels"]


class Levels:
    """The ranks of this host, and the first one of each host."""

    def __init__(self, comm: MPI.Intracomm, node: MPI.Intracomm) -> None:
        """Take the ranks of this host, `node`; collective."""
        self._node = node
        self._leaders = comm.Split(MPI.UNDEFINED if node.rank else 0, comm.rank)

    def free(self) -> None:
        """Give the communicators back; collective."""
        if not self._node.rank:
            self._leaders.Free()
        self._node.Free()

    def sum(self, buffer: NDArray[Any]) -> None:
        """Sum in place."""
        if self._node.rank:
            self._node.Reduce(buffer, None, MPI.SUM)
        else:
            self._node.Reduce(MPI.IN_PLACE, buffer, MPI.SUM)
            self._leaders.Allreduce(MPI.IN_PLACE, buffer, MPI.SUM)
        self._node.Bcast(buffer)

    def sum_pieces(self, pieces: Iterable[NDArray[Any]]) -> None:
        """Sum each in place; those that are made travel while the next is."""
        made: list[NDArray[Any]] = []
        requests: list[MPI.Request] = []
        for piece in pieces:
            made.append(piece)
            if self._node.rank:
                self._node.Reduce(piece, None, MPI.SUM)
                continue
            self._node.Reduce(MPI.IN_PLACE, piece, MPI.SUM)
            requests.append(self._leaders.Iallreduce(MPI.IN_PLACE, piece, MPI.SUM))
            # MPI does its part of the work when it is called.
            MPI.Request.Testall(requests)
        for number, piece in enumerate(made):
            if not self._node.rank:
                requests[number].Wait()
            self._node.Bcast(piece)


def find_levels(comm: MPI.Intracomm) -> Levels | None:
    """Return the levels, where there are several hosts, any with several ranks; collective."""
    node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED, comm.rank))
    counts = np.array([node.rank == 0, node.size > 1], dtype=np.int64)
    comm.Allreduce(MPI.IN_PLACE, counts, MPI.SUM)
    if counts[0] > 1 and counts[1]:
        return Levels(comm, node)
    node.Free()
    return None
