"""Shards of tables: columns are of one kind in all files, and folders' names are columns, too."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mpi_gd.data import DataSpec, open_source
from mpi_gd.data.sharded_table import ShardedTable
from mpi_gd.errors import DataError, JobError
from tests.tabular import values


def settled(folder: Path, files: dict[str, str], parts: int = 2, **keys: Any) -> ShardedTable:
    """Write files into a folder, and open it as `parts` ranks do together."""
    for name, text in files.items():
        path = folder / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    spec = DataSpec(path="d", **{"target": "y", **keys})
    source = open_source(spec, folder)
    assert isinstance(source, ShardedTable)
    source.settle(np.sum([source.survey(part, parts) for part in range(parts)], axis=0))
    return source


def table(*rows: str, header: str = "a,b,y") -> str:
    return "\n".join([header, *rows]) + "\n"


def test_a_text_column_is_text_where_it_looks_like_numbers(tmp_path: Path) -> None:
    files = {"0.csv": table("1,007,0", "2,008,1"), "1.csv": table("3,A9,0"), "2.csv": table("4,,1")}
    for parts in (1, 2, 5):
        source = settled(tmp_path, files, parts)
        assert source.kinds == {"a": "number", "b": "text"}
        block = source.read_columns(0, 4, ["b", "a"])
        assert values(block.columns["b"]) == ["007", "008", "A9", None]
        assert values(block.columns["a"]) == [1, 2, 3, 4]
        assert block.y.tolist() == [0, 1, 0, 1]
    # As it was in the training of a model that is applied to files with digits alone.
    source = settled(tmp_path / "new", {"0.csv": files["0.csv"]})
    source.expect({"b": "text"})
    assert values(source.read_columns(0, 2, ["b"]).columns["b"]) == ["007", "008"]


def test_numbers_booleans_and_gaps_become_one_kind(tmp_path: Path) -> None:
    files = {
        "0.csv": table(",true,0", ",false,1"),
        "1.csv": table("2020-01-02,2.5,0"),
        "2.csv": table(",,1"),
    }
    source = settled(tmp_path, files)
    assert source.kinds == {"a": "date", "b": "number"}
    columns = source.read_columns(0, 4, ["a", "b"]).columns
    day = int(np.datetime64("2020-01-02", "us").astype(np.int64))
    assert values(columns["a"]) == [None, None, day, None]
    assert values(columns["b"]) == [1, 0, 2.5, None]
    assert source.locate_cell(2, "b").endswith("1.csv: line 2, column 'b'")


def test_what_is_of_two_kinds_names_both_files(tmp_path: Path) -> None:
    files = {"0.csv": table("2020-01-02,1,0"), "1.csv": table("17,1,0")}
    source = settled(tmp_path, files)
    with pytest.raises(DataError, match=r"1.csv: line 2, column 'a': got a number, expected a date"
                       r" as in .*0.csv"):  # fmt: skip
        source.read_columns(0, 2, ["a"])


def test_rows_are_those_of_one_table(tmp_path: Path) -> None:
    rows = [f"{k}.25,{'xyz'[k % 3]},{k % 2}" for k in range(30)]
    cuts = [0, 0, 7, 8, 30]
    files = {f"{n}.csv": table(*rows[a:b]) for n, (a, b) in enumerate(pairwise(cuts))}
    (tmp_path / "one.csv").write_text(table(*rows))
    one: Any = open_source(DataSpec(path="one.csv", target="y"), tmp_path)
    one.settle(one.survey(0, 1))
    source = settled(tmp_path, files, 3)
    expected = one.read_columns(3, 22, ["a", "b"])
    found = source.read_columns(3, 22, ["a", "b"])
    for name in ("a", "b"):
        assert values(found.columns[name]) == values(expected.columns[name])
    np.testing.assert_array_equal(found.y, expected.y)
    assert len(source.read_columns(5, 5, ["a", "b"]).columns["b"]) == 0


HIVE = {
    "year=2023/kind=a%20b/p.csv": table("1,2,0"),
    "year=2024/kind=__HIVE_DEFAULT_PARTITION__/p.csv": table("3,4,1", "5,6,1"),
    "year=2024/kind=c/p.csv": table("7,8,0"),
    "year=2024/_SUCCESS": "",
}


def test_names_of_folders_are_columns(tmp_path: Path) -> None:
    source = settled(tmp_path, HIVE)
    assert list(source.columns) == ["a", "b", "year", "kind"]
    assert source.kinds == {"a": "number", "b": "number", "year": "number", "kind": "text"}
    columns = source.read_columns(0, 4, ["kind", "a", "year"]).columns
    assert values(columns["year"]) == [2023, 2024, 2024, 2024]
    assert values(columns["kind"]) == ["a b", None, None, "c"]
    assert values(columns["a"]) == [1, 3, 5, 7]
    assert "name of its folder" in source.locate_cell(1, "kind")
    with pytest.raises(DataError, match="column 'kind', in the name of its folder: got text"):
        source.read(0, 4)


def test_whole_numbers_among_them_are_features(tmp_path: Path) -> None:
    source = settled(tmp_path, HIVE, exclude=["kind"])
    block = source.read(0, 4)
    expected = [[1, 2, 2023], [3, 4, 2024], [5, 6, 2024], [7, 8, 2024]]
    np.testing.assert_array_equal(block.x, expected)
    assert block.x.ctypes.data % 64 == 0
    source = settled(tmp_path, HIVE, include=["b", "year"])
    np.testing.assert_array_equal(source.read(1, 3).x, [[4, 2024], [6, 2024]])
    assert settled(tmp_path, HIVE, text=["year"]).kinds["year"] == "text"
    with pytest.raises(JobError, match="expected a column of the files, too"):
        settled(tmp_path, HIVE, include=["year"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"p.csv": table("1,2,0")}, r"p.csv: its folders name the columns none|expected none"),
        ({"year=2025/p.csv": table("1,2,0")}, r"year=2025/p.csv: its folders .* columns year, exp"),
    ],
)
def test_folders_that_do_not_all_name_the_same(
    tmp_path: Path, more: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        settled(tmp_path, HIVE | more)


def test_a_column_in_the_file_and_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the column 'a' is in the file, and in the name of"):
        settled(tmp_path, {"a=1/p.csv": table("1,2,0")})


def test_parquet_as_pyarrow_partitions_it(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows: dict[str, Any] = {
        "a": [0.5, 1.5, 2.5, 3.5],
        "y": [0, 1, 0, 1],
        "at": ["x/y", "z", "x/y", None],
    }
    parquet.write_to_dataset(pa.table(rows), tmp_path / "d", partition_cols=["at"])
    source = settled(tmp_path, {})
    columns = source.read_columns(0, 4, ["a", "at"]).columns
    found = dict(zip(values(columns["a"]), values(columns["at"]), strict=True))
    assert found == dict(zip(rows["a"], rows["at"], strict=True))


def test_whole_numbers_fractions_and_nothing_are_numbers_in_parquet(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "d").mkdir()
    for number, a in enumerate([pa.array([7]), pa.array([1.5]), pa.nulls(1), pa.array([True])]):
        parquet.write_table(pa.table({"a": a, "y": [0]}), tmp_path / f"d/{number}.parquet")
    source = settled(tmp_path, {})
    assert source.kinds == {"a": "number"}
    assert values(source.read_columns(0, 4, ["a"]).columns["a"]) == [7, 1.5, None, 1]
    parquet.write_table(pa.table({"a": ["u"], "y": [0]}), tmp_path / "d/4.parquet")
    source = settled(tmp_path, {})
    with pytest.raises(DataError, match=r"0.parquet: .*column 'a': got a number, expected a text"):
        source.read_columns(0, 5, ["a"])
