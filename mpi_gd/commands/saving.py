"""Saving a training's state: by the root, beside the training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mpi_gd.checkpoint import Checkpoint, Writer, newest, require_same, state_arrays
from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.fallback import write_somewhere
from mpi_gd.commands.folder import RunFolder
from mpi_gd.commands.jobs import needs
from mpi_gd.commands.setup import Setup
from mpi_gd.config import Job, parse_job, read_job_text
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_whole
from mpi_gd.report import warn
from mpi_gd.trainer import Course

__all__ = ["Saver", "find_saved", "require_same_run"]


def find_saved(
    world: World, folder: RunFolder, setup: Setup, *, is_known: bool = False
) -> Checkpoint | None:
    """Return the newest good checkpoint of the root's folder; collective.

    `is_known`: that the run is of this job has been seen to.

    Raises JobError when it is of another job or other data, FileError when all are damaged.
    """
    found: Checkpoint | None = None
    with world.phase("reading the checkpoint", by_root=True):
        if world.is_root:
            found = newest(folder.checkpoints, setup.needs, warn)
            if found is None and not is_known:
                _require_same_job(folder.path / "job.toml", setup.job)
    return _shared(world, found)


def require_same_run(world: World, folder: RunFolder, job: Job) -> None:
    """Raise JobError when the root's folder is of another job; collective."""
    with world.phase("reading the run's job", by_root=True):
        if world.is_root:
            _require_same_job(folder.path / "job.toml", job)


def _shared(world: World, checkpoint: Checkpoint | None) -> Checkpoint | None:
    """Return the root's checkpoint, or None; collective. Its arrays come one after another."""
    document = world.bcast_text(json.dumps(checkpoint.document if checkpoint else None))
    if document == "null":
        return None
    arrays = checkpoint.arrays if checkpoint else {}
    told = world.bcast_text(
        json.dumps({name: [array.dtype.str, array.shape] for name, array in arrays.items()})
    )
    for name, (dtype, shape) in json.loads(told).items():
        data = world.bcast_bytes(arrays[name].tobytes() if world.is_root else None)
        if not world.is_root:
            arrays[name] = np.frombuffer(data, dtype).reshape(shape)
    return checkpoint or Checkpoint.of(arrays, json.loads(document))


def _require_same_job(path: Path, job: Job) -> None:
    """Raise JobError if the run, which has no checkpoint, is another job's: it is not to go on."""
    try:
        old = parse_job(read_job_text(path), str(path))
    except (JobError, FileError):
        # Of another version, or the user's own doing; there is no state that would not fit.
        return
    require_same(path, "run", needs(old), needs(job))


class Saver:
    """Saves where a training is; the training does not wait for the disk."""

    def __init__(
        self, world: World, setup: Setup, folder: RunFolder, account: Account, course: Course
    ) -> None:
        """Start the root's writer."""
        self._world, self._setup, self._folder = world, setup, folder
        self._account, self._course = account, course
        keep = setup.job.checkpoint.keep
        self._writer = Writer(folder.checkpoints, keep, warn) if world.is_root else None

    def checkpoint(self) -> Checkpoint:
        """Return where the training is."""
        return Checkpoint(
            state_arrays(self._course.state),
            self._setup.objective.exponents(),
            self._course.state.iteration,
            self._course.questions,
            self._setup.needs,
            self._course.rows,
            self._course.objective,
        )

    def save(self) -> None:
        """Let the root write a checkpoint, and the history up to it."""
        if self._writer:
            self._account.flush()
            self._writer.put(self.checkpoint())

    def close(self) -> None:
        """Wait for what is being written; where it could not be, that has been said."""
        if self._writer:
            self._writer.close()

    def require_saved(self) -> Path:
        """Return where the last checkpoint is, elsewhere if need be; collective.

        Raises FileError if it cannot be written anywhere.
        """
        place = self._folder.checkpoints
        with self._world.phase("writing the checkpoint", by_root=True):
            if self._writer and not self._writer.close():
                last = self.checkpoint()
                place = write_somewhere(
                    place / last.name,
                    self._setup.job.name,
                    lambda path: write_whole(path, last.write),
                )
        return place
