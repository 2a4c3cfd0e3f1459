"""A source whose columns are made features of: what load does where that is wanted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.learn import learn
from mpi_gd.commands.load import Preparation
from mpi_gd.data import DataSpec, Source
from mpi_gd.data.holdout import held_out
from mpi_gd.data.table import TableBlock, TableSource
from mpi_gd.errors import GapError
from mpi_gd.prepare import PrepareSpec
from mpi_gd.prepare.recipe import Recipe
from mpi_gd.prepare.refused import Found, Refused, first_of
from mpi_gd.prepare.source import ArrayTable, PreparedSource, pieces

__all__ = ["prepared", "raise_refused"]


def prepared(
    world: World, source: Source, spec: DataSpec, prepare: Preparation, seed: int
) -> Source:
    """Return a source of features; collective. Raises on all ranks: JobError, DataError."""
    if isinstance(prepare, Sequence):
        if not isinstance(source, TableSource) or not set(prepare) <= set(source.columns):
            # Whoever asked for them says what is missing.
            return source
        prepare = Recipe.plain(prepare)
    with world.phase("preparing the columns"):
        table = source if isinstance(source, TableSource) else ArrayTable(source)
    if isinstance(prepare, PrepareSpec):

        def used(start: int, stop: int, block: TableBlock) -> NDArray[np.bool_] | None:
            """Return which rows are neither held out nor without weight."""
            found = None
            if spec.test_fraction:
                found = ~held_out(start, stop, spec.test_fraction, seed)
            if "weight" in block.extras:
                has_weight = block.extras["weight"] != 0
                found = has_weight if found is None else found & has_weight
            return found

        prepare = learn(world, table, prepare, used, spec.shown_path)
    if not isinstance(prepare, Recipe):
        raise TypeError(f"got {type(prepare)}, expected a recipe")
    with world.phase("preparing the columns"):
        return PreparedSource(table, prepare, spec.dtype)


def raise_refused(
    world: World, source: Source, refused: Refused | GapError | None, rows: tuple[int, int]
) -> None:
    """Raise, on all ranks, what any of them has refused, counted over all; collective.

    `rows` are this rank's, in which gaps are counted where its reading ended at the first.
    """
    if isinstance(source, TableSource):
        source, own = _counted(world, source, rows)
    else:
        own = refused.found if isinstance(refused, Refused) else []
    mine = [dataclasses.asdict(each) for each in own]
    found = [
        Found(**each) for text in world.gather_small(json.dumps(mine)) for each in json.loads(text)
    ]
    if not found:
        raise RuntimeError("gaps were refused, and none is found")
    first = first_of(found)
    # Whether a rank can name the place depends on the format: some read the row again.
    with world.phase("naming what was refused"):
        if not isinstance(source, PreparedSource):
            raise RuntimeError("rows were refused by a source that does not count them")
        raise Refused(first.message(source.place(first.row, first.column)), found)


def _counted(
    world: World, table: TableSource, rows: tuple[int, int]
) -> tuple[PreparedSource, list[Found]]:
    """Read rows that are to be numbers once more, to the end, for all that is missing; collective.

    Return it with the source that knows the places.
    """
    found: list[Found] = []
    with world.phase("counting what is missing"):
        source = PreparedSource(table, Recipe.plain(table.columns))
        for start, stop in pieces(*rows, source.n_features):
            try:
                source.read(start, stop)
            except Refused as error:
                found += error.found
    return source, found
