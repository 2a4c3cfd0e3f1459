"""Evaluate arrays in small tiles, on one rank or spread over simulated ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from mpi_gd.comm import SerialWorld
from mpi_gd.evaluation import Scores, evaluate
from mpi_gd.losses import Loss
from tests.simulated import ThreadWorld, on_ranks

__all__ = ["bits", "score", "score_on_ranks"]


def score(
    loss: Loss,
    y: Any,
    z: Any,
    weight: Any = None,
    tile: int = 5,
    exposure: Any = None,
    labels: tuple[str, ...] = (),
) -> Scores:
    """Evaluate on one rank, in tiles of `tile` rows."""
    y, z, weight, exposure = (_floats(values) for values in (y, z, weight, exposure))
    sizes = [min(tile, len(y) - start) for start in range(0, len(y), tile)]
    return evaluate(
        SerialWorld(), loss, y, z, weight, sizes, len(sizes), exposure=exposure, labels=labels
    )


def score_on_ranks(
    size: int,
    loss: Loss,
    y: Any,
    z: Any,
    weight: Any = None,
    tile: int = 5,
    exposure: Any = None,
) -> list[Scores | Exception]:
    """Evaluate on `size` ranks, that hold runs of tiles of different length, some of them none."""
    y, z, weight, exposure = (_floats(values) for values in (y, z, weight, exposure))
    sizes = [min(tile, len(y) - start) for start in range(0, len(y), tile)]
    drawn = np.random.default_rng(size).integers(0, len(sizes) + 1, size=size - 1)
    cuts = [0, *sorted(drawn.tolist()), len(sizes)]

    def work(world: ThreadWorld) -> Scores:
        first, last = cuts[world.rank], cuts[world.rank + 1]
        rows = slice(sum(sizes[:first]), sum(sizes[:last]))
        w, e = (None if a is None else a[rows] for a in (weight, exposure))
        mine = sizes[first:last]
        return evaluate(world, loss, y[rows], z[rows], w, mine, len(sizes), exposure=e)

    return on_ranks(size, work, seed=size)


def bits(scores: Scores | Exception) -> str:
    """Return all digits of all scores, and all reasons."""
    if isinstance(scores, Exception):
        raise scores
    return json.dumps(scores.as_json(), allow_nan=False)


def _floats(values: object) -> Any:
    """Return an array of float64, or None."""
    return None if values is None else np.array(values, dtype=np.float64)
