"""Workers: runs of tiles whose objectives are minimized apart, and brought together now and then.

How the rows are divided among workers is a function of the grid and their number alone, and every
worker's rows are on one rank, which does its work as if it were alone in the world. What comes of
it fills the worker's slot of the message, in which all other ranks have zeros: so the sum over the
ranks is exact, and the same on any number of ranks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from mpi_gd.data.grid import RowGrid
from mpi_gd.errors import Diverged
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.solvers import Answer, Local, Problem, Question, Work

__all__ = ["Workers", "seed_of"]

# What follows the point in a slot: the weight of the worker's rows, and how many were read.
_N_MORE = 2
_MOST_SEEDS = 1 << 63
# Odd, so that no two workers' seeds are the same: 2^64 divided by the golden ratio.
_SEED_STRIDE = 0x9E3779B97F4A7C15


def seed_of(seed: int, worker: int) -> int:
    """Return the seed of a worker's minibatches."""
    return (seed + (worker + 1) * _SEED_STRIDE) % _MOST_SEEDS


class _Reply(Protocol):
    """What is needed of an objective's reply."""

    @property
    def answer(self) -> Answer:
        """The answer."""

    @property
    def n_rows(self) -> int:
        """Rows that were read."""


class _Objective(Protocol):
    """What is needed of the objective over a worker's rows."""

    @property
    def problem(self) -> Problem:
        """What is known beforehand."""

    def answer(self, question: Question) -> _Reply:
        """Answer without a message."""


class Workers:
    """The workers whose rows this rank has."""

    def __init__(
        self,
        rows: Rows,
        n_workers: int,
        n_params: int,
        objective_of: Callable[[Rows, int], _Objective],
    ) -> None:
        """Make each one's objective; raises ValueError if a worker's rows are on two ranks."""
        self._shape = n_workers, n_params + _N_MORE
        self._weight: dict[int, float] = {}
        self._objectives: dict[int, _Objective] = {}
        for worker in range(n_workers):
            first, last = rows.grid.worker_tiles(worker, n_workers)
            inside = max(first, rows.first_tile), min(last, rows.last_tile)
            if inside[0] >= inside[1]:
                continue
            if inside != (first, last):
                raise ValueError(
                    f"tiles {first} to {last - 1} of worker {worker} are on several ranks: the "
                    f"grid must have n_workers = {n_workers}"
                )
            part = _part_of(rows, first, last)
            self._weight[worker] = _weight_of(part)
            if self._weight[worker] > 0:
                self._objectives[worker] = objective_of(part, worker)

    @property
    def n_slots(self) -> int:
        """Return the numbers that all slots have together."""
        return self._shape[0] * self._shape[1]

    def do(self, work: Work) -> Floats:
        """Return the slots (n_slots,) of all workers, zeros where they are not here."""
        slots = np.zeros(self._shape)
        for worker, objective in self._objectives.items():
            n_rows = 0

            def ask(question: Question, objective: _Objective = objective) -> Answer:
                nonlocal n_rows
                reply = objective.answer(question)
                n_rows += reply.n_rows
                return reply.answer

            try:
                slots[worker, :-_N_MORE] = work.do(worker, objective.problem, ask)
            except Diverged:
                # An error of one rank; as numbers it comes to all.
                slots[worker, :-_N_MORE] = np.nan
            slots[worker, -_N_MORE:] = self._weight[worker], n_rows
        # A negative zero would become a positive one by the sum over two ranks alone.
        slots += 0.0
        return slots.reshape(-1)

    def read(self, slots: Floats) -> Local:
        """Return what all workers have come to, from the summed slots (n_slots,)."""
        table = slots.reshape(self._shape)
        return Local(
            points=table[:, :-_N_MORE].copy(),
            weight=table[:, -_N_MORE].copy(),
            n_rows=int(np.add.reduce(table[:, -1])),
        )


def _part_of(rows: Rows, first_tile: int, last_tile: int) -> Rows:
    """Return a run of tiles as rows of a grid of their own."""
    offset = rows.first_tile * rows.grid.tile_rows
    first = rows.grid.tile_bounds(first_tile)[0] - offset
    last = rows.grid.tile_bounds(last_tile - 1)[1] - offset
    x = rows.x.part(first, last)
    grid = RowGrid(last - first, rows.grid.n_features, rows.grid.itemsize, x.n_stored)
    return Rows(
        grid,
        0,
        grid.n_tiles,
        x,
        rows.target[first:last],
        None if rows.weight is None else rows.weight[first:last],
        None if rows.offset is None else rows.offset[first:last],
    )


def _weight_of(rows: Rows) -> float:
    """Return the sum of the rows' weights."""
    if rows.weight is None:
        return float(rows.grid.n_samples)
    return float(np.add.reduce(rows.weight, dtype=np.float64))
