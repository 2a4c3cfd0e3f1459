"""What a gradient of wide sparse rows costs over the network; run on all ranks by network.py."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import Reduction, World
from mpi_gd.comm.levels import find_levels
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.data.grid import RowGrid
from mpi_gd.losses import Logistic
from mpi_gd.matrix import Csr
from mpi_gd.objective import Objective, Rows, Scaling
from mpi_gd.penalties import NoPenalty
from mpi_gd.solvers import Question

_PER_ROW = 60
_REPEAT = 5


class _Overlapped(MpiWorld):
    """Knows of no hosts."""

    def __init__(self) -> None:
        """Take all ranks; collective."""
        super().__init__()
        self._levels = None


class _Whole(_Overlapped):
    """Sends a long message when all of it is made."""

    def allreduce_pieces(self, pieces: Iterable[NDArray[Any]]) -> None:
        """Sum all pieces at once."""
        made = list(pieces)
        message = np.concatenate([piece.reshape(-1) for piece in made])
        self.allreduce_sum(message)
        place = 0
        for piece in made:
            piece.reshape(-1)[:] = message[place : place + piece.size]
            place += piece.size


class _OneByOne(_Overlapped):
    """Sends a piece, and waits for it."""

    allreduce_pieces = World.allreduce_pieces


class _Levels(MpiWorld):
    """Adds a piece up on every host, sends it from one rank of each, and tells the others."""

    def __init__(self) -> None:
        """Find the ranks of this host, under any MPI; collective."""
        super().__init__()
        self._levels = find_levels(self._comm)


def _rows(world: World, n: int, d: int) -> Rows:
    """Return this rank's rows: columns as rare as words are, numbers at random."""
    grid = RowGrid(n, d, 8, n * _PER_ROW)
    first, last = grid.tiles_of(world.rank, world.size)
    start, stop = grid.rows_of(world.rank, world.size)
    random = np.random.default_rng(world.rank)
    shape = stop - start, _PER_ROW
    columns = np.sort((d ** random.random(shape)).astype(np.int32) - 1, axis=1)
    data = random.standard_normal(shape)
    indptr = np.arange(shape[0] + 1, dtype=np.int64) * _PER_ROW
    y = random.integers(0, 2, shape[0]).astype(np.float64)
    matrix = Csr(data.reshape(-1), columns.reshape(-1), indptr, d)
    return Rows(grid, first, last, matrix, Logistic().encode(y))


def main(n: int, d: int) -> None:
    """Measure one question in several ways, which take turns; print one line of JSON."""
    world = MpiWorld()
    rows = _rows(world, n, d)
    ones, zeros = np.ones(d), np.zeros(d)
    scaling = Scaling(zeros, ones, float(n), n, False, ones, ones)
    penalty = NoPenalty().bind(tuple(map(str, range(d))), ones)

    def objective(kind: type[MpiWorld], reduction: Reduction) -> Objective:
        return Objective(kind(), rows, Logistic(), penalty, scaling, reduction=reduction)

    ways = {
        "whole": objective(_Whole, "exact"),
        "one by one": objective(_OneByOne, "exact"),
        "overlapped": objective(_Overlapped, "exact"),
        "levels": objective(_Levels, "exact"),
        "fast": objective(_Overlapped, "fast"),
        "float32": objective(_Overlapped, "float32"),
    }
    question = Question(np.zeros(d + 1))
    taken = np.zeros((_REPEAT + 1, len(ways)))
    computing = np.zeros(_REPEAT + 1)
    for number, times in enumerate(taken):
        for k, each in enumerate(ways.values()):
            world.allreduce_max(np.zeros(1))
            began = time.perf_counter()
            reply = each.answer(question)
            times[k] = time.perf_counter() - began
            if k == 0:
                computing[number] = reply.compute.max()
    world.allreduce_max(taken)
    # The first time, connections and exponents are made.
    seconds = dict(zip(ways, np.median(taken[1:], axis=0).tolist(), strict=True))
    if world.is_root:
        print(json.dumps({"computing": float(np.median(computing[1:])), **seconds}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
