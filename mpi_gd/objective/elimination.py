"""Least squares and dependent columns, by elimination in twice the digits of float64.

Columns are taken in their order: one that is a combination of those before it is left out, as R's
lm does. The elimination is that of Cholesky without square roots (LDL'); with 30 digits its square
of the condition number does no harm to what float64 data can tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.doubled import Doubled

__all__ = ["Elimination", "eliminate"]

Floats = NDArray[np.float64]

# A column whose part that is new, beside the columns before it, is shorter than this share of its
# length is a combination of them: rounding the data to float64 alone makes 1e-16.
_NEW_SHARE = 1e-13
# Shares of a combination below this are not named.
_NAMED = 1e-8


@dataclass(frozen=True, eq=False)
class Elimination:
    """What the elimination finds, of d columns."""

    kept: NDArray[np.bool_]
    """(d,): the columns that are no combination of those before them."""
    combinations: dict[int, list[int]]
    """Of each other column, those it is made of; none if it is constant."""
    coef: Floats
    """(d,): the least squares solution for the last variable; 0 where a column is not kept."""
    intercept: float
    inverse: Floats
    """(d, d): the inverse of the kept columns' moments, zeros elsewhere."""


def eliminate(moments: Doubled, has_intercept: bool, ridge: Floats | None = None) -> Elimination:
    """Return the solution for `moments` (d + 2, d + 2) of (x, 1, y).

    `ridge` (d,) is added to the diagonal of the columns.
    """
    d = moments.shape[0] - 2
    variables = np.append(np.arange(d), d + 1)
    work = moments[np.ix_(variables, variables)].copy()
    lengths = np.diag(work.hi)[:d].copy()
    if has_intercept and moments.hi[d, d] > 0:
        ones = moments[variables, d]
        work = work - _outer(ones, ones) / moments[d, d]
    diagonal = np.arange(d)
    if ridge is not None:
        work[diagonal, diagonal] = work[diagonal, diagonal] + Doubled.of(ridge)
    centred = np.maximum(np.diag(work.hi)[:d], 0.0)
    constant = centred <= _NEW_SHARE**2 * lengths
    kept = np.zeros(d, dtype=bool)
    combinations: dict[int, list[int]] = {}
    # Gauss-Jordan: row and column j of `work` become those of the inverse as j is swept in, so
    # that the coefficients of what follows on the kept columns can be read off at any time.
    for j in range(d):
        if constant[j]:
            combinations[j] = []
        elif work.hi[j, j] <= _NEW_SHARE**2 * centred[j]:
            shares = np.abs(work.hi[:d, j]) * np.sqrt(centred / centred[j]) * kept
            combinations[j] = np.flatnonzero(shares > _NAMED).tolist()
        else:
            work = _sweep(work, j)
            kept[j] = True
    coef = Doubled.of(np.zeros(d))
    coef[kept] = work[np.flatnonzero(kept), d]
    intercept = 0.0
    if has_intercept and moments.hi[d, d] > 0:
        total = moments[d + 1, d]
        for place in np.flatnonzero(kept):
            total = total - coef[place] * moments[place, d]
        intercept = float((total / moments[d, d]).rounded())
    inverse = np.zeros((d, d))
    places = np.ix_(kept, kept)
    inverse[places] = -work[:d, :d].rounded()[places]
    return Elimination(kept, combinations, coef.rounded(), intercept, inverse)


def _outer(a: Doubled, b: Doubled) -> Doubled:
    """Return a b', (len(a), len(b))."""
    return a[:, None] * b[None, :]


def _sweep(work: Doubled, j: int) -> Doubled:
    """Sweep variable j in (Goodnight, "A Tutorial on the SWEEP Operator", 1979).

    Afterwards work[i, j] is the coefficient of variable i on j, work[j, j] minus the inverse.
    """
    pivot = work[j, j]
    row = work[j] / pivot
    swept = work - _outer(work[:, j], row)
    swept[j] = row
    swept[:, j] = row
    swept[j, j] = Doubled.of(-1.0) / pivot
    return swept
