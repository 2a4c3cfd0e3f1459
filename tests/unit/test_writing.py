"""What several ranks write together is what one would write, and what it was made from."""

from __future__ import annotations

import zipfile
import zlib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mpi_gd.comm import SerialWorld
from mpi_gd.commands.written import write_shards, write_source
from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.memory import MemorySource
from mpi_gd.data.source import Block
from mpi_gd.data.writing.crc import joined_crc
from mpi_gd.errors import DataError, FileError, JobError
from mpi_gd.matrix import Csr
from tests.simulated import on_ranks

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SUFFIXES = [".npz", ".npy", ".csv"]


def source_of(x: Any, y: Any, **more: Any) -> MemorySource:
    """Return a source of arrays."""
    extras = {"weight": np.arange(1.0, len(y) + 1)}
    n_stored = x.n_stored if isinstance(x, Csr) else 0
    return MemorySource(Block(x, np.asarray(y), extras), 0, len(y), n_stored=n_stored, **more)


def opened(folder: Path, lines: Any, **keys: Any) -> Source:
    """Open what was written."""
    source = open_source(DataSpec(**lines, **keys), folder)
    source.settle(source.survey(0, 1))
    return source


def dense(x: Any) -> Any:
    """Return rows as an array."""
    return x.rows.toarray() if hasattr(x, "rows") else np.asarray(x)


def require_equal(found: Source, wanted: Source) -> None:
    """Compare rows, names and roles."""
    assert found.n_samples == wanted.n_samples
    got, true = (each.read(0, each.n_samples) for each in (found, wanted))
    np.testing.assert_array_equal(dense(got.x), dense(true.x))
    np.testing.assert_array_equal(got.y, true.y)
    np.testing.assert_array_equal(got.extras["weight"], true.extras["weight"])


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_the_checksum_of_two_parts_is_that_of_the_whole(first: bytes, second: bytes) -> None:
    joined = joined_crc(zlib.crc32(first), zlib.crc32(second), len(second))
    assert joined == zlib.crc32(first + second)


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2), elements=NUMBERS))
def test_numbers_come_back_bit_for_bit(suffix: str, tmp_path: Path, x: Any) -> None:
    source = source_of(x, np.arange(len(x), dtype=np.float64))
    lines = write_source(SerialWorld(), source, tmp_path / f"x{suffix}", force=True)
    require_equal(opened(tmp_path, lines), source)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_any_number_of_ranks_writes_the_same_bytes(suffix: str, dtype: str, tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((1001, 3)).astype(dtype)
    texts = np.array([f"a{'é' * (row % 7)}" for row in range(1001)])
    source = source_of(x, texts, columns=("one", 'two, "2"', "drei"), target_name="Größe")
    written = []
    for size in (1, 2, 3, 5):
        folder = tmp_path / str(size)
        folder.mkdir()
        path = folder / f"x{suffix}"
        done = on_ranks(size, partial(write_source, source=source, path=path))
        assert isinstance(done[0], dict), done[0]
        assert done == [done[0]] * size
        written.append({file.name: file.read_bytes() for file in folder.iterdir()})
        assert written[-1] == written[0]
    back = opened(folder, done[0], dtype=dtype)
    require_equal(back, source)
    if suffix != ".npy":
        assert tuple(back.columns) == source.columns
        assert back.target_name == "Größe"


@pytest.mark.parametrize("size", [1, 3])
def test_sparse_rows_are_written_as_scipy_reads_them(size: int, tmp_path: Path) -> None:
    x = scipy.sparse.random(500, 70, density=0.05, format="csr", rng=np.random.default_rng(2))
    source = source_of(Csr(x.data, x.indices, x.indptr, 70), np.arange(500.0))
    # As where a number was stored in two parts, which are one in memory.
    source.n_stored += 3
    path = tmp_path / "x.npz"
    done = on_ranks(size, lambda world: write_source(world, source, path))
    assert isinstance(done[0], dict), done[0]
    assert (scipy.sparse.load_npz(path) != x).nnz == 0
    require_equal(opened(tmp_path, done[0]), source)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        # SciPy has them at any byte; here they can be mapped.
        assert all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    with pytest.raises(JobError, match="with zeros"):
        write_source(SerialWorld(), source, tmp_path / "x.npy")


def test_the_arrays_of_an_archive_are_mapped_where_they_lie(tmp_path: Path) -> None:
    source = source_of(np.ones((300, 2)), np.ones(300))
    lines = write_source(SerialWorld(), source, tmp_path / "x.npz")
    x = opened(tmp_path, lines).read(0, 300).x
    assert not x.flags.owndata
    assert x.ctypes.data % 64 == 0
    assert np.load(tmp_path / "x.npz")["X"].shape == (300, 2)


def test_nothing_is_left_of_files_that_cannot_be_made(tmp_path: Path) -> None:
    class Broken(MemorySource):
        def read(self, start: int, stop: int) -> Block:
            if stop > 900:
                raise DataError("row 900: it is broken; mend it")
            return super().read(start, stop)

    block = Block(np.ones((1000, 2)), np.ones(1000), {})
    source = Broken(block, 0, 1000)
    (tmp_path / "x.npz").write_text("old")
    done = on_ranks(3, lambda world: write_source(world, source, tmp_path / "x.npz", force=True))
    assert all("row 900" in str(error) for error in done)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("x.npz", "old")]
    folder = tmp_path / "shards"
    write = partial(write_shards, source=source, folder=folder, suffix=".csv", n_shards=4)
    assert all("row 900" in str(error) for error in on_ranks(3, write))
    assert not list(folder.iterdir())
    with pytest.raises(FileError, match="--force"):
        write_source(SerialWorld(), source, tmp_path / "x.npz")
    with pytest.raises(JobError, match=r"'\.xls', expected one of"):
        write_source(SerialWorld(), source, tmp_path / "x.xls")
    with pytest.raises(FileError, match="make the folder"):
        write_source(SerialWorld(), source, tmp_path / "no" / "x.npz")


def test_shards_have_all_rows_in_order_and_the_same_bytes(tmp_path: Path) -> None:
    x = np.random.default_rng(1).standard_normal((101, 3))
    source = source_of(x, np.arange(101.0))
    found = []
    for size in (1, 3):
        folder = tmp_path / str(size)
        write = partial(write_shards, source=source, folder=folder, suffix=".csv", n_shards=4)
        done = on_ranks(size, write)
        assert not isinstance(done[0], Exception), done[0]
        found.append([(file.name, file.read_text()) for file in sorted(folder.iterdir())])
    assert found[0] == found[1]
    assert [name for name, _ in found[0]] == [f"part-{k}.csv" for k in range(4)]
    rows = [line for _, text in found[0] for line in text.splitlines()[1:]]
    assert [float(line.split(",")[-1]) for line in rows] == list(range(101))
    with pytest.raises(FileError, match="not empty"):
        write_shards(SerialWorld(), source, tmp_path / "1", ".csv", 2)


def test_columns_of_a_table_come_back_and_text_is_no_number(tmp_path: Path) -> None:
    text = 'a,when,b,y\n1.5,2024-01-02,red,1\n,2024-03-01T10:30:00,,2\n-2,,"blue, or so",3\n'
    (tmp_path / "t.csv").write_text(text)
    source = opened(tmp_path, {"path": "t.csv"}, target="y")
    lines = write_source(SerialWorld(), source, tmp_path / "u.csv")
    assert (tmp_path / "u.csv").read_text() == text
    pytest.importorskip("pyarrow")
    write_source(SerialWorld(), source, tmp_path / "u.parquet")
    back = opened(tmp_path, {"path": "u.parquet"}, target="y")
    assert lines == {"path": "u.csv", "header": "yes", "target": "y"}
    write_source(SerialWorld(), back, tmp_path / "v.csv")
    assert (tmp_path / "v.csv").read_text() == text
    with pytest.raises(JobError, match="'when', 'b': no numbers"):
        write_source(SerialWorld(), source, tmp_path / "u.npz")
