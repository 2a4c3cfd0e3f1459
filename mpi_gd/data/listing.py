"""The files that a data set is made of: those of a list, a folder or a pattern, in their order.

They are known by their names, sizes and times, which every rank looks up; none is opened.
"""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from mpi_gd.data.probe import Stamp, explained, is_folder, is_zarr, known_suffix, stamp
from mpi_gd.errors import DataError, FileError, JobError
from mpi_gd.patient import patiently

__all__ = ["Shard", "digest_of_shards", "find_shards", "require_one_kind"]

# What Spark, Hive and Hadoop pass over: marks of their own, checksums.
_PASSED_OVER = (".", "_")
_CHECKSUM = ".crc"


@dataclass(frozen=True)
class Shard:
    """A file of a data set of several."""

    path: Path
    name: str
    """Its path below the folder, or below the part of the pattern that is plain."""
    stamp: Stamp | None
    """None for a folder that is one shard."""

    @property
    def size(self) -> int:
        """Return its bytes, 0 if nobody counted them."""
        return self.stamp.size if self.stamp else 0


def find_shards(given: str | Sequence[str], base: Path) -> list[Shard] | None:
    """Return the shards that a job names, relative to `base`; None if it is a single file.

    Raises FileError, DataError (an empty file), JobError (a file twice).
    """
    if isinstance(given, str):
        if is_single(base / given):
            return None
        return _stamped(list(_expanded(given, base)))
    found = [pair for item in given for pair in _expanded(item, base)]
    places: dict[Path, str] = {}
    for path, name in found:
        if path in places:
            raise JobError(f"{path}: listed twice, expected each file once; remove one of them")
        places[path] = name
    return _stamped(found)


def is_single(path: Path) -> bool:
    """Whether a path is to be opened as it is: it is there, or is no pattern."""
    if is_folder(path):
        return is_zarr(path)
    return not glob.has_magic(str(path)) or path.exists()


def digest_of_shards(shards: Sequence[Shard]) -> str:
    """Describe names and sizes in few characters that tell most data sets apart."""
    text = "\0".join(f"{shard.name}\0{shard.size}" for shard in shards)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{len(shards)} files of {sum(shard.size for shard in shards)} bytes ({digest[:16]})"


def require_one_kind(shards: Sequence[Shard]) -> None:
    """Raise DataError for names of different formats."""
    first = shards[0]
    for shard in shards:
        if known_suffix(shard.path) != known_suffix(first.path):
            raise DataError(
                f"{shard.path}: the name is of another format than {first.path}, expected files "
                'of one format; name them by a pattern, as in path = "data/*.csv"'
            )


def _stamped(found: Sequence[tuple[Path, str]]) -> list[Shard]:
    """Look up what may not change."""
    return [Shard(path, name, None if is_zarr(path) else stamp(path)) for path, name in found]


def _expanded(item: str, base: Path) -> Iterator[tuple[Path, str]]:
    """Yield path and name of the files that an item stands for, in order."""
    path = base / item
    if is_single(path):
        yield path, item
    elif is_folder(path):
        yield from _in_folder(path)
    else:
        yield from _matching(item, base)


def _in_folder(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files below a folder, by name; raises FileError if there are none."""
    found = sorted(_walk(folder, ""))
    if not found:
        raise FileError(
            f"{folder}: got a folder without data files (names that begin with . or _ do not "
            "count); check the path"
        )
    for name in found:
        yield folder / name, name


def _walk(folder: Path, above: str) -> Iterator[str]:
    """Yield the names of the files below a folder, in any order; links are followed."""
    with explained(folder):
        entries = patiently(folder, lambda: list(os.scandir(folder)))
    for entry in entries:
        if _is_passed_over(entry.name):
            continue
        name = f"{above}{entry.name}"
        path = folder / entry.name
        if not entry.is_dir() or is_zarr(path):
            yield name
        else:
            yield from _walk(path, f"{name}/")


def _matching(pattern: str, base: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that match a pattern, by name; raises FileError if there are none."""
    parts = PurePath(pattern).parts
    n_plain = next(k for k, part in enumerate(parts) if glob.has_magic(part))
    root = base.joinpath(*parts[:n_plain])
    rest = str(PurePath(*parts[n_plain:]))
    if not is_folder(root):
        raise FileError(f"{base / pattern}: there is no folder {root}; check the path")
    names: set[str] = set()
    for name in glob.iglob(rest, root_dir=root, recursive=True):
        name = name.rstrip("/")
        if any(map(_is_passed_over, PurePath(name).parts)):
            continue
        path = root / name
        if is_folder(path) and not is_zarr(path):
            # "**" names the folders on its way, too: their files are matched by themselves.
            if not rest.endswith("**"):
                names.update(f"{name}/{below}" for below in _walk(path, ""))
        elif name:
            names.add(name)
    if not names:
        raise FileError(
            f"{base / pattern}: no file in {root} matches the pattern (names that begin with . or "
            "_ do not count); check the pattern"
        )
    for name in sorted(names):
        yield root / name, name


def _is_passed_over(name: str) -> bool:
    """Whether a file or folder is no data."""
    return name.startswith(_PASSED_OVER) or name.endswith(_CHECKSUM)
