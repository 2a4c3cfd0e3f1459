"""Training with penalty.alpha = "path": models for all strengths, then the chosen one as any job.

The models are the same on all ranks, and on any number of them. They are not part of a checkpoint:
a training that goes on, fits them anew.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.score import score
from mpi_gd.commands.setup import Reading, Setup, plan
from mpi_gd.commands.strengths import Fits, fit_strengths
from mpi_gd.commands.weights import weight_of
from mpi_gd.config import Job
from mpi_gd.config.pathspec import PathSpec
from mpi_gd.errors import JobError
from mpi_gd.model import Model, ModelPath
from mpi_gd.objective import lane_losses
from mpi_gd.selection.early import why_early
from mpi_gd.selection.strength import first_strength, with_alpha
from mpi_gd.solvers.path import alpha_grid
from mpi_gd.trainer import Ballot

__all__ = [
    "begin_at",
    "check_path",
    "fit_path",
    "has_path",
    "remark_on",
    "setup_for",
    "without_path",
]

Floats = NDArray[np.float64]

# Numbers of a path, 1 GiB.
_MOST_NUMBERS = 1 << 27


def has_path(job: Job) -> bool:
    """Whether the strength of the penalty is to be chosen along a path."""
    return getattr(job.penalty, "alpha", None) == "path"


def without_path(job: Job) -> Job:
    """Return the job with a number for the strength, until it is chosen."""
    return dataclasses.replace(job, penalty=first_strength(job.penalty))


def check_path(setup: Setup) -> None:
    """Raise JobError, on all ranks alike, where there is no path or it would be too large."""
    if not setup.job.loss.is_smooth:
        raise JobError(
            'penalty.alpha = "path" is for losses without kinks: give a number, or let tune try '
            "several"
        )
    n_alphas, n_params = setup.job.path.n_alphas, len(setup.start)
    if n_alphas * n_params > _MOST_NUMBERS:
        raise JobError(
            f"path.n_alphas: {n_alphas} models of {n_params:,} coefficients are more than a model "
            f"file should hold; set it to {max(2, _MOST_NUMBERS // n_params)} or less, or give "
            "penalty.alpha a number"
        )


def fit_path(world: World, setup: Setup, ballot: Ballot, alphas: Floats | None = None) -> ModelPath:
    """Return the models for the job's strengths, or for `alphas`, all of which; collective.

    With held-out rows the one with their least mean loss is chosen, else the last one.
    Raises Stopped, and, on all ranks, JobError and Diverged.
    """
    spec: PathSpec = setup.job.path
    n_outputs, why = setup.scaling.n_outputs, ""

    def make_alphas(largest: float) -> Floats:
        if alphas is not None:
            return alphas
        if not largest > 0:
            raise JobError(
                'penalty.alpha = "path": no coefficient is penalized, or none would differ from 0, '
                "so that there is no path; give a number"
            )
        return alpha_grid(largest, spec.n_alphas, spec.eps)

    def is_enough(explained: Sequence[float], point: Floats) -> bool:
        nonlocal why
        n_nonzero = int(np.count_nonzero(point[:-n_outputs]))
        if alphas is None:
            why = why_early(explained, n_nonzero, spec.max_nonzero, spec.early_stop)
        return bool(why)

    fits = fit_strengths(world, setup, make_alphas, is_enough, ballot)
    if len(fits.alphas) == spec.n_alphas:
        why = ""
    found = [setup.scaling.to_original(point) for point in fits.points]
    path = ModelPath(
        alphas=fits.alphas,
        coef=np.stack([coef for coef, _ in found]),
        intercept=np.array([intercept for _, intercept in found]),
        explained=fits.explained,
        criterion=fits.criteria,
        chosen=len(found) - 1,
        ended=why,
    )
    return path if setup.held is None or alphas is not None else _judged(world, setup, path, fits)


def _judged(world: World, setup: Setup, path: ModelPath, fits: Fits) -> ModelPath:
    """Return the path with the held-out rows' mean losses, and the choice by them; collective."""
    losses = _held_losses(world, setup, path, fits)
    if not np.isfinite(losses).all():
        return path
    # Of equal ones the strongest penalty.
    chosen = int(np.argmin(losses))
    return dataclasses.replace(
        path,
        chosen=chosen,
        score=losses,
        metric="held-out mean loss",
        alpha_min=float(path.alphas[chosen]),
    )


def _held_losses(world: World, setup: Setup, path: ModelPath, fits: Fits) -> Floats:
    """Return each model's mean loss of the held-out rows, (K,); collective."""
    job, data, held = setup.job, setup.data, setup.held
    if held is None:
        raise RuntimeError("no rows are held out")
    if setup.scaling.n_outputs == 1:
        # By the rows' own weights: those of classes are the training's.
        rows = dataclasses.replace(setup.rows, weight=weight_of(data))
        points = fits.points[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return lane_losses(world, rows, job.loss, setup.scaling, held[None], points)[:, 0]
    losses = []
    for coef, intercept in zip(path.coef, path.intercept, strict=True):
        model = Model(coef, intercept, job.loss, data.source.columns, classes=setup.classes)
        losses.append(score(world, model, data, setup.y, held).get("mean_loss", np.nan))
    return np.array(losses, dtype=np.float64)


def setup_for(world: World, setup: Setup, path: ModelPath) -> Setup:
    """Return what trains the chosen model, from where the path has it; collective."""
    job = dataclasses.replace(setup.job, penalty=with_alpha(setup.job.penalty, path.alpha))
    reading = Reading(
        setup.data, setup.held, setup.part, setup.classes, setup.y, setup.reading_seconds
    )
    made = plan(world, job, reading, known=setup.gram)
    made = dataclasses.replace(made, setup_seconds=setup.setup_seconds + made.setup_seconds)
    return begin_at(made, path)


def begin_at(setup: Setup, path: ModelPath) -> Setup:
    """Return the same training from the chosen model on."""
    intercept: Any = path.intercept[path.chosen]
    point = setup.scaling.to_solver(path.coef[path.chosen], intercept)
    return dataclasses.replace(setup, start=np.where(setup.free, point, 0.0))


def remark_on(path: ModelPath, tol: float) -> str:
    """Say what the path is, which of its models is chosen, and how many fell short of stop.tol."""
    n, last = len(path.alphas), len(path.alphas) - 1
    why = f" (there, {path.ended})" if path.ended else ""
    n_short = int(np.count_nonzero(path.criterion > tol))
    why += f"; {n_short} of them did not reach stop.tol" if n_short else ""
    by = f"the best {path.metric}" if path.metric else "the last"
    return (
        f"Path: {n} strengths from {path.alphas[0]:.6g} to {path.alphas[last]:.6g}{why}; "
        f"{by}: alpha = {path.alpha:.6g}, {path.n_nonzero[path.chosen]} coefficients that are not "
        f"0, {path.explained[path.chosen]:.2%} of the deviance explained"
    )
