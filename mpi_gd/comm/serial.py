"""A world of one rank, without MPI."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from mpi_gd.comm.world import World

__all__ = ["SerialWorld"]


class SerialWorld(World):
    """One rank: every collective returns what it is given."""

    rank = 0
    size = 1

    def split(self, color: int) -> World:
        """Return this world, which has no other rank."""
        return self

    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        """Leave the buffer as it is."""

    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        """Leave the buffer as it is."""

    def bcast_bytes(self, data: bytes | None, source: int = 0) -> bytes:
        """Return the bytes. Raises ValueError when there are none."""
        if data is None:
            raise ValueError("there is nothing to broadcast")
        return data

    def gather_small(self, text: str) -> list[str]:
        """Return the one text."""
        return [text]

    def alltoallv(self, pieces: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Return the one piece."""
        return [piece.copy() for piece in pieces]
