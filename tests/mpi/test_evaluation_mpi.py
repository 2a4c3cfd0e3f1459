"""Every number of ranks gives the metrics of one process, bit for bit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm import SerialWorld
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.errors import DataError
from mpi_gd.evaluation import Scores, evaluate
from mpi_gd.losses import LOSSES
from tests.ranks import on_root

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
TILE = 37


class WatchedWorld(MpiWorld):
    """Notes how many numbers this rank gets from the others in an alltoallv."""

    received = 0

    def alltoallv(self, pieces: list[Any]) -> list[Any]:
        result = super().alltoallv(pieces)
        self.received += sum(piece.size for piece in result)
        return result


def example(n: int, kind: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """Return the same y, z, weight and tile sizes on every rank; many scores are tied."""
    rng = np.random.default_rng((n, seed))
    z = np.where(rng.random(n) < 0.5, rng.normal(size=n) * 10, rng.integers(-2, 3, size=n) * 0.0)
    z = np.where(rng.random(n) < 0.3, np.round(z), z)
    y = z + rng.normal(size=n) * 7
    task = LOSSES[kind]().task
    if task == "classes":
        z = np.round(rng.normal(size=(n, 4)), 1)
        y = (z + rng.normal(size=(n, 4))).argmax(axis=1).astype(np.float64)
    elif task == "two classes":
        y = (y > 0).astype(np.float64)
    elif kind == "poisson":
        y = np.floor(np.abs(y))
    weight = np.where(rng.random(n) < 0.3, 0.0, rng.lognormal(size=n))
    sizes = [min(TILE, n - start) for start in range(0, n, TILE)]
    return y, z, weight, sizes


def cuts_of(n_tiles: int, how: str, seed: int) -> list[int]:
    """Return where to cut the tiles into SIZE runs: evenly, unevenly, or all on the last rank."""
    if how == "even":
        return [n_tiles * rank // SIZE for rank in range(SIZE + 1)]
    if how == "last":
        return [0] * SIZE + [n_tiles]
    rng = np.random.default_rng((n_tiles, seed, SIZE))
    return [0, *sorted(rng.integers(0, n_tiles + 1, size=SIZE - 1).tolist()), n_tiles]


def on_all_ranks(
    world: MpiWorld, kind: str, data: tuple[Any, Any, Any, list[int]], cuts: list[int]
) -> Scores:
    """Evaluate with this rank's run of tiles."""
    y, z, weight, sizes = data
    mine = sizes[cuts[RANK] : cuts[RANK + 1]]
    start = sum(sizes[: cuts[RANK]])
    rows = slice(start, start + sum(mine))
    weight = None if weight is None else weight[rows]
    return evaluate(world, LOSSES[kind](), y[rows], z[rows], weight, mine, len(sizes))


@pytest.mark.parametrize("how", ["uneven", "last"])
@pytest.mark.parametrize("n", [0, 5, 200, 5000])
@pytest.mark.parametrize("kind", "logistic multinomial hinge squared poisson quantile".split())
@pytest.mark.parametrize("weighted", [False, True])
def test_same_bits_as_one_process(kind: str, n: int, how: str, weighted: bool) -> None:
    y, z, given, sizes = example(n, kind, seed=3)
    weight = given if weighted else None

    # JSON has all digits of a float64 number.
    def alone() -> str:
        scores = evaluate(SerialWorld(), LOSSES[kind](), y, z, weight, sizes, len(sizes))
        return json.dumps(scores.as_json())

    expected = on_root(alone)
    world = MpiWorld(MPI.COMM_WORLD)
    together = on_all_ranks(world, kind, (y, z, weight, sizes), cuts_of(len(sizes), how, 4))
    assert json.dumps(together.as_json()) == expected


def test_auc_keeps_the_rows_spread() -> None:
    """No rank gets much more than its share, even when a rank's scores all lie above another's."""
    n = 20_000
    rng = np.random.default_rng(5)
    z = np.sort(rng.normal(size=n))
    y = (rng.random(n) < 0.5).astype(np.float64)
    sizes = [TILE] * (n // TILE) + [n % TILE]
    world = WatchedWorld(MPI.COMM_WORLD)
    on_all_ranks(world, "logistic", (y, z, None, sizes), cuts_of(len(sizes), "even", 0))
    # Of each row its score and, for each class, its weight; for all metrics together once.
    assert world.received <= 3 * n / SIZE * 1.25


def test_equal_scores_are_merged_before_they_travel() -> None:
    """At the start of training every z is 0: no rank may get all rows."""
    n = 4000
    y = (np.arange(n) % 3 == 0).astype(np.float64)
    sizes = [TILE] * (n // TILE) + [n % TILE]
    world = WatchedWorld(MPI.COMM_WORLD)
    cuts = cuts_of(len(sizes), "even", 0)
    scores = on_all_ranks(world, "logistic", (y, np.zeros(n), None, sizes), cuts)
    assert scores["auc"] == 0.5
    assert world.received <= 3 * SIZE


def test_one_ranks_bad_prediction_is_everybodys_error() -> None:
    y, z, _, sizes = example(500, "logistic", seed=6)
    z[490] = np.nan
    world = MpiWorld(MPI.COMM_WORLD)
    with pytest.raises(DataError, match="1 of 500 rows"):
        on_all_ranks(world, "logistic", (y, z, None, sizes), cuts_of(len(sizes), "even", 0))
