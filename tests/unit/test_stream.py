"""Streamed rows are the rows, in whatever order they are asked for, in bounded memory."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_gd.data.probe import stamp
from mpi_gd.data.rowfiles import RowFiles, RowsInFile, Scratch
from mpi_gd.errors import DataError, FileError
from mpi_gd.matrix import Csr, Dense, Matrix
from mpi_gd.matrix.stream import Stream
from mpi_gd.matrix.streamed import DenseRows, Streamed
from mpi_gd.matrix.streamed_csr import CsrRows, StreamedCsr

N, D = 700, 3
BUFFER = 4096


class InMemory:
    """Bytes that are in memory, and count what is read of them."""

    def __init__(self, array: NDArray[Any]) -> None:
        self._bytes = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        self.n_read = 0

    def read_into(self, place: int, out: NDArray[np.uint8]) -> None:
        out[:] = self._bytes[place : place + len(out)]
        self.n_read += len(out)


def numbers(n: int = N, d: int = D, dtype: Any = np.float64) -> NDArray[Any]:
    return np.random.default_rng(1).standard_normal((n, d)).astype(dtype)


def streamed(x: NDArray[Any], base: int = 0, source: Any = None) -> Streamed:
    content = DenseRows(source or InMemory(x), len(x), x.shape[1], x.dtype, base)
    return Streamed(content, x.shape[1], stream=Stream(content, BUFFER))


pieces = st.lists(
    st.tuples(st.integers(0, N - 1), st.integers(1, 90)).map(lambda p: (p[0], min(N, sum(p)))),
    max_size=12,
)


@given(pieces, st.lists(pieces, max_size=3), st.integers(1, 40))
def test_blocks_are_the_rows_expected_or_not(first: Any, more: Any, step: int) -> None:
    x = numbers()
    matrix = streamed(x)
    reader = matrix.reader(step)
    for number, asked in enumerate([first, *more]):
        if number != 1:
            reader.expect(asked)
        for start, stop in asked:
            for begin in range(start, stop, step):
                end = min(begin + step, stop)
                np.testing.assert_array_equal(reader.block(begin, end).dense(), x[begin:end])


@given(st.integers(0, 7).map(lambda k: 8 * k), st.integers(1, 9), st.integers(1, 50))
def test_rows_begin_where_they_would_in_memory(base: int, d: int, step: int) -> None:
    x = numbers(200, d)
    matrix = streamed(x, base)
    for first in range(0, 200, step):
        rows = matrix.rows(first, min(first + step, 200), step)
        assert rows.ctypes.data % 64 == (base + first * d * 8) % 64


def test_a_pass_reads_each_row_once_and_memory_is_bounded() -> None:
    x = numbers(20_000)
    source = InMemory(x)
    matrix = streamed(x, source=source)
    reader = matrix.reader(32)
    for number in range(1, 4):
        reader.expect([(0, len(x))])
        for first in range(0, len(x), 32):
            reader.block(first, first + 32)
        ahead = matrix.most_bytes
        assert number * x.nbytes <= source.n_read <= number * x.nbytes + ahead
    assert matrix.most_bytes == 4 * BUFFER
    assert matrix._stream._current is not None
    held = [matrix._stream._current, *matrix._stream._ahead]
    assert sum(load.buffer.nbytes for load in held) <= matrix.most_bytes + 4 * 64


def test_its_thread_ends_with_the_matrix() -> None:
    matrix = streamed(numbers())
    matrix.rows(0, 10, 10)
    thread = matrix._stream._thread
    assert thread is not None and thread.is_alive()
    del matrix
    thread.join(5)
    assert not thread.is_alive()


def test_what_the_thread_meets_is_raised_where_the_rows_are_asked_for() -> None:
    class Broken:
        def read_into(self, place: int, out: NDArray[np.uint8]) -> None:
            if place:
                raise FileError("X: the disk is tired")
            out[:] = 0

    matrix = streamed(numbers(), source=Broken())
    reader = matrix.reader(50)
    reader.block(0, 50)
    with pytest.raises(FileError, match="tired"):
        for first in range(50, N, 50):
            reader.block(first, first + 50)


def compared(ours: Matrix, theirs: Matrix) -> None:
    """Require that two matrices give the same."""
    assert ours.shape == theirs.shape and ours.n_stored == theirs.n_stored
    d = ours.shape[1]
    places = np.array([d - 1, 0])
    np.testing.assert_array_equal(ours.columns(places), theirs.columns(places))
    chosen = ours.with_columns(places)
    for first, last in ((0, 64), (64, 100)):
        block, other = ours.reader(64).block(first, last), theirs.reader(64).block(first, last)
        np.testing.assert_array_equal(block.dense(), other.dense())
        one, two = np.zeros(last - first), np.zeros(last - first)
        block.times(np.arange(1.0, d + 1), one)
        other.times(np.arange(1.0, d + 1), two)
        assert one.tobytes() == two.tobytes()
        np.testing.assert_array_equal(
            chosen.reader(64).block(first, last).dense(), other.dense()[:, places]
        )
    part = ours.part(100, 300)
    np.testing.assert_array_equal(
        part.reader(64).block(10, 70).dense(), theirs.reader(64).block(110, 170).dense()
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_streamed_rows_are_those_in_memory(dtype: Any) -> None:
    x = numbers(dtype=dtype)
    compared(streamed(x), Dense(x))


def test_streamed_sparse_rows_are_those_in_memory() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    whole = sparse.random(N, 40, 0.2, format="csr", rng=np.random.default_rng(3))
    theirs = Csr(whole.data, whole.indices, whole.indptr, 40)
    rows = theirs.rows
    content = CsrRows(
        InMemory(rows.data), InMemory(rows.indices), rows.indptr, 40, rows.indices.dtype
    )
    ours = StreamedCsr(content, stream=Stream(content, BUFFER))
    compared(ours, theirs)
    rows.data[rows.indptr[200] + 1] = np.inf
    ours = StreamedCsr(content, stream=Stream(content, BUFFER))
    assert ours.find_not_finite(0, N) == theirs.find_not_finite(0, N)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), st.data())
def test_bytes_come_from_files_that_follow_each_other(sizes: list[int], data: Any) -> None:
    import tempfile

    x = numbers(sum(sizes))
    with tempfile.TemporaryDirectory() as folder:
        files, first = [], 0
        for number, size in enumerate(sizes):
            path = Path(folder) / f"{number}"
            path.write_bytes(b"head" * number + x[first : first + size].tobytes() + b"tail")
            files.append(RowsInFile(path, stamp(path), 4 * number, size))
            first += size
        start = data.draw(st.integers(0, len(x)))
        stop = data.draw(st.integers(start, len(x)))
        out = np.empty((stop - start) * x[0].nbytes, dtype=np.uint8)
        RowFiles(files, x[0].nbytes).read_into(start * x[0].nbytes, out)
        assert out.tobytes() == x[start:stop].tobytes()


def test_a_file_that_is_cut_or_written_is_an_error(tmp_path: Path) -> None:
    x = numbers()
    path = tmp_path / "x"
    path.write_bytes(x.tobytes())
    rows = RowFiles([RowsInFile(path, stamp(path), 0, N)], x[0].nbytes)
    out = np.empty(x.nbytes, dtype=np.uint8)
    os.truncate(path, x.nbytes // 2)
    with pytest.raises(DataError, match="cut while it was read"):
        rows.read_into(0, out)
    path.write_bytes(x.tobytes() + b"more")
    with pytest.raises(DataError, match="changed while"):
        rows.read_into(0, out)


def test_scratch_leaves_nothing_and_tells_of_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = numbers()
    scratch = Scratch(tmp_path)
    scratch.write(x)
    assert not list(tmp_path.iterdir())
    out = np.empty(x.nbytes, dtype=np.uint8)
    scratch.read_into(0, out)
    assert out.tobytes() == x.tobytes()

    class Full:
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "_file", Full())
    with pytest.raises(FileError, match=r"no room there .* data\.scratch"):
        scratch.write(x)
    with pytest.raises(FileError, match=r"data\.scratch"):
        Scratch(tmp_path / "none")
