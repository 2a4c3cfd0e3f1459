"""X, y and the rows' further columns as tensors of a .safetensors file, mapped into memory.

The format is read here, and not by its package, which knows no bfloat16 in NumPy: eight bytes with
the length of a JSON text, the text with the type, the shape and the place of each tensor, their
bytes (https://github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty, cut_rows
from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.npyheader import ArrayHeader
from mpi_gd.data.probe import Stamp, foreign_format, open_same, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import ArrayStore
from mpi_gd.data.stored import MappedArray, StoredArray
from mpi_gd.errors import DataError

__all__ = ["SafetensorsSource", "Tensors"]

# The format's own limit.
_MOST_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8
_TYPES = {
    "BOOL": "?",
    **{f"{kind}{bits}": f"<{kind.lower()}{bits // 8}" for kind in "IU" for bits in (8, 16, 32, 64)},
    **{f"F{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
    # The upper half of a float32.
    "BF16": "<u2",
}
_AGAIN = "copy it again, or save it again with safetensors.numpy.save_file"


class SafetensorsSource(ArraySource):
    """X, y and the rest as tensors of a file; each rank touches the pages of its own rows only."""

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> SafetensorsSource:
        """Read the file's header; raises FileError, DataError, JobError."""
        return cls.of_store(Tensors(path), spec, base, purpose)


@dataclass(frozen=True)
class _Tensor:
    """What the header says of a tensor: its bytes are [begin, end) of what follows the header."""

    type_: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Tensors(ArrayStore):
    """The tensors of a file, by name; `columns` among its metadata is a JSON list of names."""

    def __init__(self, path: Path) -> None:
        """Read and check the header."""
        super().__init__(path)
        self._stamp: Stamp = stamp(path)
        foreign_format(path, "safetensors")
        with open_same(path, self._stamp) as file:
            length = _header_length(path, file.read(_LENGTH_BYTES), self._stamp.size)
            text = file.read(length)
        header = _parsed(path, text)
        self._metadata = _metadata(path, header.pop("__metadata__", {}))
        self._first_byte = _LENGTH_BYTES + length
        self._tensors = {name: _tensor(path, name, entry) for name, entry in header.items()}
        _check_places(path, self._tensors, self._stamp.size - self._first_byte)

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the tensors."""
        return tuple(self._tensors)

    def has(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self._tensors

    def find(self, name: str) -> StoredArray:
        """Return the tensor as an array; raises DataError for types that NumPy has not."""
        tensor, where = self._tensors[name], f"{self.path}: tensor {name!r}"
        if tensor.type_ not in _TYPES:
            raise DataError(
                f"{where}: got the type {tensor.type_:.20}, expected one of {', '.join(_TYPES)}; "
                "convert it first"
            )
        is_bf16 = tensor.type_ == "BF16"
        dtype = np.dtype("<f4" if is_bf16 else _TYPES[tensor.type_])
        header = ArrayHeader(tensor.shape, False, dtype, 0)
        kind = _Bfloat16Array if is_bf16 else MappedArray
        return kind(self.path, self._stamp, header, where, offset=self._first_byte + tensor.begin)

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the names of the features, if the file has them."""
        if "columns" not in self._metadata:
            return {}
        try:
            return {"columns": json.loads(self._metadata["columns"])}
        except (ValueError, RecursionError):
            return {"columns": self._metadata["columns"]}


class _Bfloat16Array(MappedArray):
    """An array whose numbers are the upper halves of float32 numbers."""

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a copy of the rows, each number as it is; raises DataError if one is too large."""
        header = self.header
        out = aligned_empty((stop - start, *header.shape[1:]), dtype)
        with open_same(self.path, self.stamp) as file:
            whole = np.memmap(file, np.dtype("<u2"), "r", self.offset, header.shape)
            for first, last in cut_rows(start, stop, header.row_items * max(4, dtype.itemsize)):
                bits = np.array(whole[first:last], dtype=np.uint32) << 16
                self._convert(bits.view(np.float32), out[first - start : last - start], first)
        return out


def _header_length(path: Path, head: bytes, size: int) -> int:
    """Return the length that the first bytes tell, if it can be."""
    length = int.from_bytes(head, "little")
    if len(head) < _LENGTH_BYTES or not 2 <= length <= size - _LENGTH_BYTES:
        raise DataError(
            f"{path}: got a file of {size} bytes whose first eight announce a header of {length}, "
            f"expected a safetensors file; {_AGAIN}"
        )
    if length > _MOST_HEADER_BYTES:
        raise DataError(
            f"{path}: the header has {length} bytes, expected at most {_MOST_HEADER_BYTES}; "
            f"{_AGAIN}"
        )
    return length


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    """Return the header's entries, each name once; raises DataError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"the name {twice!r:.60} comes twice")
        return found

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    # RecursionError: a thousand brackets.
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: the header is damaged: expected a JSON text, got {error!s:.200}; {_AGAIN}"
        ) from error
    if not isinstance(header, dict):
        raise DataError(f"{path}: the header is damaged: expected a JSON object; {_AGAIN}")
    return header


def _metadata(path: Path, found: Any) -> dict[str, str]:
    """Return the file's own words, which must be texts."""
    if not isinstance(found, dict) or not all(isinstance(word, str) for word in found.values()):
        raise DataError(f"{path}: the header's __metadata__ must be texts by name; {_AGAIN}")
    return found


def _tensor(path: Path, name: str, entry: Any) -> _Tensor:
    """Return what the header says of a tensor; raises DataError if it is not what must be said."""
    if isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}:
        type_, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if isinstance(type_, str) and _are_sizes(shape) and _are_sizes(offsets, length=2):
            tensor = _Tensor(type_, tuple(shape), *offsets)
            _check_size(path, name, tensor)
            return tensor
    raise DataError(
        f"{path}: tensor {name!r:.60}: expected its dtype, shape and data_offsets, got "
        f"{entry!r:.200}; {_AGAIN}"
    )


def _are_sizes(found: Any, length: int | None = None) -> bool:
    """Whether this is a list of whole numbers that fit 63 bits, and so many of them."""
    if not isinstance(found, list) or len(found) > 64 or length not in (None, len(found)):
        return False
    return all(type(number) is int and 0 <= number < 1 << 63 for number in found)


def _check_size(path: Path, name: str, tensor: _Tensor) -> None:
    """Raise DataError if a tensor has not the bytes that its type and shape take."""
    if tensor.type_ not in _TYPES:
        return
    wanted = math.prod(tensor.shape) * np.dtype(_TYPES[tensor.type_]).itemsize
    if tensor.end - tensor.begin != wanted:
        raise DataError(
            f"{path}: tensor {name!r:.60}: got the bytes {tensor.begin} to {tensor.end}, expected "
            f"{wanted} bytes for the shape {tensor.shape} of {tensor.type_}; {_AGAIN}"
        )


def _check_places(path: Path, tensors: Mapping[str, _Tensor], n_bytes: int) -> None:
    """Raise DataError unless the tensors cover all bytes after the header, each once."""
    placed = sorted((tensor.begin, tensor.end, name) for name, tensor in tensors.items())
    ends = itertools.chain([0], (end for _, end, _ in placed))
    for (begin, end, name), before in zip(placed, ends, strict=False):
        if begin != before or end < begin:
            raise DataError(
                f"{path}: tensor {name!r:.60}: got the bytes {begin} to {end}, expected them to "
                f"begin at {before}, where the one before ends; {_AGAIN}"
            )
    last = placed[-1][1] if placed else 0
    if last != n_bytes:
        raise DataError(
            f"{path}: got {n_bytes} bytes after the header, expected {last} as it announces; the "
            f"file is cut short, or has grown; {_AGAIN}"
        )
