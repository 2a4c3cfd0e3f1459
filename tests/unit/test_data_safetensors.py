"""safetensors: rows are those that the format's own package saved; no damaged header passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.errors import DataError

RNG = np.random.default_rng(3)
X = RNG.integers(0, 100, (23, 4))
Y = np.arange(23.0)


def opened(folder: Path, **keys: Any) -> Source:
    return open_source(DataSpec(path="x.safetensors", **keys), folder)


def raw(folder: Path, header: Any, data: bytes) -> None:
    """Write a file as the header and the bytes say, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "x.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u1", "i4", "u8", "bool"])
def test_any_range_is_the_slice_of_the_tensor(tmp_path: Path, dtype: str) -> None:
    x = X.astype(dtype)
    safetensors.numpy.save_file(
        {"a": np.ones(3, "u1"), "emb": x, "label": Y}, tmp_path / "x.safetensors"
    )
    source = opened(tmp_path, features="emb", target="label")
    assert source.dtype == (x.dtype if x.dtype.kind == "f" else np.float64)
    for start, stop in ((0, 23), (5, 6), (7, 20), (23, 23)):
        block = source.read(start, stop)
        np.testing.assert_array_equal(block.x, x[start:stop].astype(float))
        np.testing.assert_array_equal(block.y, Y[start:stop])


def test_embeddings_of_float16_are_mapped(tmp_path: Path) -> None:
    """Protects memory: X may be larger than it."""
    safetensors.numpy.save_file({"X": X.astype("f2"), "y": Y}, tmp_path / "x.safetensors")
    x = opened(tmp_path).read(3, 9).x
    assert x.dtype == np.float16 and not x.flags.owndata and not x.flags.writeable


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    """Protects every finite number of it, and its overflow in narrower types."""
    bits = np.arange(1 << 16, dtype=np.uint16).reshape(-1, 4)
    header = {
        "X": entry("BF16", [16384, 4], 0, 131072),
        "y": entry("U8", [16384], 131072, 147456),
    }
    raw(tmp_path, header, bits.tobytes() + bytes(16384))
    source = opened(tmp_path)
    assert source.dtype == np.float32
    wanted = (bits.astype(np.uint32) << 16).view(np.float32)
    found = source.read(100, 16384).x
    np.testing.assert_array_equal(found.view(np.uint32), wanted[100:].view(np.uint32))
    with pytest.raises(DataError, match=r"tensor 'X': row \d+: a number is too large for float16"):
        opened(tmp_path, dtype="float16").read(0, 16384)


def test_names_and_a_target_in_another_file(tmp_path: Path) -> None:
    """Protects embeddings, whose labels are elsewhere."""
    names = json.dumps(["a", "b", "c", "d"])
    safetensors.numpy.save_file({"X": X}, tmp_path / "x.safetensors", {"columns": names})
    np.save(tmp_path / "label.npy", Y)
    source = opened(tmp_path, target="label.npy")
    assert source.columns == ("a", "b", "c", "d") and source.target_name == "label"
    np.testing.assert_array_equal(source.read(2, 5).y, Y[2:5])
    safetensors.numpy.save_file({"X": X}, tmp_path / "x.safetensors", {"columns": "age"})
    with pytest.raises(DataError, match="expected 4 texts"):
        opened(tmp_path, target="label.npy")


def test_a_test_file_has_a_target_file_of_its_own() -> None:
    """Protects from scores with the labels of other rows."""
    keys: dict[str, Any] = {"path": "a.safetensors", "target": "y.npy", "test": "b.safetensors"}
    assert DataSpec(**keys, test_target="z.npy").test_target == "z.npy"
    with pytest.raises(ValueError, match=r"^test_target must be the file of y"):
        DataSpec(**keys)
    with pytest.raises(ValueError, match=r"^test_files must name"):
        DataSpec(**keys, test_target="z.npy", weight="w.npy")


GOOD = {"X": entry("F32", [2, 2], 0, 16), "y": entry("F64", [2], 16, 32)}


@pytest.mark.parametrize(
    ("header", "n_bytes", "words"),
    [
        (GOOD, 31, "got 31 bytes after the header, expected 32"),
        (GOOD, 33, "got 33 bytes after the header, expected 32"),
        ({**GOOD, "y": entry("F64", [2], 24, 40)}, 40, "expected them to begin at 16"),
        ({**GOOD, "y": entry("F64", [2], 8, 24)}, 24, "expected them to begin at 16"),
        ({**GOOD, "y": entry("F64", [3], 16, 32)}, 32, "expected 24 bytes for the shape"),
        ({**GOOD, "y": entry("F64", [1 << 62, 8], 16, 32)}, 32, "expected .* bytes for the shape"),
        ({**GOOD, "y": entry("F64", [-2], 16, 32)}, 32, "expected its dtype"),
        ({**GOOD, "y": entry("F64", [2], 32, 16)}, 32, "expected 16 bytes"),
        ({**GOOD, "y": {"dtype": "F64", "shape": [2]}}, 32, "expected its dtype"),
        ({**GOOD, "y": [1, 2]}, 32, "expected its dtype"),
        ({**GOOD, "y": entry("F8_E4M3", [16], 16, 32)}, 32, "type F8_E4M3, expected one of"),
        ({**GOOD, "__metadata__": {"a": 1}}, 32, "must be texts"),
        ([1], 0, "expected a JSON object|announce a header"),
        (b'{"X": {}, "X": {}}', 0, "the name 'X' comes twice"),
        (b'{"X": ' + b"[" * 100_000, 0, "header is damaged"),
        (b'{"X": 1' + b"0" * 5000 + b"}", 0, "header is damaged"),
        (b'{"X\xff": 1}', 0, "header is damaged"),
        ({"X": entry("F32", [4], 0, 16), "y": entry("F64", [2], 16, 32)}, 32, "the shape"),
        ({"x": GOOD["X"], "y": GOOD["y"]}, 32, "no array is called 'X' .* did you mean 'x'"),
    ],
)
def test_headers_that_are_not_believed(
    tmp_path: Path, header: Any, n_bytes: int, words: str
) -> None:
    """Protects from reading beyond the file, from bytes read twice, and from odd JSON."""
    raw(tmp_path, header, bytes(n_bytes))
    with pytest.raises(DataError, match=words):
        opened(tmp_path, format="safetensors")


@pytest.mark.parametrize("length", [0, 1, 1 << 40, (1 << 64) - 1])
def test_a_header_longer_than_the_file(tmp_path: Path, length: int) -> None:
    """Protects the memory."""
    (tmp_path / "x.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    with pytest.raises(DataError, match="announce a header"):
        opened(tmp_path)


def test_its_first_bytes_tell_it_from_all_others(tmp_path: Path) -> None:
    """Protects a header whose length reads like gzip's magic, and a renamed file."""
    padding = b" " * (0x8B1F - len(json.dumps(GOOD)))
    raw(tmp_path, json.dumps(GOOD).encode() + padding, bytes(32))
    assert opened(tmp_path).n_samples == 2
    (tmp_path / "x.safetensors").rename(tmp_path / "x.csv")
    assert open_source(DataSpec(path="x.csv"), tmp_path).n_samples == 2
    with pytest.raises(DataError, match="a safetensors file, expected CSV text"):
        open_source(DataSpec(path="x.csv", format="csv", target="y"), tmp_path)
