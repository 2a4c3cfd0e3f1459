"""An archive gives back what was put in, with the same bytes each time, and refuses all else."""

from __future__ import annotations

import hashlib
import io
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mpi_gd.archive import ArchiveError, pack, pack_into, unpack
from mpi_gd.errors import FileError

ARRAYS = {
    "coef": np.linspace(-1, 1, 13),
    "intercept": np.array(0.1),
    "empty": np.empty((0, 3), dtype=np.float32),
    "solver.counts": np.array([[1, -2], [3, 4]], dtype=np.int64),
    "flags": np.array([True, False]),
}
METADATA = {"name": "Ünïcode \ud800", "tol": 1e-8, "nested": {"list": [1, None, True]}}
PACKED = pack(ARRAYS, METADATA)


def sealed(members: list[tuple[str | zipfile.ZipInfo, bytes]], compression: int = 0) -> bytes:
    """Return a zip of these members with the right digest: what a hostile writer could make."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as archive:
        warnings.simplefilter("ignore")  # zipfile's, about a name that comes twice
        for name, content in members:
            archive.writestr(name, content)
        archive.comment = b"sha256:" + bytes(64)
    return resealed(buffer.getvalue())


def resealed(data: bytes) -> bytes:
    """Return `data` with its last 64 bytes replaced by the digest of the others."""
    return data[:-64] + hashlib.sha256(data[:-64]).hexdigest().encode()


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].shape == b[name].shape and a[name].dtype == b[name].dtype
        assert a[name].tobytes() == b[name].tobytes()


def test_gives_back_what_was_put_in() -> None:
    arrays, metadata = unpack(PACKED)
    assert_same(arrays, ARRAYS)
    assert metadata == METADATA
    assert all(array.flags.writeable for array in arrays.values())


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(
        dtype=st.one_of(hnp.floating_dtypes(sizes=(16, 32, 64)), hnp.integer_dtypes()),
        shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
    ),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
def test_every_number_survives_bit_for_bit(array: np.ndarray, number: float) -> None:
    arrays, metadata = unpack(pack({"a": array}, {"number": number}))
    assert arrays["a"].tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()
    assert arrays["a"].shape == array.shape
    assert metadata["number"].hex() == number.hex()


def test_bytes_do_not_depend_on_order_memory_layout_or_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = np.arange(12.0).reshape(3, 4)
    one = pack({"a": matrix, "b": np.arange(3)}, {"x": 1, "y": np.int64(2)})
    monkeypatch.setattr("time.time", lambda: 1e9)
    layouts = {"b": np.arange(6)[::2] // 2, "a": np.asfortranarray(matrix).astype(">f8")}
    assert pack(layouts, {"y": 2, "x": 1}) == one


def test_a_file_gets_the_same_bytes(tmp_path: Path) -> None:
    with open(tmp_path / "a.npz", "w+b") as file:
        pack_into(file, ARRAYS, METADATA)
    assert (tmp_path / "a.npz").read_bytes() == PACKED


def test_bytes_are_those_of_format_version_one() -> None:
    """A golden digest: whoever changes the bytes must raise the format version knowingly."""
    digest = hashlib.sha256(pack({"a": np.arange(3.0)}, {"x": 0.1})).hexdigest()
    assert digest == "1bdd5db2868e2611975ccb916bc2260f51e15874fd2c724f61ff0c94d7674439"


def test_numpy_and_unzip_read_it(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(PACKED)
    with np.load(path, allow_pickle=False) as archive:
        assert_same({name: archive[name] for name in ARRAYS}, ARRAYS)
        assert json.loads(archive["metadata.json"]) == METADATA
    with zipfile.ZipFile(path) as file:
        assert file.testzip() is None


def test_array_data_begin_at_multiples_of_64_bytes() -> None:
    position = PACKED.index(ARRAYS["coef"].tobytes())
    assert position % 64 == 0


def test_every_truncation_and_addition_is_refused() -> None:
    for length in range(len(PACKED)):
        with pytest.raises(ArchiveError):
            unpack(PACKED[:length])
    for extra in (b"\0", b"x" * 100, PACKED):
        with pytest.raises(ArchiveError):
            unpack(PACKED + extra)


def test_every_flipped_byte_is_refused() -> None:
    for position in range(len(PACKED)):
        damaged = bytearray(PACKED)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ArchiveError):
            unpack(bytes(damaged))


def test_flips_under_a_right_digest_never_crash() -> None:
    """The checks behind the digest hold too: a refusal, or arrays no larger than the file."""
    for position in range(len(PACKED) - 71):
        for mask in (0x01, 0x80, 0xFF):
            damaged = bytearray(PACKED)
            damaged[position] ^= mask
            try:
                arrays, _ = unpack(resealed(bytes(damaged)))
            except ArchiveError:
                continue
            assert sum(array.nbytes for array in arrays.values()) <= len(PACKED)


JSON = ("metadata.json", b"{}")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a file that mpi_gd wrote"),
        (b"x" * 1000, "not a file that mpi_gd wrote"),
        (npy_bytes(np.arange(3.0)), "not a file that mpi_gd wrote"),
        (resealed(b"sha256:" + b"0" * 64), "malformed"),
        (sealed([]), "metadata.json is missing"),
        (sealed([JSON, JSON]), "two members"),
        (sealed([JSON, ("a.npy", b"x"), ("a.npy", b"x")]), "two members"),
        (sealed([JSON, ("../a.npy", b"x")]), "unexpected member"),
        (sealed([JSON, ("/etc/a.npy", b"x")]), "unexpected member"),
        (sealed([JSON, ("a/b.npy", b"x")]), "unexpected member"),
        (sealed([JSON, ("a.txt", b"x")]), "unexpected member"),
        (sealed([JSON], zipfile.ZIP_DEFLATED), "compressed"),
        (sealed([("metadata.json", b"[]")]), "expected an object"),
        (sealed([("metadata.json", b"{'a': 1}")]), "malformed"),
        (sealed([("metadata.json", b'{"a": NaN}')]), "not JSON"),
        (sealed([("metadata.json", b"[" * 100_000)]), "malformed"),
        (sealed([("metadata.json", b'{"a": ' + b"9" * 10_000 + b"}")]), "malformed"),
        (sealed([JSON, ("a.npy", b"")]), "not a C-ordered"),
        (sealed([JSON, ("a.npy", b"\x93NUMPY\x01\x00")]), "not a C-ordered"),
        (sealed([JSON, ("a.npy", npy_bytes(np.arange(3.0))[:-1])]), "wrong size"),
        (sealed([JSON, ("a.npy", npy_bytes(np.asfortranarray(np.ones((2, 2)))))]), "C-ordered"),
        (sealed([JSON, ("a.npy", npy_bytes(np.array(["text"])))]), "not a C-ordered"),
        (sealed([JSON, ("a.npy", npy_bytes(np.ones(2, dtype="f8,i4")))]), "not a C-ordered"),
        (
            sealed([JSON, ("a.npy", npy_bytes(np.ones(2)).replace(b"(2,), ", b"(9999999999,), "))]),
            "not a C-ordered",
        ),
        (
            sealed([JSON, ("a.npy", npy_bytes(np.ones(2)).replace(b"(2,)", b"(9,)"))]),
            "wrong size",
        ),
        (
            sealed([JSON, ("a.npy", npy_bytes(np.ones(2)).replace(b"'<f8'", b"'<f1'"))]),
            "a.npy",
        ),
    ],
)
def test_hostile_files_are_refused(data: bytes, words: str) -> None:
    with pytest.raises(ArchiveError, match=words):
        unpack(data)


def test_pickles_are_refused_unopened() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ArchiveError, match=r"a\.npy"):
        unpack(sealed([JSON, ("a.npy", buffer.getvalue())]))


class Trap:
    """An object whose unpickling would be noticed."""

    def __reduce__(self) -> tuple[object, ...]:
        return pytest.fail, ("it was unpickled",)


def test_overlapping_members_cannot_claim_more_than_the_file() -> None:
    """A zip bomb without compression: many names for the same bytes."""
    content = npy_bytes(np.zeros(1000))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(*JSON)
        archive.writestr("a.npy", content)
        entry = archive.getinfo("a.npy")
        for name in "bcdefgh":
            twin = zipfile.ZipInfo(f"{name}.npy")
            twin.header_offset, twin.CRC = entry.header_offset, entry.CRC
            twin.file_size = twin.compress_size = entry.file_size
            archive.filelist.append(twin)
        archive.comment = b"sha256:" + bytes(64)
    with pytest.raises(ArchiveError, match="claims more bytes"):
        unpack(resealed(buffer.getvalue()))


@pytest.mark.parametrize(
    ("arrays", "metadata", "words"),
    [
        ({"a": np.array(["text"])}, {}, "dtype"),
        ({"a": np.array([None])}, {}, "dtype"),
        ({"a": np.ones(2, dtype=np.longdouble)}, {}, "dtype"),
        ({"a": np.ones(2, dtype=complex)}, {}, "dtype"),
        ({"../a": np.ones(2)}, {}, "array name"),
        ({"": np.ones(2)}, {}, "array name"),
        ({}, {"x": float("nan")}, "JSON"),
        ({}, {"x": np.float64("inf")}, "JSON"),
        ({}, {"x": object()}, "JSON"),
        ({}, {"x": np.ones(2)}, "JSON"),
    ],
)
def test_what_does_not_fit_is_refused_when_written(
    arrays: dict[str, np.ndarray], metadata: dict[str, object], words: str
) -> None:
    with pytest.raises(ArchiveError, match=words):
        pack(arrays, metadata)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path, words in [
        (tmp_path / "missing.npz", "no such file"),
        (tmp_path, "it is a folder"),
        (fifo, "not a regular file"),
    ]:
        with pytest.raises(FileError, match=words) as caught:
            unpack(path)
        assert str(path) in str(caught.value)
