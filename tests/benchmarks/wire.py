"""What ways of summing a vector over the ranks cost; run on all ranks by network.py."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_PIECE_BYTES = 1 << 20


class Shared:
    """The ranks of a host first, slice by slice in shared memory, then one rank a host."""

    def __init__(self, comm: MPI.Intracomm, n: int) -> None:
        """Allocate a buffer for every rank of this host, and one for the sum."""
        self.node = cast(MPI.Intracomm, comm.Split_type(MPI.COMM_TYPE_SHARED))
        self.leaders = comm.Split(0 if self.node.rank == 0 else MPI.UNDEFINED)
        self.window = MPI.Win.Allocate_shared(n * 8, 8, comm=self.node)
        self.parts: list[Floats] = []
        for rank in range(self.node.size):
            memory, _ = self.window.Shared_query(rank)
            self.parts.append(np.frombuffer(cast(Any, memory), dtype=np.float64, count=n))
        r, size = self.node.rank, self.node.size
        self.slice = slice(n * r // size, n * (r + 1) // size)
        self.message = self.parts[r]

    def sum(self) -> None:
        """Sum the messages into that of the host's first rank, which all can read."""
        self.node.Barrier()
        if self.node.size > 1:
            total = self.parts[0][self.slice]
            for part in self.parts[1:]:
                total += part[self.slice]
            self.node.Barrier()
        if self.leaders != MPI.COMM_NULL:
            self.leaders.Allreduce(MPI.IN_PLACE, self.parts[0], MPI.SUM)
        self.node.Barrier()

    def sum_in_pieces(self, step: int) -> None:
        """The same, piece by piece: one travels while the next is summed on the host."""
        self.node.Barrier()
        n, r, size = len(self.message), self.node.rank, self.node.size
        requests = []
        for first in range(0, n, step):
            length = min(step, n - first)
            mine = slice(first + length * r // size, first + length * (r + 1) // size)
            if size > 1:
                total = self.parts[0][mine]
                for part in self.parts[1:]:
                    total += part[mine]
                self.node.Barrier()
            if self.leaders != MPI.COMM_NULL:
                piece = self.parts[0][first : first + length]
                requests.append(self.leaders.Iallreduce(MPI.IN_PLACE, piece, MPI.SUM))
                MPI.Request.Testall(requests)
        MPI.Request.Waitall(requests)
        self.node.Barrier()

    def free(self) -> None:
        """Give the memory back."""
        self.parts, self.message = [], np.empty(0)
        self.window.Free()


def ways(comm: MPI.Intracomm, n: int, shared: Shared) -> dict[str, Callable[[], None]]:
    """Return the ways to sum `n` numbers of float64."""
    x = np.zeros(n)
    node, leaders = shared.node, shared.leaders
    step = _PIECE_BYTES // 8
    slots = [slice(first, min(first + step, n)) for first in range(0, n, step)]

    def plain() -> None:
        comm.Allreduce(MPI.IN_PLACE, x, MPI.SUM)

    def levels() -> None:
        if node.rank == 0:
            node.Reduce(MPI.IN_PLACE, x, MPI.SUM)
            leaders.Allreduce(MPI.IN_PLACE, x, MPI.SUM)
        else:
            node.Reduce(x, None, MPI.SUM)
        node.Bcast(x)

    def pieces_one_by_one() -> None:
        for slot in slots:
            comm.Allreduce(MPI.IN_PLACE, x[slot], MPI.SUM)

    def pieces_at_once() -> None:
        MPI.Request.Waitall([comm.Iallreduce(MPI.IN_PLACE, x[slot], MPI.SUM) for slot in slots])

    def levels_in_pieces() -> None:
        if node.rank:
            for slot in slots:
                node.Reduce(x[slot], None, MPI.SUM)
            for slot in slots:
                node.Bcast(x[slot])
            return
        requests = []
        for slot in slots:
            node.Reduce(MPI.IN_PLACE, x[slot], MPI.SUM)
            requests.append(leaders.Iallreduce(MPI.IN_PLACE, x[slot], MPI.SUM))
        for slot, request in zip(slots, requests, strict=True):
            request.Wait()
            node.Bcast(x[slot])

    def packed() -> None:
        """As pieces at once, both limbs of a sum in 12 bytes and not in 16."""
        sent: list[tuple[slice, NDArray[Any], NDArray[Any]]] = []
        requests = []
        for slot in slots:
            half = len(x[slot]) // 2
            high = (x[slot][:half] * 2.0**40).astype(np.int64)
            low = (x[slot][half:] * 2.0**60).astype(np.int32)
            requests.append(comm.Iallreduce(MPI.IN_PLACE, high, MPI.SUM))
            requests.append(comm.Iallreduce(MPI.IN_PLACE, low, MPI.SUM))
            sent.append((slot, high, low))
        MPI.Request.Waitall(requests)
        for slot, high, low in sent:
            np.multiply(high, 2.0**-40, out=x[slot][: len(high)])
            np.multiply(low, 2.0**-60, out=x[slot][len(high) :])

    found = {"plain": plain, "shared": shared.sum, "levels": levels}
    if len(slots) > 1:
        found |= {"pieces": pieces_one_by_one, "pieces at once": pieces_at_once}
        found |= {"at once, 12/16 B": packed, "levels in pieces": levels_in_pieces}
        found["shared in pieces"] = lambda: shared.sum_in_pieces(step)
    return found


def main(arguments: list[str]) -> None:
    """Measure the sizes given, in bytes; print one line of JSON for each.

    The ways take turns; a repetition counts as long as its slowest rank, and medians are told.
    """
    comm = MPI.COMM_WORLD
    for size in map(int, arguments):
        n = size // 8
        shared = Shared(comm, n)
        calls = ways(comm, n, shared)
        repeat = 40 if size < 1 << 17 else 12 if size < 1 << 22 else 5
        taken = np.zeros((repeat + 1, len(calls)))
        for times in taken:
            for k, call in enumerate(calls.values()):
                comm.Barrier()
                began = time.perf_counter()
                call()
                times[k] = time.perf_counter() - began
        comm.Allreduce(MPI.IN_PLACE, taken, MPI.MAX)
        # The first time, connections are made.
        seconds = np.median(taken[1:], axis=0).tolist()
        shared.free()
        if comm.rank == 0:
            print(json.dumps({"bytes": size, **dict(zip(calls, seconds, strict=True))}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
