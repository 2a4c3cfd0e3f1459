"""Minibatches: each row once an epoch, the same rows whoever owns them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.data.grid import RowGrid
from mpi_gd.objective.sample import BatchPlan, BatchRows

plans = st.builds(
    BatchPlan,
    grid=st.builds(
        RowGrid,
        n_samples=st.integers(1, 20_000),
        n_features=st.sampled_from([1, 100, 30_000]),
        itemsize=st.sampled_from([4, 8]),
    ),
    size=st.one_of(st.integers(1, 300), st.integers(1, 50_000)),
)


def global_rows(plan: BatchPlan, seed: int, number: int, first: int, last: int) -> list[int]:
    """Return the global rows of a batch that lie in a run of tiles."""
    offset = first * plan.grid.tile_rows
    chunks = BatchRows(plan, seed, first, last).of(number)
    return [offset + row for start, stop in chunks for row in range(start, stop)]


@settings(max_examples=40)
@given(plans, st.integers(0, 2**63 - 1), st.integers(0, 3))
def test_each_row_is_once_in_an_epoch(plan: BatchPlan, seed: int, epoch: int) -> None:
    batches = BatchRows(plan, seed, 0, plan.grid.n_tiles)
    times = np.zeros(plan.grid.n_samples, dtype=int)
    for number in range(epoch * plan.n_batches, (epoch + 1) * plan.n_batches):
        chunks = batches.of(number)
        assert chunks, "a batch without rows has no gradient"
        assert len(chunks) <= plan.n_lanes
        for start, stop in chunks:
            assert 0 <= start < stop <= plan.grid.n_samples
            times[start:stop] += 1
    assert (times == 1).all()


@settings(max_examples=40)
@given(plans, st.lists(st.integers(0, 64), max_size=4), st.integers(0, 9), st.data())
def test_owners_change_nothing(
    plan: BatchPlan, cuts: list[int], seed: int, data: st.DataObject
) -> None:
    n_tiles = plan.grid.n_tiles
    number = data.draw(st.integers(0, 3 * plan.n_batches))
    bounds = [0, *sorted(min(cut, n_tiles) for cut in cuts), n_tiles]
    together = [
        row
        for first, last in itertools.pairwise(bounds)
        for row in global_rows(plan, seed, number, first, last)
    ]
    assert sorted(together) == sorted(global_rows(plan, seed, number, 0, n_tiles))


@given(plans)
def test_no_batch_is_larger_than_asked(plan: BatchPlan) -> None:
    assert plan.n_lanes * plan.chunk_rows <= max(plan.size, 1)
    assert plan.n_lanes <= 64


@pytest.mark.parametrize("size", [32, 256, 1000, 4096])
@pytest.mark.parametrize("n", [20_000, 1_000_000])
def test_batches_have_about_the_size_asked_for(size: int, n: int) -> None:
    plan = BatchPlan(RowGrid(n, 20, 8), size)
    assert plan.n_lanes * plan.chunk_rows >= 0.9 * size
    assert plan.n_batches <= 1.1 * n / size + 1


def test_batches_of_an_epoch_have_about_the_same_size() -> None:
    """However the tiles divide by the lanes: a small last batch would have too large a say."""
    for n, size in [(261_739, 4096), (20_000, 256), (20_500, 1024), (100_001, 300)]:
        plan = BatchPlan(RowGrid(n, 65, 8), size)
        batches = BatchRows(plan, 3, 0, plan.grid.n_tiles)
        sizes = [
            sum(stop - start for start, stop in batches.of(number))
            for number in range(plan.n_batches)
        ]
        assert sum(sizes) == n
        assert min(sizes) > 0.9 * size
        assert max(sizes) <= size


def test_a_batch_depends_on_its_number_not_on_what_was_asked_before() -> None:
    plan = BatchPlan(RowGrid(5000, 3, 8), 100)
    one = BatchRows(plan, 7, 0, plan.grid.n_tiles)
    order = [3, 130, 0, 131, 3, 60]
    found = [one.of(number) for number in order]
    for number, chunks in zip(order, found, strict=True):
        assert chunks == BatchRows(plan, 7, 0, plan.grid.n_tiles).of(number)


def test_epochs_and_seeds_shuffle_anew() -> None:
    plan = BatchPlan(RowGrid(20_000, 3, 8), 200)
    n_tiles = plan.grid.n_tiles
    batches = [
        tuple(global_rows(plan, seed, number, 0, n_tiles))
        for seed, number in [(1, 0), (1, plan.n_batches), (2, 0), (1, 1)]
    ]
    assert len(set(batches)) == 4
