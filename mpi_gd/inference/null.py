"""The null model: an intercept alone, or nothing, beside the offset."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.losses import Loss
from mpi_gd.objective import Rows

__all__ = ["null_intercept"]

Floats = NDArray[np.float64]

_MOST_STEPS = 50
_MOST_HALVINGS = 30
# Newton's step relative to the size of z.
_ENOUGH = 1e-12


def null_intercept(
    world: World, rows: Rows, loss: Loss, start: float | Floats, has_intercept: bool
) -> float | Floats:
    """Return the intercept that minimizes the loss without features; 0 without one; collective.

    Newton's method in one variable, or K, with halved steps. `start` is where it begins.
    """
    b = np.atleast_1d(np.asarray(start, dtype=np.float64)).copy()
    if not has_intercept:
        return _like(start, np.zeros_like(b))
    value, gradient, hessian = _sums(world, rows, loss, b)
    for _ in range(_MOST_STEPS):
        step = -np.linalg.lstsq(hessian, gradient, rcond=1e-12)[0]
        if not np.isfinite(step).all() or np.abs(step).max() <= _ENOUGH * (1 + np.abs(b).max()):
            break
        for _ in range(_MOST_HALVINGS):
            trial = _sums(world, rows, loss, b + step)
            if math.isfinite(trial[0]) and trial[0] <= value:
                break
            step = step / 2
        else:
            break
        b += step
        value, gradient, hessian = trial
    return _like(start, b)


def _like(start: float | Floats, b: Floats) -> float | Floats:
    """Return b as a number if that is what the start was."""
    return b if np.ndim(start) else float(b[0])


def _sums(world: World, rows: Rows, loss: Loss, b: Floats) -> tuple[float, Floats, Floats]:
    """Return the loss, its gradient (K,) and Hessian (K, K) at z = b + offset; collective."""
    n_outputs = len(b)
    width = 1 + n_outputs + n_outputs**2
    partials = np.zeros((rows.n_tiles, width))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for sums, (start, stop) in zip(partials, rows.tiles(), strict=True):
            z = np.zeros(stop - start) if n_outputs == 1 else np.zeros((stop - start, n_outputs))
            z += b[0] if n_outputs == 1 else b
            if rows.offset is not None:
                offset = rows.offset[start:stop]
                z += offset if n_outputs == 1 else offset[:, None]
            weight = None if rows.weight is None else rows.weight[start:stop]
            target = rows.target[start:stop]
            h = loss.second_derivative(z, target)
            if weight is not None:
                h = (h.T * weight).T
            sums[1 + n_outputs :] = np.add.reduce(h, axis=0).reshape(-1)
            sums[0] = loss.sum_and_derivative(z, target, weight)
            sums[1 : 1 + n_outputs] = np.add.reduce(z, axis=0)
    total = TileSum(world, rows.grid.n_tiles, width).sum(partials)
    hessian = total[1 + n_outputs :].reshape(n_outputs, n_outputs)
    return float(total[0]), total[1 : 1 + n_outputs], hessian
