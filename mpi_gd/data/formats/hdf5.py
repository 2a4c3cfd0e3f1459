"""X, y and the rows' further columns as datasets of an HDF5 file; sparse X as AnnData writes it.

The datasets of a file may be anywhere in it, "group/X". A contiguous one is mapped into memory; of
a chunked one a rank reads, and unpacks, the chunks that its rows are in.

What HDF5 itself makes of a damaged file is an error in all that was tried, but for texts of any
length: their lengths, where damaged, may have it take memory, or go on for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.chunks import cut_chunks, texts_of
from mpi_gd.data.formats.hdf5_file import find_link, opened
from mpi_gd.data.npyheader import ArrayHeader
from mpi_gd.data.probe import Stamp, foreign_format, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Source
from mpi_gd.data.sparsesource import SparseSource, is_sparse
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import ATTRIBUTES, ArrayStore
from mpi_gd.data.stored import MappedArray, StoredArray
from mpi_gd.errors import DataError

__all__ = ["Datasets", "Hdf5Source"]

# A message lists no more; a file may have a million.
_MOST_LISTED = 1000


class Hdf5Source(ArraySource):
    """X, y and the rest as datasets of a file; each rank reads its own rows."""

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> Source:
        """Read what the file says of its datasets; raises FileError, DataError, JobError.

        A group with data, indices and indptr is a sparse X.
        """
        store = Datasets(path, fills=spec.missing_chunks == "fill")
        if is_sparse(store, spec.features):
            return SparseHdf5Source.of_store(store, spec, base, purpose)
        return cls.of_store(store, spec, base, purpose)


class SparseHdf5Source(SparseSource):
    """A group with data, indices and indptr, as AnnData writes it, and y and the rest."""


class Datasets(ArrayStore):
    """The datasets of a file, by path."""

    def __init__(self, path: Path, *, fills: bool = False) -> None:
        """Open the file once; `fills`: what was never written is what the file says to fill in."""
        super().__init__(path)
        self._stamp: Stamp = stamp(path)
        self._fills = fills
        foreign_format(path, "hdf5")
        with opened(path, self._stamp):
            pass

    @property
    def names(self) -> Sequence[str]:
        """Return the paths of the first datasets."""
        import h5py

        found: list[str] = []

        def look(name: str, node: Any) -> bool | None:
            if isinstance(node, h5py.Dataset):
                found.append(str(name))
            return True if len(found) >= _MOST_LISTED else None

        with opened(self.path, self._stamp) as file:
            file.visititems(look)
        return found

    def has(self, name: str) -> bool:
        """Whether there is a dataset of this path; raises DataError for one in another file."""
        with opened(self.path, self._stamp) as file:
            return find_link(file, name, self.path) == "dataset"

    def find(self, name: str) -> StoredArray:
        """Return a dataset as an array; raises DataError for what is no numbers and no text."""
        where = f"{self.path}: dataset {name!r}"
        with opened(self.path, self._stamp, where) as file:
            node = file[name]
            dtype = _type_of(node, where)
            _check_layout(node, where, fills=self._fills)
            header = ArrayHeader(tuple(node.shape), False, dtype, 0)
            offset = _offset(node, dtype)
            chunks = node.chunks
        if offset is not None:
            return MappedArray(self.path, self._stamp, header, where, offset=offset)
        return _Hdf5Array(self.path, self._stamp, header, where, name=name, chunks=chunks)

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return the attributes of a dataset or group, as Python's texts, numbers and lists."""
        found = {}
        where = f"{self.path}: {name!r}"
        with opened(self.path, self._stamp, where) as file:
            attributes = file[name].attrs
            for key in ATTRIBUTES:
                if key not in attributes:
                    continue
                # A damaged one would have HDF5 fill the memory.
                if attributes.get_id(key).get_storage_size() > self._stamp.size:
                    raise ValueError(f"the attribute {key} is larger than the file")
                value = attributes[key]
                if isinstance(value, np.ndarray) and value.dtype.kind == "S":
                    value = np.strings.decode(value, "utf-8")
                plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
                found[key] = plain.decode("utf-8") if isinstance(plain, bytes) else plain
        return found


@dataclass(frozen=True)
class _Hdf5Array(StoredArray):
    """A dataset whose bytes cannot be used as they lie in the file."""

    name: str
    chunks: tuple[int, ...] | None

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a copy of the rows; read by chunks, each of which is unpacked once."""
        header = self.header
        if header.dtype.kind == "U":
            with opened(self.path, self.stamp, self.where) as file:
                texts = file[self.name].asstr("utf-8")[start:stop] if stop > start else []
            return texts_of(texts, (stop - start, *header.shape[1:]), self.where)
        out = aligned_empty((stop - start, *header.shape[1:]), dtype)
        chunks = self.chunks or (1, *header.shape[1:])
        with opened(self.path, self.stamp, self.where) as file:
            node = file[self.name]
            if dtype == header.dtype and dtype.isnative and out.size:
                # HDF5 takes one chunk after another by itself.
                node.read_direct(out, np.s_[start:stop])
                return out
            for rows, columns in cut_chunks(start, stop, header, chunks):
                part = out[rows.start - start : rows.stop - start]
                self._convert(
                    node[(rows, *columns)], part[(slice(None), *columns)], first=rows.start
                )
        return out


def _type_of(node: Any, where: str) -> np.dtype[Any]:
    """Return the type of a dataset's elements, that of text as "U1"; raises DataError."""
    import h5py

    found: np.dtype[Any] = node.dtype
    if h5py.check_string_dtype(found) is not None and found.kind == "O":
        return np.dtype("U1")
    names = h5py.check_enum_dtype(found)
    what = None
    if h5py.check_ref_dtype(found) is not None:
        what = "references"
    elif names is not None and found.kind != "b":
        what = f"names of a list ({', '.join(names)})"[:200]
    elif found.kind == "O":
        what = "Python objects or lists of any length"
    elif found.names:
        what = f"records ({', '.join(found.names)})"[:200]
    elif found.kind not in "biufS" or found.itemsize == 0:
        what = str(found)
    if what is not None:
        raise DataError(
            f"{where}: got {what}, expected numbers or text; save a dataset of them, as "
            "h5py.File.create_dataset does"
        )
    if not node.shape:
        raise DataError(
            f"{where}: got {'nothing' if node.shape is None else 'one value'}, expected an array; "
            "save it again"
        )
    return found


def _check_layout(node: Any, where: str, *, fills: bool) -> None:
    """Raise DataError for bytes that lie in other files, or were never written."""
    if node.is_virtual or node.external:
        raise DataError(
            f"{where}: its numbers lie in other datasets or files, expected them in it: what is "
            "missing there would be read as zeros; copy it into one dataset"
        )
    if fills or 0 in node.shape:
        return
    if node.chunks is None:
        expected, got = 1, int(node.id.get_storage_size() > 0)
    else:
        lengths = zip(node.shape, node.chunks, strict=True)
        expected = int(np.prod([-(-n // chunk) for n, chunk in lengths], dtype=object))
        got = node.id.get_num_chunks()
    if got < expected:
        raise DataError(
            f"{where}: only {got} of {expected} chunks were ever written, the rest would be read "
            f'as {node.fillvalue!r}; write it again, or set missing_chunks = "fill"'
        )


def _offset(node: Any, dtype: np.dtype[Any]) -> int | None:
    """Return the byte at which a dataset begins, if its bytes lie there as NumPy knows them."""
    import h5py

    offset = node.id.get_offset()
    n_bytes = int(np.prod(node.shape, dtype=object)) * dtype.itemsize
    if dtype.kind not in "biuf" or offset is None or node.id.get_storage_size() != n_bytes:
        return None
    if dtype.kind == "b" or node.chunks is not None:
        # HDF5 keeps booleans as numbers with names, of which any may be there.
        return None
    return int(offset) if node.id.get_type().equal(h5py.h5t.py_create(dtype)) else None
