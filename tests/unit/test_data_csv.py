"""CSV: any division into parts and ranges gives the same rows, and both parsers the same bits."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpi_gd.data import Block, DataSpec, text
from mpi_gd.data.formats import csv_parse, csv_source
from mpi_gd.data.formats.csv_source import CsvSource
from mpi_gd.errors import DataError

PARSERS = [
    pytest.param(
        csv_parse._by_arrow,
        id="pyarrow",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed"
        ),
    ),
    pytest.param(csv_parse._by_numpy, id="numpy"),
]
each_parser = pytest.mark.parametrize("parser", PARSERS)
# monkeypatch and tmp_path serve all examples of a test alike: each writes its file anew.
shared_fixtures = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(FINITE, min_size=width + 1, max_size=width + 1), min_size=1, max_size=30
    )
)


def opened(
    path: Path,
    content: bytes,
    parser: csv_parse.Parser | None = None,
    parts: int = 1,
    **keys: object,
) -> CsvSource:
    """Write a file and open it as `parts` ranks do together."""
    path.write_bytes(content)
    spec = DataSpec(path=str(path), **{"target": -1, **keys})  # type: ignore[arg-type]
    source = CsvSource.open(spec, path, parser=parser)
    surveys = [source.survey(part, parts) for part in range(parts)]
    assert len({len(survey) for survey in surveys}) == 1
    source.settle(np.sum(surveys, axis=0))
    return source


def whole(source: CsvSource) -> Block:
    """Read all rows."""
    return source.read(0, source.n_samples)


def as_csv(table: Sequence[Sequence[float]], end: str = "\n") -> bytes:
    """Write numbers so that they read back as the same bits."""
    return end.join(",".join(map(repr, row)) for row in table).encode()


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut even a small file into many chunks and pieces."""
    monkeypatch.setattr(csv_source, "_LEAST_CHUNK", 7)
    monkeypatch.setattr(text, "PIECE_BYTES", 11)


@each_parser
@shared_fixtures
@given(table=TABLES, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans())
def test_numbers_come_back_as_the_same_bits(
    tmp_path: Path, parser: csv_parse.Parser, table: list[list[float]], end: str, last: bool
) -> None:
    """Protects rounding: subnormals, 17 digits, -0.0, whatever the line ends are."""
    content = as_csv(table, end) + (end.encode() if last else b"")
    block = whole(opened(tmp_path / "t.csv", content, parser, header="no"))
    x, y = block.x, block.y
    wanted = np.array(table)
    assert x.tobytes() == wanted[:, :-1].tobytes()
    assert y.tobytes() == wanted[:, -1].tobytes()


@pytest.mark.usefixtures("small_pieces")
@shared_fixtures
@given(
    table=TABLES,
    parts=st.integers(1, 9),
    cuts=st.lists(st.integers(0, 30), max_size=6),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_parts_and_ranges_give_the_rows_of_one_read(
    tmp_path: Path, table: list[list[float]], parts: int, cuts: list[int], end: str
) -> None:
    """Protects the search for rows: lines across chunks and pieces, more parts than chunks."""
    source = opened(tmp_path / "t.csv", as_csv(table, end), None, parts, header="no")
    assert source.n_samples == len(table)
    bounds = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    blocks = [source.read(a, b) for a, b in itertools.pairwise(bounds)]
    wanted = np.array(table)
    np.testing.assert_array_equal(np.concatenate([block.x for block in blocks]), wanted[:, :-1])
    np.testing.assert_array_equal(np.concatenate([block.y for block in blocks]), wanted[:, -1])


@pytest.mark.usefixtures("small_pieces")
def test_each_chunk_is_counted_by_one_part(tmp_path: Path) -> None:
    """Protects the sum over ranks: parts must not overlap, nor leave a chunk out."""
    content = as_csv([[float(i), 0.5] for i in range(40)])
    source = opened(tmp_path / "t.csv", content, header="no")
    alone = source.survey(0, 1)
    for parts in (2, 3, len(alone), len(alone) + 5):
        shares = np.array([source.survey(part, parts) for part in range(parts)])
        np.testing.assert_array_equal(shares.sum(axis=0), alone)
        assert ((shares > 0).sum(axis=0) <= 1).all()


@each_parser
def test_parsers_agree_on_unusual_spellings(tmp_path: Path, parser: csv_parse.Parser) -> None:
    """Protects the result from depending on what is installed."""
    content = b'a,y\n+1.5,1\n 2. ,2\n\t.5,3\n007,-0\n1E3,4\n1e-320,5\n"6",6\n'
    block = whole(opened(tmp_path / "t.csv", content, parser, target="y"))
    x, y = block.x, block.y
    np.testing.assert_array_equal(x[:, 0], [1.5, 2.0, 0.5, 7.0, 1000.0, 1e-320, 6.0])
    assert np.signbit(y[3])


@each_parser
@pytest.mark.parametrize("target", ["kind", 1, -2])
def test_text_targets_come_back_as_text(
    tmp_path: Path, parser: csv_parse.Parser, target: str | int
) -> None:
    """Protects labels: blanks, quotes, delimiters in quotes, other alphabets."""
    content = 'a,kind,b\n1,yes,2\n3, no ,4\n5,"so, so",6\n7,Köln,8\n'.encode()
    source = opened(tmp_path / "t.csv", content, parser, target=target)
    block = whole(source)
    x, y = block.x, block.y
    assert (source.columns, source.target_name) == (("a", "b"), "kind")
    assert y.tolist() == ["yes", "no", "so, so", "Köln"]
    np.testing.assert_array_equal(x, [[1, 2], [3, 4], [5, 6], [7, 8]])
    block = source.read(2, 2)
    empty_x, empty_y = block.x, block.y
    assert (empty_x.shape, empty_y.shape, empty_y.dtype.kind) == ((0, 2), (0,), "U")


def test_kind_of_target_is_that_of_the_first_row_for_all_ranges(tmp_path: Path) -> None:
    """Protects ranks from returning text on one and numbers on another."""
    source = opened(tmp_path / "t.csv", b"a,y\n1,no\n2,yes\n3,yes\n", target="y")
    assert {source.read(k, k + 1).y.dtype.kind for k in range(3)} == {"U"}


@pytest.mark.parametrize(
    ("content", "header", "names"),
    [
        (b"a,b,y\n1,2,3\n", "auto", ("a", "b")),
        (b"1,2,3\n4,5,6\n", "auto", ("x0", "x1")),
        (b"1,2,yes\n4,5,no\n", "auto", ("x0", "x1")),
        (b"2019,2020,y\n1,2,3\n", "yes", ("2019", "2020")),
        (b"1,2,3\n", "no", ("x0", "x1")),
        (b'\xef\xbb\xbf"a","b","y"\r\n1,2,3\r\n', "auto", ("a", "b")),
    ],
)
def test_header_is_found_or_as_the_job_says(
    tmp_path: Path, content: bytes, header: str, names: tuple[str, ...]
) -> None:
    """Protects the first row from being taken for names, and names for a row."""
    source = opened(tmp_path / "t.csv", content, header=header)
    assert source.columns == names
    assert source.n_samples == content.count(b"\n") - (names != ("x0", "x1"))


@pytest.mark.parametrize("delimiter", [";", "\t", "|", " "])
def test_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    """Protects the delimiter key."""
    content = "a,y\n1.5,2\n".replace(",", delimiter).encode()
    block = whole(opened(tmp_path / "t.csv", content, delimiter=delimiter))
    x, y = block.x, block.y
    assert (x.tolist(), y.tolist()) == ([[1.5]], [2.0])


def test_blank_lines_at_the_end_are_no_rows(tmp_path: Path) -> None:
    """Protects n_samples."""
    assert opened(tmp_path / "t.csv", b"a,y\n1,2\n3,4\n\n\r\n\n").n_samples == 2


def test_float32_is_rounded_from_float64_and_aligned(tmp_path: Path) -> None:
    """Protects the bits from the parser, and BLAS from unaligned rows."""
    block = whole(opened(tmp_path / "t.csv", b"a,y\n0.1,1\n16777217,2\n", dtype="float32"))
    x, y = block.x, block.y
    assert x.dtype == np.float32 and y.dtype == np.float64
    np.testing.assert_array_equal(x[:, 0], np.array([0.1, 16777217.0]).astype(np.float32))
    assert x.flags.c_contiguous and x.ctypes.data % 64 == 0


def test_without_a_target_all_columns_are_features(tmp_path: Path) -> None:
    """Protects predictions, whose files need no target."""
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,2\n")
    source = CsvSource.open(DataSpec(path=str(path), target="y"), path, purpose="predict")
    source.settle(source.survey(0, 1))
    block = whole(source)
    x, y = block.x, block.y
    assert (source.columns, source.target_name, x.tolist()) == (("a", "b"), "", [[1.0, 2.0]])
    assert np.isnan(y).all()


def test_a_file_that_changes_after_opening_is_refused(tmp_path: Path) -> None:
    """Protects row numbers, which were counted in the old file."""
    path = tmp_path / "t.csv"
    source = opened(path, b"a,y\n1,2\n3,4\n")
    path.write_bytes(b"a,y\n1,2\n")
    with pytest.raises(DataError, match="changed while it was being read"):
        source.read(0, 2)


def test_fingerprint_tells_files_apart_and_copies_alike(tmp_path: Path) -> None:
    """Protects ranks from training on different contents of one path."""
    one = opened(tmp_path / "1.csv", b"a,y\n1,2\n").fingerprint()
    assert one == opened(tmp_path / "2.csv", b"a,y\n1,2\n").fingerprint()
    assert one != opened(tmp_path / "3.csv", b"a,y\n1,3\n").fingerprint()
    assert one != opened(tmp_path / "4.csv", b"b,y\n1,2\n").fingerprint()


def test_rows_that_are_not_there_are_the_callers_mistake(tmp_path: Path) -> None:
    """Protects from silently short blocks."""
    with pytest.raises(ValueError, match="rows 0 to 2 asked"):
        opened(tmp_path / "t.csv", b"a,y\n1,2\n").read(0, 2)
