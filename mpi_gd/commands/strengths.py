"""Models for each of many strengths of a penalty, from strong to weak, each from the last one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.commands.setup import Setup
from mpi_gd.errors import JobError
from mpi_gd.objective import LanePass, Objective, weighted_means
from mpi_gd.penalties import NoPenalty
from mpi_gd.selection.strength import null_penalty, path_penalty, with_alpha
from mpi_gd.selection.walk import walk
from mpi_gd.solvers import Auto, Question, Sample
from mpi_gd.solvers.path import PathPenalty, alpha_grid, largest_alpha, walk_path
from mpi_gd.trainer import N_VOTES, Ballot, Course, Ending, train

__all__ = ["Fits", "Stopped", "find_strengths", "fit_strengths", "objective_for", "sample_for"]

Floats = NDArray[np.float64]
Step = tuple[Floats, float, float, float]
"""A point in the solver's coordinates, its loss, its objective and the criterion."""

# Strengths that are fitted with one Hessian to begin with.
_LOT = 10
# More parameters have Hessians that cost more than they save.
_MOST_PARAMS = 1000
# The first Hessian is that of so many rows for each parameter, or of all.
_ROWS_EACH, _PIECES = 200, 64


class Stopped(Exception):
    """The ranks have voted to stop; on all alike."""


@dataclass(frozen=True, eq=False)
class Fits:
    """A row for each alpha."""

    alphas: Floats
    points: Floats
    """(n_alphas, n_params), in the solver's coordinates."""
    losses: Floats
    objectives: Floats
    criteria: Floats
    """What `stop.tol` is compared with."""
    explained: Floats
    """The share of the deviance, beyond that of the model without penalized coefficients."""


def fit_strengths(
    world: World,
    setup: Setup,
    make_alphas: Callable[[float], Floats],
    is_enough: Callable[[Sequence[float], Floats], bool] = lambda explained, point: False,
    ballot: Ballot | None = None,
) -> Fits:
    """Return the fits; collective.

    `make_alphas` gets the least alpha for which all penalized coefficients are 0, `is_enough` the
    shares of the deviance that are explained so far and the last point, after which the path may
    end. Raises Stopped where a rank has voted so.
    """
    least = weighted_means(world, setup.rows, setup.job.loss.least(setup.rows.target)[None])[0]
    fit = _from_moments if _has_moments(setup) else _from_rows
    null_loss, alphas, steps = fit(world, setup, make_alphas, ballot)
    whole = null_loss - least
    found: list[Step] = []
    explained: list[float] = []
    for step in steps:
        found.append(step)
        explained.append(1.0 - (step[1] - least) / whole if whole > 0 else 0.0)
        if is_enough(explained, step[0]):
            break
    points, losses, objectives, criteria = (np.array(part) for part in zip(*found, strict=True))
    n = len(found)
    return Fits(alphas[:n], points, losses, objectives, criteria, np.array(explained))


def _has_moments(setup: Setup) -> bool:
    """Whether the rows have been read once already, for all that is asked."""
    return setup.objective.squares is not None and setup.objective.problem.has_moments


def _penalty(setup: Setup, is_null: bool = False) -> PathPenalty:
    """Return the penalty for an alpha of 1; or that which says where the path begins."""
    make = null_penalty if is_null else path_penalty
    return make(setup.job.penalty, setup.data.source.columns, setup.scaling)


def _from_moments(
    world: World, setup: Setup, make_alphas: Callable[[float], Floats], ballot: Ballot | None
) -> tuple[float, Floats, Iterator[Step]]:
    """Return the first loss, the strengths and the fits of least squares."""
    squares = setup.objective.squares
    if squares is None:
        raise RuntimeError("the second moments are not known")
    penalty, null = _penalty(setup), _penalty(setup, is_null=True)
    # Unpenalized coefficients alone: the others are held at 0, or at the bound next to it.
    held = (null.l1 > 0) | (null.l2 > 0)
    rest = np.where(held, 0.0, penalty.lower), np.where(held, 0.0, penalty.upper)
    zeros = np.zeros_like(squares.point)
    alone = PathPenalty(zeros, zeros, np.minimum(*rest), np.maximum(*rest))
    (begin,) = walk_path(squares.hessian, squares.gradient, squares.point, alone, np.ones(1))
    null_loss, gradient = squares.at(begin)
    alphas = make_alphas(largest_alpha(gradient, begin, null))

    def steps() -> Iterator[Step]:
        points = walk_path(squares.hessian, gradient, begin, penalty, alphas)
        for alpha, point in zip(alphas.tolist(), points, strict=True):
            here = penalty.times(alpha)
            loss, slope = squares.at(point)
            left = np.abs(here.residual(point, slope)).max()
            error = float(squares.errors(point)[1].max())
            criterion = (left + error) / (np.sqrt(2.0 * loss) or 1.0)
            yield point, loss, loss + here.value(point), criterion

    return null_loss, alphas, steps()


def _from_rows(
    world: World, setup: Setup, make_alphas: Callable[[float], Floats], ballot: Ballot | None
) -> tuple[float, Floats, Iterator[Step]]:
    """Return the first loss, the strengths and the fits of another loss; collective."""
    begin, null_loss, largest = _find_begin(world, setup, ballot)
    alphas = make_alphas(largest)
    way = _by_walking if _can_walk(setup) else _by_training
    return null_loss, alphas, way(world, setup, begin, alphas.tolist(), ballot)


def _can_walk(setup: Setup) -> bool:
    """Whether the fits can share a Hessian and what they learn of it."""
    job = setup.job
    return (
        job.loss.is_smooth
        and job.loss.is_convex
        and setup.scaling.n_outputs == 1
        and isinstance(job.solver, Auto)
        and job.precondition
        and len(setup.start) <= _MOST_PARAMS
    )


def _by_walking(
    world: World, setup: Setup, begin: Floats, alphas: list[float], ballot: Ballot | None
) -> Iterator[Step]:
    """Yield the fits of some strengths at a time; collective."""
    left_out, n_rows = setup.part.left_out, len(setup.y)
    used = np.ones(n_rows, dtype=bool) if left_out is None else ~left_out
    job, penalty = setup.job, _penalty(setup)
    lanes = LanePass(
        world, setup.rows, job.loss, setup.scaling, used[None], job.reduction, ~setup.free
    )
    objective = objective_for(world, setup, None, setup.free)

    def hessian(u: Floats) -> Floats:
        sample = sample_for(setup, len(u))
        found = objective.answer(Question(u, hessian=True, sample=sample)).answer.hessian
        if found is None:
            raise RuntimeError("a Hessian has been asked for")
        return found

    def vote() -> None:
        _vote(world, ballot)

    point = np.where(setup.free, np.clip(begin, penalty.lower, penalty.upper), 0.0)
    for first in range(0, len(alphas), _LOT):
        lot = alphas[first : first + _LOT]
        walked = walk(lanes.at, hessian, point[None], [penalty], lot, job.stop.tol, vote)
        for k, alpha in enumerate(lot):
            point, loss = walked.points[k, 0], float(walked.losses[k, 0])
            objective_here = loss + penalty.times(alpha).value(point)
            yield point, loss, objective_here, float(walked.criteria[k, 0])


def sample_for(setup: Setup, n_params: int) -> Sample | None:
    """Return which rows say enough of a Hessian; None for all."""
    grid = setup.data.grid
    wanted = max(1 << 15, _ROWS_EACH * n_params)
    if 2 * wanted >= grid.n_samples:
        return None
    stride = max(1, grid.n_tiles // _PIECES)
    rows = -(-wanted * stride // grid.n_tiles // 16) * 16
    return Sample(stride, min(max(16, rows), grid.tile_rows))


def _by_training(
    world: World, setup: Setup, begin: Floats, alphas: list[float], ballot: Ballot | None
) -> Iterator[Step]:
    """Yield the fits, each trained from the last one's end; collective."""
    for alpha in alphas:
        step = _trained(world, setup, begin, alpha, setup.free, ballot)
        begin = step[0]
        yield step


def find_strengths(world: World, setup: Setup, n_alphas: int, eps: float) -> Floats:
    """Return the strengths of a path, from the largest down; collective. Zeros if there is none."""
    _, _, largest = _find_begin(world, setup, None)
    return alpha_grid(largest, n_alphas, eps)


def _find_begin(world: World, setup: Setup, ballot: Ballot | None) -> tuple[Floats, float, float]:
    """Return the fit without penalized coefficients, its loss and the first alpha; collective."""
    null = _penalty(setup, is_null=True)
    is_penalized = (null.l1 > 0) | (null.l2 > 0)
    free = setup.free & ~is_penalized
    begin, null_loss, _, _ = _trained(world, setup, setup.start, None, free, ballot)
    answer = objective_for(world, setup, None, setup.free).answer(Question(begin)).answer
    return begin, null_loss, largest_alpha(answer.gradient, begin, null)


def objective_for(
    world: World, setup: Setup, alpha: float | None, free: NDArray[np.bool_]
) -> Objective:
    """Return the objective for an alpha, None for no penalty."""
    job, scaling = setup.job, setup.scaling
    penalty = NoPenalty() if alpha is None else with_alpha(job.penalty, alpha)
    bound = penalty.bind(setup.data.source.columns, scaling.penalty_scale, scaling.n_outputs)
    return Objective(
        world,
        setup.rows,
        job.loss,
        bound,
        scaling,
        reduction=job.reduction,
        seed=job.seed,
        n_votes=N_VOTES,
        free=free,
    )


def _trained(
    world: World,
    setup: Setup,
    start: Floats,
    alpha: float | None,
    free: NDArray[np.bool_],
    ballot: Ballot | None,
) -> Step:
    """Return point, loss, objective and criterion of a fit; collective."""
    objective, stop = objective_for(world, setup, alpha, free), setup.job.stop
    solver = setup.job.solver.resolve(objective.problem)
    if lacks := solver.lacks(objective.problem):
        raise JobError(f"solver.kind: it {lacks}, as a path's penalty has; set another one")
    outcome = train(
        objective,
        solver,
        Course(solver.start(objective.problem, start)),
        tol=stop.tol,
        max_iter=stop.max_iter,
        ballot=ballot or Ballot(world.is_root, lambda: False),
        on_step=lambda record: None,
        on_save=lambda: None,
    )
    step, record = outcome.step, outcome.record
    if outcome.ending is Ending.STOPPED:
        raise Stopped
    if step is None or record is None:
        raise RuntimeError("the training ended without an iterate")
    penalty = 0.0 if alpha is None else _penalty(setup).times(alpha).value(step.u)
    return step.u, record.objective - penalty, record.objective, record.criterion


def _vote(world: World, ballot: Ballot | None) -> None:
    """Stop, on all ranks alike, if one wants to; collective."""
    if ballot is None:
        return
    votes: Any = ballot.cast().copy()
    world.allreduce_sum(votes)
    if votes[0]:
        raise Stopped
