"""Which columns of X are combinations of others, found before they make trouble."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.losses import Squared
from mpi_gd.objective.elimination import eliminate
from mpi_gd.objective.gram import Gram
from mpi_gd.objective.moments import second_moments
from mpi_gd.objective.objective import Objective
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.scaling import Scaling
from mpi_gd.penalties import NoPenalty

__all__ = ["MOST_COLUMNS", "Rank", "find_rank"]

# Beyond this the elimination takes longer than it is worth.
MOST_COLUMNS = 500
# A column of which less than this share is new beside those before it may be a combination of them,
# and one with less than that costs least squares in float64 digits.
_SUSPECT = 1e-7
_COSTLY = 1e-3


@dataclass(frozen=True, eq=False)
class Rank:
    """What is found about d columns."""

    kept: NDArray[np.bool_]
    """(d,): the columns that are no combination of those before them."""
    combinations: dict[int, list[int]]
    """Of each other column the columns it is made of; none if it is constant."""
    is_ill_conditioned: bool
    """Whether columns are so nearly dependent that a Hessian in float64 costs digits."""


def find_rank(
    world: World,
    rows: Rows,
    y: Floats,
    scaling: Scaling,
    *,
    has_intercept: bool,
    known: Gram | None = None,
) -> Rank:
    """Return the rank of the training rows' X; collective. Reads them once, or three times.

    Where their second moments are known, once less.
    """
    d = rows.x.shape[1]
    gram = _gram(world, rows, y, scaling) if known is None else known.squares(scaling, True).hessian
    if not has_intercept:
        gram = gram[:d, :d]
    share = _least_new(gram)
    if share > _SUSPECT:
        return Rank(np.ones(d, dtype=bool), {}, share < _COSTLY)
    found = eliminate(second_moments(world, rows, y), has_intercept)
    places = np.flatnonzero(found.kept)
    share = _least_new(gram[np.ix_(places, places)])
    return Rank(found.kept, found.combinations, share < _COSTLY)


def _gram(world: World, rows: Rows, y: Floats, scaling: Scaling) -> Floats:
    """Return the Gram matrix in the solver's coordinates, (d + 1, d + 1); collective."""
    # Whatever the loss: only the columns are looked at.
    single = dataclasses.replace(scaling, n_outputs=1)
    plain = dataclasses.replace(rows, target=y)
    objective = Objective(world, plain, Squared(), NoPenalty().bind((), np.empty(0)), single)
    return objective.gram(
        np.zeros(objective.n_params),
        lambda z, target, weight: np.ones(len(z)) if weight is None else weight * 1.0,
    )


def _least_new(gram: Floats) -> float:
    """Return the least share of a column that is new beside those before it: Cholesky's pivots."""
    lengths = np.diag(gram)
    if not (lengths > 0).all():
        return 0.0
    try:
        factor = np.linalg.cholesky(gram / np.sqrt(np.outer(lengths, lengths)))
    except np.linalg.LinAlgError:
        return 0.0
    return float(np.square(np.diag(factor)).min(initial=1.0))
