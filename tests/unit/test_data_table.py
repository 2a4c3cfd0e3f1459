"""Text tables as columns of any kind, with gaps; compressed ones are read like plain ones."""

from __future__ import annotations

import bz2
import gzip
import lzma
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpi_gd.data import DataSpec, open_source, text
from mpi_gd.data.formats import csv_columns, csv_parse, csv_source
from mpi_gd.data.formats.csv_kinds import moment
from mpi_gd.data.table import TableSource
from mpi_gd.errors import DataError, JobError, MpiGdError
from tests.tabular import values

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: bytes(pa.Codec("zstd").compress(data, asbytes=True)),
}
ROWS = (
    "age,colour,member,when,code,y\n"
    "31.5,red,true,2024-02-29,007,1\n"
    ',"blue, pale",FALSE,2024-02-29T12:30:00+02:00,010,0\n'
    "NA,,,,007,1\n"
    " 7 , red ,True,1969-12-31T23:59:59.5,1,0\n"
)


def opened(path: Path, content: str | bytes, purpose: Any = "train", **keys: Any) -> TableSource:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    spec = DataSpec(path=path.name, **{"target": "y", **keys})
    source = open_source(spec, path.parent, purpose=purpose)
    source.settle(sum(source.survey(part, 3) for part in range(3)))  # type: ignore[arg-type]
    assert isinstance(source, TableSource)
    return source


@pytest.fixture(params=["pyarrow", "by line"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Parse by pyarrow, and cell by cell as without it."""
    if request.param == "by line":

        def refuse(*_: object) -> object:
            raise ImportError("no pyarrow")

        monkeypatch.setattr(csv_columns, "_by_arrow", refuse)
    return str(request.param)


def test_columns_have_the_kinds_of_their_first_rows(tmp_path: Path, way: str) -> None:
    source = opened(tmp_path / "t.csv", ROWS, text=["co?e"])
    assert source.kinds == {
        "age": "number", "colour": "text", "member": "boolean", "when": "date", "code": "text"
    }  # fmt: skip
    block = source.read_columns(0, 4, list(source.kinds))
    assert values(block.columns["age"]) == [31.5, None, None, 7.0]
    assert values(block.columns["colour"]) == ["red", "blue, pale", None, "red"]
    assert values(block.columns["member"]) == [1.0, 0.0, None, 1.0]
    assert values(block.columns["when"]) == [1709164800000000, 1709202600000000, None, -500000]
    assert values(block.columns["code"]) == ["007", "010", "007", "1"]
    assert block.y.tolist() == [1.0, 0.0, 1.0, 0.0]
    assert source.locate_cell(1, "age").endswith("t.csv: line 3, column 'age'")


def test_only_what_is_asked_for_is_read(tmp_path: Path, way: str) -> None:
    source = opened(tmp_path / "t.csv", ROWS.replace("FALSE", "perhaps"), exclude=["member"])
    assert source.columns == ("age", "colour", "when", "code")
    block = source.read_columns(1, 3, ["colour"])
    assert list(block.columns) == ["colour"]
    assert values(block.columns["colour"]) == ["blue, pale", None]
    assert len(source.read_columns(2, 2, ["age"]).columns["age"]) == 0


@pytest.mark.parametrize(
    ("cell", "column", "told"),
    [
        ("x7", "age", "expected a finite number"),
        ("inf", "age", "expected a finite number"),
        ("1_000", "age", "expected a finite number"),
        ("maybe", "member", "expected true, false"),
        ("2024-02-30", "when", "expected a date"),
        ("yesterday", "when", "expected a date"),
    ],
)
def test_a_cell_of_another_kind_is_named(
    tmp_path: Path, way: str, cell: str, column: str, told: str
) -> None:
    place = ["age", "colour", "member", "when", "code"].index(column)
    lines = ROWS.splitlines()
    cells = lines[4].split(",")
    cells[place] = cell
    source = opened(tmp_path / "t.csv", "\n".join([*lines[:4] * 1, ",".join(cells)]) + "\n")
    if source.kinds[column] == "text":
        source.kinds = source._layout.kinds = {}  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=rf"line 5, column '{column}': got '{cell}', {told}"):
        source.read_columns(0, 4, [column])


CELLS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["", "NA", "Null", "?", "-nan"]),
    st.integers(-(2**53), 2**53).map(str),
)
WORDS = st.one_of(
    st.sampled_from(["", "N/A", "red", "Red", "blue sky", "ä,ö", "x;y", "'", "1"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=5),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELLS, WORDS, WORDS), min_size=1, max_size=40), st.integers(9, 60))
def test_pyarrow_and_cell_by_cell_give_the_same(
    rows: list[tuple[str, str, str]], size: int
) -> None:
    import csv
    import io
    import tempfile

    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(["number", "word", "other", "y"])
    writer.writerow(["1.5", "some", "more", "0"])
    writer.writerows([*row, "1"] for row in rows)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "PIECE_BYTES", size)
        # Half of the words may be "1": a column of numbers, for which others are mistakes.
        source = opened(Path(folder) / "t.csv", written.getvalue(), text=["word", "other"])
        names = list(source.columns)
        whole = source.read_columns(0, source.n_samples, names)
        cut = [source.read_columns(row, row + 1, names) for row in range(source.n_samples)]
        patch.setattr(csv_columns, "_by_arrow", lambda *_: (_ for _ in ()).throw(ImportError()))
        slow = source.read_columns(0, source.n_samples, names)
    for name in names:
        assert values(whole.columns[name]) == values(slow.columns[name])
        assert values(whole.columns[name]) == [values(each.columns[name])[0] for each in cut]


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_text_is_read_like_plain_text(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(5)
    lines = ["a,b,y", *(",".join(map(repr, row)) for row in rng.normal(size=(300, 3)).tolist())]
    content = ("\n".join(lines) + "\n\n\n").encode()
    plain = opened(tmp_path / "t.csv", content).read(0, 300)
    for size in (1 << 22, 1000, 37):
        monkeypatch.setattr(text, "PIECE_BYTES", size)
        monkeypatch.setattr("mpi_gd.data.formats.csv_source.PIECE_BYTES", size)
        source = opened(tmp_path / f"t.csv{suffix}", PACKERS[suffix](content))
        assert source.n_samples == 300
        for start, stop in ((0, 300), (17, 18), (100, 250), (250, 300), (3, 99)):
            found = source.read(start, stop)
            assert np.array_equal(found.x, plain.x[start:stop])
            assert np.array_equal(found.y, plain.y[start:stop])
    assert source.locate(17).endswith("line 19")


@pytest.mark.parametrize("suffix", PACKERS)
def test_compressed_text_that_is_damaged_is_refused(tmp_path: Path, suffix: str) -> None:
    content = PACKERS[suffix](("a,y\n" + "1.25,2\n" * 3000).encode())
    with pytest.raises(DataError, match=r"t\.csv.*cut short or damaged"):
        opened(tmp_path / f"t.csv{suffix}", content[: len(content) // 2])
    for place in range(6, len(content), max(1, len(content) // 40)):
        broken = bytearray(content)
        broken[place] ^= 0x55
        try:
            source = opened(tmp_path / f"t.csv{suffix}", bytes(broken))
            source.read(0, source.n_samples)
        except MpiGdError as error:
            assert str(error).startswith(str(tmp_path))


def test_a_tab_separates_in_files_that_say_so(tmp_path: Path) -> None:
    content = b"a b\ty\n1.5\t2\n"
    assert opened(tmp_path / "t.tsv", content).columns == ("a b",)
    assert opened(tmp_path / "t.tsv.gz", gzip.compress(content)).columns == ("a b",)
    assert opened(tmp_path / "u.csv", content, delimiter="\t").columns == ("a b",)


def test_columns_are_chosen_by_names_and_patterns(tmp_path: Path) -> None:
    content = "x1,x2,id,note,y\n1,2,a,b,3\n"
    assert opened(tmp_path / "t.csv", content, include=["x*"]).columns == ("x1", "x2")
    found = opened(tmp_path / "t.csv", content, exclude=["id", "n*"])
    assert found.columns == ("x1", "x2")
    assert found.read(0, 1).x.tolist() == [[1.0, 2.0]]
    for keys, told in (
        ({"include": ["z*"]}, "no column matches 'z\\*' .data.include"),
        ({"exclude": ["ids"]}, "no column is called 'ids'.*did you mean 'id'"),
        ({"exclude": ["*"]}, "leave no column"),
    ):
        with pytest.raises(DataError, match=told):
            opened(tmp_path / "t.csv", content, **keys)
    # What the training left out need not be in a file to predict for.
    bare = opened(tmp_path / "u.csv", "x1,x2\n1,2\n", purpose="predict", exclude=["id", "n*"])
    assert bare.columns == ("x1", "x2")


def test_moments_are_those_of_iso_8601() -> None:
    assert moment("1970-01-01") == 0
    assert moment("2000-01-01T00:00:00.000001Z") == 946684800000001
    assert moment("2000-01-01 01:00+01:00") == 946684800000000
    for other in ("2000", "20000101", "2000-13-01", "01.02.2000", "2000-01-01T25:00", "nan"):
        assert moment(other) is None
    assert math.isnan(float("nan"))


def test_zstd_needs_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(JobError, match=r"mpi_gd\[csv\]"):
        opened(tmp_path / "t.csv.zst", b"\x28\xb5\x2f\xfd" + bytes(20))


@pytest.mark.parametrize("parser", ["pyarrow", "numpy"])
def test_whole_numbers_that_float64_cannot_hold_are_refused(
    tmp_path: Path, way: str, parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects from identifiers of which many become one number."""
    if parser == "numpy":
        monkeypatch.setattr(csv_source, "fast_parser", lambda: csv_parse._by_numpy)
    good = f"a,id,y\n1,{2**53},0\n2,10000000000000000000000,1\n3,-1e300,1\n4,9007199254740993.0,0\n"
    source = opened(tmp_path / "t.csv", good)
    numbers = [2.0**53, 1e22, -1e300, 2.0**53]
    assert source.read(0, 4).x[:, 1].tolist() == numbers
    assert values(source.read_columns(0, 4, ["id"]).columns["id"]) == numbers
    bad = good + f"5,{2**53 + 1},0\n"
    source = opened(tmp_path / "t.csv", bad)
    for read in (lambda: source.read(0, 5), lambda: source.read_columns(0, 5, ["id"])):
        with pytest.raises(
            DataError, match=r"line 6, column 'id': got '9007199254740993', a whole"
        ):
            read()
    # Nobody minds what is not read, and text it may be.
    assert opened(tmp_path / "t.csv", bad, exclude=["id"]).read(0, 5).x.tolist()[4] == [5.0]
    source = opened(tmp_path / "t.csv", bad, text=["id"])
    assert values(source.read_columns(4, 5, ["id"]).columns["id"]) == [str(2**53 + 1)]


@pytest.mark.parametrize("parser", ["pyarrow", "numpy"])
def test_columns_that_are_not_read_may_hold_any_bytes(
    tmp_path: Path, way: str, parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if parser == "numpy":
        monkeypatch.setattr(csv_source, "fast_parser", lambda: csv_parse._by_numpy)
    content = b"a,note,y\n1,\xff\xfe,0\n2,,1\n"
    source = opened(tmp_path / "t.csv", content, exclude=["note"])
    assert source.read(0, 2).x.tolist() == [[1.0], [2.0]]
    assert values(source.read_columns(0, 2, ["a"]).columns["a"]) == [1.0, 2.0]
    with pytest.raises(DataError, match=r"line 2, column 'note': not text in UTF-8"):
        source = opened(tmp_path / "t.csv", content, text=["note"])
        source.read_columns(0, 2, ["note"])
