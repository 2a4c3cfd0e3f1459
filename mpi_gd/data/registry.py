"""The formats of data files by the name a job gives them."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from pathlib import Path
from typing import Any

from mpi_gd.data.listing import Shard, find_shards, require_one_kind
from mpi_gd.data.partitions import find_partitions
from mpi_gd.data.probe import guess_format
from mpi_gd.data.roles import NEEDED, ROLES, Purpose, is_file
from mpi_gd.data.sharded_table import ShardedTable
from mpi_gd.data.shards import ShardedSource
from mpi_gd.data.source import Source
from mpi_gd.data.spec import DataSpec
from mpi_gd.data.table import TableSource
from mpi_gd.errors import JobError

__all__ = ["FORMATS", "open_source"]

# Where the class of each format is: it is imported when a file of the format is opened.
FORMATS: dict[str, str] = {
    "npy": "npy:NpySource",
    "npz": "npz:NpzSource",
    "csv": "csv_source:CsvSource",
    "parquet": "parquet:ParquetSource",
    "arrow": "arrow:ArrowSource",
    "libsvm": "libsvm:LibsvmSource",
    "hdf5": "hdf5:Hdf5Source",
    "zarr": "zarr:ZarrSource",
    "safetensors": "safetensors:SafetensorsSource",
}


def _form(kind: str) -> type[Source]:
    """Import the class that reads a format."""
    module, _, name = FORMATS[kind].partition(":")
    form: type[Source] = getattr(import_module(f"mpi_gd.data.formats.{module}"), name)
    return form


def open_source(spec: DataSpec, base: Path = Path(), *, purpose: Purpose = "train") -> Source:
    """Open the data that `spec` names, relative to `base`, in the format its first bytes tell.

    The columns that `purpose` does not need may be missing.
    Raises JobError for a bad `spec`, FileError, DataError.
    """
    if not spec.path:
        raise JobError('data.path is empty, expected a file; set path = "FILE" in [data]')
    shards = find_shards(spec.path, base)
    if shards is not None:
        return _open_shards(spec, shards, base, purpose)
    for role in ("target", *ROLES):
        if isinstance(getattr(spec, role), list):
            raise JobError(
                f"data.{role} is a list of files, but data.path is one file; name one, or list both"
            )
    return _open_file(spec, base / str(spec.path), base, purpose)


def _open_file(spec: DataSpec, path: Path, base: Path, purpose: Purpose) -> Source:
    """Open one file."""
    kind = guess_format(path) if spec.format == "auto" else spec.format
    form = _form(kind)
    if kind == "npz":
        # What holds sparse rows is told by what is in it.
        from mpi_gd.data.formats.sparse_npz import SparseNpzSource, is_sparse

        form = SparseNpzSource if is_sparse(path) else form
    source = form.open(spec, path, base=base, purpose=purpose)
    for role in spec.roles:
        if role in NEEDED[purpose] and role not in source.role_names:
            raise JobError(
                f"data.{role} is {spec.roles[role]!r}, but a file of the format {kind} has "
                "features and a target only; save the data as .npz or CSV"
            )
    if (spec.include or spec.exclude) and not isinstance(source, TableSource):
        from mpi_gd.data.selection import SelectedSource

        return SelectedSource(source, spec, purpose)
    return source


def _open_shards(spec: DataSpec, shards: list[Shard], base: Path, purpose: Purpose) -> Source:
    """Open a data set of several files, each with those of y and the rest that belong to it."""
    if spec.format == "auto":
        require_one_kind(shards)
        found: Any = guess_format(shards[0].path)
        spec = dataclasses.replace(spec, format=found)
    given = {role: getattr(spec, role) for role in ("target", *ROLES)}
    files = {
        role: _files_of(role, name, shards, base)
        for role, name in given.items()
        if (isinstance(name, list) or is_file(name)) and role in NEEDED[purpose]
    }

    if spec.format == "libsvm":
        # Its features are counted over all files.
        from mpi_gd.data.formats.libsvm import LibsvmSource

        paths = [shard.path for shard in shards]
        return LibsvmSource(spec, paths, files, purpose)

    is_table = issubclass(_form(spec.format), TableSource)
    partitions = find_partitions(shards) if is_table else None
    inner = partitions.without(spec) if partitions else spec

    def open_one(number: int, texts: frozenset[str] = frozenset()) -> Source:
        names = {role: str(paths[number].absolute()) for role, paths in files.items()}
        own = dataclasses.replace(
            inner.with_columns(names), text=[*inner.text, *sorted(texts.difference(inner.text))]
        )
        return _open_file(own, shards[number].path, base, purpose)

    if is_table:
        chosen = partitions.chosen(spec) if partitions else None
        return ShardedTable(shards, open_one, frozenset(files), chosen)
    return ShardedSource(shards, open_one, frozenset(files))


def _files_of(role: str, name: str | list[str], shards: list[Shard], base: Path) -> list[Path]:
    """Return the files of a role, one for each shard; raises JobError for more or fewer."""
    found = find_shards(name, base) if name else []
    paths = [base / str(name)] if found is None else [shard.path for shard in found]
    if len(paths) != len(shards):
        raise JobError(
            f"data.{role}: got {len(paths)} files, expected {len(shards)}: one for each of "
            f"data.path's, from {shards[0].path} to {shards[-1].path}; name as many, in the same "
            "order"
        )
    return paths
