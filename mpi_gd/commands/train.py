"""Train a model: from a job file to a folder with the model, its scores and its history."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mpi_gd import checkpoint, signals
from mpi_gd.checkpoint import Checkpoint
from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.folder import RunFolder, choose_folder
from mpi_gd.commands.jobs import read_shared_job, write_job
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.results import finish
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.config import Job
from mpi_gd.errors import JobError, RankLost
from mpi_gd.options import TrainOptions
from mpi_gd.trainer import Ballot, Course, Ending, Outcome, train

__all__ = ["run"]

_EMBEDDED_JOB = Path(__file__).parents[1] / "embedded" / "flights.toml"
# EX_TEMPFAIL of sysexits.h: not finished, run it again.
_EXIT_STOPPED = 75


def run(world: World, options: TrainOptions) -> int:
    """Train as the options say, through the loss of ranks where the job asks for it; collective.

    Return the exit code.
    """
    path = Path(options.job) if options.job else _EMBEDDED_JOB
    job = read_shared_job(world, path, options.overrides)
    if job.fault_tolerance == "stop":
        return _run(world, options, job, path.parent, Kept())
    _require_survival(world)
    kept = Kept()
    while True:
        try:
            return _run(world, options, job, path.parent, kept)
        except RankLost:
            _recover(world, kept)


def _require_survival(world: World) -> None:
    """Raise JobError, on all ranks, where a dead rank would take the others along."""
    if world.size > 1 and not world.can_survive:
        raise JobError(
            'fault_tolerance is "continue", which needs Open MPI and a launcher that lets ranks '
            "live on: mpirun --with-ft ulfm --mca btl tcp,self ...; or set it to "
            '"stop", and resume after a loss'
        )


def _recover(world: World, kept: Kept) -> None:
    """Go on with the ranks that are left, and agree where the training is; collective."""
    lost: list[str] = []
    while True:
        try:
            lost += world.recover()
            kept.share(world)
            break
        except RankLost:
            continue
    if world.is_root and lost:
        ranks = "1 rank goes on" if world.size == 1 else f"{world.size} ranks go on"
        print(f"mpi_gd: warning: lost {', '.join(lost)}: {ranks}", file=sys.stderr, flush=True)


def _run(world: World, options: TrainOptions, job: Job, base: Path, kept: Kept) -> int:
    """Set up, train and finish with the ranks that there are; collective. Return the exit code."""
    setup = set_up(world, job, base, kept.data)
    kept.data = setup.data
    if options.check:
        if world.is_root:
            print(f"{options.job or 'the embedded job'}: the job and its data are good: {setup.summary}")
        return 0
    folder, found = _begin(world, options, setup, base, kept)
    report = Account(world, folder, setup, options.progress, found.iteration if found else -1)
    outcome = kept.outcome or _train(world, setup, folder, found, report, kept)
    kept.outcome = outcome
    if outcome.ending is Ending.STOPPED:
        report.say(f"Stopped: the state is saved in {folder.checkpoints}. Go on with --resume.")
        return _EXIT_STOPPED
    finish(world, setup, outcome, folder, report, base)
    return 0


def _begin(
    world: World, options: TrainOptions, setup: Setup, base: Path, kept: Kept
) -> tuple[RunFolder, Checkpoint | None]:
    """Return the run's folder, and from where to go on; collective."""
    folder = kept.folder or choose_folder(world, setup.job.name, options)
    kept.folder = folder
    if kept.state:
        return folder, Checkpoint.from_bytes(kept.state)
    found = _newest(world, folder, setup.digest) if options.resume else None
    write_job(world, folder, setup.job, base)
    return folder, found


def _train(
    world: World,
    setup: Setup,
    folder: RunFolder,
    found: Checkpoint | None,
    report: Account,
    kept: Kept,
) -> Outcome:
    """Start or take up the training, and run it to an ending; collective."""
    job, objective = setup.job, setup.objective
    problem = objective.problem
    course = Course(job.solver.start(problem, np.zeros(problem.n_params)))
    if found:
        course = Course(checkpoint.with_arrays(course.state, found.state), found.questions)
        objective.set_exponents(found.exponents)
        report.say(f"Going on from iteration {found.iteration}.")
    kept.begin(course, lambda: _checkpoint(setup, course).to_bytes())
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
            on_save=_saver(world, setup, folder, course),
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


def _checkpoint(setup: Setup, course: Course) -> Checkpoint:
    """Return where a training is."""
    return Checkpoint(
        checkpoint.state_arrays(course.state),
        setup.objective.exponents(),
        course.state.iteration,
        course.questions,
        setup.digest,
    )


def _saver(
    world: World, setup: Setup, folder: RunFolder, course: Course
) -> Callable[[int, int], None]:
    """Return what saves the state; collective."""

    def save(iteration: int, questions: int) -> None:
        with world.phase("writing a checkpoint", by_root=True):
            if world.is_root:
                saved = _checkpoint(setup, course)
                checkpoint.save(folder.checkpoints, saved, setup.job.checkpoint.keep)

    return save
