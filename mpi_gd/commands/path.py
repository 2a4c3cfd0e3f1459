"""Fit a model for each of many strengths of the penalty, from strong to weak."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi_gd import __version__, pulse
from mpi_gd.archive import pack
from mpi_gd.comm import World
from mpi_gd.commands.jobs import read_shared_job, resolved
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.lost import ending
from mpi_gd.commands.setup import Setup, set_up
from mpi_gd.config import Job
from mpi_gd.errors import JobError
from mpi_gd.files import write_atomically
from mpi_gd.objective import Objective, weighted_means
from mpi_gd.options import PathOptions
from mpi_gd.penalties import L1, L2, ElasticNet, NoPenalty
from mpi_gd.selection.strength import null_penalty, path_penalty
from mpi_gd.solvers import Question
from mpi_gd.solvers.path import PathPenalty, alpha_grid, largest_alpha, walk_path
from mpi_gd.trainer import N_VOTES, Ballot, Course, train

__all__ = ["find_strengths", "objective_for", "run"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Fits:
    """A row for each alpha."""

    alphas: Floats
    points: Floats
    """(n_alphas, n_params), in the solver's coordinates."""
    losses: Floats
    objectives: Floats
    criteria: Floats
    """What `stop.tol` is compared with."""
    null_loss: float
    """That of the model without penalized coefficients."""


def run(world: World, options: PathOptions) -> int:
    """Write coefficients and measures of every fit; collective. Return the exit code."""
    began = time.monotonic()
    pulse.start(world, ending(world, Kept()))
    path = Path(options.job)
    job = read_shared_job(world, path, options.overrides)
    if not isinstance(job.penalty, L1 | L2 | ElasticNet):
        raise JobError(
            'penalty.kind: a path is of "l1", "elastic-net" or "l2", whose alpha it changes; '
            "set one of them"
        )
    if not job.loss.is_smooth:
        raise JobError("loss.kind: a path is of losses without kinks; train for each alpha instead")
    setup = set_up(world, job, path.parent, thorough=True)
    fits = _fit(world, setup, options)
    least = weighted_means(world, setup.rows, setup.job.loss.least(setup.rows.target)[None])[0]
    out = Path(options.out)
    with world.phase("writing the path", by_root=True):
        if world.is_root:
            write_atomically(out, _contents(setup, fits, least, path.parent, out.suffix == ".csv"))
    if world.is_root:
        print(_told(setup, fits, least, time.monotonic() - began))
        print(f"The path is {out}")
    return 0


def _fit(world: World, setup: Setup, options: PathOptions) -> _Fits:
    """Return the fits; collective."""
    if setup.objective.squares is not None and setup.objective.problem.has_moments:
        return _from_moments(setup, options)
    return _by_training(world, setup, options)


def _penalty(setup: Setup, is_null: bool = False) -> PathPenalty:
    """Return the penalty for an alpha of 1; or that which says where the path begins."""
    make = null_penalty if is_null else path_penalty
    return make(setup.job.penalty, setup.data.source.columns, setup.scaling)


def _alphas(options: PathOptions, largest: float) -> Floats:
    """Return the path's strengths."""
    largest = options.alpha_max or largest
    if not largest > 0:
        raise JobError(
            "no coefficient is penalized, or none would differ from 0: there is no path; give "
            "--alpha-max"
        )
    return alpha_grid(largest, options.n_alphas, options.eps)


def _from_moments(setup: Setup, options: PathOptions) -> _Fits:
    """Return the fits of least squares, for which the rows have been read once already."""
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
    alphas = _alphas(options, largest_alpha(gradient, begin, null))
    points = np.stack(list(walk_path(squares.hessian, gradient, begin, penalty, alphas)))
    losses, objectives, criteria = np.empty((3, len(alphas)))
    for k, (alpha, point) in enumerate(zip(alphas.tolist(), points, strict=True)):
        here = penalty.times(alpha)
        losses[k], slope = squares.at(point)
        objectives[k] = losses[k] + here.value(point)
        left = np.abs(here.residual(point, slope)).max()
        error = float(squares.errors(point)[1].max())
        criteria[k] = (left + error) / (np.sqrt(2.0 * losses[k]) or 1.0)
    return _Fits(alphas, points, losses, objectives, criteria, null_loss)


def _by_training(world: World, setup: Setup, options: PathOptions) -> _Fits:
    """Return the fits of another loss: each training begins at the last one's end; collective."""
    begin, null_loss, largest = _find_begin(world, setup)
    alphas = _alphas(options, largest)
    found = []
    for alpha in alphas.tolist():
        found.append(_trained(world, setup, begin, alpha, setup.free))
        begin = found[-1][0]
    points, losses, objectives, criteria = (np.array(part) for part in zip(*found, strict=True))
    return _Fits(alphas, points, losses, objectives, criteria, null_loss)


def find_strengths(world: World, setup: Setup, n_alphas: int, eps: float) -> Floats:
    """Return the strengths of a path, from the largest down; collective. Zeros if there is none."""
    _, _, largest = _find_begin(world, setup)
    return alpha_grid(largest, n_alphas, eps)


def _find_begin(world: World, setup: Setup) -> tuple[Floats, float, float]:
    """Return the fit without penalized coefficients, its loss and the first alpha; collective."""
    null = _penalty(setup, is_null=True)
    is_penalized = (null.l1 > 0) | (null.l2 > 0)
    free = setup.free & ~is_penalized
    begin, null_loss, _, _ = _trained(world, setup, setup.start, None, free)
    answer = objective_for(world, setup, None, setup.free).answer(Question(begin)).answer
    return begin, null_loss, largest_alpha(answer.gradient, begin, null)


def objective_for(
    world: World, setup: Setup, alpha: float | None, free: NDArray[np.bool_]
) -> Objective:
    """Return the objective for an alpha, None for no penalty."""
    job, scaling = setup.job, setup.scaling
    penalty = NoPenalty()
    if alpha is not None:
        penalty = dataclasses.replace(job.penalty, alpha=alpha)  # type: ignore[call-arg,assignment]
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
    world: World, setup: Setup, start: Floats, alpha: float | None, free: NDArray[np.bool_]
) -> tuple[Floats, float, float, float]:
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
        ballot=Ballot(world.is_root, lambda: False),
        on_step=lambda record: None,
        on_save=lambda: None,
    )
    step, record = outcome.step, outcome.record
    if step is None or record is None:
        raise RuntimeError("the training ended without an iterate")
    penalty = 0.0 if alpha is None else _penalty(setup).times(alpha).value(step.u)
    return step.u, record.objective - penalty, record.objective, record.criterion


def _explained(fits: _Fits, least: float) -> Floats:
    """Return the share of the deviance that each fit explains."""
    whole = fits.null_loss - least
    return np.asarray(1.0 - (fits.losses - least) / whole if whole > 0 else 0.0 * fits.losses)


def _originals(setup: Setup, points: Floats) -> Iterator[tuple[Floats, float | Floats]]:
    """Yield coefficients and intercepts on the data's own scale."""
    for point in points:
        yield setup.scaling.to_original(point)


def _contents(setup: Setup, fits: _Fits, least: float, base: Path, as_csv: bool) -> bytes:
    """Return the bytes of the file."""
    found = list(_originals(setup, fits.points))
    coef = np.stack([w for w, _ in found])
    intercept = np.array([b for _, b in found])
    n_nonzero = np.count_nonzero(coef.reshape(len(coef), -1), axis=1)
    measures = {
        "alphas": fits.alphas,
        "objective": fits.objectives,
        "loss": fits.losses,
        "explained": _explained(fits, least),
        "n_nonzero": n_nonzero,
        "criterion": fits.criteria,
    }
    if as_csv:
        return _csv(setup, measures, coef, intercept)
    job: Job = setup.job
    names = {"columns": list(setup.data.columns), "classes": setup.classes}
    return pack(
        {**measures, "coef": coef, "intercept": intercept},
        {**names, "job": resolved(job, base), "mpi_gd": __version__},
    )


def _csv(setup: Setup, measures: dict[str, Floats], coef: Floats, intercept: Floats) -> bytes:
    """Return a line for each alpha; of several outputs the columns are named column:label."""
    columns = setup.data.columns
    labels = [f":{label}" for label in setup.classes or ()] if coef.ndim == 3 else [""]
    names = [*measures, *(f"(intercept){label}" for label in labels)]
    names += [f"{column}{label}" for column in columns for label in labels]
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    table = [intercept.reshape(len(coef), -1), coef.reshape(len(coef), -1)]
    numbers = np.column_stack([*measures.values(), *table])
    lines = (",".join(map(repr, row)) for row in numbers.tolist())
    return ("\n".join([",".join(quoted), *lines]) + "\n").encode("utf-8")


def _told(setup: Setup, fits: _Fits, least: float, seconds: float) -> str:
    """Return what people want to know."""
    explained = _explained(fits, least)
    last = np.count_nonzero(fits.points[-1][: -setup.scaling.n_outputs])
    tol = setup.job.stop.tol
    n_short = int(np.count_nonzero(fits.criteria > tol))
    short = f"; {n_short} of them did not reach stop.tol" if n_short else ""
    return (
        f"{setup.summary}\n{len(fits.alphas)} fits, alpha from {fits.alphas[0]:.6g} to "
        f"{fits.alphas[-1]:.6g}, in {seconds:.3g} s{short}\nThe last: {last} non-zeros, "
        f"{explained[-1]:.4%} of the deviance explained"
    )
