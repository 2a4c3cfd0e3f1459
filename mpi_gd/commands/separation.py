"""The warning where the features tell labels apart without a mistake, and no penalty holds them."""

from __future__ import annotations

import numpy as np

from mpi_gd.comm import World
from mpi_gd.commands.setup import Setup
from mpi_gd.data.names import list_some
from mpi_gd.inference import find_separation
from mpi_gd.trainer import Ending, Outcome

__all__ = ["may_diverge", "separation"]

# A Hessian of more parameters costs more than a warning is worth.
_MOST_PARAMS = 1500


def may_diverge(setup: Setup) -> bool:
    """Whether nothing holds the coefficients where the labels can be told apart."""
    penalty = setup.penalty
    is_free = penalty.is_smooth and not penalty.hessian_diagonal().any()
    return setup.job.loss.has_probabilities and is_free


def separation(world: World, setup: Setup, outcome: Outcome) -> str:
    """Return the warning, or nothing; collective."""
    if not may_diverge(setup) or outcome.step is None:
        return ""
    cure = 'no finite optimum, and grow with each iteration; set penalty.kind = "l2"'
    if outcome.ending is Ending.PERFECT:
        return f"The coefficients have {cure}"
    if setup.objective.n_params > _MOST_PARAMS:
        return ""
    labels = setup.y.astype(np.int64)
    columns = find_separation(world, setup.objective, setup.rows, outcome.step.u, labels)
    if columns is None:
        return ""
    names = [setup.data.columns[j] for j in columns.tolist()]
    return (
        "Some labels are told apart by features without a mistake: the coefficients of "
        f"{list_some(names)} have {cure}"
    )
