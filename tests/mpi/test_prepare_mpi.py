"""Columns become the same features on any number of ranks, whoever has which rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm import SerialWorld
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.commands import load
from mpi_gd.data.spec import DataSpec
from mpi_gd.errors import DataError
from mpi_gd.prepare import PrepareSpec
from tests.tabular import MemoryTable, column, recipe_of, sample_columns

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
FULL: dict[str, Any] = {
    "categorical": ["colour", "zip", "when.weekday"],
    "hash": {"user": 8},
    "dates": ["year", "weekday", "days"],
    "missing": {"*": "mean", "age": "median", "member": "most frequent"},
    "indicator": True,
    "min_count": 3,
    "winsorize": {"income": 0.05},
    "splines": {"age": 6},
    "interactions": ["income:colour", "user:zip"],
}


class WatchedWorld(MpiWorld):
    """Counts the bytes that come to this rank with the levels."""

    received = 0

    def alltoallv(self, pieces: list[Any]) -> list[Any]:
        result = super().alltoallv(pieces)
        self.received += sum(piece.nbytes for piece in result)
        return result

    def gather_small(self, text: str) -> list[str]:
        result = super().gather_small(text)
        self.received += sum(map(len, result))
        return result


# The smallest leaves ranks without rows, and levels that one rank has alone.
@pytest.mark.parametrize("n", [3, 500])
def test_all_ranks_learn_what_one_learns(n: int) -> None:
    columns = sample_columns(n, 6, gaps=0.1 if n > 3 else 0.0)
    keys = FULL if n > 3 else {**FULL, "min_count": 0, "splines": {}}
    expected = recipe_of(columns, **keys)
    assert recipe_of(columns, MpiWorld(), **keys) == expected


def test_a_level_comes_to_a_rank_a_few_times_however_many_ranks_have_it() -> None:
    levels = [f"level {k:04}" for k in range(400)]
    world = WatchedWorld()
    recipe_of({"c": column(levels * SIZE)}, world, categorical="auto")
    assert world.received < 3 * len("".join(levels)) * 2


def test_rows_of_all_ranks_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = sample_columns(1300, 2)
    spec = DataSpec(path="t", test_fraction=0.1)
    monkeypatch.setattr(load, "open_source", lambda *given, purpose: MemoryTable(columns))
    how = PrepareSpec(**{**FULL, "layout": "sparse"})
    whole = load.load(SerialWorld(), spec, Path(), prepare=how)
    mine = load.load(MpiWorld(), spec, Path(), prepare=how)
    assert mine.columns == whole.columns
    every = np.arange(len(whole.columns))
    part = whole.x.part(mine.start, mine.start + len(mine.x))
    np.testing.assert_array_equal(mine.x.columns(every), part.columns(every))


def test_what_is_refused_is_counted_over_all_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    gaps = [None if k in (5, 1201, 1299) else 1.0 * k for k in range(1300)]
    monkeypatch.setattr(
        load, "open_source", lambda *given, purpose: MemoryTable({"a": column(gaps)})
    )
    how = PrepareSpec(clip={"a": [0.0, 1e9]})
    with pytest.raises(DataError, match=r"^table: row 5, column 'a': 3 values are missing"):
        load.load(MpiWorld(), DataSpec(path="t"), Path(), prepare=how)
