"""The row grid cuts all rows, evenly, and in the same way for any number of ranks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpi_gd.data.grid import RowGrid

grids = st.builds(
    RowGrid,
    n_samples=st.one_of(st.integers(0, 3000), st.integers(0, 10**10)),
    n_features=st.one_of(st.integers(1, 200), st.integers(1, 10**6)),
    itemsize=st.sampled_from([4, 8]),
)
sizes = st.integers(1, 300)


@given(grids)
def test_tiles_cover_the_rows_once(grid: RowGrid) -> None:
    assert grid.n_tiles * grid.tile_rows >= grid.n_samples
    assert (grid.n_tiles - 1) * grid.tile_rows < max(1, grid.n_samples)
    some = {0, 1, grid.n_tiles // 2, grid.n_tiles - 1}
    for tile in sorted(tile for tile in some if 0 <= tile < grid.n_tiles):
        start, stop = grid.tile_bounds(tile)
        assert start == tile * grid.tile_rows
        assert start < stop <= grid.n_samples
        is_last = tile == grid.n_tiles - 1
        assert stop == (grid.n_samples if is_last else start + grid.tile_rows)


@given(grids)
def test_blocks_divide_tiles_and_are_aligned(grid: RowGrid) -> None:
    assert grid.tile_rows % grid.block_rows == 0
    assert grid.block_rows * grid.n_features * grid.itemsize % 64 == 0
    assert 16 <= grid.block_rows <= 8192
    wide = grid.block_rows == 16
    assert wide or grid.block_rows * grid.n_features * grid.itemsize <= 2 << 20


@given(grids)
def test_so_few_tiles_that_the_exact_sum_keeps_its_bits(grid: RowGrid) -> None:
    assert grid.n_tiles <= 1 << 17


@given(grids, sizes)
def test_ranks_own_contiguous_runs_that_differ_by_one_tile(grid: RowGrid, size: int) -> None:
    runs = [grid.tiles_of(rank, size) for rank in range(size)]
    assert runs[0][0] == 0 and runs[-1][1] == grid.n_tiles
    assert all(a[1] == b[0] for a, b in itertools.pairwise(runs))
    counts = {last - first for first, last in runs}
    assert max(counts) - min(counts) <= 1


@given(grids, sizes)
def test_rows_are_those_of_the_tiles(grid: RowGrid, size: int) -> None:
    previous = 0
    for rank in range(size):
        start, stop = grid.rows_of(rank, size)
        first, last = grid.tiles_of(rank, size)
        assert start == previous and start <= stop
        if first < last:
            assert (start, stop) == (grid.tile_bounds(first)[0], grid.tile_bounds(last - 1)[1])
        else:
            assert start == stop
        previous = stop
    assert previous == grid.n_samples


@given(grids, st.lists(sizes, max_size=3))
def test_asking_for_a_rank_changes_nothing(grid: RowGrid, asked: list[int]) -> None:
    fresh = RowGrid(grid.n_samples, grid.n_features, grid.itemsize)
    for size in asked:
        grid.rows_of(size - 1, size)
    assert (grid.block_rows, grid.tile_rows) == (fresh.block_rows, fresh.tile_rows)
    assert grid.n_tiles == fresh.n_tiles


@pytest.mark.parametrize("n", [0, 1, 3, 511, 512, 513])
def test_fewer_rows_than_ranks(n: int) -> None:
    grid = RowGrid(n, 10, 8)
    owned = [grid.rows_of(rank, 1000) for rank in range(1000)]
    assert sum(stop - start for start, stop in owned) == n
    assert owned[-1][1] == n


@pytest.mark.parametrize("n", [20_000, 100_000, 1_000_000])
def test_data_of_middle_size_feed_many_ranks(n: int) -> None:
    assert RowGrid(n, 30, 8).n_tiles >= 32
