"""Who owns which tiles: whole runs, and nobody much more than its part."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_gd.commands.division import Division, divide_tiles
from mpi_gd.data import DataSpec
from mpi_gd.data.division import divide
from mpi_gd.data.grid import RowGrid
from mpi_gd.data.source import Source
from tests.simulated import on_ranks

weights = st.lists(st.one_of(st.integers(0, 5), st.integers(0, 10**9)), min_size=1, max_size=60)
sizes = st.integers(1, 40)


@given(st.integers(0, 10**6), sizes, st.integers(1, 10**12))
def test_equal_things_are_divided_as_if_they_weighed_nothing(
    n: int, size: int, weight: int
) -> None:
    n %= 500
    bounds = divide(n, size)
    assert bounds == [n * rank // size for rank in range(size + 1)]
    assert divide(n, size, np.full(n, weight)) == bounds


@given(st.lists(st.integers(0, 9), min_size=1, max_size=7), st.integers(1, 4))
def test_no_division_has_a_smaller_largest_run(costs: list[int], size: int) -> None:
    inner = itertools.combinations_with_replacement(range(len(costs) + 1), size - 1)
    ways = [[0, *bounds, len(costs)] for bounds in inner]
    best = min(max(sum(costs[a:b]) for a, b in itertools.pairwise(way)) for way in ways)
    bounds = divide(len(costs), size, np.array(costs))
    assert max(sum(costs[a:b]) for a, b in itertools.pairwise(bounds)) == best


@given(weights, sizes)
def test_runs_cover_all_and_are_even(costs: list[int], size: int) -> None:
    bounds = divide(len(costs), size, np.array(costs))
    assert bounds[0] == 0 and bounds[-1] == len(costs) and len(bounds) == size + 1
    assert all(a <= b for a, b in itertools.pairwise(bounds))
    loads = [sum(costs[a:b]) for a, b in itertools.pairwise(bounds)]
    assert max(loads) <= -(-sum(costs) // size) + max(costs)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12))
def test_shares_are_kept(shares: list[int]) -> None:
    n = 1000
    counts = np.diff(divide(n, len(shares), None, shares))
    assert np.abs(counts - n * np.array(shares) / sum(shares)).max() <= 1


def test_workers_stay_whole_whatever_their_tiles_weigh() -> None:
    grid = RowGrid(512 * 40, 3, 8, n_workers=7)
    costs = np.ones(grid.n_tiles, dtype=np.int64)
    costs[:3] = 100
    begins = {grid.worker_tiles(worker)[0] for worker in range(7)} | {grid.n_tiles}
    bounds = grid.divide(3, costs)
    assert set(bounds) <= begins
    most = max(costs[a:b].sum() for a, b in itertools.pairwise(bounds))
    assert most == costs[: grid.worker_tiles(1)[0]].sum()


class Skewed(Source):
    """Sparse rows: the first has half of all numbers."""

    n_samples, n_features, n_stored = 512 * 64, 50, 512 * 64 * 8
    dtype = np.dtype(np.float64)

    @classmethod
    def open(cls, spec: DataSpec, path: Path, **_: Any) -> Source:
        return cls()

    def count_stored(self, bounds: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        counts = np.diff(bounds) * 4
        counts[bounds[:-1] == 0] += self.n_stored // 2
        return counts

    def read(self, start: int, stop: int) -> Any:
        raise NotImplementedError

    def fingerprint(self) -> str:
        return ""

    def locate(self, row: int) -> str:
        return ""


@pytest.mark.parametrize("by", ["auto", "rows", "bytes", "nonzeros"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_one_giant_row_is_left_to_one_rank(by: Any, size: int) -> None:
    source = Skewed()
    grid = RowGrid(source.n_samples, source.n_features, 8, source.n_stored)
    found = cast(
        "list[Division]",
        on_ranks(size, lambda world: divide_tiles(world, source, grid, DataSpec(balance=by))),
    )
    first = found[0]
    assert found == [first] * size
    assert sum(first.rows) == source.n_samples and sum(first.stored) == source.n_stored
    usual = source.n_stored / size
    giant = source.n_stored // 2 + 4 * grid.tile_rows
    if by == "rows":
        assert max(first.rows) - min(first.rows) <= grid.tile_rows
    else:
        assert max(first.stored) <= usual + giant
        # The giant's rank has hardly anything else.
        assert first.stored[0] <= max(giant, usual) + 8 * grid.tile_rows
    assert first.as_json()["by"] == ("bytes" if by == "auto" else by)
