"""From a job and its data to the objective."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.jobs import needs
from mpi_gd.commands.labels import encode_labels, find_labels, require_numbers
from mpi_gd.commands.load import Loaded, load
from mpi_gd.config import Job
from mpi_gd.data.holdout import held_out
from mpi_gd.errors import DataError
from mpi_gd.objective import Objective, Rows, Scaling, find_scaling
from mpi_gd.trainer import N_VOTES

__all__ = ["Setup", "set_up"]


@dataclass(frozen=True, eq=False)
class Setup:
    """This rank's part of everything that is trained on."""

    job: Job
    data: Loaded
    classes: tuple[str, str] | None
    y: NDArray[np.float64]
    """(n_rows,): the number, or 1 for the second label and 0 for the first."""
    held: NDArray[np.bool_] | None
    """(n_rows,): the rows that are held out."""
    scaling: Scaling
    objective: Objective
    needs: dict[str, Any]
    """What a checkpoint must share with the job that goes on from it, by name."""

    @property
    def summary(self) -> str:
        """Say what is trained on what."""
        grid = self.data.grid
        n_held = grid.n_samples - round(self.scaling.weight)
        held = f" ({n_held:,} held out)" if n_held else ""
        tiles = "1 tile" if grid.n_tiles == 1 else f"{grid.n_tiles} tiles"
        return (
            f"{grid.n_samples:,} rows{held} x {grid.n_features} features of "
            f"{self.data.source.dtype}, {tiles}"
        )


def set_up(world: World, job: Job, base: Path, kept: Loaded | None = None) -> Setup:
    """Read the data that `job` names relative to `base`, and plan the objective; collective.

    `kept`, on all ranks or none, is what was read before some ranks died.
    Raises on all ranks: DataError, FileError, JobError.
    """
    data = load(world, job.data, base, kept=kept)
    fraction, stop = job.data.test_fraction, data.start + len(data.y)
    held = held_out(data.start, stop, fraction, job.seed) if fraction else None
    classes = find_labels(world, data, held) if job.loss.is_classifier else None
    y = encode_labels(world, data, classes) if classes else require_numbers(world, data)
    rows = Rows(
        data.grid,
        data.first_tile,
        data.last_tile,
        data.x,
        job.loss.encode(y),
        None if held is None else ~held,
    )
    scaling = find_scaling(
        world,
        rows,
        data.source.columns,
        job.reduction,
        standardize=job.data.standardize,
        precondition=job.precondition,
        locate=data.source.locate,
    )
    objective = Objective(
        world,
        rows,
        job.loss,
        job.penalty,
        scaling,
        reduction=job.reduction,
        seed=job.seed,
        n_votes=N_VOTES,
    )
    if fraction and round(scaling.weight) == data.grid.n_samples:
        raise DataError(
            f"data.test_fraction = {fraction} holds out none of the {data.grid.n_samples} rows; "
            "set it higher, or to 0"
        )
    # Found once: a checkpoint is made while all wait, and the file may be gone by then.
    shared = {"the data": data.fingerprint, **needs(job)}
    return Setup(job, data, classes, y, held, scaling, objective, shared)
