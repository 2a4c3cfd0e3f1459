"""HDF5: rows are those that h5py saved, however; what would be read as zeros is refused."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse
from numpy.typing import NDArray

from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.formats import hdf5_file
from mpi_gd.errors import DataError, FileError, JobError

RNG = np.random.default_rng(3)
X = RNG.integers(0, 100, (23, 4))
Y = np.arange(23.0)
LAYOUTS: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "chunked": {"chunks": (5, 3)},
    "packed": {"chunks": (4, 4), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "growing": {"maxshape": (None, 4)},
}


def saved(folder: Path, x: Any = X, y: Any = Y, **layout: Any) -> Path:
    path = folder / "x.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=x, **layout)
        file["y"] = y
    return path


def opened(folder: Path, **keys: Any) -> Source:
    return open_source(DataSpec(path="x.h5", **keys), folder)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", "i1", ">i4", "u8", "bool"])
def test_any_range_is_the_slice_of_the_dataset(tmp_path: Path, layout: str, dtype: str) -> None:
    x = X.astype(dtype)
    saved(tmp_path, x, **LAYOUTS[layout])
    source = opened(tmp_path)
    assert source.dtype == (x.dtype.newbyteorder("=") if x.dtype.kind == "f" else np.float64)
    for start, stop in ((0, 23), (5, 6), (7, 20), (23, 23)):
        block = source.read(start, stop)
        assert block.x.dtype == source.dtype and block.x.flags.c_contiguous
        np.testing.assert_array_equal(block.x, x[start:stop].astype(float))
        np.testing.assert_array_equal(block.y, Y[start:stop])


def test_a_contiguous_dataset_is_mapped_not_copied(tmp_path: Path) -> None:
    """Protects memory: X may be larger than it."""
    saved(tmp_path, X.astype(float))
    x = opened(tmp_path).read(3, 9).x
    assert not x.flags.owndata and not x.flags.writeable


def test_ranks_together_unpack_each_chunk_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Protects from reading the whole on every rank, and from chunks read row by row."""
    x = RNG.normal(size=(4000, 50)).astype("f4")
    path = saved(tmp_path, x, np.zeros(4000), chunks=(100, 50), compression="gzip")
    source = opened(tmp_path, dtype="float64")
    n_read = 0
    fill = hdf5_file._Whole.readinto

    def count(self: Any, buffer: Any) -> int:
        nonlocal n_read
        n_read += len(buffer)
        return fill(self, buffer)

    monkeypatch.setattr(hdf5_file._Whole, "readinto", count)
    parts = [source.read(first, first + 1000).x for first in range(0, 4000, 1000)]
    np.testing.assert_array_equal(np.concatenate(parts), x.astype(float))
    assert path.stat().st_size * 0.9 < n_read < path.stat().st_size * 1.2


def test_overflow_is_named_by_its_row(tmp_path: Path) -> None:
    x = X.astype(float)
    x[17, 2] = 1e300
    saved(tmp_path, x, chunks=(3, 2))
    with pytest.raises(DataError, match="dataset 'X': row 17: a number is too large for float32"):
        opened(tmp_path, dtype="float32").read(4, 20)


def test_paths_names_roles_and_text(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w", userblock_size=512) as file:
        group = file.create_group("run/3")
        group["rows"] = X.astype(float)
        group["rows"].attrs["columns"] = ["a", "b", "c", "é"]
        group["label"] = np.array(["no", "Köln", ""] * 7 + ["x", "y"], h5py.string_dtype())
        file["w"] = np.array([b"left", b"right"] * 11 + [b""])
        file["soft"] = h5py.SoftLink("/run/3/rows")
        file["again"] = h5py.SoftLink("again")
    keys = {"target": "run/3/label", "cluster": "w", "format": "hdf5"}
    source = opened(tmp_path, features="/run/3/rows", **keys)
    assert source.columns == ("a", "b", "c", "é")
    block = source.read(1, 5)
    assert block.y.tolist() == ["Köln", "", "no", "Köln"]
    assert block.extras["cluster"].tolist() == ["right", "left", "right", "left"]
    np.testing.assert_array_equal(block.x, X[1:5])
    np.testing.assert_array_equal(opened(tmp_path, features="soft", **keys).read(22, 23).x, X[22:])
    with pytest.raises(DataError, match="links without end"):
        opened(tmp_path, features="again", **keys)
    with pytest.raises(DataError, match=r"no array is called 'run/3/row' .* did you mean"):
        opened(tmp_path, features="run/3/row", **keys)
    with pytest.raises(JobError, match="the name of an array"):
        opened(tmp_path, features="soft", target=0)


def test_a_dataset_of_names(tmp_path: Path) -> None:
    saved(tmp_path)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["columns"] = list("abcd")
    assert opened(tmp_path).columns == tuple("abcd")
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["columns"][0] = "b"
    with pytest.raises(DataError, match="columns 1 and 2 are both called 'b'"):
        opened(tmp_path)


def sparse(folder: Path, x: scipy.sparse.csr_array, **attributes: Any) -> None:
    """Write a sparse matrix as AnnData does."""
    with h5py.File(folder / "x.h5", "w") as file:
        group = file.create_group("X")
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(x, name)
        about = {"encoding-type": "csr_matrix", "shape": x.shape, **attributes}
        group.attrs.update(about)
        file["obs/y"] = Y


def test_sparse_rows_as_anndata_writes_them(tmp_path: Path) -> None:
    x = scipy.sparse.csr_array(X * (X > 60))
    sparse(tmp_path, x)
    source = opened(tmp_path, target="obs/y")
    assert source.n_stored == x.nnz
    block = source.read(5, 20)
    np.testing.assert_array_equal(block.x.rows.toarray(), x[5:20].toarray())
    np.testing.assert_array_equal(block.y, Y[5:20])
    sparse(tmp_path, x, **{"encoding-type": "csc_matrix"})
    with pytest.raises(DataError, match="of the format 'csc', expected csr"):
        opened(tmp_path, target="obs/y")
    sparse(tmp_path, x, shape="many")
    with pytest.raises(DataError, match="expected the two numbers"):
        opened(tmp_path, target="obs/y")


def write(folder: Path, name: str, value: Any, **keys: Any) -> None:
    """Put one thing into a file whose rest is right."""
    saved(folder)
    with h5py.File(folder / "x.h5", "a") as file:
        del file[name]
        if value is None or isinstance(value, h5py.ExternalLink):
            if value is not None:
                file[name] = value
        else:
            file.create_dataset(name, data=value, **keys)


ENUM = h5py.enum_dtype({"RED": 0, "GREEN": 1}, "i4")
VARIABLE = np.array([[1, 2]] * 23 + [[1]], dtype=object)[:23]


@pytest.mark.parametrize(
    ("name", "value", "keys", "words"),
    [
        ("X", np.zeros(23), {}, r"X.reshape\(-1, 1\)"),
        ("X", np.zeros((23, 0)), {}, "no features"),
        ("X", np.zeros((0, 3)), {}, "no rows"),
        ("X", np.zeros((22, 4)), {}, "got 23 rows, expected 22"),
        ("X", np.zeros((23, 2), [("a", "f8")]), {}, r"got records \(a\)"),
        ("X", np.zeros((23, 2), complex), {}, "got records|complex"),
        ("X", [["a", "b"]] * 23, {}, "array of text"),
        ("X", 3.0, {}, "got one value"),
        ("X", h5py.Empty("f8"), {}, "got nothing"),
        ("X", h5py.ExternalLink("/etc/passwd", "X"), {}, "a link into the file '/etc/passwd'"),
        ("X", None, {}, "no array is called 'X'"),
        ("y", np.zeros((23, 2)), {}, "one target"),
        ("y", np.zeros(23, "V3"), {}, r"got \|V3"),
        ("y", np.zeros(23, "i4"), {"dtype": ENUM}, "names of a list"),
        ("y", ["a" * 2000] * 23, {}, "got a text of 2000 characters"),
        ("y", [b"\xff"] * 23, {"dtype": h5py.string_dtype()}, "cannot read it .*utf-8"),
        ("y", [[1, 2]] * 23, {"dtype": h5py.vlen_dtype("i4"), "shape": (23,)}, "lists of any"),
    ],
)
def test_datasets_that_are_no_data(
    tmp_path: Path, name: str, value: Any, keys: dict[str, Any], words: str
) -> None:
    if "shape" in keys:
        keys = {**keys, "data": None}
        saved(tmp_path)
        with h5py.File(tmp_path / "x.h5", "a") as file:
            del file[name]
            file.create_dataset(name, keys["shape"], keys["dtype"])
    else:
        write(tmp_path, name, value, **keys)
    with pytest.raises(DataError, match=words):
        opened(tmp_path).read(0, 22)


@pytest.mark.parametrize("kind", ["file", "object"])
def test_references_are_no_numbers(tmp_path: Path, kind: str) -> None:
    saved(tmp_path)
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["y"]
        file.create_dataset(
            "y", (23,), h5py.ref_dtype if kind == "object" else h5py.regionref_dtype
        )
    with pytest.raises(DataError, match="got references"):
        opened(tmp_path)


@pytest.mark.parametrize("layout", [{}, {"chunks": (5, 4)}])
def test_rows_that_were_never_written(tmp_path: Path, layout: dict[str, Any]) -> None:
    """Protects from training on the zeros of a writer that died."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("X", (23, 4), "f8", **layout)
        if layout:
            file["X"][:20] = 1.0
        file["y"] = Y
    with pytest.raises(DataError, match=r"only [04] of [15] chunks were ever written"):
        opened(tmp_path)
    x = opened(tmp_path, missing_chunks="fill").read(0, 23).x
    np.testing.assert_array_equal(x[20:], 0.0)


def test_numbers_in_other_files(tmp_path: Path) -> None:
    """Protects from a file that only some hosts have, and from zeros in its place."""
    layout = h5py.VirtualLayout((23, 4), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "X", shape=(23, 4))
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_virtual_dataset("X", layout)
        file.create_dataset("Z", (23, 4), "f8", external=[(str(tmp_path / "raw"), 0, 736)])
        file["y"] = Y
    for name in ("X", "Z"):
        with pytest.raises(DataError, match="other datasets or files"):
            opened(tmp_path, features=name)


def test_a_file_that_is_open_for_writing(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w", libver="latest") as file:
        file.create_dataset("X", data=X, maxshape=(None, 4))
        file.swmr_mode = True
        with pytest.raises(DataError, match="open for writing"):
            opened(tmp_path)


def test_a_file_that_is_locked_is_read(tmp_path: Path) -> None:
    """Protects jobs on file systems without locks, and ranks beside a program that reads."""
    saved(tmp_path)
    with h5py.File(tmp_path / "x.h5", "r", locking=True):
        assert opened(tmp_path).read(0, 3).x.shape == (3, 4)


def test_a_storage_that_fails_is_no_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, chunks=(5, 4))
    source = opened(tmp_path)

    def fail(self: Any, buffer: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(hdf5_file._Whole, "readinto", fail)
    with pytest.raises(FileError, match="cannot read: no space left"):
        source.read(0, 3)


def test_without_h5py(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(JobError, match=r'pip install "mpi_gd\[hdf5\]"'):
        opened(tmp_path)


def test_a_file_that_changes_after_it_was_opened(tmp_path: Path) -> None:
    saved(tmp_path)
    source = opened(tmp_path)
    with (tmp_path / "x.h5").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="the file changed"):
        source.read(0, 3)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("layout", ["contiguous", "packed"])
def test_a_truncated_file(tmp_path: Path, share: float, layout: str) -> None:
    path = saved(tmp_path, **LAYOUTS[layout])
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match=r"x\.h5.*(HDF5 cannot read it|cannot tell)"):
        opened(tmp_path, format="hdf5").read(0, 23)


def test_a_flipped_byte_in_a_checked_chunk_is_found(tmp_path: Path) -> None:
    path = saved(tmp_path, NOISE, chunks=(23, 4), fletcher32=True)
    content = bytearray(path.read_bytes())
    place = content.index(NOISE[7].tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="dataset 'X': HDF5 cannot read it"):
        opened(tmp_path, dtype="float32").read(0, 3)


NOISE: NDArray[Any] = RNG.normal(size=(23, 4))


def test_bytes_that_are_no_hdf5_are_not_taken_for_an_open_file(tmp_path: Path) -> None:
    """The bytes that tell whether a program writes it mean that in an HDF5 file alone."""
    (tmp_path / "x.h5").write_bytes(b"\x00\x01GARBAGE" * 50)
    with pytest.raises(DataError, match="HDF5 cannot read it") as caught:
        open_source(DataSpec(path="x.h5"), tmp_path)
    assert "has the file open" not in str(caught.value)
