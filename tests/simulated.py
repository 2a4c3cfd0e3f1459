"""Ranks that are threads of one process: every collective, reduced in any order, without MPI."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld, World

__all__ = ["CountingWorld", "ThreadWorld", "on_ranks"]

T = TypeVar("T")
_PATIENCE_SECONDS = 30.0


class _Meeting:
    """Where the threads lay down what they bring, and wait for each other."""

    def __init__(self, size: int, seed: int) -> None:
        self.barrier = threading.Barrier(size, timeout=_PATIENCE_SECONDS)
        self.brought: list[Any] = [None] * size
        self.random = np.random.default_rng(seed)
        self.order: NDArray[np.int64] = np.arange(size)


class ThreadWorld(World):
    """One rank of several; sums are taken in an order that is drawn anew for each of them."""

    def __init__(self, meeting: _Meeting, rank: int, size: int) -> None:
        self._meeting, self.rank, self.size = meeting, rank, size
        self.n_sums = self.n_maxima = self.n_long = 0

    def _all(self, mine: Any) -> list[Any]:
        """Return what every rank brings."""
        meeting = self._meeting
        meeting.brought[self.rank] = mine
        if self.rank == 0:
            meeting.order = meeting.random.permutation(self.size)
        meeting.barrier.wait()
        brought = list(meeting.brought)
        meeting.barrier.wait()
        return brought

    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        self.n_sums += 1
        brought = self._all(buffer.copy())
        order = self._meeting.order
        total = brought[order[0]].copy()
        for rank in order[1:]:
            total += brought[rank]
        # The order may be drawn again only when all have used it.
        self._meeting.barrier.wait()
        buffer[:] = total

    def allreduce_pieces(self, pieces: Iterable[NDArray[Any]]) -> None:
        before = self.n_sums
        super().allreduce_pieces(pieces)
        self.n_sums = before
        self.n_long += 1

    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        self.n_maxima += 1
        buffer[:] = np.maximum.reduce(self._all(buffer.copy()))

    def bcast_bytes(self, data: bytes | None, source: int = 0) -> bytes:
        return bytes(self._all(data)[source])

    def gather_small(self, text: str) -> list[str]:
        return self._all(text)

    def alltoallv(self, pieces: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [theirs[self.rank].copy() for theirs in self._all(pieces)]


class CountingWorld(SerialWorld):
    """One rank that counts its collectives."""

    n_sums = 0
    n_maxima = 0
    n_long = 0
    """Messages in pieces: each goes with a sum, which is its last piece."""

    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        self.n_sums += 1

    def allreduce_pieces(self, pieces: Iterable[NDArray[Any]]) -> None:
        for _ in pieces:
            pass
        self.n_long += 1

    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        self.n_maxima += 1


def on_ranks(size: int, work: Callable[[ThreadWorld], T], seed: int = 0) -> list[T | Exception]:
    """Do `work` on every rank; return, by rank, what it returns or raises."""
    meeting = _Meeting(size, seed)
    results: list[T | Exception] = [RuntimeError("has not run")] * size

    def run(rank: int) -> None:
        try:
            results[rank] = work(ThreadWorld(meeting, rank, size))
        except Exception as error:
            results[rank] = error

    threads = [threading.Thread(target=run, args=(rank,), daemon=True) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE_SECONDS)
    return results
