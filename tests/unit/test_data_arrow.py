"""Parquet and Arrow files: any range of rows is that of the whole, and damage is told as such."""

from __future__ import annotations

import datetime
import decimal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather
from pyarrow import parquet as pq

from mpi_gd.data import DataSpec, open_source
from mpi_gd.data.table import TableSource
from mpi_gd.errors import DataError, MpiGdError, NoRowsError
from tests.tabular import values

Write = Callable[[pa.Table, Path, int], None]


def as_parquet(table: pa.Table, path: Path, rows: int) -> None:
    pq.write_table(table, path, row_group_size=rows, write_page_checksum=True)


def as_arrow(table: pa.Table, path: Path, rows: int) -> None:
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


def as_stream(table: pa.Table, path: Path, rows: int) -> None:
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=rows)


def as_feather(table: pa.Table, path: Path, rows: int) -> None:
    feather.write_feather(table, path, compression="zstd", chunksize=rows)


WRITERS: dict[str, tuple[Write, str]] = {
    "parquet": (as_parquet, ".parquet"),
    "arrow": (as_arrow, ".arrow"),
    "stream": (as_stream, ".arrows"),
    "feather": (as_feather, ".feather"),
}
every_form = pytest.mark.parametrize("form", WRITERS)


def opened(folder: Path, form: str, table: pa.Table, rows: int = 3, **keys: Any) -> TableSource:
    write, suffix = WRITERS[form]
    path = folder / f"t{suffix}"
    write(table, path, rows)
    return settled(path, **keys)


def settled(path: Path, **keys: Any) -> TableSource:
    source = open_source(DataSpec(path=path.name, **{"target": "y", **keys}), path.parent)
    source.settle(sum(source.survey(part, 3) for part in range(3)))  # type: ignore[arg-type]
    assert isinstance(source, TableSource)
    return source


def sample() -> pa.Table:
    moment = datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)
    n = 8
    return pa.table(
        {
            "small": pa.array([1, None, 3, 4, 5, 6, 7, 8], pa.int8()),
            "large": pa.array([2**53, -(2**53), *range(6)], pa.int64()),
            "half": pa.array(np.arange(n, dtype=np.float16)),
            "number": pa.array([0.1, np.nan, None, 4, 5, 6, 7, 8.5]),
            "price": pa.array([decimal.Decimal("1.10")] * n, pa.decimal128(9, 2)),
            "flag": pa.array([True, None, False, True] * 2),
            "word": pa.array(["red", "ä, b", None, "red", "", "x", "red", "y"]),
            "coded": pa.array(["a", "b", None, "a"] * 2).dictionary_encode(),
            "wide": pa.array(["l"] * n, pa.large_string()),
            "day": pa.array([datetime.date(2024, 2, 29)] * n),
            "when": pa.array([moment] * n, pa.timestamp("ns", tz="UTC")),
            "nothing": pa.nulls(n),
            "y": pa.array([1.5] * n),
        }
    )


@every_form
def test_every_type_has_its_kind_and_its_values(tmp_path: Path, form: str) -> None:
    source = opened(tmp_path, form, sample())
    kinds = "number number number number number boolean text text text date date number"
    assert list(source.kinds.values()) == kinds.split()
    assert source.n_samples == 8
    block = source.read_columns(0, 8, source.columns)
    found = {name: values(column) for name, column in block.columns.items()}
    assert found["small"] == [1, None, 3, 4, 5, 6, 7, 8]
    assert found["large"][:2] == [2.0**53, -(2.0**53)]
    assert found["half"] == list(range(8))
    assert found["number"] == [0.1, None, None, 4, 5, 6, 7, 8.5]
    assert found["price"] == [1.1] * 8
    assert found["flag"] == [1, None, 0, 1] * 2
    assert found["word"] == ["red", "ä, b", None, "red", "", "x", "red", "y"]
    assert found["coded"] == ["a", "b", None, "a"] * 2
    assert found["wide"] == ["l"] * 8
    assert found["day"] == [1709164800000000] * 8
    assert found["when"] == [1709209800000000] * 8
    assert found["nothing"] == [None] * 8
    assert block.y.tolist() == [1.5] * 8


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(WRITERS)),
    st.integers(1, 60),
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6),
)
def test_any_range_is_that_of_the_whole(
    form: str, n: int, rows: int, ranges: list[tuple[int, int]]
) -> None:
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, 3))
    labels = rng.choice(["yes", "no"], n)
    columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": labels, "w": np.arange(n) + 1.0}
    with tempfile.TemporaryDirectory() as folder:
        source = opened(Path(folder), form, pa.table(columns), rows, weight="w")
        for start, stop in [(0, n), *ranges]:
            start, stop = sorted((min(start, n), min(stop, n)))
            block = source.read(start, stop)
            assert np.array_equal(block.x, x[start:stop])
            assert block.y.tolist() == labels[start:stop].tolist()
            assert block.extras["weight"].tolist() == (np.arange(start, stop) + 1.0).tolist()
            part = source.read_columns(start, stop, ["c"])
            assert values(part.columns["c"]) == x[start:stop, 2].tolist()


@every_form
@pytest.mark.parametrize("form_of_list", ["fixed", "any"])
def test_each_place_in_lists_is_a_feature(tmp_path: Path, form: str, form_of_list: str) -> None:
    """As embeddings come: with a length in their type, or without one."""
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    length = 3 if form_of_list == "fixed" else -1
    lists = pa.array(x.tolist(), pa.list_(pa.float32(), length))
    table = pa.table({"e": lists, "y": [0.0, 1.0] * 4, "z": pa.array(range(8), pa.float32())})
    source = opened(tmp_path, form, table)
    assert source.columns == ("e.0", "e.1", "e.2", "z")
    assert source.dtype == np.float32
    np.testing.assert_array_equal(source.read(2, 7).x, np.c_[x, np.arange(8)][2:7])
    assert opened(tmp_path, form, table, include=["e"]).columns == ("e.0", "e.1", "e.2")
    assert opened(tmp_path, form, table, include=["e.1", "z"]).columns == ("e.1", "z")
    assert opened(tmp_path, form, table, exclude=["e"]).columns == ("z",)
    gaps = pa.array([None, *x.tolist()[1:]], pa.list_(pa.float32(), length))
    if form_of_list == "fixed":
        block = opened(tmp_path, form, table.set_column(0, "e", gaps)).read_columns(0, 8, ["e.1"])
        assert values(block.columns["e.1"]) == [None, *x[1:, 1].tolist()]


@every_form
def test_what_cannot_be_a_feature_is_named(tmp_path: Path, form: str) -> None:
    base = {"a": [1.0, 2.0], "y": [0.0, 1.0]}
    for extra, told in (
        ({"l": [{"k": 1}] * 2}, r"column 'l' is of the type struct.*exclude = \['l'\]"),
        ({"l": [[1.0], [2.0, 3.0]]}, r"'l.0': row 1: got a list of 2 values, expected 1 as in"),
        ({"l": [[], [2]]}, "column 'l': got a list of 0 values in the first row, expected 1 to"),
        ({"l": [[1], [2]], "l.0": [1.0, 2.0]}, "both called 'l.0'"),
        ({"a": [1.0, None]}, "row 1, column 'a': got nothing, expected a number"),
        ({"a": [1, 2**60 + 1]}, f"column 'a': row 1: got {2**60 + 1}, which float64 cannot hold"),
        ({"y": [0.0, None]}, r"column 'y' \(data.target\): row 1: got nothing"),
        ({"y": [datetime.date(2024, 1, 1)] * 2}, "got dates, expected numbers or text"),
        ({"y": ["x" * 300, "b"]}, "a text of 300 characters"),
        ({"a": pa.array([1e300, 1.0])}, "too large for float32"),
    ):
        with pytest.raises(DataError, match=told):
            opened(tmp_path, form, pa.table(base | extra), dtype="float32").read(0, 2)
    chosen = opened(tmp_path, form, pa.table(base | {"l": [[], ["x"]]}), exclude=["l"])
    assert chosen.columns == ("a",)
    with pytest.raises(DataError, match="no column is called 'z'"):
        opened(tmp_path, form, pa.table(base), target="z")
    with pytest.raises(NoRowsError):
        opened(tmp_path, form, pa.table(base).slice(0, 0)).check_range(0, 1)


@every_form
def test_columns_keep_their_type_where_all_have_it(tmp_path: Path, form: str) -> None:
    for kept in (np.float32, np.float16):
        table = pa.table({"a": np.ones(3, kept), "b": np.ones(3, kept), "y": [1.0] * 3})
        assert opened(tmp_path, form, table).dtype == kept
    assert opened(tmp_path, form, sample()).dtype == np.float64


@every_form
def test_damage_is_never_believed(tmp_path: Path, form: str) -> None:
    """A reader may give other numbers for a byte that no checksum covers, and nothing worse."""
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.normal(size=200), "w": ["a", "bc"] * 100, "y": rng.normal(size=200)})
    write, suffix = WRITERS[form]
    path = tmp_path / f"t{suffix}"
    write(table, path, 64)
    content = path.read_bytes()
    for cut in (0, 5, 12, len(content) // 2, len(content) - 3):
        path.write_bytes(content[:cut])
        with pytest.raises(MpiGdError, match=str(path)):
            source = settled(path)
            source.read_columns(0, 200, ["a", "w"])
    for place in rng.integers(0, len(content), 60).tolist():
        broken = bytearray(content)
        broken[place] ^= 0xA5
        path.write_bytes(bytes(broken))
        try:
            source = settled(path)
            source.read_columns(0, source.n_samples, list(source.columns))
        except MpiGdError as error:
            assert str(path) in str(error)


def test_other_files_under_these_names_are_told(tmp_path: Path) -> None:
    for name, content, told in (
        ("t.parquet", b"a,y\n1,2\n", "not a readable Parquet file"),
        ("t.parquet", b"\x93NUMPY\x01\x00" + bytes(99), "not a readable|.npy"),
        ("t.feather", b"FEA1" + bytes(99), "Feather file of version 1"),
        ("t.parquet", b"PARE" + bytes(99), "encrypted"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(MpiGdError, match=told):
            settled(tmp_path / name)


def test_decimals_are_rounded_to_the_nearest_number(tmp_path: Path) -> None:
    """Protects the bits: those of the same digits in a CSV file."""
    rng = np.random.default_rng(3)
    texts = [f"{a}.{b:018d}" for a, b in rng.integers(0, 10**15, (500, 2)).tolist()]
    numbers = pa.array([decimal.Decimal(text) for text in texts], pa.decimal128(38, 18))
    source = opened(tmp_path, "parquet", pa.table({"a": numbers, "y": [0.0] * 500}), 500)
    assert source.read(0, 500).x[:, 0].tolist() == [float(text) for text in texts]
