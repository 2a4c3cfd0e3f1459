"""Many strengths of a penalty on all splits at once: warm starts and shared reads of the rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.score import score
from mpi_gd.commands.setup import Reading, plan
from mpi_gd.commands.strengths import objective_for, sample_for
from mpi_gd.config import Job
from mpi_gd.model import Model
from mpi_gd.objective import LanePass, lane_deviations, lane_losses
from mpi_gd.selection.folds import Plan
from mpi_gd.selection.strength import has_path, path_penalty, with_alpha
from mpi_gd.selection.walk import walk
from mpi_gd.solvers import Auto, Question
from mpi_gd.solvers.path import PathPenalty

__all__ = ["LOT", "Lanes", "Points", "lanes_take"]

Floats = NDArray[np.float64]
Points = list[list[float] | None]
"""Coefficients and intercept of each split; None where they are too many."""

# Strengths that are fitted and kept together.
LOT = 10
# More parameters have Hessians that cost more than they save, one for each lane.
_MOST_PARAMS = 1000
# A candidate need not be fitted to more digits than its scores show.
_ENOUGH = 1e-5
_WEAK = 1e-12


def lanes_take(job: Job, reading: Reading) -> bool:
    """Whether the fits of all splits of a job can share reads of the rows."""
    loss = job.loss
    return (
        loss.is_smooth
        and loss.is_convex
        and loss.n_outputs(len(reading.classes or ())) == 1
        and has_path(job.penalty)
        and isinstance(job.solver, Auto)
        and job.precondition
        and job.data.class_weight != "balanced"
        and (job.intercept or not job.data.standardize)
        and len(reading.data.columns) < _MOST_PARAMS
    )


class Lanes:
    """The splits of all divisions, side by side."""

    def __init__(
        self,
        group: World,
        job: Job,
        reading: Reading,
        plans: Sequence[Plan],
        vote: Callable[[], None],
    ) -> None:
        """Plan; collective. Reads the columns' moments where they are to be standardized."""
        self._group, self._reading, self._vote = group, reading, vote
        # Coordinates as those without a penalty; dependent columns are left to it.
        job = dataclasses.replace(job, penalty=with_alpha(job.penalty, _WEAK))
        setup = self._setup = plan(group, job, reading)
        splits = [(each, split) for each in plans for split in each.splits]
        self._trained = np.stack([each.trained(split) for each, split in splits])
        self._tested = np.stack([each.tested(split) for each, split in splits])
        self._pass = LanePass(
            group, setup.rows, job.loss, setup.scaling, self._trained, job.reduction, ~setup.free
        )
        self._objective = objective_for(group, setup, None, setup.free)
        self._penalties = self._find_penalties()
        self._tol = max(job.stop.tol, _ENOUGH)

    def _find_penalties(self) -> list[PathPenalty]:
        """Return each lane's penalty for an alpha of 1; collective."""
        setup, n = self._setup, len(self._trained)
        job, scaling, columns = setup.job, setup.scaling, self._reading.data.source.columns
        if not job.data.standardize:
            return [path_penalty(job.penalty, columns, scaling)] * n
        found = lane_deviations(self._group, setup.rows, self._trained, scaling.mean, job.reduction)
        # The penalty is on w_j times the lane's own deviation, and w_j = u_j / deviation_j.
        own = [dataclasses.replace(scaling, penalty_scale=s / scaling.deviation) for s in found]
        return [path_penalty(job.penalty, columns, each) for each in own]

    def _hessian(self, u: Floats) -> Floats:
        """Return the Hessian of the loss at u, of all rows or a sample; collective."""
        sample = sample_for(self._setup, len(u))
        answer = self._objective.answer(Question(u, hessian=True, sample=sample)).answer
        if answer.hessian is None:
            raise RuntimeError("a Hessian has been asked for")
        return answer.hessian

    def run(
        self, alphas: Sequence[float], points: Points, metric: str
    ) -> tuple[dict[str, list[list[float]]], Points]:
        """Return, by metric, each alpha's scores of the splits, and the last coefficients.

        Alphas are falling; it begins at `points`, if there are any. Collective.
        """
        setup = self._setup
        begin = [setup.start] * len(self._trained)
        if points and all(point is not None for point in points):
            there = [np.array(point) for point in points]
            begin = [setup.scaling.to_solver(each[:-1], float(each[-1])) for each in there]
        start = np.where(setup.free, np.stack(begin), 0.0)
        bounds = self._penalties[0]
        start = np.clip(start, bounds.lower, bounds.upper)
        walked = walk(
            self._pass.at, self._hessian, start, self._penalties, alphas, self._tol, self._vote
        )
        losses = lane_losses(
            self._group, setup.rows, setup.job.loss, setup.scaling, self._tested, walked.points
        )
        scores = {"loss": losses.tolist(), "mean_loss": losses.tolist()}
        if metric not in scores:
            scores |= self._others(walked.points)
        last = [setup.scaling.to_original(point) for point in walked.points[-1]]
        return scores, [[*coef.tolist(), float(b)] for coef, b in last]

    def _others(self, points: Floats) -> dict[str, list[list[float]]]:
        """Return all other metrics, which are found model by model; collective."""
        found: dict[str, list[list[float]]] = {}
        setup, reading = self._setup, self._reading
        for k, lanes in enumerate(points):
            for lane, point in enumerate(lanes):
                coef, intercept = setup.scaling.to_original(point)
                columns = reading.data.source.columns
                model = Model(coef, intercept, setup.job.loss, columns, classes=reading.classes)
                scores: dict[str, Any] = score(
                    self._group, model, reading.data, reading.y, self._tested[lane]
                )
                for name, value in scores.items():
                    if not isinstance(value, list):
                        empty = np.full((len(points), len(lanes)), np.nan).tolist()
                        found.setdefault(name, empty)[k][lane] = float(value)
        return found
