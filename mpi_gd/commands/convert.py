"""Write data in another format, on all ranks together."""

from __future__ import annotations

from pathlib import Path

from mpi_gd.comm import World
from mpi_gd.commands.asked import Asked, open_asked, read_asked
from mpi_gd.commands.written import write_shards, write_source
from mpi_gd.config.dump import literal
from mpi_gd.data import Source
from mpi_gd.errors import JobError
from mpi_gd.options import ConvertOptions

__all__ = ["run"]


def run(world: World, options: ConvertOptions) -> int:
    """Write the files; collective. Return the exit code."""
    asked = read_asked(world, options.source, options.overrides)
    source = open_asked(world, asked)
    destination = Path(options.destination)
    with world.phase("looking at the files", by_root=True):
        if world.is_root:
            _require_other(asked, destination)
    if options.shards:
        suffix = f".{_format(options, source)}"
        lines = write_shards(world, source, destination, suffix, options.shards, options.dtype)
    else:
        lines = write_source(world, source, destination, dtype=options.dtype, force=options.force)
    if world.is_root:
        count = f"{source.n_samples:,} rows x {source.n_features:,} columns"
        print(f"{count} are in {destination}, which a job beside it reads so:")
        print("[data]", *(f"{key} = {literal(value)}" for key, value in lines.items()), sep="\n")
    return 0


def _format(options: ConvertOptions, source: Source) -> str:
    """Return the format of a folder's files."""
    if options.format != "auto":
        return options.format
    return "npz" if source.n_stored else "parquet"


def _require_other(asked: Asked, destination: Path) -> None:
    """Raise JobError if the data would be written where they are read from."""
    paths = asked.job.data.path
    for path in [paths] if isinstance(paths, str) else paths:
        source = asked.base / path
        if source.exists() and destination.exists() and source.samefile(destination):
            raise JobError(f"{destination}: it is what is read; give another name")
