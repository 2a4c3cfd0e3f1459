"""What a search needs to know of rows and jobs before anything is tried."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.jobs import needs
from mpi_gd.commands.ledger import key_of
from mpi_gd.commands.setup import Reading
from mpi_gd.commands.strengths import find_strengths
from mpi_gd.commands.weights import offset_of, with_class_weight
from mpi_gd.config import Job
from mpi_gd.config.tune import Range, SearchJob, TuneSpec
from mpi_gd.data import DataSpec
from mpi_gd.data.holdout import held_out
from mpi_gd.objective import Rows
from mpi_gd.selection.candidates import Values
from mpi_gd.selection.folds import Plan, make_plan

__all__ = [
    "find_strengths",
    "first_values",
    "make_plans",
    "rows_key",
    "rows_of",
    "search_key",
]

# The rows of halving's first rounds are drawn apart from the folds.
_SHARE_SEED = 0x5EED


def first_values(search: SearchJob) -> Values:
    """Return the first value of each axis but a path's."""
    values: Values = {}
    for key, axis in search.space.items():
        if isinstance(axis, Range):
            values[key] = axis.at(0.0)
        elif isinstance(axis, list):
            values[key] = axis[0]
    return values


def search_key(search: SearchJob, job: Job, fingerprint: str) -> str:
    """Return a digest of what all candidates of a search have in common."""
    tune = dataclasses.asdict(search.tune)
    names = ("split", "folds", "repeats", "fraction", "metric", "n_alphas", "eps")
    shared = {key: value for key, value in needs(job).items() if key not in search.space}
    tables = {key.partition(".")[0] for key in search.space if key.endswith(".kind")}
    shared = {key: v for key, v in shared.items() if key.partition(".")[0] not in tables}
    stop = dataclasses.asdict(job.stop)
    rules = ("max_iter", "max_passes", "tol", "objective_tol", "gap_tol")
    limits = {key: stop[key] for key in rules}
    return key_of(
        job=shared, stop=limits, data=fingerprint, split={name: tune[name] for name in names}
    )


def rows_key(job: Job) -> str:
    """Return what reading the rows depends on: jobs with the same key share one reading."""
    spec = job.data
    plain = DataSpec(path=spec.path)
    changed = {"standardize": plain.standardize, "class_weight": plain.class_weight}
    data = dataclasses.replace(spec, **changed)  # type: ignore[arg-type]
    return repr((data, job.prepare, job.loss, job.solver.divides, job.seed))


def rows_of(world: World, job: Job, reading: Reading) -> Rows:
    """Return the rows that are trained on; collective."""
    data = reading.data
    weight = with_class_weight(
        world, data, job.data, reading.part, reading.y, reading.classes, job.reduction
    )
    return Rows(
        data.grid,
        data.first_tile,
        data.last_tile,
        data.x,
        job.loss.encode(reading.y),
        weight,
        offset_of(data),
    )


def make_plans(
    world: World, reading: Reading, tune: TuneSpec, job: Job, share: float
) -> list[Plan]:
    """Divide the rows that are trained on, or a share of them, as often as asked; collective."""
    data = reading.data
    left_out = reading.part.left_out
    used = None if left_out is None else ~left_out
    if share < 1.0:
        drawn = held_out(data.start, data.start + len(data.y), share, job.seed + _SHARE_SEED)
        used = drawn if used is None else used & drawn
    labels: NDArray[Any] | None = None
    if reading.classes is not None:
        labels = np.where(np.isfinite(reading.y), reading.y, 0.0).astype(np.int64)
    return [
        make_plan(
            world,
            tune.split,
            data.start,
            len(data.y),
            folds=tune.folds,
            fraction=tune.fraction,
            seed=job.seed,
            repeat=repeat,
            used=used,
            labels=labels,
            groups=data.extras.get("cluster"),
        )
        for repeat in range(tune.repeats)
    ]
