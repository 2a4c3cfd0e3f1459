"""Weights, offsets and the like: read from every format, never features, and refused if absurd."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.formats import csv_parse
from mpi_gd.data.formats.csv_source import CsvSource
from mpi_gd.data.roles import NEEDED, ROLES, Purpose
from mpi_gd.errors import DataError, JobError, MpiGdError

N = 23
RNG = np.random.default_rng(11)
X = RNG.normal(size=(N, 3))
COLUMNS: dict[str, NDArray[Any]] = {
    "target": RNG.normal(size=N),
    "weight": np.where(np.arange(N) % 5, RNG.uniform(size=N), 0.0),
    "offset": RNG.normal(size=N),
    "exposure": RNG.uniform(0.1, 9, N),
    "trials": RNG.integers(1, 9, N),
    "cluster": np.array([f"group {k % 4}" for k in range(N)]),
}
FORMATS = ["npy", "npz", "packed", "arrow", "numpy"]
each_format = pytest.mark.parametrize("kind", FORMATS)
each_role = pytest.mark.parametrize("role", ROLES)


def cells(values: NDArray[Any]) -> list[str]:
    """Write values so that they read back as the same bits."""
    return [value if isinstance(value, str) else repr(value) for value in values.tolist()]


def stored(
    folder: Path, kind: str, columns: dict[str, NDArray[Any]], purpose: Purpose = "train"
) -> Source:
    """Save X and columns by role in one of the ways, and open them, settled."""
    names: dict[str, Any] = {role: f"the {role}" for role in columns}
    if kind == "npy":
        np.save(folder / "X.npy", X)
        names = {role: f"{role}.npy" for role in columns}
        for role, values in columns.items():
            np.save(folder / names[role], values)
        return open_source(DataSpec(path="X.npy", **names), folder, purpose=purpose)
    if kind in ("npz", "packed"):
        save = np.savez_compressed if kind == "packed" else np.savez
        arrays: dict[str, Any] = {names[role]: columns[role] for role in columns}
        save(folder / "D.npz", X=X, **arrays)
        return open_source(DataSpec(path="D.npz", **names), folder, purpose=purpose)
    if kind == "arrow" and importlib.util.find_spec("pyarrow") is None:
        pytest.skip("pyarrow is not installed")
    # The features lie between the others.
    table = {"a": X[:, 0], "b": X[:, 1], **{names[role]: columns[role] for role in columns}}
    table["c"] = X[:, 2]
    rows = zip(*map(cells, table.values()), strict=True)
    lines = [",".join(table), *(",".join(row) for row in rows)]
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    parser = csv_parse._by_arrow if kind == "arrow" else csv_parse._by_numpy
    spec = DataSpec(path=str(path), **names)
    source = CsvSource.open(spec, path, purpose=purpose, parser=parser)
    source.settle(source.survey(0, 1))
    return source


def some(*roles: str, **changed: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the target and some columns, the changed ones among them."""
    return {"target": COLUMNS["target"], **{role: COLUMNS[role] for role in roles}, **changed}


@each_format
def test_all_roles_are_read_beside_the_features(tmp_path: Path, kind: str) -> None:
    """Protects each value's row and role, in any range of rows, from every format."""
    source = stored(tmp_path, kind, COLUMNS)
    assert source.n_features == 3 and set(source.role_names) == set(ROLES)
    for start, stop in ((0, N), (4, 17), (9, 9)):
        block = source.read(start, stop)
        np.testing.assert_array_equal(block.x, X[start:stop])
        np.testing.assert_array_equal(block.y, COLUMNS["target"][start:stop])
        assert set(block.extras) == set(ROLES)
        for role, values in block.extras.items():
            np.testing.assert_array_equal(values, COLUMNS[role][start:stop])
            assert values.dtype.kind == ("U" if role == "cluster" else "f")
        source.check_extras(block, start)


@each_format
@each_role
def test_each_role_alone(tmp_path: Path, kind: str, role: str) -> None:
    source = stored(tmp_path, kind, some(role))
    assert list(source.read(0, N).extras) == [role]


@each_format
def test_what_is_not_needed_is_neither_read_nor_a_feature(tmp_path: Path, kind: str) -> None:
    """Protects predictions and scores: the columns of the training may be there, or be missing."""
    for columns in (COLUMNS, some("offset", "exposure", "trials", "weight")):
        source = stored(tmp_path, kind, columns, "score")
        block = source.read(0, N)
        assert set(block.extras) == {"weight", "offset", "exposure", "trials"}
        np.testing.assert_array_equal(block.x, X)
        source = stored(tmp_path, kind, columns, "predict")
        block = source.read(0, N)
        assert set(block.extras) == {"offset", "exposure"} and np.isnan(block.y).all()
        np.testing.assert_array_equal(block.x, X)


@pytest.mark.parametrize("parser", ["arrow", "numpy"])
def test_what_is_not_needed_may_hold_anything(tmp_path: Path, parser: str) -> None:
    """Protects predictions of rows whose target and weight nobody knows yet."""
    blank = np.full(N, "")
    columns = {"target": blank, "weight": blank, "cluster": np.full(N, "?"), "offset": X[:, 0]}
    block = stored(tmp_path, parser, columns, "predict").read(2, 9)
    np.testing.assert_array_equal(block.x, X[2:9])
    np.testing.assert_array_equal(block.extras["offset"], X[2:9, 0])


BAD = [
    ("weight", -1.0, "got -1, expected 0, or a number from 1e-100 to 1e+100"),
    ("weight", np.nan, "got nan, expected 0, or"),
    ("weight", np.inf, "got inf, expected 0, or"),
    ("weight", 1e-300, "expected 0, or"),
    ("offset", np.inf, "got inf, expected a finite number"),
    ("exposure", 0.0, "got 0, expected a finite number above 0"),
    ("exposure", -2.0, "got -2, expected a finite number above 0"),
    ("trials", 2.5, "got 2.5, expected a whole number, 1 or more"),
    ("trials", 0.0, "got 0, expected a whole number, 1 or more"),
    ("cluster", 0.5, "got 0.5, expected text, or a whole number"),
]


@pytest.mark.parametrize("kind", ["npy", "npz", "packed"])
@pytest.mark.parametrize(("role", "value", "words"), BAD)
def test_a_value_out_of_range_is_named_with_its_row(
    tmp_path: Path, kind: str, role: str, value: float, words: str
) -> None:
    values = np.ones(N)
    values[13] = value
    source = stored(tmp_path, kind, some(**{role: values}))
    with pytest.raises(DataError) as caught:
        source.check_extras(source.read(5, 20), 5)
    message = str(caught.value)
    assert "row 13: " in message and f"{role} '" in message and words in message


@pytest.mark.parametrize("parser", ["arrow", "numpy"])
@pytest.mark.parametrize(
    ("role", "cell", "words"),
    [
        *((role, repr(value), words) for role, value, words in BAD if role != "cluster"),
        *((role, "", f"column 'the {role}': got nothing") for role in ROLES),
        ("weight", "many", "column 'the weight': got 'many', expected a number"),
        ("cluster", "NA", "column 'the cluster': got 'NA', expected a cluster"),
    ],
)
def test_a_bad_cell_is_named_with_its_line(
    tmp_path: Path, parser: str, role: str, cell: str, words: str
) -> None:
    values = np.array(["1"] * 13 + [cell] + ["1"] * (N - 14))
    source = stored(tmp_path, parser, some(**{role: values}))
    with pytest.raises(DataError) as caught:
        source.check_extras(source.read(5, 20), 5)
    message = str(caught.value)
    assert "t.csv: line 15" in message
    # What is no finite number is refused with the words for any cell.
    assert words in message or "missing value" in message or "finite number" in message


@pytest.mark.parametrize("kind", ["npy", "npz"])
@each_role
def test_arrays_that_do_not_fit(tmp_path: Path, kind: str, role: str) -> None:
    """Protects from arrays of other rows, which would weigh the wrong ones."""
    for values, words in (
        (np.ones(N - 1), f"got {N - 1} rows, expected {N} as in "),
        (np.ones((N, 2)), f"expected ({N},): one {role}"),
        (np.array(["a"] * N), "got an array of text"),
    ):
        if words.startswith("got an array") and role == "cluster":
            continue
        with pytest.raises(DataError) as caught:
            stored(tmp_path, kind, some(**{role: values}))
        assert words in str(caught.value) and role in str(caught.value)


def test_clusters_may_be_numbers(tmp_path: Path) -> None:
    """Protects numbers too large for float64 from meeting in one cluster."""
    source = stored(tmp_path, "npz", some(cluster=np.arange(N) - 3))
    assert source.read(0, 4).extras["cluster"].tolist() == [-3, -2, -1, 0]
    source = stored(tmp_path, "npz", some(cluster=np.arange(N) + 2**53))
    with pytest.raises(DataError, match="expected text, or a whole number"):
        source.check_extras(source.read(0, 4), 0)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"target": "y", "weight": "y"}, "data.target and data.weight name the same column"),
        ({"target": "y", "weight": -1}, "data.target and data.weight name the same column"),
        ({"target": "y", "offset": "a", "exposure": 0}, "data.offset and data.exposure"),
        ({"target": "y", "weight": "A"}, "no column is called 'A' (data.weight); did you mean 'a'"),
        ({"target": "y", "cluster": 7}, "data.cluster is 7, expected the number of one of 3"),
        ({"target": "y", "offset": "a", "weight": "b"}, "no column but the target and the weight"),
    ],
)
def test_columns_of_a_table_that_make_no_sense(
    tmp_path: Path, keys: dict[str, Any], words: str
) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,3\n")
    with pytest.raises(MpiGdError) as caught:
        open_source(DataSpec(path="t.csv", **keys), tmp_path)
    assert words in str(caught.value)


def test_columns_of_a_table_without_header(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("1,2,3,4\n5,6,7,8\n")
    spec = DataSpec(path="t.csv", target=-1, weight="1")
    source = open_source(spec, tmp_path)
    source.settle(source.survey(0, 1))
    block = source.read(0, 2)
    assert (block.x.tolist(), block.extras["weight"].tolist()) == ([[1, 3], [5, 7]], [2, 6])
    with pytest.raises(DataError, match=r"no header, for .*: give the column's number"):
        open_source(spec.with_columns({"weight": "w"}), tmp_path)


def test_arrays_by_name_that_make_no_sense(tmp_path: Path) -> None:
    np.savez(tmp_path / "D.npz", X=X, y=X[:, 0], w=np.ones(N))
    for keys, words in (
        ({"weight": "y"}, "data.target and data.weight name the same column"),
        ({"weight": "X"}, "data.features and data.weight name the same column"),
        ({"weight": "W"}, "no array is called 'W' (data.weight); did you mean 'w'"),
        ({"weight": 1}, "data.weight is 1, expected the name of an array"),
    ):
        with pytest.raises(MpiGdError) as caught:
            open_source(DataSpec(path="D.npz", **keys), tmp_path)
        assert words in str(caught.value)


def test_files_that_make_no_sense(tmp_path: Path) -> None:
    stored(tmp_path, "npy", some("weight"))
    for keys, words in (
        ({"target": "target.npy", "weight": 1}, 'set weight = "weight.npy"'),
        ({"target": "target.npy", "weight": "target.npy"}, "name the same column"),
        ({"target": "target.npy", "weight": "w.npy"}, "w.npy"),
    ):
        with pytest.raises(MpiGdError) as caught:
            open_source(DataSpec(path="X.npy", **keys), tmp_path)
        assert words in str(caught.value)


@each_format
def test_fingerprints_tell_roles_apart(tmp_path: Path, kind: str) -> None:
    """Protects a resumed run from other weights, and from none."""
    plain = stored(tmp_path, kind, some()).fingerprint()
    one = stored(tmp_path, kind, some("weight")).fingerprint()
    other = stored(tmp_path, kind, some(weight=COLUMNS["weight"] * 2)).fingerprint()
    assert len({plain, one, other, stored(tmp_path, kind, some("offset")).fingerprint()}) == 4


def test_a_missing_column_says_how_to_do_without(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n1,2,3\n")
    spec = DataSpec(path="t.csv", target="y", offset="o")
    with pytest.raises(DataError, match=r'to do without, give --set data\.offset=""'):
        open_source(spec, tmp_path, purpose="predict")
    with pytest.raises(DataError) as caught:
        open_source(spec, tmp_path)
    assert "do without" not in str(caught.value)


def test_a_test_file_of_arrays_has_all_files_that_it_takes() -> None:
    """Protects the test's scores from weights of other rows, or none."""
    keys: dict[str, Any] = {"path": "x.npy", "test": "xt.npy", "test_target": "yt.npy"}
    files = {"weight": "wt.npy"}
    assert DataSpec(**keys, weight="w.npy", cluster="c.npy", test_files=files).test_files == files
    for more in ({"weight": "w.npy"}, {"test_files": files}, {"test": "a.csv", "test_target": ""}):
        with pytest.raises(ValueError, match=r"^test_files must name|^test_files"):
            DataSpec(**{**keys, "test_files": files, **more, "offset": "o.npy"})


@pytest.mark.parametrize("weight", [0.0, -1.0, 1e200])
def test_a_classs_weight_is_positive(weight: float) -> None:
    with pytest.raises(ValueError, match=r"^class_weight of 'yes' must be"):
        DataSpec(path="a", class_weight={"no": 1.0, "yes": weight})


def test_a_format_without_such_columns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects from weights that are silently not used: a source must name what it reads."""
    (tmp_path / "t.csv").write_text("a,w,y\n1,2,3\n")
    monkeypatch.setattr(CsvSource, "open", lambda *args, **keys: Plain())
    with pytest.raises(JobError, match="has features and a target only"):
        open_source(DataSpec(path="t.csv", target="y", weight="w"), tmp_path)


class Plain(CsvSource):
    """A source that knows of no roles."""

    def __init__(self) -> None:
        pass


def test_every_role_is_needed_somewhere() -> None:
    assert set(NEEDED["train"]) == {"target", *ROLES}
    assert set(NEEDED["predict"]) < set(NEEDED["score"]) < set(NEEDED["train"])
