"""Shards are one data set on any number of ranks, and what one rank finds in them all ranks say."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from mpi4py import MPI

from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.commands.load import load
from mpi_gd.data import DataSpec
from mpi_gd.errors import DataError
from tests.ranks import on_root

pytestmark = pytest.mark.mpi

SIZE, RANK = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
N = 3000
ROWS = np.column_stack([np.random.default_rng(2).normal(size=(N, 3)), np.arange(N) % 2])
# Two of the files have no rows, and most ranks none of the first ones.
CUTS = [0, 1, 1, 40, 41, 2900, 2900, N]


def write(folder: Path) -> None:
    """Write the shards as CSV, and as LIBSVM."""
    for number, (a, b) in enumerate(pairwise(CUTS)):
        lines = [",".join(map(repr, row)) for row in ROWS[a:b].tolist()]
        (folder / f"{number}.csv").write_text("\n".join(["a,b,c,y", *lines, ""]))
        lines = [f"{y} 1:{u} 2:{v} 3:{w}" for u, v, w, y in ROWS[a:b].tolist()]
        (folder / f"{number}.svm").write_text("\n".join(["# rows", *lines, ""]))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that all ranks see."""
    path = on_root(lambda: Path(mkdtemp()))
    on_root(lambda: write(path))
    yield path
    on_root(lambda: shutil.rmtree(path))


@pytest.mark.parametrize("suffix", ["csv", "svm"])
def test_ranks_have_the_rows_in_the_files_order(folder: Path, suffix: str) -> None:
    spec = DataSpec(path=f"*.{suffix}", target="y" if suffix == "csv" else "", balance="rows")
    data = load(MpiWorld(), spec, folder)
    assert data.source.n_samples == N
    own = slice(data.start, data.start + len(data.y))
    x = data.x.reader(N).block(0, len(data.x)).dense() if len(data.y) else ROWS[:0, :3]
    np.testing.assert_array_equal(x, ROWS[own, :3])
    np.testing.assert_array_equal(data.y, ROWS[own, 3])
    assert MPI.COMM_WORLD.allreduce(len(data.y)) == N


@pytest.mark.skipif(SIZE == 1, reason="one rank sees what it sees")
def test_a_shard_that_only_some_ranks_see(folder: Path) -> None:
    """As on hosts that have disks of their own."""
    mine = folder / f"host-{RANK}"
    mine.mkdir()
    for path in folder.glob("*.csv"):
        if RANK != SIZE - 1 or path.name != "4.csv":
            shutil.copy(path, mine)
    with pytest.raises(DataError, match=r"got 6 files .* expected 7 .*; it lacks \S*4.csv \("):
        load(MpiWorld(), DataSpec(path="*.csv", target="y"), mine)


def test_a_bad_shard_is_named_on_all_ranks(folder: Path) -> None:
    on_root(lambda: (folder / "5.csv").write_text("a,b,z,y\n1,2,3,0\n"))
    with pytest.raises(DataError, match=r"5.csv: .*0.csv: it lacks 'c' and it has 'z' besides"):
        load(MpiWorld(), DataSpec(path="*.csv", target="y"), folder)
