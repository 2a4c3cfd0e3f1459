"""Cross-validation of least squares from the second moments of the folds, without another read.

A training set's moments are the sum of its folds'; each penalty's solution is algebra with a
(d, d) matrix; the squared error of the rows that judge is a parabola in the coefficients, whose
moments are known too. Columns are standardized with the training set's own means and deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mpi_gd.comm import Reduction, World
from mpi_gd.objective import (
    Gram,
    Rows,
    Scaling,
    Squares,
    center_of,
    find_gram_parts,
    find_pilot,
    is_off,
    joined,
    scaling_of,
)
from mpi_gd.objective.rows import Floats
from mpi_gd.penalties import L1, L2, ElasticNet, NoPenalty, Penalty
from mpi_gd.selection.folds import Plan
from mpi_gd.selection.strength import null_penalty, path_penalty
from mpi_gd.solvers.path import (
    PathPenalty,
    alpha_grid,
    largest_alpha,
    ridge_path,
    walk_path,
)

__all__ = [
    "SQUARES_METRICS",
    "Fits",
    "SquaresFamily",
    "find_folds",
    "fit_path",
    "strengths",
    "takes",
    "validate",
]

SQUARES_METRICS = ("loss", "mean_loss", "rmse", "r2")
"""What is known of a fit from second moments."""

_METRICS = len(SQUARES_METRICS)


@dataclass(frozen=True, eq=False)
class SquaresFamily:
    """Jobs that differ in the penalty's strength alone."""

    penalty: Penalty
    columns: Sequence[str]
    standardize: bool
    intercept: bool


@dataclass(frozen=True, eq=False)
class Fits:
    """A fit for each alpha, in the solver's coordinates of `scaling`."""

    scaling: Scaling
    points: Floats
    """(n_alphas, n_params)."""


def takes(penalty: Penalty) -> bool:
    """Whether a penalty's strength is one number, and its solutions are known here."""
    return isinstance(penalty, L1 | L2 | ElasticNet | NoPenalty)


def find_folds(world: World, rows: Rows, plan: Plan, reduction: Reduction) -> list[Gram]:
    """Return the second moments of each part of the rows; collective. Reads them once.

    Raises nothing for numbers that are not finite: the sums are not, then.
    """
    center = np.zeros(rows.x.shape[1])
    if rows.x.can_shift:
        center = center_of(find_pilot(world, rows))
    found = find_gram_parts(world, rows, plan.parts, plan.n_parts, center, reduction)
    moments = joined(found).columns()
    if rows.x.can_shift and np.isfinite(moments.mean).all() and is_off(moments):
        found = find_gram_parts(world, rows, plan.parts, plan.n_parts, moments.mean, reduction)
    return found


def _coordinates(gram: Gram, family: SquaresFamily) -> tuple[Scaling, Squares]:
    """Return the scaling of a training set's columns, and the loss in its coordinates."""
    scaling = scaling_of(
        gram.columns(),
        standardize=family.standardize,
        precondition=True,
        intercept=family.intercept,
    )
    squares = gram.squares(scaling, family.intercept)
    if not family.intercept:
        squares = squares.held(np.append(np.zeros(len(scaling.mean), dtype=bool), True))
    return scaling, squares


def strengths(gram: Gram, family: SquaresFamily, n_alphas: int, eps: float) -> Floats:
    """Return the path's alphas for all rows that are trained on, from the largest down."""
    scaling, squares = _coordinates(gram, family)
    penalty = path_penalty(family.penalty, family.columns, scaling)
    null = null_penalty(family.penalty, family.columns, scaling)
    held = (null.l1 > 0) | (null.l2 > 0)
    rest = np.where(held, 0.0, penalty.lower), np.where(held, 0.0, penalty.upper)
    zeros = np.zeros_like(squares.point)
    alone = PathPenalty(zeros, zeros, np.minimum(*rest), np.maximum(*rest))
    (begin,) = walk_path(squares.hessian, squares.gradient, squares.point, alone, np.ones(1))
    _, gradient = squares.at(begin)
    return alpha_grid(largest_alpha(gradient, begin, null), n_alphas, eps)


def fit_path(gram: Gram, family: SquaresFamily, alphas: Floats) -> Fits:
    """Return the fit for each alpha, in whatever order they come."""
    scaling, squares = _coordinates(gram, family)
    penalty = path_penalty(family.penalty, family.columns, scaling)
    order = np.argsort(-alphas, kind="stable")
    walk = ridge_path if penalty.is_smooth and penalty.l2.any() else walk_path
    found = walk(squares.hessian, squares.gradient, squares.point, penalty, alphas[order])
    points = np.empty((len(alphas), len(squares.point)))
    for place, point in zip(order, found, strict=True):
        points[place] = point
    return Fits(scaling, points)


def _errors(gram: Gram, coef: Floats, intercept: Floats) -> Floats:
    """Return loss, mean loss, RMSE and R2 of models (n, d), (n,) over a part's rows, (n, 4)."""
    # z - t - c_y of a row is (x - c).w + base - t.
    base = intercept + coef @ gram.center - gram.target_center
    squares = np.einsum("ij,ij->i", coef @ gram.second, coef)
    squares += gram.target_second + base * (base * gram.weight - 2.0 * gram.target_first)
    squares += 2.0 * (base * (coef @ gram.first) - coef @ gram.cross)
    squares = np.maximum(squares, 0.0)
    mean = squares / gram.weight
    total = gram.target_second - gram.target_first**2 / gram.weight
    r2 = 1.0 - squares / total if total > 0 else np.full_like(squares, np.nan)
    return np.stack([mean / 2.0, mean / 2.0, np.sqrt(mean), r2], axis=1)


def validate(
    world: World,
    grams: Sequence[Gram],
    plan: Plan,
    families: Sequence[tuple[SquaresFamily, Floats]],
) -> list[Floats]:
    """Return each family's scores (n_alphas, n_splits, n_metrics); collective.

    The fits are divided among the ranks; each sends what it has found.
    """
    found = [np.zeros((len(alphas), len(plan.splits), _METRICS)) for _, alphas in families]
    tasks = [(k, s) for k in range(len(families)) for s in range(len(plan.splits))]
    for number, (k, s) in enumerate(tasks):
        if number % world.size != world.rank:
            continue
        split = plan.splits[s]
        family, alphas = families[k]
        fits = fit_path(joined([grams[part] for part in split.train]), family, alphas)
        originals = [fits.scaling.to_original(point) for point in fits.points]
        coef = np.stack([w for w, _ in originals])
        intercept = np.array([b for _, b in originals], dtype=np.float64)
        found[k][:, s] = _errors(joined([grams[part] for part in split.test]), coef, intercept)
    sizes = np.cumsum([each.size for each in found])[:-1]
    flat = np.concatenate([each.reshape(-1) for each in found])
    world.allreduce_sum(flat)
    pieces = np.split(flat, sizes)
    return [piece.reshape(each.shape) for piece, each in zip(pieces, found, strict=True)]
