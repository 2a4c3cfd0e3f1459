""".npy and .npz: any range of rows, order, type and byte order; and arrays that are no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.errors import DataError, JobError

RNG = np.random.default_rng(7)
NUMBERS = RNG.integers(0, 100, (23, 4))
TARGET = np.arange(23.0)
KINDS = ["npy", "npz", "packed"]
each_kind = pytest.mark.parametrize("kind", KINDS)


def stored(
    folder: Path, kind: str, x: NDArray[Any], y: NDArray[Any] = TARGET, **keys: object
) -> Source:
    """Save X and y in one of the ways, and open them."""
    if kind == "npy":
        np.save(folder / "X.npy", x)
        np.save(folder / "y.npy", y)
        names: dict[str, object] = {"path": "X.npy", "target": "y.npy"}
    else:
        save = np.savez_compressed if kind == "packed" else np.savez
        save(folder / "D.npz", X=x, y=y)
        names = {"path": "D.npz"}
    return open_source(DataSpec(**{**names, **keys}), folder)  # type: ignore[arg-type]


@each_kind
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "dtype", ["<f8", ">f8", "<f4", ">f4", "<f2", "i1", "<i8", ">i4", "u2", "bool"]
)
def test_any_range_is_the_slice_of_the_array(
    tmp_path: Path, kind: str, order: str, dtype: str
) -> None:
    """Protects from misread bytes: Fortran order, big-endian, narrow types."""
    wanted = np.asarray(NUMBERS.astype(dtype), order=order)  # type: ignore[call-overload]
    source = stored(tmp_path, kind, wanted)
    own = np.dtype(dtype).newbyteorder("=")
    assert source.dtype == (own if own.kind == "f" else np.float64)
    for start, stop in ((0, 23), (5, 6), (7, 20), (23, 23), (0, 0)):
        block = source.read(start, stop)
        x, y = block.x, block.y
        assert x.dtype == source.dtype and x.dtype.isnative and x.flags.c_contiguous
        np.testing.assert_array_equal(x, wanted[start:stop].astype(np.float64))
        np.testing.assert_array_equal(y, TARGET[start:stop])
        assert y.dtype == np.float64


def test_a_plain_file_is_mapped_not_copied(tmp_path: Path) -> None:
    """Protects memory: X may be larger than it."""
    x = stored(tmp_path, "npy", NUMBERS.astype(float)).read(3, 9).x
    assert not x.flags.owndata and not x.flags.writeable


@each_kind
def test_what_is_converted_is_aligned(tmp_path: Path, kind: str) -> None:
    """Protects BLAS from odd addresses."""
    x = stored(tmp_path, kind, NUMBERS).read(1, 23).x
    assert x.ctypes.data % 64 == 0


@each_kind
def test_float32_on_request_and_its_overflow(tmp_path: Path, kind: str) -> None:
    """Protects from a silent infinity; the row's number is global."""
    x = NUMBERS.astype(float)
    assert stored(tmp_path, kind, x, dtype="float32").read(0, 5).x.dtype == np.float32
    x[17, 2] = 1e300
    with pytest.raises(DataError, match="row 17: a number is too large for float32"):
        stored(tmp_path, kind, x, dtype="float32").read(4, 20)


@each_kind
@pytest.mark.parametrize(("dtype", "number"), [("f8", 65520.0), ("f4", 1e6), ("i4", 70000)])
def test_float16_on_request_and_its_overflow(
    tmp_path: Path, kind: str, dtype: str, number: float
) -> None:
    """Protects from a silent infinity, of whole numbers too."""
    x = NUMBERS.astype(dtype)
    assert stored(tmp_path, kind, x, dtype="float16").read(0, 5).x.dtype == np.float16
    x[17, 2] = number
    with pytest.raises(DataError, match="row 17: a number is too large for float16"):
        stored(tmp_path, kind, x, dtype="float16").read(4, 20)


@each_kind
@pytest.mark.parametrize("encoded", [False, True])
def test_text_labels(tmp_path: Path, kind: str, encoded: bool) -> None:
    """Protects labels saved as str or as bytes."""
    labels = np.array(["no", "Köln", "yes"])
    saved = np.char.encode(labels, "utf-8") if encoded else labels
    y = stored(tmp_path, kind, np.eye(3), saved).read(1, 3).y
    assert y.dtype.kind == "U" and y.tolist() == ["Köln", "yes"]


@each_kind
@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.zeros(3), np.zeros(3), r"X.reshape\(-1, 1\)"),
        (np.zeros((3, 2, 2)), np.zeros(3), "the shape"),
        (np.zeros((0, 2)), np.zeros(0), "no rows"),
        (np.zeros((3, 0)), np.zeros(3), "no features"),
        (np.zeros((3, 2)), np.zeros(4), "got 4 rows, expected 3"),
        (np.zeros((3, 2)), np.zeros((3, 2)), "one target"),
        (np.array([["a"]]), np.zeros(1), "array of text"),
        (np.zeros((3, 2), complex), np.zeros(3), "complex128"),
        (np.zeros(3, [("a", "f8")]), np.zeros(3), "records"),
        (np.array([[1, None]], object), np.zeros(1), "never unpickled"),
        (np.zeros((1, 2)), np.array([{}], object), "never unpickled"),
    ],
)
def test_arrays_that_are_no_data(
    tmp_path: Path, kind: str, x: NDArray[Any], y: NDArray[Any], words: str
) -> None:
    """Protects from running pickled code, and from shapes that broadcast by chance."""
    with pytest.raises(DataError, match=words):
        stored(tmp_path, kind, x, y)


@pytest.mark.parametrize("kept", [3, 9, 40, 127, 128, 200])
def test_a_truncated_npy_is_refused_when_opened(tmp_path: Path, kept: int) -> None:
    """Protects from a bus error in the map."""
    stored(tmp_path, "npy", NUMBERS)
    content = (tmp_path / "X.npy").read_bytes()
    (tmp_path / "X.npy").write_bytes(content[:kept])
    with pytest.raises(DataError, match=r"X\.npy"):
        open_source(DataSpec(path="X.npy", target="y.npy"), tmp_path)


@pytest.mark.parametrize("kind", ["npz", "packed"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_npz_is_refused_when_opened(tmp_path: Path, kind: str, share: float) -> None:
    """Protects from half an archive."""
    stored(tmp_path, kind, NUMBERS)
    content = (tmp_path / "D.npz").read_bytes()
    (tmp_path / "D.npz").write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="damaged"):
        open_source(DataSpec(path="D.npz"), tmp_path)


def test_a_flipped_byte_in_a_compressed_member_is_found(tmp_path: Path) -> None:
    """Protects from numbers that were never saved: each rank checks the CRC."""
    source = stored(tmp_path, "packed", RNG.normal(size=(23, 4)))
    assert source.read(0, 23).x.shape == (23, 4)
    content = bytearray((tmp_path / "D.npz").read_bytes())
    content[300] ^= 0x10
    (tmp_path / "D.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"damaged|not a readable"):
        open_source(DataSpec(path="D.npz"), tmp_path).read(0, 2)


def test_bytes_after_the_array_are_refused(tmp_path: Path) -> None:
    """Protects from a second array that nobody reads."""
    stored(tmp_path, "npy", NUMBERS)
    with (tmp_path / "X.npy").open("ab") as file:
        file.write(b"more")
    with pytest.raises(DataError, match="one array and nothing else"):
        open_source(DataSpec(path="X.npy", target="y.npy"), tmp_path)


def test_columns_of_an_npz_name_the_features(tmp_path: Path) -> None:
    """Protects the names in the model, and from names of other features."""
    spec = DataSpec(path="D.npz")
    path = tmp_path / "D.npz"
    np.savez(path, X=np.eye(2), y=np.ones(2), columns=np.array(["age", "size"]))
    assert open_source(spec, tmp_path).columns == ("age", "size")
    for bad, words in ((["age"], "a name for each"), (["a", "a"], "both called"), ([1, 2], "text")):
        np.savez(path, X=np.eye(2), y=np.ones(2), columns=np.array(bad))
        with pytest.raises(DataError, match=words):
            open_source(spec, tmp_path)


def test_members_are_chosen_by_name(tmp_path: Path) -> None:
    """Protects the keys `features` and `target`; a near miss is suggested."""
    np.savez(tmp_path / "D.npz", inputs=np.eye(2), label=np.ones(2))
    spec = DataSpec(path="D.npz", features="inputs", target="label")
    assert open_source(spec, tmp_path).target_name == "label"
    with pytest.raises(DataError, match="did you mean 'label'"):
        open_source(DataSpec(path="D.npz", features="inputs", target="labels"), tmp_path)
    with pytest.raises(JobError, match="the name of an array"):
        open_source(DataSpec(path="D.npz", features="inputs", target=0), tmp_path)


@each_kind
def test_without_a_target_y_is_nan(tmp_path: Path, kind: str) -> None:
    """Protects predictions, whose files need no target."""
    stored(tmp_path, kind, NUMBERS)
    if kind == "npy":
        spec = DataSpec(path="X.npy")
        with pytest.raises(JobError, match=r"target = \"y\.npy\""):
            open_source(spec, tmp_path)
    else:
        np.savez(tmp_path / "D.npz", X=NUMBERS)
        spec = DataSpec(path="D.npz")
        with pytest.raises(DataError, match="no array is called 'y'"):
            open_source(spec, tmp_path)
    source = open_source(spec, tmp_path, purpose="predict")
    assert source.target_name == "" and np.isnan(source.read(0, 2).y).all()


@each_kind
def test_fingerprint_tells_contents_apart(tmp_path: Path, kind: str) -> None:
    """Protects ranks from training on different contents of one path."""
    one = stored(tmp_path, kind, NUMBERS).fingerprint()
    assert one == stored(tmp_path, kind, NUMBERS.copy()).fingerprint()
    assert one != stored(tmp_path, kind, NUMBERS + 1).fingerprint()


@each_kind
def test_features_are_chosen_by_names_and_patterns(tmp_path: Path, kind: str) -> None:
    """Protects from columns that are read though the job leaves them out."""
    source = stored(tmp_path, kind, NUMBERS, include=["x[123]"], exclude=["x2"])
    assert source.columns == ("x1", "x3")
    block = source.read(3, 9)
    np.testing.assert_array_equal(block.x, NUMBERS[3:9, [1, 3]])
    np.testing.assert_array_equal(block.y, TARGET[3:9])
    with pytest.raises(DataError, match=r"no column is called 'x7' \(data\.exclude\)"):
        stored(tmp_path, kind, NUMBERS, exclude=["x7"])
