"""Train a model: from a job file to a folder with the model, its scores and its history."""

from __future__ import annotations

import dataclasses
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mpi_gd import __version__, checkpoint, signals
from mpi_gd.checkpoint import Checkpoint
from mpi_gd.comm import World
from mpi_gd.commands.apply import require_columns
from mpi_gd.commands.folder import RunFolder, choose_folder
from mpi_gd.commands.load import load, require_same
from mpi_gd.commands.score import format_scores, score, score_all
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.config import Job, dump_job, parse_job, read_job_text
from mpi_gd.evaluation import Scores
from mpi_gd.model import Model, save_model
from mpi_gd.options import TrainOptions
from mpi_gd.report import Report, choose_progress, keep_metrics
from mpi_gd.trainer import Ballot, Ending, Outcome, Record, train

__all__ = ["run"]

_EMBEDDED_JOB = Path(__file__).parents[1] / "embedded" / "flights.toml"
# EX_TEMPFAIL of sysexits.h: not finished, run it again.
_EXIT_STOPPED = 75


def run(world: World, options: TrainOptions) -> int:
    """Train as the options say; collective. Return the exit code."""
    path = Path(options.job) if options.job else _EMBEDDED_JOB
    job = _read_job(world, path, options.overrides)
    setup = set_up(world, job, path.parent)
    if options.check:
        if world.is_root:
            print(f"{path}: the job and its data are good: {setup.summary}")
        return 0
    folder = choose_folder(world, job.name, options)
    _write_job(world, folder, job, path.parent)
    report = _Report(world, folder, setup, options)
    outcome = _train(world, setup, folder, options, report)
    if outcome.ending is Ending.STOPPED:
        report.say(f"Stopped: the state is saved in {folder.checkpoints}. Go on with --resume.")
        return _EXIT_STOPPED
    _finish(world, setup, outcome, folder, report, path.parent)
    return 0


def _read_job(world: World, path: Path, overrides: tuple[str, ...]) -> Job:
    """Read the job on the root, parse it on all ranks, agree that it is the same; collective."""
    text = ""
    with world.phase("reading the job", by_root=True):
        if world.is_root:
            text = read_job_text(path)
    job = parse_job(world.bcast_text(text), str(path), overrides)
    versions = f"mpi_gd {__version__}, NumPy {np.__version__}, Python {platform.python_version()}"
    require_same(world, "the job and the packages", f"{versions}, {dump_job(job)}")
    return job


def _write_job(world: World, folder: RunFolder, job: Job, base: Path) -> None:
    """Write the resolved job so that it runs from the run's folder as it did from its own."""

    moved = _with_paths(job, lambda path: str((base / path).resolve()))
    with world.phase("writing the job", by_root=True):
        if world.is_root:
            folder.write_text("job.toml", dump_job(moved))


def _with_paths(job: Job, change: Callable[[str], str]) -> Job:
    """Return the job with its files' paths changed."""
    data = job.data
    # With .npy files the target is a path too.
    is_pair = isinstance(data.target, str) and data.target.endswith(".npy")
    return dataclasses.replace(
        job,
        data=dataclasses.replace(
            data,
            path=change(data.path),
            test=change(data.test) if data.test else "",
            target=change(str(data.target)) if is_pair else data.target,
        ),
    )


class _Report:
    """The root's report; on the other ranks nothing."""

    def __init__(
        self, world: World, folder: RunFolder, setup: Setup, options: TrainOptions
    ) -> None:
        """Open the history."""
        self._report: Report | None = None
        self.began = time.monotonic()
        self.last: Record | None = None
        with world.phase("opening the history", by_root=True):
            if world.is_root:
                progress = choose_progress(options.progress)
                self._report = Report(folder.metrics, progress, setup.job.stop.tol)
        ranks = "1 rank" if world.size == 1 else f"{world.size} ranks"
        self.say(f"mpi_gd {__version__} on {ranks}: {setup.summary}")

    def say(self, text: str) -> None:
        """Print a line."""
        if self._report:
            self._report.say(text)

    def step(self, record: Record) -> None:
        """Note an iteration."""
        self.last = record
        if self._report:
            self._report.step(record.__dict__)

    def close(self) -> None:
        """Close the history."""
        if self._report:
            self._report.close(None if self.last is None else self.last.__dict__)


def _train(
    world: World, setup: Setup, folder: RunFolder, options: TrainOptions, report: _Report
) -> Outcome:
    """Start or take up the training, and run it to an ending; collective."""
    job, objective = setup.job, setup.objective
    problem = objective.problem
    state = job.solver.start(problem, np.zeros(problem.n_params))
    questions = 0
    found = _newest(world, folder, setup.digest) if options.resume else None
    if found:
        state = checkpoint.with_arrays(state, found.state)
        objective.set_exponents(found.exponents)
        questions = found.questions
        report.say(f"Going on from iteration {found.iteration}.")
    with world.phase("opening the history", by_root=True):
        if world.is_root:
            keep_metrics(folder.metrics, found.iteration if found else -1)
    try:
        return train(
            objective,
            job.solver,
            state,
            tol=job.stop.tol,
            max_iter=job.stop.max_iter,
            ballot=Ballot(
                world.is_root,
                signals.stop_requested,
                job.stop.max_seconds,
                job.checkpoint.every_seconds,
            ),
            on_step=report.step,
            on_save=_saver(world, setup, folder, state),
            save_every=job.checkpoint.every_iterations,
            questions=questions,
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


def _finish(
    world: World,
    setup: Setup,
    outcome: Outcome,
    folder: RunFolder,
    report: _Report,
    base: Path,
) -> None:
    """Write the model, score it, write the summary; collective."""
    record = report.last
    if outcome.step is None or record is None:
        raise RuntimeError("the training ended without an iterate")
    model = _model(setup, outcome, record)
    with world.phase("writing the model", by_root=True):
        if world.is_root:
            save_model(model, folder.model)
    ending = outcome.ending.value + (f": {outcome.detail}" if outcome.detail else "")
    seconds = time.monotonic() - report.began
    report.say(
        f"{ending[0].upper()}{ending[1:]}: objective {record.objective:.12g} after "
        f"{record.iteration} iterations, {record.questions} gradients, {seconds:.3g} s"
    )
    scores = _scores(world, model, setup, base)
    for rows, values in scores.items():
        report.say(f"On the {rows} {format_scores(values)}")
    report.say(f"The model is {folder.model}")
    summary = {
        "ending": ending,
        "converged": outcome.ending is Ending.CONVERGED,
        **record.__dict__,
        "ranks": world.size,
        "seconds": seconds,
        "scores": scores,
        "version": __version__,
    }
    with world.phase("writing the summary", by_root=True):
        if world.is_root:
            folder.write_text("summary.json", json.dumps(summary, indent=1) + "\n")


def _scores(world: World, model: Model, setup: Setup, base: Path) -> dict[str, Scores]:
    """Return the scores on the held-out rows and on the test file, if any; collective."""
    scores = {}
    if setup.held is not None:
        scores["held-out"] = score(world, model, setup.data, setup.y, setup.held)
    if setup.job.data.test:
        spec = dataclasses.replace(setup.job.data, path=setup.job.data.test, test="")
        data = load(world, spec, base)
        require_columns(model, data)
        scores["test"] = score_all(world, model, data)
    return scores


def _model(setup: Setup, outcome: Outcome, record: Record) -> Model:
    """Return the model: nothing in it depends on the number of ranks, the time or the place."""
    job, source = setup.job, setup.data.source
    if outcome.step is None:
        raise RuntimeError("the training ended without an iterate")
    coef, intercept = setup.scaling.to_original(outcome.step.u)
    return Model(
        coef=coef,
        intercept=intercept,
        loss=job.loss,
        columns=source.columns,
        target_name=source.target_name,
        classes=setup.classes,
        metadata={
            "mpi_gd": __version__,
            "job": dump_job(_with_paths(job, lambda path: Path(path).name)),
            "n_samples": round(setup.scaling.weight),
            "objective": record.objective,
            "iterations": record.iteration,
            "questions": record.questions,
            "converged": outcome.ending is Ending.CONVERGED,
            "criterion": record.criterion,
        },
    )
