"""What a training leaves: the model, its scores and a summary."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd import __version__
from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.apply import require_columns
from mpi_gd.commands.fallback import write_somewhere
from mpi_gd.commands.folder import RunFolder
from mpi_gd.commands.inference import summarize
from mpi_gd.commands.jobs import with_paths
from mpi_gd.commands.load import Loaded, load
from mpi_gd.commands.response import read_response
from mpi_gd.commands.score import format_scores, score
from mpi_gd.commands.separation import separation
from mpi_gd.commands.setup import Reading, Setup
from mpi_gd.config import CheckpointSpec, Job, StopSpec, dump_job, kind_of
from mpi_gd.errors import FileError
from mpi_gd.evaluation import Scores
from mpi_gd.model import Model, ModelPath, save_model
from mpi_gd.objective import Certificate
from mpi_gd.report import warn
from mpi_gd.solvers import SOLVERS
from mpi_gd.status import write_status
from mpi_gd.trainer import Outcome, Record

__all__ = ["check_test_data", "finish", "model_of", "scores_of"]

_EXIT_NOT_CONVERGED = 4


def finish(
    world: World,
    setup: Setup,
    outcome: Outcome,
    folder: RunFolder,
    report: Account,
    base: Path,
    more: dict[str, Any] | None = None,
    path: ModelPath | None = None,
) -> int:
    """Write the model, score it, write the summary, and `more` in it; collective.

    `path` are the models for all strengths of the penalty, of which this one has been chosen.

    Return the exit code.
    """
    record = outcome.record
    if outcome.step is None or record is None:
        raise RuntimeError("the training ended without an iterate")
    model = model_of(setup, outcome, record)
    if path:
        model = dataclasses.replace(model, path=path.with_chosen(model.coef, model.intercept))
    place = folder.model
    with world.phase("writing the model", by_root=True):
        if world.is_root:
            place = write_somewhere(place, setup.job.name, lambda path: save_model(model, path))
    ending = outcome.ending.value + (f": {outcome.detail}" if outcome.detail else "")
    seconds = time.monotonic() - report.began
    report.say(
        f"{ending[0].upper()}{ending[1:]}: objective {record.objective:.12g} after "
        f"{_counted(record.iteration, 'iteration')}, {_counted(record.questions, 'gradient')}, "
        f"{seconds:.3g} s"
    )
    certificate = setup.certifier(world).certify(outcome.step)
    report.say(_told(certificate, record))
    warning = separation(world, setup, outcome)
    if warning:
        report.say(warning)
    inference, table = summarize(world, setup, outcome)
    if table:
        report.say(table)
    scores = scores_of(world, model, setup, base)
    for rows, values in scores.items():
        report.say(f"On the {rows} {format_scores(values)}")
    report.say(f"The model is {place}")
    summary = {
        "ending": ending,
        "converged": outcome.ending.is_converged,
        "certificate": {
            "kkt_residual": record.criterion,
            "bound": certificate.bound or None,
            "gap": certificate.gap if certificate.bound else None,
            "certain_digits": certificate.digits,
        },
        **record.__dict__,
        "solver": kind_of(SOLVERS, setup.solver),
        "ranks": world.size,
        "streaming_ranks": setup.data.n_streaming,
        "balance": {**setup.data.division.as_json(), **_computing(outcome)},
        "seconds": seconds,
        "reading_seconds": setup.reading_seconds,
        "setup_seconds": setup.setup_seconds,
        "solve_seconds": outcome.seconds,
        "scores": {rows: values.as_json() for rows, values in scores.items()},
        **({"inference": inference} if inference else {}),
        **({"path": path.summary()} if path else {}),
        **({"warning": warning} if warning else {}),
        **(more or {}),
        "version": __version__,
    }
    is_short = setup.job.stop.require_convergence and not outcome.ending.is_converged
    code = _EXIT_NOT_CONVERGED if is_short else 0
    if world.is_root:
        try:
            folder.write_text("summary.json", json.dumps(summary, indent=1) + "\n")
        except FileError as error:
            warn(str(error))
        write_status(
            folder.path,
            "finished",
            code,
            iteration=record.iteration,
            ranks=world.size,
            message=ending,
            model=str(place.resolve()),
        )
    return code


def _computing(outcome: Outcome) -> dict[str, object]:
    """Return the least, median and most seconds that a rank has computed, and which it was."""
    seconds = outcome.compute
    if not seconds:
        return {}
    most = max(seconds)
    return {
        "compute_seconds": {
            "min": min(seconds),
            "median": float(np.median(seconds)),
            "max": most,
        },
        "slowest_rank": seconds.index(most),
    }


def _told(certificate: Certificate, record: Record) -> str:
    """Say what is certain of the result."""
    residual = f"relative KKT residual {record.criterion:.1e}"
    digits = certificate.digits
    if not certificate.bound or digits == 0:
        # A bound as large as the objective says nothing.
        return f"Certificate: {residual}"
    verb = "is" if digits == 1 else "are"
    known = "" if digits is None else f": {_counted(digits, 'digit')} of it {verb} certain"
    return (
        f"Certificate: {residual}; the objective is above its minimum by at most "
        f"{certificate.gap:.1e} ({certificate.bound}){known}"
    )


def scores_of(world: World, model: Model, setup: Setup, base: Path) -> dict[str, Scores]:
    """Return the scores on the held-out rows and on the test file, if any; collective."""
    scores = {}
    if setup.held is not None:
        scores["held-out"] = score(world, model, setup.data, setup.y, setup.held)
    if setup.job.data.test:
        data, y = _test_data(world, setup.job, setup, base)
        scores["test"] = score(world, model, data, y)
    return scores


def check_test_data(world: World, job: Job, trained: Setup | Reading, base: Path) -> None:
    """Read the test file, if any, and forget it: its mistakes are to show before the training."""
    if job.data.test:
        _test_data(world, job, trained, base)


def _test_data(
    world: World, job: Job, trained: Setup | Reading, base: Path
) -> tuple[Loaded, NDArray[np.float64]]:
    """Return the rows of the test file and their target; collective."""
    spec = job.data
    spec = dataclasses.replace(
        spec,
        path=spec.test,
        target=spec.test_target or spec.target,
        test="",
        test_target="",
        test_files={},
    ).with_columns(spec.test_files)
    source = trained.data.source
    spec = spec.as_trained(source.columns)
    data = load(world, spec, base, purpose="score", prepare=source.recipe or source.columns)
    require_columns(source.columns, data)
    return data, read_response(world, data, job.loss, trained.classes)


def _counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _lasting(job: Job) -> Job:
    """Return the job without what has no part in its result."""
    plain = StopSpec()
    stop = dataclasses.replace(
        job.stop, max_seconds=plain.max_seconds, before_time_limit=plain.before_time_limit
    )
    data = dataclasses.replace(job.data, balance="auto", memory="auto", scratch="")
    return dataclasses.replace(
        job,
        data=data,
        stop=stop,
        checkpoint=CheckpointSpec(),
        fault_tolerance="stop",
        slow_ranks="report",
    )


def model_of(setup: Setup, outcome: Outcome, record: Record) -> Model:
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
            "job": dump_job(with_paths(_lasting(job), lambda path: Path(path).name)),
            "n_samples": setup.scaling.n_rows,
            "objective": record.objective,
            "iterations": record.iteration,
            "questions": record.questions,
            "converged": outcome.ending.is_converged,
            "criterion": record.criterion,
            **({"prepare": source.recipe.as_json()} if source.recipe else {}),
        },
    )
