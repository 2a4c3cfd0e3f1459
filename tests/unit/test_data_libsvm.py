"""LIBSVM text: rows are those that scikit-learn's reader finds, however the text is divided."""

from __future__ import annotations

import gzip
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.formats import libsvm_chunks, libsvm_parse
from mpi_gd.data.names import default_names
from mpi_gd.data.probe import guess_format
from mpi_gd.errors import DataError, JobError
from mpi_gd.numbered import MANY, NumberedNames

NUMBERS = [libsvm_parse._by_arrow, libsvm_parse._by_numpy]
FINITE = st.floats(allow_nan=False, allow_infinity=False)
ROWS = st.lists(
    st.tuples(FINITE, st.dictionaries(st.integers(1, 40), FINITE, max_size=6)),
    min_size=1,
    max_size=12,
)
shared_fixtures = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def settled(spec: DataSpec, base: Path, parts: int = 1, **keys: Any) -> Source:
    source = open_source(spec, base, **keys)
    source.settle(np.sum([source.survey(part, parts) for part in range(parts)], axis=0))
    return source


def opened(folder: Path, text: str | bytes, parts: int = 1, **keys: Any) -> Source:
    """Write a file and open it as `parts` ranks do together."""
    (folder / "t.svm").write_bytes(text if isinstance(text, bytes) else text.encode())
    return settled(DataSpec(path="t.svm", **keys), folder, parts)


def dense(source: Source, start: int = 0, stop: int | None = None) -> Any:
    return source.read(start, source.n_samples if stop is None else stop).x.rows.toarray()


@given(rows=ROWS, chunk=st.integers(1, 80), piece=st.integers(1, 60), data=st.data())
@shared_fixtures
def test_any_division_gives_the_same_rows(
    tmp_path: Path, monkeypatch: Any, rows: list[Any], chunk: int, piece: int, data: st.DataObject
) -> None:
    """Chunks end anywhere, lines are longer than them, and not all lines are rows."""
    with monkeypatch.context() as patched:
        patched.setattr(libsvm_chunks, "_LEAST_CHUNK", chunk)
        patched.setattr(libsvm_chunks, "_PIECE_BYTES", piece)
        text = ""
        for label, features in rows:
            text += data.draw(st.sampled_from(["", "", "\n", "# 3 4:5\n", " \t\n"]))
            blank = data.draw(st.sampled_from([" ", " ", "\t", "  "]))
            plus = data.draw(st.sampled_from(["", "+"])) if label >= 0 else ""
            pairs = [f"{index}:{features[index]!r}" for index in sorted(features)]
            query = data.draw(st.sampled_from([[], [], ["qid:7"]]))
            sign = "" if repr(label)[0] == "-" else plus
            text += sign + blank.join([repr(label), *query, *pairs])
            text += data.draw(st.sampled_from(["\n", "\n", " \n", "\r\n", " # 8:9\n"]))
        text = text.removesuffix("\n") if data.draw(st.booleans()) else text
        source = opened(tmp_path, text, data.draw(st.integers(1, 5)), n_features=40, index_base=1)
        expected = np.zeros((len(rows), 40))
        for row, (_, features) in enumerate(rows):
            for index, value in features.items():
                expected[row, index - 1] = value
        assert source.n_samples == len(rows)
        assert source.n_stored == sum(len(features) for _, features in rows)
        start = data.draw(st.integers(0, len(rows)))
        stop = data.draw(st.integers(start, len(rows)))
        np.testing.assert_array_equal(dense(source, start, stop), expected[start:stop])
        labels = [label for label, _ in rows]
        np.testing.assert_array_equal(source.read(start, stop).y, labels[start:stop])
        line = int(source.locate(len(rows) - 1).rpartition(" ")[2])
        assert repr(labels[-1]) in text.split("\n")[line - 1]


@pytest.mark.parametrize("numbers", NUMBERS)
@given(rows=ROWS)
@shared_fixtures
def test_fast_and_slow_find_the_same_bits(numbers: Any, rows: list[Any]) -> None:
    text = "".join(
        " ".join([repr(y), *(f"{j}:{x[j]!r}" for j in sorted(x))]) + "\n" for y, x in rows
    ).encode()
    fast = libsvm_parse._parse_fast(libsvm_parse.plain(text), numbers)
    slow = libsvm_parse._parse_slowly(text, "t", 1)
    for name in ("labels", "counts", "indices", "values"):
        assert getattr(fast, name).tobytes() == getattr(slow, name).tobytes()


def test_rows_are_those_of_scikit_learn(tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    rng = np.random.default_rng(3)
    x = np.where(rng.random((300, 20)) < 0.2, rng.normal(size=(300, 20)), 0.0)
    for zero_based in (False, True):
        datasets.dump_svmlight_file(
            x, rng.integers(0, 3, 300), str(tmp_path / "t.svm"), zero_based=zero_based, comment="!"
        )
        source = settled(DataSpec(path="t.svm"), tmp_path)
        found, y = datasets.load_svmlight_file(str(tmp_path / "t.svm"))
        np.testing.assert_array_equal(dense(source), found.toarray())
        np.testing.assert_array_equal(source.read(0, 300).y, y)


def test_indices_count_from_0_if_one_is_0_anywhere(tmp_path: Path) -> None:
    (tmp_path / "a.svm").write_text("1 1:5 3:7\n")
    (tmp_path / "b.svm").write_text("0 0:2\n")
    one = settled(DataSpec(path="a.svm"), tmp_path)
    assert (one.n_features, tuple(one.columns)) == (3, ("x1", "x2", "x3"))
    both = settled(DataSpec(path=["a.svm", "b.svm"]), tmp_path)
    assert (both.n_features, tuple(both.columns)) == (4, ("x0", "x1", "x2", "x3"))
    np.testing.assert_array_equal(dense(both), [[0, 5, 0, 7], [2, 0, 0, 0]])
    as_before = DataSpec(path="a.svm").as_trained(one.columns)
    assert (as_before.index_base, as_before.n_features) == (1, 3)
    with pytest.raises(DataError, match=r"b.svm: got an index 0, expected 1 or more"):
        settled(DataSpec(path=["a.svm", "b.svm"], index_base=1), tmp_path)


def test_shards_are_one_file(tmp_path: Path) -> None:
    lines = [f"{k % 2} {k + 1}:{k}.5\n" for k in range(20)]
    cuts = [0, 0, 3, 4, 11, 20]
    for number, (a, b) in enumerate(pairwise(cuts)):
        (tmp_path / f"p{number}.svm").write_text("# none\n" + "".join(lines[a:b]))
        np.save(tmp_path / f"w{number}.npy", np.arange(a, b, dtype=float))
    (tmp_path / "whole.svm").write_text("".join(lines))
    whole = settled(DataSpec(path="whole.svm"), tmp_path)
    spec = DataSpec(path="p*.svm", weight="w*.npy")
    for parts in (1, 3, 40):
        source = settled(spec, tmp_path, parts)
        assert source.n_samples == 20
        np.testing.assert_array_equal(dense(source, 2, 17), dense(whole, 2, 17))
        block = source.read(2, 17)
        np.testing.assert_array_equal(block.extras["weight"], np.arange(2, 17))
        assert source.locate(4).endswith("p3.svm: line 2")
        assert source.locate_extra("weight", 4).endswith("w3.npy: row 0")


@pytest.mark.parametrize("name", ["t.svm.gz", "t"])
def test_compressed_text_is_read_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(b"1 2:3\n" * 50 + b"0 1:1"))
    source = settled(DataSpec(path=name, format="libsvm"), tmp_path, 2)
    assert (source.n_samples, source.n_features) == (51, 2)
    assert source.read(49, 51).y.tolist() == [1, 0]
    np.testing.assert_array_equal(dense(source, 49), [[0, 3], [1, 0]])


def test_one_giant_row_and_rows_of_nothing(tmp_path: Path) -> None:
    pairs = " ".join(f"{j}:{j}" for j in range(1, 300_001))
    source = opened(tmp_path, f"1\n2 {pairs}\n3\n", 3)
    block = source.read(0, 3)
    assert np.diff(block.x.rows.indptr).tolist() == [0, 300_000, 0]
    assert block.y.tolist() == [1, 2, 3]
    assert isinstance(source.columns, NumberedNames)
    assert source.columns[0] == "x1"


def test_names_of_many_features_remember_where_they_begin() -> None:
    assert default_names(MANY + 1, 1) != default_names(MANY + 1)
    assert default_names(MANY + 1, 1)[-1] == f"x{MANY + 1}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1 -2:3", r"line 3: got the index '-2' in '-2:3', expected a whole number"),
        ("1 2.0:3", r"line 3: got the index '2.0'"),
        ("1 1e1:3", r"line 3: got the index '1e1'"),
        ("1 4:3 2:1", r"line 3: the index 2 comes after 4, expected rising ones; sort them"),
        ("1 4:3 4:1", r"line 3: the index 4 comes twice"),
        ("1 4", r"line 3: got '4', expected index:value"),
        ("1 4:", r"line 3: got the value '', expected a finite number"),
        ("1 :4", r"line 3: got the index ''"),
        ("1 4:5:6", r"line 3: got the value '5:6'"),
        ("1 4:nan", r"line 3: got the value 'nan', expected a finite"),
        ("1 4:1e999", r"line 3: got the value '1e999', expected a finite"),
        ("1 4:1_0", r"line 3: got the value '1_0'"),
        ("inf 4:1", r"line 3: got the label 'inf'"),
        ("cat 4:1", r"line 3: got the label 'cat', expected a finite number"),
        ("1,2 4:1", r"line 3: got the labels '1,2', expected one"),
        ("1 99999999999:1", r"got the index 99999999999, expected at most"),
        ("4:1 5:1", r"line 3: got the label '4:1'"),
        ("1 4:1\x002", r"line 3: a NUL character"),
        (b"1 4:\xff", r"line 3: not text in UTF-8"),
        ("1\r2:3\r4 5:6", r"line 3: got '4', expected index:value"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, line: str | bytes, message: str) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(DataError, match=message):
        opened(tmp_path, b"1 2:3\n\n" + raw + b"\n1 2:4\n", n_features=0).read(0, 3)


def test_an_index_beyond_the_features_that_are_stated(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t.svm: got the index 9, expected at most 5: there are 5"):
        opened(tmp_path, "1 2:3\n0 9:1\n", n_features=5)
    with pytest.raises(DataError, match=r"no row has a feature.*is it a LIBSVM file"):
        opened(tmp_path, "1\n2\n")
    with pytest.raises(JobError, match="has its label first"):
        opened(tmp_path, "1 2:3\n", target="y")
    with pytest.raises(JobError, match="choose among columns that have names"):
        opened(tmp_path, "1 1:1\n", exclude=["x1"])


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a9a", "-1 3:1 11:1 \n", "libsvm"),
        ("a9a.t", "# made by hand\n\n+1 qid:3 0:.5 # x\n", "libsvm"),
        ("a.txt", "1 3:1\n", "libsvm"),
        ("a.txt", "1 3 1\n", "csv"),
        ("a.csv", "1 3:1\n", "csv"),
        ("long", "1 " + " ".join(f"{j}:1" for j in range(20_000)), "libsvm"),
    ],
)
def test_most_files_need_no_suffix(tmp_path: Path, name: str, content: str, kind: str) -> None:
    (tmp_path / name).write_text(content)
    assert guess_format(tmp_path / name) == kind
