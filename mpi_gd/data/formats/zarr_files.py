"""The files of a Zarr store, a folder or a zip of one, and what its metadata say.

The versions 2 and 3 of https://zarr-specs.readthedocs.io.
"""

from __future__ import annotations

import json
import math
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from mpi_gd.data.probe import Stamp, explained, is_folder, open_same, stamp
from mpi_gd.errors import DataError, FileError
from mpi_gd.patient import patiently

__all__ = ["ArrayMeta", "StoreFiles", "read_meta"]

_MOST_META_BYTES = 1 << 24
# A chunk of Blosc's begins with so many bytes; the last four of them are its length.
_BLOSC_BYTES = 16
_AGAIN = "copy the store again, or save it again with zarr"
# What reads numbers and texts. Others, pickle before all, may run code.
_CODECS = set("bytes endian transpose gzip zlib bz2 lzma zstd lz4 lz4hc blosc crc32c crc32".split())
_CODECS |= set("adler32 fletcher32 jenkins_lookup3 shuffle delta fixedscaleoffset quantize".split())
_CODECS |= set("bitround packbits astype vlen-utf8 vlen-bytes sharding_indexed".split())


class StoreFiles:
    """The files of a store, by their names below its folder."""

    def __init__(self, path: Path) -> None:
        """List a zip archive's; of a folder's each is looked up when it is asked for."""
        self.path = path
        self.zip_stamp: Stamp | None = None
        if is_folder(path):
            return
        self.zip_stamp = stamp(path)
        try:
            with open_same(path, self.zip_stamp) as file, ZipFile(file) as archive:
                self._sizes = {info.filename: info.file_size for info in archive.infolist()}
        except (BadZipFile, ValueError, EOFError, NotImplementedError) as error:
            raise DataError(f"{path}: the archive is damaged ({error}); {_AGAIN}") from error

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, None if it is not there; raises FileError for a pipe."""
        if self.zip_stamp is not None:
            return self._sizes.get(name)
        path = self.path / name
        with explained(path):
            try:
                status = patiently(path, path.stat)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path}: got a pipe, socket or device, expected a file; {_AGAIN}")
        return status.st_size

    def read(self, name: str) -> bytes | None:
        """Return a small file's bytes, None if it is not there."""
        size = self.size(name)
        if size is None:
            return None
        if size > _MOST_META_BYTES:
            raise DataError(f"{self.path / name}: got {size} bytes of metadata; {_AGAIN}")
        if self.zip_stamp is None:
            path = self.path / name
            with open_same(path, stamp(path)) as file:
                return bytes(file.read() or b"")
        try:
            with open_same(self.path, self.zip_stamp) as file, ZipFile(file) as archive:
                return archive.read(name)
        except (BadZipFile, zlib.error, ValueError, EOFError, RuntimeError, OSError) as error:
            raise DataError(f"{self.path}: {name}: damaged ({error}); {_AGAIN}") from error

    def require_blosc(self, name: str, size: int) -> None:
        """Raise DataError unless a chunk is as long as it says; Blosc would read on behind it."""
        if self.zip_stamp is not None:
            return
        path = self.path / name
        with open_same(path, stamp(path)) as file:
            head = file.read(_BLOSC_BYTES)
        claimed = int.from_bytes(head[12:], "little")
        if len(head) < _BLOSC_BYTES or claimed != size:
            raise DataError(
                f"{path}: the chunk is damaged: it has {size} bytes, expected {claimed} as it "
                f"begins; {_AGAIN}"
            )

    def stamp(self, name: str) -> tuple[Path, Stamp]:
        """Return the path of the file that holds this one, and its stamp."""
        if self.zip_stamp is not None:
            return self.path, self.zip_stamp
        return self.path / name, stamp(self.path / name)

    def folders(self) -> Iterator[str]:
        """Yield the names of the arrays, in no order."""
        marks = ("zarr.json", ".zarray")
        if self.zip_stamp is not None:
            names = [name for name in self._sizes if name.rpartition("/")[2] in marks]
        else:
            found = (each for mark in marks for each in self.path.rglob(mark))
            names = [str(each.relative_to(self.path)) for each in found]
        for name in names:
            folder = name.rpartition("/")[0]
            if folder and read_meta(self, folder, must=False) is not None:
                yield folder


@dataclass(frozen=True)
class ArrayMeta:
    """What the metadata say of an array."""

    file: str
    """The file that they are in."""
    version: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    """(n, ...): rows, columns of what is in one file."""
    fill: Any
    key: Mapping[str, str]
    """How the files of chunks are called: prefix, separator."""
    attributes: Mapping[str, Any]
    is_blosc: bool
    """Whether a file is what Blosc makes of a chunk."""

    def chunk_names(self, start: int, stop: int) -> Iterator[str]:
        """Yield the names of the files that hold the rows [start, stop), below the array's."""
        if stop <= start:
            return
        sides = [range(start // self.chunks[0], -(-stop // self.chunks[0]))]
        sides += [
            range(-(-n // chunk)) for n, chunk in zip(self.shape[1:], self.chunks[1:], strict=True)
        ]
        separator = self.key["separator"]
        for i in sides[0]:
            for j in sides[1] if len(sides) > 1 else [None]:
                places = str(i) if j is None else f"{i}{separator}{j}"
                yield f"{self.key['prefix']}{places}"


def read_meta(files: StoreFiles, folder: str, *, must: bool = True) -> ArrayMeta | None:
    """Return what the metadata say of the array in a folder, None if there is none.

    Raises DataError for what makes no sense, or needs what is not to be run.
    """
    inside = f"{folder}/" if folder else ""
    for name, parse in (("zarr.json", _version_3), (".zarray", _version_2)):
        text = files.read(inside + name)
        if text is None:
            continue
        where = f"{files.path}: {inside}{name}"
        try:
            found = json.loads(text.decode("utf-8"))
            if isinstance(found, dict) and found.get("node_type") == "group":
                return None
            if name == ".zarray":
                found["attributes"] = json.loads(files.read(f"{inside}.zattrs") or b"{}")
            meta = parse(inside + name, found)
            _check(meta)
        except DataError:
            if must:
                raise
            return None
        # RecursionError: a thousand brackets.
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if not must:
                return None
            raise DataError(
                f"{where}: the metadata are damaged ({type(error).__name__}: {error!s:.200}), "
                f"expected those of an array; {_AGAIN}"
            ) from error
        return meta
    return None


def _version_3(file: str, found: dict[str, Any]) -> ArrayMeta:
    """Return what a zarr.json says; raises ValueError, KeyError, TypeError."""
    _require_codecs(found["codecs"])
    grid, encoding = found["chunk_grid"], found["chunk_key_encoding"]
    if grid["name"] != "regular":
        raise ValueError(f"chunk grid {grid['name']!r:.40}, expected 'regular'")
    is_default = encoding["name"] == "default"
    if not is_default and encoding["name"] != "v2":
        raise ValueError(f"chunk key encoding {encoding['name']!r:.40}")
    separator = encoding.get("configuration", {}).get("separator", "/" if is_default else ".")
    return ArrayMeta(
        file,
        3,
        tuple(found["shape"]),
        tuple(grid["configuration"]["chunk_shape"]),
        found["fill_value"],
        {"prefix": f"c{separator}" if is_default else "", "separator": separator},
        found.get("attributes", {}),
        found["codecs"][-1:] != [] and found["codecs"][-1].get("name") == "blosc",
    )


def _version_2(file: str, found: dict[str, Any]) -> ArrayMeta:
    """Return what a .zarray says; raises ValueError, KeyError, TypeError."""
    filters, packing = found["filters"] or [], found["compressor"]
    _require_codecs([*filters, packing] if packing else filters)
    if found["dtype"] == "|O" and not any(codec["id"] == "vlen-utf8" for codec in filters):
        raise ValueError("Python objects, expected numbers or text")
    return ArrayMeta(
        file,
        2,
        tuple(found["shape"]),
        tuple(found["chunks"]),
        found["fill_value"],
        {"prefix": "", "separator": found.get("dimension_separator", ".")},
        found["attributes"],
        bool(packing) and packing.get("id") == "blosc",
    )


def _require_codecs(codecs: Any) -> None:
    """Raise ValueError for a codec that does not only turn bytes into numbers or texts."""
    if not isinstance(codecs, list):
        raise TypeError("codecs must be a list")
    for codec in codecs:
        name = str(codec.get("name", codec.get("id"))).removeprefix("numcodecs.")
        if name not in _CODECS:
            raise ValueError(
                f"the codec {name!r:.40}, which is none of {', '.join(sorted(_CODECS))}"
            )
        inner = codec.get("configuration", {}) or {}
        for key in ("codecs", "index_codecs"):
            if key in inner:
                _require_codecs(inner[key])


def _check(meta: ArrayMeta) -> None:
    """Raise ValueError for shapes that no array has."""
    for sizes, least in ((meta.shape, 0), (meta.chunks, 1)):
        if not all(type(size) is int and least <= size < 1 << 63 for size in sizes):
            raise ValueError(f"the shape {sizes!r:.60}")
    if len(meta.chunks) != len(meta.shape):
        raise ValueError(f"chunks {meta.chunks} of an array {meta.shape}")
    if math.prod(min(n, c) for n, c in zip(meta.shape, meta.chunks, strict=True)) > 1 << 32:
        raise ValueError(f"chunks {meta.chunks}, expected at most 2^32 numbers in one")
    if meta.key["separator"] not in (".", "/"):
        raise ValueError(f"the separator {meta.key['separator']!r:.10}")
