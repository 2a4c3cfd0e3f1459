"""A penalty and the coordinates that suit it: each depends on the other."""

from __future__ import annotations

from collections.abc import Sequence

from mpi_gd.losses import Loss
from mpi_gd.objective.scaling import Scaling
from mpi_gd.penalties import Bound, Penalty

__all__ = ["bind_penalty"]


def bind_penalty(
    penalty: Penalty, loss: Loss, scaling: Scaling, columns: Sequence[str], precondition: bool
) -> tuple[Scaling, Bound]:
    """Return the coordinates to work in, and the penalty in them.

    Raises ValueError, beginning with a key of the penalty, for a column that is not there.
    """
    bound = penalty.bind(columns, scaling.penalty_scale, scaling.n_outputs)
    if not precondition:
        return scaling, bound
    # All outputs of a column are penalized alike.
    diagonal = bound.hessian_diagonal()[:: scaling.n_outputs]
    scaling = scaling.with_ridge(diagonal, loss.usual_curvature)
    return scaling, penalty.bind(columns, scaling.penalty_scale, scaling.n_outputs)
