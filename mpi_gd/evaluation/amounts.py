"""Targets that are amounts (counts, claims, shares): at least 0, with a total to be shared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.integers import Counts, as_integers
from mpi_gd.evaluation.ranking import Ranking, rank_scores
from mpi_gd.evaluation.rows import ScoredRows
from mpi_gd.losses import Loss

__all__ = ["amount_ranking", "amounts", "amounts_of_unit", "predicted_of_unit"]

Floats = NDArray[np.float64]

_UNIT_BITS = 40


def amounts(world: World, rows: ScoredRows) -> list[Counts]:
    """Return weight * exposure and weight * y (n_local,) as integers; collective."""

    def make() -> list[Counts]:
        if rows.exposure is None:
            exposure = rows.counts(world).counts
        else:
            exposure = as_integers(world, rows.weight * rows.exposure).counts
        return [exposure, as_integers(world, rows.weight * rows.y).counts]

    return list(rows.once("amounts", make))


def amounts_of_unit(rows: ScoredRows) -> Floats:
    """Return y for a unit of exposure, (n_local,)."""
    return rows.y if rows.exposure is None else rows.y / rows.exposure


def predicted_of_unit(world: World, loss: Loss, rows: ScoredRows) -> Floats:
    """Return the predicted mean for a unit of exposure, (n_local,); collective.

    An exposure is taken out of a mean whose last bits depend on it. So that equal rows stay equal,
    40 bits of the quotient are kept: one part in 10^12.
    """
    predicted = rows.prediction(world, loss)
    if rows.exposure is None:
        return predicted
    mantissa, exponent = np.frexp(predicted / rows.exposure)
    digits: Floats = np.rint(np.ldexp(mantissa, _UNIT_BITS))
    return np.asarray(np.ldexp(digits, exponent - _UNIT_BITS))


def amount_ranking(world: World, loss: Loss, rows: ScoredRows) -> Ranking:
    """Rank rows by what is predicted for a unit; masses: exposure, amount; collective."""
    scores = predicted_of_unit(world, loss, rows)
    return rows.once("amount ranking", lambda: rank_scores(world, scores, amounts(world, rows)))
