"""CSV that makes no sense: one message, with the line, the column and the remedy."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from mpi_gd.data import DataSpec, open_source, text
from mpi_gd.data.formats import csv_parse, csv_source
from mpi_gd.data.formats.csv_source import CsvSource
from mpi_gd.errors import DataError, JobError

HEAD = b"age,size,y\n1,2,3\n"
PARSERS = [csv_parse._by_numpy]
if importlib.util.find_spec("pyarrow") is not None:
    PARSERS.append(csv_parse._by_arrow)


def message(path: Path, parser: csv_parse.Parser | None = None, **keys: object) -> str:
    """Return what reading the whole file raises."""
    spec = DataSpec(path=str(path), **{"target": "y", **keys})  # type: ignore[arg-type]
    with pytest.raises((DataError, JobError)) as caught:
        source = CsvSource.open(spec, path, parser=parser)
        source.settle(source.survey(0, 1))
        source.read(0, source.n_samples)
    return str(caught.value)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: str(parser.__name__))
@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"4,5", ["got 2 cells, expected 3"]),
        (b"4,5,6,7", ["got 4 cells, expected 3"]),
        (b"abc,5,6", ["column 'age'", "'abc'", "expected a number"]),
        (b"4,5,abc", ["column 'y'", "'abc'", "expected a number"]),
        (b"4,,6", ["column 'size'", "missing under [prepare]", "remove the row"]),
        (b"4,  ,6", ["column 'size'", "missing"]),
        (b"4,NA,6", ["column 'size'", "'NA'", "missing"]),
        (b"4,5,nan", ["column 'y'", "'nan'", "missing"]),
        (b"4,inf,6", ["column 'size'", "'inf'", "finite"]),
        (b"4,-Infinity,6", ["column 'size'", "'-Infinity'", "finite"]),
        (b"4,1e999,6", ["column 'size'", "'1e999'", "finite"]),
        (b"1_000,5,6", ["column 'age'", "'1_000'"]),
        (b"0x10,5,6", ["column 'age'", "'0x10'"]),
        (b"#4,5,6", ["column 'age'", "'#4'"]),
        (b"4\x00,5,6", ["column 'age'"]),
        (b'"4,5,6', ["quotes must end on the line"]),
        (b'4,"5\n",6', ["quotes must end on the line"]),
        (b'4,"5"5,6', ["line 3"]),
        (b"4,5\r,6", ["line 3"]),
        (b"4,\xff,6", ["UTF-8"]),
        (b"", ["expected 3 cells", "remove the line"]),
    ],
    ids=repr,
)
def test_the_first_bad_line_is_named(
    tmp_path: Path, parser: csv_parse.Parser, line: bytes, parts: list[str]
) -> None:
    """Protects both parsers from taking, or misplacing, what is no number."""
    path = tmp_path / "t.csv"
    path.write_bytes(HEAD + line + b"\n7,8,9\nbad,8,9\n")
    text = message(path, parser)
    assert text.startswith(f"{path}: line 3")
    for part in parts:
        assert part in text


def test_lines_are_counted_over_pieces_and_ranges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects the line number on any rank and in any piece."""
    monkeypatch.setattr(csv_source, "_LEAST_CHUNK", 16)
    monkeypatch.setattr(text, "PIECE_BYTES", 16)
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,y\n" + b"1.5,2\n" * 50 + b"x,2\n" + b"1,2\n" * 9)
    source = CsvSource.open(DataSpec(path=str(path), target="y"), path)
    source.settle(source.survey(0, 1))
    assert source.locate(50) == f"{path}: line 52"
    source.read(0, 50)
    with pytest.raises(DataError, match="line 52, column 'a'"):
        source.read(33, source.n_samples)


def test_overflow_of_float32_is_refused(tmp_path: Path) -> None:
    """Protects from a silent infinity."""
    path = tmp_path / "t.csv"
    path.write_bytes(HEAD + b"4,1e300,6\n")
    assert 'set dtype = "float64"' in message(path, dtype="float32")
    assert message(path, dtype="float32").startswith(f"{path}: line 3")


@pytest.mark.parametrize(
    ("content", "keys", "parts"),
    [
        (b"a,y\n", {}, ["no rows"]),
        (b"a,a,y\n1,2,3\n", {}, ["both called 'a'"]),
        (b"a,,y\n1,2,3\n", {}, ["column 2 of 3 has no name"]),
        (b"a;b;y\n1;2;3\n", {}, ["';'", "delimiter"]),
        (b"a,y\n1,2\n", {"target": "Y"}, ["'Y'", "did you mean 'y'?"]),
        (b"a,y\n1,2\n", {"target": 2}, ["data.target is 2", "0 to 1"]),
        (b"a,y\n1,2\n", {"target": -3}, ["data.target is -3"]),
        (b"a,y\n1,2\n", {"target": ""}, ["data.target", "'a', 'y'"]),
        (b"1,2\n3,4\n", {}, ["no column is called 'y'", "number"]),
        (b"y\n1\n", {}, ["no column but the target"]),
        (b"a,\xff\n1,2\n", {}, ["line 1", "UTF-8"]),
        (b'a,"y\n1,2\n', {}, ["line 1"]),
        (b"a,y\n1,no\n2,\n", {}, ["line 3, column 'y'", "expected a label"]),
    ],
    ids=repr,
)
def test_headers_and_targets_that_make_no_sense(
    tmp_path: Path, content: bytes, keys: dict[str, object], parts: list[str]
) -> None:
    """Protects from training on the wrong columns."""
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    text = message(path, None, **keys)
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b\x08\x00rest", "gzip"),
        (b"PK\x03\x04rest", "zip archive"),
        (b"\xff\xfea\x00,\x00", "UTF-16"),
        (b"\x93NUMPY\x01\x00", ".npy file"),
        (b"PAR1rest", "Parquet"),
    ],
)
def test_another_format_named_csv_is_recognized(tmp_path: Path, content: bytes, words: str) -> None:
    """Protects from hundreds of columns of noise."""
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_source(DataSpec(path="t.csv", format="csv", target="y"), tmp_path)
