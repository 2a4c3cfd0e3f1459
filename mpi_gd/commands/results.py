"""What a training leaves: the model, its scores and a summary."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

from mpi_gd import __version__
from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.apply import require_columns
from mpi_gd.commands.folder import RunFolder
from mpi_gd.commands.jobs import with_paths
from mpi_gd.commands.load import load
from mpi_gd.commands.score import format_scores, score, score_all
from mpi_gd.commands.setup import Setup
from mpi_gd.config import dump_job
from mpi_gd.evaluation import Scores
from mpi_gd.model import Model, save_model
from mpi_gd.trainer import Ending, Outcome, Record

__all__ = ["finish"]


def finish(
    world: World,
    setup: Setup,
    outcome: Outcome,
    folder: RunFolder,
    report: Account,
    base: Path,
) -> None:
    """Write the model, score it, write the summary; collective."""
    record = outcome.record
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
            "job": dump_job(with_paths(job, lambda path: Path(path).name)),
            "n_samples": round(setup.scaling.weight),
            "objective": record.objective,
            "iterations": record.iteration,
            "questions": record.questions,
            "converged": outcome.ending is Ending.CONVERGED,
            "criterion": record.criterion,
        },
    )
