"""Which columns of X are combinations of others, found before they make trouble."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
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
from mpi_gd.solvers import Sample

__all__ = ["MOST_COLUMNS", "Rank", "find_rank"]

# Beyond this the elimination takes longer than it is worth.
MOST_COLUMNS = 500
# A column of which less than this share is new beside those before it may be a combination of them,
# and one with less than that costs least squares in float64 digits.
_SUSPECT = 1e-7
_COSTLY = 1e-3
# A part of each tile is looked at first: it may show that no column depends on others.
_SOME = 32


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
    """Return the rank of X; collective. Reads some of the rows, or all, or all three times.

    Where their second moments are known, all are read once less.
    """
    d = rows.x.shape[1]
    kept = slice(None) if has_intercept else slice(d)
    if known is None:
        gram_of = _reading(world, rows, y, scaling)
        # What is new of a column in some rows is new in all; the column itself is longer there.
        part = Sample(1, max(1, rows.grid.tile_rows // _SOME))
        if rows.grid.n_tiles >= _SOME and (_least_new(gram_of(part)[kept, kept]) > _COSTLY * _SOME):
            return Rank(np.ones(d, dtype=bool), {}, False)
        gram = gram_of(None)[kept, kept]
    else:
        gram = known.squares(scaling, True).hessian[kept, kept]
    share = _least_new(gram)
    if share > _SUSPECT:
        return Rank(np.ones(d, dtype=bool), {}, share < _COSTLY)
    found = eliminate(second_moments(world, rows, y), has_intercept)
    places = np.flatnonzero(found.kept)
    share = _least_new(gram[np.ix_(places, places)])
    return Rank(found.kept, found.combinations, share < _COSTLY)


def _reading(
    world: World, rows: Rows, y: Floats, scaling: Scaling
) -> Callable[[Sample | None], Floats]:
    """Return what finds the Gram matrix of a sample in the solver's coordinates; collective."""
    # Whatever the loss: only the columns are looked at.
    single = dataclasses.replace(scaling, n_outputs=1)
    plain = dataclasses.replace(rows, target=y)
    objective = Objective(world, plain, Squared(), NoPenalty().bind((), np.empty(0)), single)
    return lambda sample: objective.gram(
        np.zeros(objective.n_params),
        lambda z, target, weight: np.ones(len(z)) if weight is None else weight * 1.0,
        sample,
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
