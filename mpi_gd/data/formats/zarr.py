"""X, y and the rows' further columns as arrays of a Zarr group, a folder or a zip of one.

Each rank reads the chunks that its rows are in. A chunk without a file stands for the array's fill
value: so an incomplete copy reads as zeros, and is refused unless the job says that it is none.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.arraysource import ArraySource
from mpi_gd.data.chunks import cut_chunks, texts_of
from mpi_gd.data.formats.zarr_files import ArrayMeta, StoreFiles, read_meta
from mpi_gd.data.npyheader import ArrayHeader
from mpi_gd.data.probe import Stamp, is_folder, is_zarr, open_same, stamp
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Source
from mpi_gd.data.sparsesource import SparseSource, is_sparse
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.store import ATTRIBUTES, ArrayStore
from mpi_gd.data.stored import StoredArray
from mpi_gd.errors import DataError, JobError, MpiGdError

__all__ = ["SparseZarrSource", "ZarrArrays", "ZarrSource"]

_AGAIN = "copy the store again, or save it again with zarr"


class ZarrSource(ArraySource):
    """X, y and the rest as arrays of a group; each rank reads its own rows."""

    @classmethod
    def open(
        cls, spec: DataSpec, path: Path, *, base: Path = Path(), purpose: Purpose = "train"
    ) -> Source:
        """Read the metadata of the arrays; raises FileError, DataError, JobError.

        A folder with data, indices and indptr is a sparse X.
        """
        store = ZarrArrays(path, fills=spec.missing_chunks == "fill")
        if is_sparse(store, spec.features):
            return SparseZarrSource.of_store(store, spec, base, purpose)
        return cls.of_store(store, spec, base, purpose)


class SparseZarrSource(SparseSource):
    """A folder with data, indices and indptr, as AnnData writes it, and y and the rest."""


class ZarrArrays(ArrayStore):
    """The arrays of a group, by path."""

    def __init__(self, path: Path, *, fills: bool = False) -> None:
        """Look at the group; `fills`: chunks without a file are what the array fills in."""
        super().__init__(path)
        if importlib.util.find_spec("zarr") is None:
            raise JobError(f'{path}: Zarr stores need zarr: pip install "mpi_gd[zarr]"')
        if not is_folder(path):
            stamp(path)
        elif not is_zarr(path):
            raise DataError(
                f"{path}: got a folder without zarr.json, .zgroup or .zarray, expected a Zarr group"
            )
        self._files, self._fills = StoreFiles(path), fills
        if read_meta(self._files, "", must=False) is not None:
            raise DataError(
                f"{path}: got one array, expected a group with arrays X and y; save them in one"
            )

    @property
    def names(self) -> Sequence[str]:
        """Return the paths of the arrays."""
        return sorted(self._files.folders())

    def has(self, name: str) -> bool:
        """Whether there is an array of this path."""
        return self._meta(name) is not None

    def _meta(self, name: str) -> ArrayMeta | None:
        """Return what is said of an array, None if there is none."""
        parts = [part for part in name.split("/") if part]
        if not parts or any(part in (".", "..") for part in parts):
            return None
        return read_meta(self._files, "/".join(parts))

    def find(self, name: str) -> StoredArray:
        """Return an array; raises DataError for what is no numbers and no text."""
        meta, where = self._meta(name), f"{self.path}: array {name!r}"
        if meta is None:
            raise DataError(f"{where}: it is gone; {_AGAIN}")
        path, mark = self._files.stamp(meta.file)
        with _opened(self._files, meta, (path, mark), where) as array:
            found = array.dtype
        if found.kind in "TO":
            found = np.dtype("U1")
        if found.kind not in "biufSU" or found.names:
            raise DataError(
                f"{where}: got {found!s:.60}, expected numbers or text; convert it first"
            )
        if not meta.shape:
            raise DataError(f"{where}: got one value, expected an array; save it again")
        header = ArrayHeader(meta.shape, False, found, 0)
        array = _ZarrArray(path, mark, header, where, self._files, meta, self._fills)
        # A shape that is damaged, or a copy that ends early, shows here before memory is taken.
        array.require_chunks(0, min(1, meta.shape[0]))
        array.require_chunks(max(0, meta.shape[0] - 1), meta.shape[0])
        return array

    def attributes(self, name: str) -> Mapping[str, Any]:
        """Return what is written beside an array or a group."""
        meta = self._meta(name)
        found: Any = meta.attributes if meta is not None else _group_attributes(self._files, name)
        return {key: found[key] for key in ATTRIBUTES if isinstance(found, dict) and key in found}


def _group_attributes(files: StoreFiles, name: str) -> Any:
    """Return what is written beside a group."""
    try:
        text = files.read(f"{name}/zarr.json")
        if text is not None:
            return json.loads(text)["attributes"]
        return json.loads(files.read(f"{name}/.zattrs") or b"{}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{files.path}: {name!r}: damaged metadata ({error}); {_AGAIN}") from error


@contextmanager
def _opened(
    files: StoreFiles, meta: ArrayMeta, expected: tuple[Path, Stamp], where: str
) -> Iterator[Any]:
    """Open an array with zarr, on one thread, whose metadata are still the same.

    Raises DataError for whatever zarr does not like.
    """
    import zarr

    zarr.config.set({"async.concurrency": 1, "threading.max_workers": 1})
    with open_same(*expected):
        try:
            store: Any = files.path
            if files.zip_stamp is not None:
                store = zarr.storage.ZipStore(files.path, mode="r")
            folder = meta.file.rpartition("/")[0]
            yield zarr.open_array(store, path=folder, mode="r", zarr_format=meta.version)
        except MpiGdError:
            raise
        # ValueError, TypeError, RuntimeError, ...: whatever damaged chunks make codecs say.
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise DataError(f"{where}: zarr cannot read it ({said:.300}); {_AGAIN}") from error
        finally:
            if files.zip_stamp is not None and not isinstance(store, Path):
                store.close()


@dataclass(frozen=True)
class _ZarrArray(StoredArray):
    """An array of a store."""

    files: StoreFiles
    meta: ArrayMeta
    fills: bool

    def rows(self, start: int, stop: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return a copy of the rows; read by chunks, each of which is unpacked once."""
        header = self.header
        before = self.require_chunks(start, stop)
        shape = (stop - start, *header.shape[1:])
        with _opened(self.files, self.meta, (self.path, self.stamp), self.where) as array:
            if header.dtype.kind == "U" and dtype.kind == "U":
                texts = array[start:stop] if stop > start else []
                return texts_of(texts, shape, self.where)
            out = aligned_empty(shape, dtype)
            for rows, columns in cut_chunks(start, stop, header, self.meta.chunks):
                part = out[rows.start - start : rows.stop - start][(slice(None), *columns)]
                self._convert(np.asarray(array[(rows, *columns)]), part, first=rows.start)
        if self.require_chunks(start, stop) != before:
            raise DataError(
                f"{self.where}: the files of its chunks changed while they were being read; start "
                "again when nothing writes to them"
            )
        return out

    def require_chunks(self, start: int, stop: int) -> int:
        """Return the bytes of the chunks of the rows [start, stop).

        Raises DataError for one without a file, unless it stands for what the array fills in.
        """
        folder = self.meta.file.rpartition("/")[0]
        total = 0
        for name in self.meta.chunk_names(start, stop):
            size = self.files.size(f"{folder}/{name}")
            if size is None and not self.fills:
                raise DataError(
                    f"{self.where}: the chunk {name} has no file, which Zarr reads as "
                    f"{self.meta.fill!r}: got an incomplete copy, or rows that are all so; copy "
                    "the store again, save it with write_empty_chunks, or set missing_chunks = "
                    '"fill"'
                )
            if size is not None and self.meta.is_blosc:
                self.files.require_blosc(f"{folder}/{name}", size)
            total += size or 0
        return total

    def sample(self) -> str:
        """Return a digest of the metadata and of the first and last chunk."""
        if self.files.zip_stamp is not None:
            return super().sample()
        digest = hashlib.sha256(self.files.read(self.meta.file) or b"")
        folder, n = self.meta.file.rpartition("/")[0], self.header.shape[0]
        for row in sorted({0, max(0, n - 1)}) if n else ():
            for name in self.meta.chunk_names(row, row + 1):
                path = self.files.path / folder / name
                if self.files.size(f"{folder}/{name}") is not None:
                    with path.open("rb") as file:
                        digest.update(file.read(1 << 16))
                break
        return f"{folder} ({digest.hexdigest()[:16]})"
