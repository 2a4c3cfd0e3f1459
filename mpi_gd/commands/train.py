"""Train a model: from a job file to a folder with the model, its scores and its history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd import checkpoint, signals
from mpi_gd.checkpoint import Checkpoint
from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.folder import RunFolder, choose_folder
from mpi_gd.commands.jobs import read_shared_job, write_job
from mpi_gd.commands.results import finish
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.options import TrainOptions
from mpi_gd.trainer import Ballot, Course, Ending, Outcome, train

__all__ = ["run"]

_EMBEDDED_JOB = Path(__file__).parents[1] / "embedded" / "flights.toml"
# EX_TEMPFAIL of sysexits.h: not finished, run it again.
_EXIT_STOPPED = 75


def run(world: World, options: TrainOptions) -> int:
    """Train as the options say; collective. Return the exit code."""
    path = Path(options.job) if options.job else _EMBEDDED_JOB
    job = read_shared_job(world, path, options.overrides)
    setup = set_up(world, job, path.parent)
    if options.check:
        if world.is_root:
            print(f"{path}: the job and its data are good: {setup.summary}")
        return 0
    folder = choose_folder(world, job.name, options)
    write_job(world, folder, job, path.parent)
    found = _newest(world, folder, setup.digest) if options.resume else None
    report = Account(world, folder, setup, options.progress, found.iteration if found else -1)
    outcome = _train(world, setup, folder, found, report)
    if outcome.ending is Ending.STOPPED:
        report.say(f"Stopped: the state is saved in {folder.checkpoints}. Go on with --resume.")
        return _EXIT_STOPPED
    finish(world, setup, outcome, folder, report, path.parent)
    return 0


def _train(
    world: World, setup: Setup, folder: RunFolder, found: Checkpoint | None, report: Account
) -> Outcome:
    """Start or take up the training, and run it to an ending; collective."""
    job, objective = setup.job, setup.objective
    problem = objective.problem
    course = Course(job.solver.start(problem, np.zeros(problem.n_params)))
    if found:
        course = Course(checkpoint.with_arrays(course.state, found.state), found.questions)
        objective.set_exponents(found.exponents)
        report.say(f"Going on from iteration {found.iteration}.")
    try:
        return train(
            objective,
            job.solver,
            course,
            tol=job.stop.tol,
            max_iter=job.stop.max_iter,
            ballot=Ballot(
                world.is_root,
                signals.stop_requested,
                job.stop.max_seconds,
                job.checkpoint.every_seconds,
            ),
            on_step=report.step,
            on_save=_saver(world, setup, folder, course.state),
            save_every=job.checkpoint.every_iterations,
        )
    finally:
        report.close()


def _newest(world: World, folder: RunFolder, digest: str) -> Checkpoint | None:
    """Return the newest checkpoint of the root's folder; collective."""
    data: bytes | None = None
    with world.phase("reading the checkpoint", by_root=True):
        if world.is_root:
            data = checkpoint.newest(folder.checkpoints, digest)
    data = world.bcast_bytes(data or b"")
    return Checkpoint.from_bytes(data) if data else None


def _saver(world: World, setup: Setup, folder: RunFolder, state: Any) -> Callable[[int, int], None]:
    """Return what saves the state; collective."""

    def save(iteration: int, questions: int) -> None:
        with world.phase("writing a checkpoint", by_root=True):
            if world.is_root:
                saved = Checkpoint(
                    checkpoint.state_arrays(state),
                    setup.objective.exponents(),
                    iteration,
                    questions,
                    setup.digest,
                )
                checkpoint.save(folder.checkpoints, saved, setup.job.checkpoint.keep)

    return save
