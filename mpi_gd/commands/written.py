"""Write the rows of a source in the format that a file's name asks for, on all ranks together."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd.comm import SerialWorld, World
from mpi_gd.commands.together import write_rows
from mpi_gd.data import Source
from mpi_gd.data.names import list_some
from mpi_gd.data.table import TableSource
from mpi_gd.data.writing import Layout, Rows, Writer
from mpi_gd.errors import FileError, JobError, MpiGdError
from mpi_gd.files import discard, write_whole
from mpi_gd.matrix import Dense
from mpi_gd.matrix.beside import Beside

__all__ = ["require_free", "write_shards", "write_source"]

_SUFFIXES = (".npz", ".npy", ".csv", ".parquet")
# So many rows are looked through at a time for the longest text.
_AT_A_TIME = 1 << 16


def write_source(
    world: World,
    source: Source,
    path: Path,
    *,
    dtype: str = "auto",
    force: bool = False,
    unit: int = 1,
) -> dict[str, str]:
    """Write all rows; return the keys of [data] that read them; collective.

    `dtype` is that of the features, "auto": the source's. Rows are read in multiples of `unit`.
    Raises on all ranks: JobError, FileError, DataError.
    """
    with world.phase(f"writing {path}"):
        layout = _layout(source, path.suffix, dtype)
    layout = _with_texts(world, source, layout)
    with world.phase(f"writing {path}", by_root=True):
        if world.is_root:
            is_one = path.suffix == ".parquet"
            require_free([path] if is_one else _writer(path, layout).files, force)
    return _write_part(world, source, layout, path, 0, source.n_samples, unit)


def write_shards(
    world: World, source: Source, folder: Path, suffix: str, n_shards: int, dtype: str = "auto"
) -> dict[str, str]:
    """Write files of about as many rows each into a new folder; collective, raises as above.

    Each file is written by one rank.
    """
    with world.phase(f"writing {folder}"):
        layout = _layout(source, suffix, dtype)
        if n_shards > source.n_samples:
            raise JobError(
                f"--shards: got {n_shards}, expected at most the {source.n_samples} rows"
            )
    layout = _with_texts(world, source, layout)
    with world.phase(f"writing {folder}", by_root=True):
        if world.is_root:
            _make_folder(folder)
    digits = len(str(n_shards - 1))
    paths = [folder / f"part-{k:0{digits}d}{suffix}" for k in range(n_shards)]
    lines: dict[str, str] = {}
    try:
        with world.phase(f"writing {folder}"):
            for k in range(world.rank, n_shards, world.size):
                start, stop = (source.n_samples * each // n_shards for each in (k, k + 1))
                lines = _write_part(SerialWorld(), source, layout, paths[k], start, stop, 1)
    except MpiGdError:
        # All ranks are here: none writes any more.
        for path in paths[world.rank :: world.size]:
            discard(path)
        raise
    return {**lines, "path": folder.name}


def require_free(files: Sequence[Path], force: bool) -> None:
    """Raise FileError for a file that is there, unless it may be replaced."""
    for file in files:
        if file.exists() and not force:
            raise FileError(f"{file}: it is there already; give another name, or --force")


def _make_folder(folder: Path) -> None:
    """Make a folder, or take one that is empty; raises FileError."""
    try:
        folder.mkdir(exist_ok=True)
        if any(folder.iterdir()):
            raise FileError(f"{folder}: the folder is not empty; name a new one")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{folder}: cannot make the folder: {reason}; name another") from error


def _layout(source: Source, suffix: str, dtype: str) -> Layout:
    """Return what is to be written; raises JobError for another format."""
    if suffix not in _SUFFIXES:
        raise JobError(
            f"got a name that ends in {suffix!r}, expected one of {', '.join(_SUFFIXES)}"
        )
    kinds = source.kinds if isinstance(source, TableSource) else {}
    if not _takes_text(suffix):
        others = [name for name, kind in kinds.items() if kind in ("text", "date")]
        if others:
            raise JobError(
                f"{list_some(others)}: no numbers, which {suffix} files hold; make features of "
                "them, as by --set prepare.categorical=auto, or write .csv or .parquet"
            )
        kinds = {}
    return Layout(
        source.n_samples,
        source.columns,
        source.dtype if dtype == "auto" else np.dtype(dtype),
        n_stored=source.n_stored,
        target=source.target_name,
        roles=source.role_names,
        kinds=kinds,
    )


def _takes_text(suffix: str) -> bool:
    """Whether a format has columns of text, dates and missing values."""
    return suffix in (".csv", ".parquet")


def _with_texts(world: World, source: Source, layout: Layout) -> Layout:
    """Return the layout with the lengths of the longest texts, over all rows; collective."""
    with world.phase("looking for text"):
        first = _rows(source, layout, 0, min(1, source.n_samples))
        texts = [role for role, values in first.vectors.items() if values.dtype.kind == "U"]
    if not texts:
        return layout
    longest = np.ones(len(texts), dtype=np.int64)
    start, stop = (source.n_samples * part // world.size for part in (world.rank, world.rank + 1))
    with world.phase("looking for the longest text"):
        for begin in range(start, stop, _AT_A_TIME):
            rows = _rows(source, layout, begin, min(begin + _AT_A_TIME, stop))
            sizes = [rows.vectors[role].dtype.itemsize // 4 for role in texts]
            longest = np.maximum(longest, sizes)
    world.allreduce_max(longest)
    return dataclasses.replace(layout, texts=dict(zip(texts, longest.tolist(), strict=True)))


def _write_part(
    world: World,
    source: Source,
    layout: Layout,
    path: Path,
    start: int,
    stop: int,
    unit: int,
) -> dict[str, str]:
    """Write the rows [start, stop) into a file; return the keys that read it; collective."""
    layout = dataclasses.replace(layout, n_rows=stop - start)

    def read(first: int, last: int) -> Rows:
        return _rows(source, layout, start + first, start + last)

    if path.suffix == ".parquet":
        from mpi_gd.data.writing.parquet import job_lines, write_parquet

        with world.phase(f"writing {path}", by_root=True):
            if world.is_root:
                write_whole(path, lambda file: write_parquet(file, layout, path, read))
        return job_lines(path, layout)
    while True:
        with world.phase(f"writing {path}"):
            writer = _writer(path, layout)
        stored = write_rows(world, writer, layout, read, unit=unit)
        if stored == layout.n_stored:
            return writer.job_lines()
        # A number may have been stored in two parts, and a part of the rows has fewer.
        layout = dataclasses.replace(layout, n_stored=stored)


def _rows(source: Source, layout: Layout, start: int, stop: int) -> Rows:
    """Read rows, as features or as the columns of a table."""
    x, columns = None, {}
    if isinstance(source, TableSource) and layout.kinds:
        table = source.read_columns(start, stop, layout.columns)
        y, extras, columns = table.y, table.extras, dict(table.columns)
    else:
        block = source.read(start, stop)
        y, extras, x = block.y, block.extras, _plain(block.x)
    return Rows(x, {**({"target": y} if layout.target else {}), **extras}, columns)


def _plain(x: Any) -> Any:
    """Return features as an array or as compressed sparse rows."""
    if isinstance(x, Beside):
        return x.as_csr()
    return x.x if isinstance(x, Dense) else x


def _writer(path: Path, layout: Layout) -> Writer:
    """Return the writer of a file's format; raises JobError."""
    if path.suffix == ".npz":
        from mpi_gd.data.writing.npz import NpzWriter

        return NpzWriter(path, layout)
    if path.suffix == ".npy":
        from mpi_gd.data.writing.npy import NpyWriter

        return NpyWriter(path, layout)
    from mpi_gd.data.writing.csv import CsvWriter

    return CsvWriter(path, layout)
