"""Every format against the same bad files: one error that names the file and says what to do."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest
import safetensors.numpy
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpi_gd.comm import SerialWorld
from mpi_gd.commands import train
from mpi_gd.data import FORMATS, DataSpec, open_source
from mpi_gd.errors import DataError, FileError, JobError, MpiGdError
from mpi_gd.options import TrainOptions
from tests.powerless import without_rights

TIMES = int(os.environ.get("MPI_GD_FUZZ_EXAMPLES", "1"))
X = np.arange(1.0, 61.0).reshape(20, 3)
Y = np.arange(20.0) % 2
NAMES = {
    "npy": "x.npy",
    "npz": "x.npz",
    "csv": "x.csv",
    "parquet": "x.parquet",
    "arrow": "x.arrow",
    "hdf5": "x.h5",
    "zarr": "x.zarr.zip",
    "safetensors": "x.safetensors",
    "libsvm": "x.svm",
}
# Half of a text is a text; the end of a plain array is told by its header.
TEXTS = {"csv", "libsvm"}


def table(x: NDArray[Any], y: NDArray[Any]) -> Any:
    names = [f"c{j}" for j in range(x.shape[1])]
    return pa.table({**dict(zip(names, x.T, strict=True)), "y": y})


def make(kind: str, path: Path, x: NDArray[Any], y: NDArray[Any]) -> None:
    """Write the rows in a format; the target is called y."""
    match kind:
        case "npy":
            np.save(path, x)
            np.save(path.parent / "y.npy", y)
        case "npz":
            np.savez_compressed(path, X=x, y=y)
        case "csv":
            lines = [
                ",".join([*map(str, row), str(label)]) for row, label in zip(x, y, strict=True)
            ]
            header = ",".join([*(f"c{j}" for j in range(x.shape[1])), "y"])
            path.write_text("\n".join([header, *lines]) + "\n")
        case "parquet":
            pyarrow.parquet.write_table(table(x, y), path, row_group_size=7)
        case "arrow":
            pyarrow.feather.write_feather(table(x, y), path, chunksize=7)
        case "hdf5":
            with h5py.File(path, "w") as file:
                file.create_dataset("X", data=x, chunks=(7, 2) if x.size else None)
                file["y"] = y
        case "zarr":
            folder = path.parent / "store"
            shutil.rmtree(folder, ignore_errors=True)
            group = zarr.open_group(str(folder), mode="w")
            for name, array in (("X", x), ("y", y)):
                made = group.create_array(
                    name, shape=array.shape, dtype="f8", config={"write_empty_chunks": True}
                )
                made[:] = array
            shutil.make_archive(str(path.with_suffix("")), "zip", folder)
        case "safetensors":
            safetensors.numpy.save_file({"X": x, "y": y}, path)
        case "libsvm":
            lines = [
                " ".join([str(label), *(f"{j}:{v}" for j, v in enumerate(row, start=1))])
                for row, label in zip(x, y, strict=True)
            ]
            path.write_text("\n".join(lines) + "\n")


@cache
def good_bytes(kind: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAMES[kind]
        make(kind, path, X, Y)
        return path.read_bytes()


def write(kind: str, path: Path) -> None:
    """Write the good file; it is made once."""
    path.write_bytes(good_bytes(kind))
    np.save(path.parent / "y.npy", Y)


def target_of(kind: str) -> str:
    return {"npy": "y.npy", "libsvm": ""}.get(kind, "y")


def read_all(kind: str, folder: Path, parts: int = 1, *, auto: bool = False) -> tuple[Any, Any]:
    """Read the file as so many ranks would together."""
    form: Any = "auto" if auto else kind
    spec = DataSpec(path=NAMES[kind], target=target_of(kind), format=form)
    source = open_source(spec, folder)
    source.fingerprint()
    source.settle(np.sum([source.survey(part, parts) for part in range(parts)], axis=0))
    cuts = [source.n_samples * part // parts for part in range(parts + 1)]
    blocks = [source.read(cuts[part], cuts[part + 1]) for part in range(parts)]
    x = [each.x if isinstance(each.x, np.ndarray) else each.x.rows.toarray() for each in blocks]
    return np.concatenate(x), np.concatenate([each.y for each in blocks])


def require_well_said(error: MpiGdError, *names: str) -> None:
    """Fail unless a message is one line that names the file and says what to do."""
    said = str(error)
    assert said.isprintable() and len(said) < 3000, said
    assert any(name in said for name in names), said
    assert ";" in said or " set " in said or "expected" in said, said


@pytest.fixture(params=sorted(FORMATS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_format_has_an_example() -> None:
    assert set(NAMES) == set(FORMATS)


@pytest.mark.parametrize("auto", [True, False])
def test_the_good_file_is_read(kind: str, auto: bool, tmp_path: Path) -> None:
    write(kind, tmp_path / NAMES[kind])
    for parts in (1, 3):
        x, y = read_all(kind, tmp_path, parts, auto=auto)
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y.astype(float), Y)


def refused(kind: str, folder: Path, *, auto: bool = False) -> str:
    """Return the message of the error that reading ends in."""
    with pytest.raises((DataError, FileError, JobError)) as caught:
        read_all(kind, folder, auto=auto)
    require_well_said(caught.value, NAMES[kind])
    return str(caught.value)


@pytest.mark.parametrize("auto", [True, False])
def test_an_empty_file(kind: str, auto: bool, tmp_path: Path) -> None:
    write(kind, tmp_path / NAMES[kind])
    (tmp_path / NAMES[kind]).write_bytes(b"")
    assert "empty" in refused(kind, tmp_path, auto=auto)


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file(kind: str, share: float, tmp_path: Path) -> None:
    write(kind, tmp_path / NAMES[kind])
    content = good_bytes(kind)
    (tmp_path / NAMES[kind]).write_bytes(content[: max(1, int(share * len(content)))])
    if kind not in TEXTS:
        refused(kind, tmp_path)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            read_all(kind, tmp_path)
        except MpiGdError as error:
            require_well_said(error, NAMES[kind])


def test_another_formats_file_under_this_name(kind: str, tmp_path: Path) -> None:
    """Protects from numbers made of another format's bytes."""
    for other in sorted(FORMATS):
        # A line of LIBSVM is a cell of CSV; what is in a zip is looked at.
        if other == kind or {kind, other} in ({"csv", "libsvm"}, {"npz", "zarr"}):
            continue
        write(kind, tmp_path / NAMES[kind])
        (tmp_path / NAMES[kind]).write_bytes(good_bytes(other))
        refused(kind, tmp_path)


def test_a_directory_where_a_file_should_be(kind: str, tmp_path: Path) -> None:
    write(kind, tmp_path / NAMES[kind])
    (tmp_path / NAMES[kind]).unlink()
    (tmp_path / NAMES[kind]).mkdir()
    assert "got a folder" in refused(kind, tmp_path)


def test_a_file_that_is_not_there(kind: str, tmp_path: Path) -> None:
    assert "check the path" in refused(kind, tmp_path)


def test_a_file_that_may_not_be_read(kind: str) -> None:
    # pytest's own folders are for root alone, as their names say.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        path = folder / NAMES[kind]
        write(kind, path)
        spec = DataSpec(path=path.name, target=target_of(kind), format=kind)  # type: ignore[arg-type]
        # What reads the format is loaded now.
        open_source(spec, folder)
        for each in [path, *path.rglob("*")] if path.is_dir() else [path]:
            each.chmod(0)
        with without_rights():
            assert "permission" in refused(kind, folder)
        path.chmod(0o755)


@pytest.mark.parametrize("how", ["grows", "shrinks"])
def test_a_file_that_changes_after_it_was_opened(kind: str, how: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES[kind]
    write(kind, path)
    spec = DataSpec(path=path.name, target=target_of(kind), format=kind)  # type: ignore[arg-type]
    source = open_source(spec, tmp_path)
    source.settle(source.survey(0, 1))
    content = path.read_bytes()
    path.write_bytes(content + b"\n" if how == "grows" else content[:-1])
    with pytest.raises(DataError, match="the file changed"):
        source.read(0, 20)


def shapes() -> Iterator[Any]:
    """Yield each format with rows or columns missing."""
    for kind in sorted(FORMATS):
        yield pytest.param(kind, X[:0], Y[:0], id=f"{kind}-no rows")
        # No table is without columns, and a line of LIBSVM may be empty.
        if kind in ("npy", "npz", "hdf5", "safetensors", "parquet", "arrow", "csv"):
            yield pytest.param(kind, X[:, :0], Y, id=f"{kind}-no features")


@pytest.mark.parametrize(("kind", "x", "y"), list(shapes()))
def test_no_rows_or_no_features(
    kind: str, x: NDArray[Any], y: NDArray[Any], tmp_path: Path
) -> None:
    make(kind, tmp_path / NAMES[kind], x, y)
    try:
        found, _ = read_all(kind, tmp_path)
    except MpiGdError as error:
        require_well_said(error, NAMES[kind])
    else:
        # Counted by the survey: whoever loads refuses it.
        assert len(found) == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none(kind: str, bad: float, tmp_path: Path) -> None:
    """Whoever finds it, the reader or the trainer: file, row and column are named."""
    x = X.copy()
    x[13, 1] = bad
    make(kind, tmp_path / NAMES[kind], x, Y)
    (tmp_path / "job.toml").write_text(
        f'[data]\npath = "{NAMES[kind]}"\ntarget = "{target_of(kind)}"\n'
        '[loss]\nkind = "logistic"\n[penalty]\nkind = "l2"\n'
    )
    with pytest.raises(DataError) as caught:
        train.run(SerialWorld(), TrainOptions(job=str(tmp_path / "job.toml"), check=True))
    require_well_said(caught.value, NAMES[kind])
    places = {"csv": "line 15, column 'c1'", "libsvm": "line 14"}
    tables = {"parquet": "row 13, column 'c1'", "arrow": "row 13, column 'c1'"}
    assert (places | tables).get(kind, "row 13, column 'x1'") in str(caught.value)


@pytest.mark.parametrize("kind", ["csv", "parquet", "arrow"])
def test_a_name_that_two_columns_have(kind: str, tmp_path: Path) -> None:
    path = tmp_path / NAMES[kind]
    twice = pa.Table.from_arrays([pa.array(X[:, 0]), pa.array(X[:, 1]), pa.array(Y)], list("aay"))
    match kind:
        case "csv":
            pyarrow.csv.write_csv(twice, path)
        case "parquet":
            pyarrow.parquet.write_table(twice, path)
        case "arrow":
            pyarrow.feather.write_feather(twice, path)
    assert "columns 1 and 2 are both called 'a'" in refused(kind, tmp_path)


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Return what changes some bytes, or leaves some out."""
    places = draw(st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=4))
    bits = draw(st.lists(st.integers(1, 255), min_size=4, max_size=4))
    cut = draw(st.integers(0, 9))

    def damage(content: bytes) -> bytes:
        changed = bytearray(content)
        for place, flip in zip(places, bits, strict=False):
            changed[int(place * len(changed))] ^= flip
        first = int(places[0] * len(changed))
        return bytes(changed[:first] + changed[first + cut :]) if cut > 7 else bytes(changed)

    return damage


@pytest.mark.parametrize("kind", sorted(FORMATS))
@settings(max_examples=20 * TIMES)
@given(damage=damages())
def test_random_damage(kind: str, damage: Callable[[bytes], bytes]) -> None:
    """Protects from crashes and tracebacks, and from ranks that see different numbers."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "y.npy", Y)
        (folder / NAMES[kind]).write_bytes(damage(good_bytes(kind)) or b"?")
        for parts in (1, 3):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                try:
                    x, y = read_all(kind, folder, parts)
                except MpiGdError as error:
                    require_well_said(error, NAMES[kind])
                    found.append(("error", ""))
                else:
                    found.append((x.tobytes(), str(y.tolist())))
    assert found[0] == found[1]


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    """Protects from running what a file says."""
    mark = tmp_path / "ran"

    class Run:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(mark),))

    objects = np.array([[Run(), Run()]], dtype=object)
    buffer = io.BytesIO()
    np.save(buffer, objects, allow_pickle=True)
    (tmp_path / "x.npy").write_bytes(buffer.getvalue())
    np.save(tmp_path / "y.npy", Y)
    np.savez(tmp_path / "x.npz", X=objects, y=Y)
    for kind in ("npy", "npz"):
        assert "never unpickled" in refused(kind, tmp_path)
    assert not mark.exists()
