"""Read a data set together: every rank its own rows, and all agree on what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.division import Division, divide_tiles
from mpi_gd.commands.storage import Storage, choose_storage, read_stored
from mpi_gd.data import DataSpec, Source, open_source
from mpi_gd.data.arrays import aligned_empty
from mpi_gd.data.grid import RowGrid
from mpi_gd.data.roles import Purpose
from mpi_gd.data.source import Block, Learned
from mpi_gd.data.table import TableSource
from mpi_gd.errors import DataError, GapError
from mpi_gd.matrix import Dense, Matrix
from mpi_gd.prepare import PrepareSpec
from mpi_gd.prepare.refused import Refused

__all__ = [
    "Loaded",
    "Preparation",
    "load",
    "open_together",
    "prepared_together",
    "require_same",
]


# What is to be learned; what has been learned; or which columns, of numbers, are the features.
Preparation = PrepareSpec | Learned | Sequence[str]
_PLAIN = PrepareSpec()


@dataclass(frozen=True, eq=False)
class Loaded:
    """This rank's rows of a data set."""

    source: Source
    grid: RowGrid
    first_tile: int
    last_tile: int
    start: int
    """The global number of the first row."""
    x: Matrix
    """(n_rows, n_features)."""
    y: NDArray[Any]
    """(n_rows,) float64 or text, as in the file; NaN if it was not read."""
    extras: Mapping[str, NDArray[Any]]
    """(n_rows,) float64 or text each: the further columns, by role, valid each on its own."""
    columns: Sequence[str]
    """The names of X's columns."""
    fingerprint: str
    """What the file was when it was opened."""
    division: Division
    """What all ranks own."""
    n_streaming: int = 0
    """Ranks whose rows are read again with every pass."""

    @property
    def tile_sizes(self) -> list[int]:
        """Return the number of rows of each local tile."""
        bounds = (self.grid.tile_bounds(tile) for tile in range(self.first_tile, self.last_tile))
        return [stop - start for start, stop in bounds]


def load(
    world: World,
    spec: DataSpec,
    base: Path,
    *,
    purpose: Purpose = "train",
    kept: Loaded | None = None,
    n_workers: int = 0,
    prepare: Preparation = _PLAIN,
    seed: int = 0,
    shares: Sequence[int] | None = None,
) -> Loaded:
    """Open the file, divide its rows, and read this rank's; collective.

    `kept`, which all ranks have or none, is what they had read before some ranks died: then only
    the rows that nobody here has in memory are read. Each of `n_workers` workers' rows go to one
    rank. `prepare` says how columns become features, what has been learned of that, or which of
    them are the features; `seed` is that of the rows held out, of which nothing is learned.
    `shares` (size,) is how large a part each rank is to have; None: all alike.
    Raises on all ranks what one of them finds: FileError, DataError, JobError.
    """
    if kept:
        source, fingerprint = kept.source, kept.fingerprint
    else:
        source, fingerprint = open_together(world, spec, base, purpose)
        source = prepared_together(world, source, spec, prepare, seed)
    grid = RowGrid(
        source.n_samples, source.n_features, source.dtype.itemsize, source.n_stored, n_workers
    )
    division = divide_tiles(world, source, grid, spec, shares)
    first, last = division.bounds[world.rank : world.rank + 2]
    rows = grid.rows_between(first, last)
    storage, n_streaming = choose_storage(world, source, spec, base, division)
    block = _read_together(world, source, storage, spec.shown_path, rows, kept)
    return Loaded(
        source=source,
        grid=grid,
        first_tile=first,
        last_tile=last,
        start=rows[0],
        x=block.x if isinstance(block.x, Matrix) else Dense(block.x),
        y=block.y,
        extras=block.extras,
        columns=source.columns,
        fingerprint=fingerprint,
        division=division,
        n_streaming=n_streaming,
    )


def open_together(
    world: World, spec: DataSpec, base: Path, purpose: Purpose = "train"
) -> tuple[Source, str]:
    """Open the file on all ranks, agree that it is the same, and count its rows; collective.

    Return also its fingerprint.
    """
    with world.phase(f"opening {spec.shown_path}"):
        source = open_source(spec, base, purpose=purpose)
        fingerprint = source.fingerprint()
    require_same(world, "the data", fingerprint, source.files)
    with world.phase(f"scanning {spec.shown_path}"):
        survey = source.survey(world.rank, world.size)
    world.allreduce_sum(survey)
    with world.phase(f"scanning {spec.shown_path}"):
        source.settle(survey)
        if source.n_samples == 0:
            raise DataError(f"{base / spec.shown_path}: there are no rows; check how it was made")
    return source, fingerprint


def prepared_together(
    world: World, source: Source, spec: DataSpec, prepare: Preparation = _PLAIN, seed: int = 0
) -> Source:
    """Return the source, or what makes features of its columns; collective."""
    kinds = set(source.kinds.values()) if isinstance(source, TableSource) else {"number"}
    if kinds == {"number"} and (prepare == _PLAIN or prepare == source.columns):
        return source
    from mpi_gd.commands.prepared import prepared

    return prepared(world, source, spec, prepare, seed)


def _read_together(
    world: World,
    source: Source,
    storage: Storage,
    path: str,
    rows: tuple[int, int],
    kept: Loaded | None,
) -> Block:
    """Return this rank's rows; collective. Cells that are refused are counted over all ranks."""
    block: Block | None = None
    refused: Refused | GapError | None = None
    with world.phase(f"reading {path}"):
        try:
            block = _read(source, storage, *rows, kept)
            source.check_extras(block, rows[0])
        except (Refused, GapError) as error:
            refused = error
    if isinstance(source, TableSource) or source.recipe is not None:
        is_any = np.array([refused is not None], dtype=np.int64)
        world.allreduce_max(is_any)
        if is_any[0]:
            from mpi_gd.commands.prepared import raise_refused

            raise_refused(world, source, refused, rows)
    if block is None:
        raise RuntimeError("rows were refused by a source that does not count them")
    return block


def _read(source: Source, storage: Storage, start: int, stop: int, kept: Loaded | None) -> Block:
    """Return the rows [start, stop); what is in memory already is not read again."""
    # A map of the file costs nothing to make anew.
    if kept is None or not isinstance(kept.x, Dense) or not kept.x.is_kept or storage.is_streamed:
        return read_stored(source, storage, start, stop)
    low = min(max(start, kept.start), stop)
    high = max(low, min(stop, kept.start + len(kept.x)))
    own = slice(low - kept.start, high - kept.start)
    before, after = source.read(start, low), source.read(high, stop)
    x = aligned_empty((stop - start, source.n_features), source.dtype)
    np.concatenate([_array(before), kept.x.x[own], _array(after)], out=x)
    return Block(
        x,
        np.concatenate([before.y, kept.y[own], after.y]),
        {
            role: np.concatenate([before.extras[role], values[own], after.extras[role]])
            for role, values in kept.extras.items()
        },
    )


def _array(block: Block) -> NDArray[Any]:
    """Return rows that are all there as an array."""
    return np.asarray(block.x.x if isinstance(block.x, Dense) else block.x)


def require_same(world: World, what: str, mine: str, files: Sequence[str] = ()) -> None:
    """Raise DataError on all ranks, naming those that differ from the root; collective.

    `files` are what it is made of: those that not all ranks have are named.
    """
    digest = hashlib.sha256(mine.encode("utf-8", "surrogatepass")).hexdigest()
    # Long texts are gathered only when they differ: there may be thousands of ranks.
    digests = world.gather_small(digest)
    if len(set(digests)) == 1:
        return
    texts = world.gather_small(mine)
    differing = [rank for rank, text in enumerate(texts) if text != texts[0]]
    listed = [set(json.loads(text)) for text in world.gather_small(json.dumps(list(files)))]
    lacks, has = (sorted(a - b)[:1] for a, b in permutations((listed[0], listed[differing[0]])))
    named = "".join([f"; it lacks {each}" for each in lacks] + [f"; it has {each}" for each in has])
    name = world.name_of(differing[0])
    more = f" (and {len(differing) - 1} more ranks)" if len(differing) > 1 else ""
    raise DataError(
        f"{name}{more}: {what} differ from rank 0's: got {texts[differing[0]]}; expected "
        f"{texts[0]}{named}; give all ranks the same files and the same installation"
    )
