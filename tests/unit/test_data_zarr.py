"""Zarr: rows are those that zarr saved, in both versions; no zeros for what is missing."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
import zarr

from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.formats.zarr import ZarrArrays
from mpi_gd.errors import DataError, FileError, JobError

RNG = np.random.default_rng(3)
X = RNG.integers(1, 100, (23, 4))
Y = np.arange(1.0, 24.0)
each_version = pytest.mark.parametrize("version", [2, 3])


def saved(folder: Path, version: int = 3, x: Any = X, y: Any = Y, **keys: Any) -> Path:
    """Write X and y; return X's folder."""
    path = folder / "x.zarr"
    shutil.rmtree(path, ignore_errors=True)
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.create_array("X", shape=x.shape, dtype=x.dtype, **{"chunks": (5, 3), **keys})[:] = x
    group.create_array("y", shape=y.shape, dtype=y.dtype, chunks=(7,))[:] = y
    return path / "X"


def opened(folder: Path, **keys: Any) -> Source:
    return open_source(DataSpec(path="x.zarr", **keys), folder)


@each_version
@pytest.mark.parametrize("dtype", ["<f8", ">f4", "<f2", "i1", "bool"])
def test_any_range_is_the_slice_of_the_array(tmp_path: Path, version: int, dtype: str) -> None:
    x = (X if dtype != "bool" else X > 50).astype(dtype)
    saved(tmp_path, version, x)
    source = opened(tmp_path)
    assert source.dtype == (x.dtype.newbyteorder("=") if x.dtype.kind == "f" else np.float64)
    for start, stop in ((0, 23), (5, 6), (7, 20), (23, 23)):
        block = source.read(start, stop)
        assert block.x.dtype == source.dtype and block.x.flags.c_contiguous
        np.testing.assert_array_equal(block.x, x[start:stop].astype(float))
        np.testing.assert_array_equal(block.y, Y[start:stop])


@pytest.mark.parametrize(
    "keys",
    [
        {"chunks": (2, 2), "shards": (6, 4)},
        {"compressors": None},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}},
    ],
    ids=["shards", "plain", "keys of v2"],
)
def test_other_layouts(tmp_path: Path, keys: dict[str, Any]) -> None:
    saved(tmp_path, 3, X.astype(float), **keys)
    np.testing.assert_array_equal(opened(tmp_path).read(4, 21).x, X[4:21])


@each_version
def test_a_zip_of_a_store(tmp_path: Path, version: int) -> None:
    saved(tmp_path, version)
    shutil.make_archive(str(tmp_path / "z.zarr"), "zip", tmp_path / "x.zarr")
    source = open_source(DataSpec(path="z.zarr.zip"), tmp_path)
    np.testing.assert_array_equal(source.read(4, 21).x, X[4:21])


@each_version
def test_text_names_paths_and_roles(tmp_path: Path, version: int) -> None:
    group = zarr.open_group(tmp_path / "x.zarr", mode="w", zarr_format=version)
    rows = group.create_array("run/rows", shape=X.shape, dtype="f8", chunks=(9, 4))
    rows[:] = X
    rows.attrs["columns"] = ["a", "b", "c", "é"]
    labels = group.create_array("run/label", shape=(23,), dtype=str, chunks=(9,))
    labels[:] = np.array(["no", "Köln"] * 11 + ["yes"])
    source = opened(tmp_path, features="run/rows", target="run/label")
    assert source.columns == ("a", "b", "c", "é")
    assert source.read(1, 4).y.tolist() == ["Köln", "no", "Köln"]
    with pytest.raises(DataError, match=r"no array is called 'run/row' .* did you mean 'run/rows'"):
        opened(tmp_path, features="run/row", target="run/label")
    with pytest.raises(DataError, match="no array is called"):
        opened(tmp_path, features="../x.zarr/run/rows", target="run/label")


def test_sparse_rows_as_anndata_writes_them(tmp_path: Path) -> None:
    x = scipy.sparse.csr_array(X * (X > 60))
    group = zarr.open_group(tmp_path / "x.zarr", mode="w")
    inner = group.create_group("X", attributes={"encoding-type": "csr_matrix", "shape": x.shape})
    for name in ("data", "indices", "indptr"):
        values = getattr(x, name)
        array = inner.create_array(
            name, shape=values.shape, dtype=values.dtype, config={"write_empty_chunks": True}
        )
        array[:] = values
    group.create_array("y", shape=(23,), dtype="f8")[:] = Y
    block = opened(tmp_path).read(5, 20)
    np.testing.assert_array_equal(block.x.rows.toarray(), x[5:20].toarray())


@each_version
@pytest.mark.parametrize("place", ["0", "1", "4"])
def test_a_missing_chunk_is_refused_unless_the_job_says(
    tmp_path: Path, version: int, place: str
) -> None:
    """Protects from training on the zeros of an incomplete copy."""
    folder = saved(tmp_path, version)
    chunk = f"{place}.1" if version == 2 else f"c/{place}/1"
    (folder / chunk).unlink()
    with pytest.raises(DataError, match=rf"array 'X': the chunk {chunk} has no file"):
        opened(tmp_path).read(0, 23)
    x = opened(tmp_path, missing_chunks="fill").read(0, 23).x
    assert (x[5 * int(place) :, 3][:3] == 0).all() and (x[:, :3] == X[:, :3]).all()


@each_version
@pytest.mark.parametrize("damage", ["cut", "empty", "noise"])
def test_a_damaged_chunk(tmp_path: Path, version: int, damage: str) -> None:
    folder = saved(tmp_path, version, X.astype(float))
    chunk = folder / ("1.0" if version == 2 else "c/1/0")
    content = chunk.read_bytes()
    noise = bytes(RNG.integers(0, 256, len(content), dtype=np.uint8))
    chunk.write_bytes({"cut": content[:-9], "empty": b"", "noise": noise}[damage])
    with pytest.raises(
        DataError, match=r"zarr cannot read it|the chunk is damaged|the file is empty"
    ):
        opened(tmp_path).read(0, 23)


def changed(path: Path, **words: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **words}))


@pytest.mark.parametrize(
    ("file", "words", "message"),
    [
        ("zarr.json", {"shape": [1 << 50, 4]}, "has no file"),
        ("zarr.json", {"shape": [-1, 4]}, "the shape"),
        ("zarr.json", {"shape": [23, 4, 2]}, "chunks"),
        ("zarr.json", {"shape": "no"}, "the shape"),
        ("zarr.json", {"chunk_grid": {"name": "odd"}}, "chunk grid 'odd'"),
        ("zarr.json", {"codecs": [{"name": "numcodecs.pickle"}]}, "the codec 'pickle'"),
        ("zarr.json", {"data_type": "complex64"}, "zarr cannot read it"),
        ("zarr.json", {"data_type": "unheard"}, "zarr cannot read it"),
        (".zarray", {"filters": [{"id": "pickle"}], "dtype": "|O"}, "the codec 'pickle'"),
        (".zarray", {"dtype": "|O"}, "Python objects"),
        (".zarray", {"chunks": [0, 3]}, "the shape"),
        (".zarray", {"compressor": {"id": "run"}}, "the codec 'run'"),
    ],
)
def test_metadata_that_are_not_believed(
    tmp_path: Path, file: str, words: dict[str, Any], message: str
) -> None:
    """Protects from pickled code, and from memory for shapes that are not there."""
    folder = saved(tmp_path, 3 if file == "zarr.json" else 2)
    changed(folder / file, **words)
    with pytest.raises(DataError, match=message):
        opened(tmp_path).read(0, 23)
    (folder / file).write_text("[" * 100_000)
    with pytest.raises(DataError, match="metadata are damaged"):
        opened(tmp_path)


def test_folders_and_files_that_are_no_group(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    with pytest.raises(DataError, match=r"without zarr\.json"):
        ZarrArrays(tmp_path / "x.zarr")
    zarr.save_array(str(tmp_path / "x.zarr"), X)
    with pytest.raises(DataError, match="got one array, expected a group"):
        opened(tmp_path)
    (tmp_path / "y.zarr").write_bytes(b"PK\x03\x04no")
    with pytest.raises(DataError, match="damaged"):
        open_source(DataSpec(path="y.zarr", format="zarr"), tmp_path)


def test_what_changes_while_it_is_read(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    source = opened(tmp_path)
    before = source.fingerprint()
    changed(folder / "zarr.json", shape=[24, 4])
    with pytest.raises(DataError, match="the file changed"):
        source.read(0, 3)
    saved(tmp_path, x=X + 1)
    assert opened(tmp_path).fingerprint() != before


def test_a_pipe_among_the_chunks(tmp_path: Path) -> None:
    """Protects from waiting for ever."""
    import os

    folder = saved(tmp_path)
    (folder / "c/2/0").unlink()
    os.mkfifo(folder / "c/2/0")
    with pytest.raises(FileError, match="got a pipe"):
        opened(tmp_path).read(0, 23)


def test_without_zarr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JobError, match=r'pip install "mpi_gd\[zarr\]"'):
        opened(tmp_path)
