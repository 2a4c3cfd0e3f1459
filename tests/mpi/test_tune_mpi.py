"""A search on many ranks: worlds that are split, a desk that serves all, bits that are the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI

from mpi_gd.comm import SerialWorld, World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.data.grid import RowGrid
from mpi_gd.losses import Logistic
from mpi_gd.matrix import Dense
from mpi_gd.objective import LanePass, Rows, find_gram_parts, find_scaling, lane_losses
from mpi_gd.selection.desk import Desk, divide
from mpi_gd.selection.folds import make_plan

N, D = 3001, 4


def world() -> MpiWorld:
    return MpiWorld(MPI.COMM_WORLD)


def test_a_world_that_is_split_reduces_within_its_parts() -> None:
    whole = world()
    part = whole.split(whole.rank % 2)
    mates = range(whole.rank % 2, whole.size, 2)
    assert part.size == len(mates) and part.rank == whole.rank // 2
    total = np.array([float(whole.rank)])
    part.allreduce_sum(total)
    assert total[0] == sum(mates)
    assert part.bcast_text(str(whole.rank) if part.is_root else None) == str(mates[0])


def test_each_number_is_taken_once_and_all_results_come_to_rank_0() -> None:
    whole = world()
    for n_groups in {1, min(2, whole.size), whole.size}:
        group = whole if n_groups == 1 else whole.split(whole.rank * n_groups // whole.size)
        kept: list[dict[str, Any]] = []
        desk = Desk(whole, group, 11, kept.extend)
        while (number := desk.take()) is not None:
            desk.give([{"number": number}])
        desk.close()
        numbers = sorted(record["number"] for record in kept)
        assert numbers == (list(range(11)) if whole.is_root else [])


def test_an_end_is_an_end_for_all() -> None:
    whole = world()
    group = whole.split(whole.rank)
    kept: list[dict[str, Any]] = []
    desk = Desk(whole, group, 10**9, kept.extend)
    number = desk.take()
    # The last rank wants to stop; nobody would ever come to the end otherwise.
    if whole.rank == whole.size - 1:
        desk.end()
    else:
        while number is not None:
            desk.give([{"number": number}])
            number = desk.take()
    desk.close()
    assert divide(whole, 1000, 99, 0) == whole.size and divide(whole, 1 << 40, 99, 0) == 1


def shared_sums(here: World) -> bytes:
    """Return the bits of what searches are made of."""
    rng = np.random.default_rng(2)
    x, noise = rng.normal(size=(N, D)), rng.logistic(size=N)
    y = np.where(x[:, 0] + noise > 0, 1.0, 0.0)
    grid = RowGrid(N, D, 8)
    own = slice(*grid.rows_of(here.rank, here.size))
    first, last = grid.tiles_of(here.rank, here.size)
    rows = Rows(
        grid,
        first,
        last,
        Dense(np.ascontiguousarray(x[own])),
        Logistic().encode(np.asarray(y[own], dtype=np.float64)),
    )
    plan = make_plan(
        here, "stratified", own.start, own.stop - own.start, folds=3, fraction=0.2, seed=1,
        labels=y[own].astype(np.int64),
    )  # fmt: skip
    names = tuple("abcd")
    scaling = find_scaling(
        here, rows, names, "exact", standardize=False, precondition=True, locate=str
    )
    trained = np.stack([plan.trained(split) for split in plan.splits])
    shared = LanePass(
        here, rows, Logistic(), scaling, trained, "exact", np.zeros(D + 1, dtype=bool)
    )
    points = rng.normal(size=(3, D + 1))
    told = [*shared.at(points, [0, 1, 2]), *shared.at(points[1:], [1, 2])]
    told.append(lane_losses(here, rows, Logistic(), scaling, ~trained, points[None]))
    grams = find_gram_parts(here, rows, plan.parts, 3, np.zeros(D), "exact")
    told += [gram.second for gram in grams]
    return b"".join(each.tobytes() for each in told)


def test_shared_passes_have_the_same_bits() -> None:
    assert shared_sums(world()) == shared_sums(SerialWorld())
