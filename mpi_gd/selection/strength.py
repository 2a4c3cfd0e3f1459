"""Penalties whose strength is sought: those for alpha = 1, and where their path begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from mpi_gd.objective import Scaling
from mpi_gd.penalties import L1, L2, ElasticNet, Penalty
from mpi_gd.solvers.path import PathPenalty

__all__ = ["first_strength", "has_path", "null_penalty", "path_penalty", "with_alpha"]

# A ridge penalty has no strength at which coefficients vanish: its path begins where that of so
# little of the lasso would.
_RIDGE_SHARE = 1e-3
_WEAK = 1e-12


def has_path(penalty: Penalty) -> bool:
    """Whether a penalty has a strength that a path can change."""
    return isinstance(penalty, L1 | L2 | ElasticNet)


def with_alpha(penalty: Penalty, alpha: float) -> Penalty:
    """Return the penalty with another strength."""
    changed: Any = penalty
    return dataclasses.replace(changed, alpha=alpha) if has_path(penalty) else penalty


def first_strength(penalty: Penalty) -> Penalty:
    """Return the penalty with a number for its strength, where that is still to be found.

    It hardly counts: coordinates are those without a penalty, dependent columns are left to it.
    """
    return with_alpha(penalty, _WEAK) if getattr(penalty, "alpha", None) == "path" else penalty


def path_penalty(penalty: Penalty, columns: Sequence[str], scaling: Scaling) -> PathPenalty:
    """Return the penalty for alpha = 1, of all parameters, in the solver's coordinates."""
    k = scaling.n_outputs
    bound = with_alpha(penalty, 1.0).bind(columns, scaling.penalty_scale, k)
    if bound.l1 is None or bound.lower is None or bound.upper is None:
        raise ValueError("the penalty is not a sum over coefficients")
    zeros = np.zeros(k)
    return PathPenalty(
        np.append(bound.l1, zeros),
        np.append(bound.hessian_diagonal(), zeros),
        np.append(bound.lower, np.full(k, -np.inf)),
        np.append(bound.upper, np.full(k, np.inf)),
    )


def null_penalty(penalty: Penalty, columns: Sequence[str], scaling: Scaling) -> PathPenalty:
    """Return that which says where the path begins."""
    if isinstance(penalty, L2) or getattr(penalty, "l1_ratio", 1.0) < _RIDGE_SHARE:
        factors = getattr(penalty, "factors", {})
        penalty = ElasticNet(l1_ratio=_RIDGE_SHARE, factors=factors)
    return path_penalty(penalty, columns, scaling)
