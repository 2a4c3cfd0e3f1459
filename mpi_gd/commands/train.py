"""Train a model: from a job file to a folder with the model, its scores and its history."""

from __future__ import annotations

import math
import time
from pathlib import Path

from mpi_gd import pulse
from mpi_gd.checkpoint import Checkpoint, with_arrays
from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.folder import RunFolder, choose_folder, lock_folder
from mpi_gd.commands.inference import check_inference
from mpi_gd.commands.jobs import read_shared_job, resolved
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.lost import ending
from mpi_gd.commands.pacing import Pacing
from mpi_gd.commands.results import check_test_data, finish
from mpi_gd.commands.saving import Saver, find_saved, require_same_run
from mpi_gd.commands.separation import may_diverge
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.commands.strengths import Stopped
from mpi_gd.commands.surroundings import look_around, stop_requested
from mpi_gd.commands.train_path import (
    check_path,
    fit_path,
    has_path,
    remark_on,
    setup_for,
    without_path,
)
from mpi_gd.config import Job
from mpi_gd.errors import JobError, MpiGdError, OutOfStep, RankLost
from mpi_gd.model import ModelPath
from mpi_gd.objective import Certifier
from mpi_gd.options import TrainOptions
from mpi_gd.report import Progress, warn
from mpi_gd.status import STATUS_NAME, read_status, write_status
from mpi_gd.trainer import Ballot, Course, Ending, Outcome, Rules, train

__all__ = ["open_account", "rules_of", "run", "train_setup"]

_EMBEDDED_JOB = Path(__file__).parents[1] / "embedded" / "flights.toml"
# EX_TEMPFAIL of sysexits.h: not finished, run it again.
_EXIT_STOPPED = 75
# A mean loss of a classifier below this is no optimum, but the way to one that is infinitely far.
_PERFECT = 1e-9


def run(world: World, options: TrainOptions) -> int:
    """Train as the options say, through the loss of ranks where the job asks for it; collective.

    Return the exit code.
    """
    kept = Kept()
    try:
        return _through_losses(world, options, kept)
    except MpiGdError as error:
        # The marker of a run that this one was not allowed to touch stays as it is.
        if world.is_root and not options.check:
            folder = kept.folder.path if kept.folder and kept.has_begun else None
            write_status(
                folder,
                "failed",
                error.exit_code,
                message=str(error),
                iteration=kept.iteration,
                ranks=world.size,
            )
        raise


def _through_losses(world: World, options: TrainOptions, kept: Kept) -> int:
    """Train, and again with those who are left after each loss; return the exit code."""
    path = Path(options.job) if options.job else _EMBEDDED_JOB
    while True:
        job: Job | None = None
        try:
            if not kept.is_watched:
                kept.is_watched = True
                pulse.start(world, ending(world, kept))
                look_around(world, options.progress)
            job = read_shared_job(world, path, options.overrides)
            if job.fault_tolerance == "continue":
                _require_survival(world)
            while (code := _attempt(world, options, job, path, kept)) is None:
                # The rows are to be divided anew.
                kept.hold()
            return code
        except (RankLost, OutOfStep) as error:
            if (job and job.fault_tolerance == "stop") or not _is_loss(world, error):
                raise
            _recover(world, kept)


def _is_loss(world: World, error: Exception) -> bool:
    """Whether a rank has died; a sum that lacks the part of a dead one does not fit either."""
    if isinstance(error, RankLost):
        return True
    try:
        return world.can_survive and not world.meet()
    except RankLost:
        return True


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
            pulse.start(world, ending(world, kept))
            break
        except RankLost:
            continue
    if world.is_root and lost:
        ranks = "1 rank goes on" if world.size == 1 else f"{world.size} ranks go on"
        warn(f"lost {', '.join(lost)}: {ranks}")


def _attempt(world: World, options: TrainOptions, job: Job, path: Path, kept: Kept) -> int | None:
    """Set up, train and finish with the ranks that there are; collective.

    Return the exit code; None where the training is to go on with other rows on each rank.
    """
    base = path.parent
    first = without_path(job) if has_path(job) else job
    setup = set_up(world, first, base, kept.data, thorough=options.check, shares=kept.shares)
    kept.data = setup.data
    check_test_data(world, job, setup, base)
    check_inference(world, setup)
    if has_path(job):
        check_path(setup)
    if options.check:
        if world.is_root:
            print(f"{path}: the job and its data are good: {setup.summary}")
        return 0
    text = resolved(job, base)
    folder, resumes = _take_folder(world, text, options, job.name, kept)
    if resumes and (code := _finished_with(world, folder, text)) is not None:
        return code
    if has_path(job):
        if resumes and not kept.has_begun:
            require_same_run(world, folder, job)
        _begin(world, folder, text, kept)
        kept.path = kept.path or _path(world, setup, options, kept)
        if kept.path is None:
            return _EXIT_STOPPED
        setup = setup_for(world, setup, kept.path)
    found = Checkpoint.from_bytes(kept.state) if kept.state else None
    if resumes and not found:
        found = find_saved(world, folder, setup, is_known=has_path(job))
    _begin(world, folder, text, kept)
    account = open_account(world, setup, folder, options.progress, found, kept)
    if kept.path:
        account.say(remark_on(kept.path, job.stop.tol))
    kept.outcome = kept.outcome or train_setup(world, setup, folder, found, account, kept)
    if kept.outcome.ending is Ending.STOPPED:
        return _EXIT_STOPPED
    if kept.outcome.ending is Ending.UNEVEN:
        return None
    return finish(world, setup, kept.outcome, folder, account, base, path=kept.path)


def _path(world: World, setup: Setup, options: TrainOptions, kept: Kept) -> ModelPath | None:
    """Return the models for all strengths of the penalty; None if it is to stop; collective."""
    ballot = _ballot(world, setup, kept)
    if world.is_root and options.progress != "none":
        print(f"Fitting a path of up to {setup.job.path.n_alphas} strengths.", flush=True)
    try:
        return fit_path(world, setup, ballot)
    except Stopped:
        pass
    if world.is_root:
        message = "the path was not at its end, and is fitted anew with --resume"
        print(f"Stopped: {message}.", flush=True)
        by = "stop.max_seconds" if ballot.is_late else ""
        write_status(
            kept.folder.path if kept.folder else None,
            "stopped",
            _EXIT_STOPPED,
            message=message,
            ranks=world.size,
            stopped_by=by,
        )
    return None


def _ballot(world: World, setup: Setup, kept: Kept) -> Ballot:
    """Return the votes of a training that is to end as the job says."""
    stop, limit = setup.job.stop, setup.job.stop.max_seconds
    return Ballot(
        world.is_root,
        stop_requested(world, stop.before_time_limit),
        limit and max(1e-9, limit - (time.monotonic() - kept.began)),
        setup.job.checkpoint.every_seconds,
    )


def _take_folder(
    world: World, text: str, options: TrainOptions, name: str, kept: Kept
) -> tuple[RunFolder, bool]:
    """Return the run's folder, locked by the root, and whether a run in it goes on; collective."""
    if kept.folder is None:
        folder, kept.resumes = choose_folder(world, name, options, text)
        # Nobody writes there before all know the name: the root may die.
        with world.phase("making the run's folder"):
            kept.folder = folder
    with world.phase("making the run's folder", by_root=True):
        if world.is_root:
            lock_folder(kept.folder.path)
    return kept.folder, kept.resumes


def _finished_with(world: World, folder: RunFolder, text: str) -> int | None:
    """Return the exit code of a run that has nothing left to do, which the root says; collective.

    None where there is something.
    """
    told = ""
    before = read_status(folder.path) if world.is_root else {}
    with world.phase("reading the marker", by_root=True):
        if before.get("state") == "finished":
            job = folder.path / "job.toml"
            is_same = job.exists() and job.read_text(encoding="utf-8") == text
            told = str(before.get("exit_code") or 0) if is_same and folder.model.exists() else ""
    told = world.bcast_text(told)
    if not told:
        return None
    if world.is_root:
        print(f"This run has finished before: the model is {folder.model}", flush=True)
        write_status(
            folder.path,
            "finished",
            int(told),
            message="finished before",
            iteration=before.get("iteration", -1),
            ranks=before.get("ranks", 0),
            model=str(folder.model.resolve()),
        )
    return int(told)


def _begin(world: World, folder: RunFolder, text: str, kept: Kept) -> None:
    """Write what says that there is a run in the folder; collective."""
    kept.has_begun = True
    with world.phase("writing the job", by_root=True):
        if world.is_root:
            write_status(folder.path, "running", ranks=world.size)
            # Without its marker the folder would not be known as that of a run.
            (folder.path / STATUS_NAME).touch()
            folder.write_text("job.toml", text)


def open_account(
    world: World,
    setup: Setup,
    folder: RunFolder,
    progress: Progress,
    found: Checkpoint | None,
    kept: Kept,
) -> Account:
    """Take up the history where the training is taken up; collective."""
    record = kept.outcome.record if kept.outcome else kept.record
    iteration = found.iteration if found else -1
    if record:
        iteration = record.iteration
    return Account(world, folder, setup, progress, iteration, record)


def train_setup(
    world: World,
    setup: Setup,
    folder: RunFolder,
    found: Checkpoint | None,
    account: Account,
    kept: Kept,
) -> Outcome:
    """Start or take up the training, and run it to an ending; collective."""
    job, objective = setup.job, setup.objective
    course = Course(setup.solver.start(objective.problem, setup.start))
    if found:
        state = with_arrays(course.state, found.state)
        course = Course(state, found.questions, found.rows, found.objective)
        try:
            objective.set_exponents(found.exponents)
        except ValueError as error:
            raise JobError(
                f"{found.place} does not fit this version of mpi_gd ({error}); begin anew: --force"
            ) from error
        account.say(f"Going on from {found.place}.")
    elif kept.resumes:
        account.say("There is no checkpoint: training from the start.")
    saver = Saver(world, setup, folder, account, course)
    kept.begin(course, lambda: (saver.checkpoint().to_bytes(), account.last))
    certifier = setup.certifier(world) if job.stop.gap_tol else None
    tol = max(job.stop.tol, objective.rounding)
    if tol > job.stop.tol:
        account.say(
            f"float32 messages of {world.size} ranks tell gradients to {tol:.1e}: stop.tol is that."
        )
    ballot = _ballot(world, setup, kept)
    try:
        outcome = train(
            objective,
            setup.solver,
            course,
            tol=tol,
            max_iter=job.stop.max_iter,
            ballot=ballot,
            on_step=account.step,
            on_save=saver.save,
            save_every=job.checkpoint.every_iterations,
            rules=rules_of(setup, certifier),
            is_uneven=Pacing(world, setup, account, kept),
        )
        if outcome.ending is Ending.STOPPED:
            why = "stop.max_seconds" if ballot.is_late else ""
            _stop(world, folder, saver, account, kept, why)
        return outcome
    finally:
        saver.close()
        account.close()


def rules_of(setup: Setup, certifier: Certifier | None) -> Rules:
    """Return the job's further rules."""
    stop = setup.job.stop
    return Rules(
        objective_tol=stop.objective_tol,
        max_rows=stop.max_passes * setup.scaling.n_rows if stop.max_passes else math.inf,
        gap_tol=stop.gap_tol,
        relative_gap=certifier.relative_gap if certifier else None,
        floor=_PERFECT if may_diverge(setup) else -math.inf,
    )


def _stop(
    world: World, folder: RunFolder, saver: Saver, account: Account, kept: Kept, stopped_by: str
) -> None:
    """Say where the state is saved, once it is safe; collective."""
    place = saver.require_saved()
    message = f"the state is saved in {place}"
    way = "Go on"
    if place != folder.checkpoints:
        way = f"Put it into {folder.checkpoints}, and go on"
    account.say(f"Stopped: {message}. {way} with --resume.")
    if world.is_root:
        write_status(
            folder.path,
            "stopped",
            _EXIT_STOPPED,
            message=message,
            iteration=kept.iteration,
            ranks=world.size,
            stopped_by=stopped_by,
        )
