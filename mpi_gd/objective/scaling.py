"""The coordinates a solver works in: columns of mean 0 and deviation 1, whatever the data's units.

With u the solver's point, s the deviations and m the means,

    w_j = u_j / s_j,    b = u_b - sum_j m_j w_j,

and the gradient goes back by g_u = (g_w - m g_b) / s. The objective is the same function; only
the way to its minimum is shorter. The penalty is on w unless the job asks for standardized
columns: then it is on u.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.errors import DataError
from mpi_gd.objective.rows import Floats, Rows

__all__ = ["Scaling", "find_scaling"]

# Where a mean is so many deviations from 0, g_w - m g_b would lose more than four digits: the
# columns are shifted in the cache instead, which costs a copy of each block.
_FAR = 1e3
# A pilot mean may be so many deviations off before the variance is found again around the mean.
_PILOT_OFF = 16.0
# A column whose deviation is below this share of its mean is constant, but for rounding.
_CONSTANT = 1e-12


@dataclass(frozen=True, eq=False)
class Scaling:
    """Means and deviations of the training rows' columns, (n_features,) each."""

    mean: Floats
    deviation: Floats
    """1 for a constant column."""
    weight: float
    """The number of rows that count."""
    is_shifted: bool
    """Whether the kernel subtracts the means from X."""
    penalty_factor: Floats
    """The penalty's scale: w_j^2 = factor_j u_j^2, or 1 if the penalty is on u."""
    mean_squares: Floats
    """The mean of the squares of each column in the solver's coordinates: 1, or 0 if constant."""

    def to_kernel(self, u: Floats) -> tuple[Floats, float]:
        """Return w (n_features,) and b for the kernel, whose X may be shifted."""
        w = u[:-1] / self.deviation
        b = float(u[-1])
        return w, b if self.is_shifted else b - float(np.dot(self.mean, w))

    def gradient(self, sums: Floats) -> Floats:
        """Return the gradient in u (n_features + 1,) from the kernel's sums (g_w, g_b, ...)."""
        n = len(self.deviation)
        gradient = sums[: n + 1].copy()
        if not self.is_shifted:
            gradient[:n] -= self.mean * gradient[n]
        gradient[:n] /= self.deviation
        return gradient

    def to_original(self, u: Floats) -> tuple[Floats, float]:
        """Return coefficients and intercept for the data as they were read."""
        coef = u[:-1] / self.deviation
        return coef, float(u[-1]) - float(np.dot(self.mean, coef))


def find_scaling(
    world: World,
    rows: Rows,
    columns: tuple[str, ...],
    reduction: Reduction,
    *,
    standardize: bool,
    precondition: bool,
    locate: Callable[[int], str],
) -> Scaling:
    """Return the scaling of the training rows; collective. Reads the rows once, seldom twice.

    Raises DataError, on all ranks, when X holds what is not a finite number or no row counts;
    `locate` names the place of a global row.
    """
    pilot = _moments(world, rows, np.zeros(rows.x.shape[1]), "fast", first_only=True)
    center = np.nan_to_num(pilot[0], nan=0.0, posinf=0.0, neginf=0.0)
    mean, variance, weight = _moments(world, rows, center, reduction)
    if not weight:
        raise DataError("no row is left to train on: set data.test_fraction lower")
    far = np.abs(mean - center) > _PILOT_OFF * np.sqrt(variance)
    if far.any():
        mean, variance, weight = _moments(world, rows, mean, reduction)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        with world.phase("looking for what is not a finite number"):
            _require_finite(rows, columns, locate)
        j = int(np.argmin(np.isfinite(mean) & np.isfinite(variance)))
        raise DataError(
            f"column {columns[j]!r}: its squares are too large to add; divide the column by so "
            "much that its numbers are below 1e140"
        )
    deviation = np.sqrt(variance)
    is_constant = deviation <= _CONSTANT * np.abs(mean)
    if is_constant.any():
        _require_constant(world, rows, columns, np.flatnonzero(is_constant))
    deviation = np.where(is_constant, 1.0, deviation)
    if not (standardize or precondition):
        ones, zeros = np.ones_like(mean), np.zeros_like(mean)
        return Scaling(zeros, ones, weight, False, ones, variance + np.square(mean))
    is_shifted = bool((np.abs(mean) > _FAR * deviation).any())
    factor = np.ones_like(deviation) if standardize else 1.0 / np.square(deviation)
    return Scaling(
        mean, deviation, weight, is_shifted, factor, 1.0 - is_constant.astype(np.float64)
    )


def _require_constant(
    world: World, rows: Rows, columns: tuple[str, ...], suspects: NDArray[np.int64]
) -> None:
    """Raise DataError for a column that is not constant: its squares are too small to add."""
    used = rows.x[:, suspects] if rows.mask is None else rows.x[np.ix_(rows.mask, suspects)]
    ends = np.full((2, len(suspects)), -np.inf)
    if len(used):
        ends[:] = used.max(axis=0), -used.min(axis=0)
    world.allreduce_max(ends)
    high, low = ends[0], -ends[1]
    varies = np.flatnonzero(high - low > _CONSTANT * np.maximum(np.abs(high), np.abs(low)))
    if varies.size:
        k = int(varies[0])
        raise DataError(
            f"column {columns[suspects[k]]!r}: its numbers, from {low[k]:g} to {high[k]:g}, differ "
            "by so little that their squares vanish; multiply the column by so much that they are "
            "above 1e-140"
        )


def _require_finite(rows: Rows, columns: tuple[str, ...], locate: Callable[[int], str]) -> None:
    """Raise DataError for the first number of the local X that is not finite."""
    offset = rows.first_tile * rows.grid.tile_rows
    for tile in rows.tiles():
        for first, last in rows.blocks(*tile):
            bad = np.argwhere(~np.isfinite(rows.x[first:last]))
            if bad.size:
                i, j = (int(number) for number in bad[0])
                raise DataError(
                    f"{locate(offset + first + i)}, column {columns[j]!r}: got "
                    f"{rows.x[first + i, j]}, expected a finite number; remove the row, or fill "
                    "the gap before training"
                )


def _moments(
    world: World, rows: Rows, center: Floats, reduction: Reduction, first_only: bool = False
) -> tuple[Floats, Floats, float]:
    """Return mean and variance of each column, and the weight of the rows; collective.

    `first_only` looks at the first tile of all: a pilot, whose mean is near enough.
    """
    width = len(center)
    partials = np.zeros((rows.n_tiles, 2 * width + 1))
    for sums, (start, stop) in zip(partials, rows.tiles(), strict=True):
        if first_only and rows.first_tile > 0:
            break
        for first, last in rows.blocks(start, stop):
            _add_block(rows, first, last, center, sums)
        if first_only:
            break
    total = TileSum(world, rows.grid.n_tiles, 2 * width + 1, reduction).sum(partials)
    weight = float(total[-1])
    if not weight:
        return np.zeros(width), np.zeros(width), 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        off = total[:width] / weight
        variance = total[width:-1] / weight - np.square(off)
        return center + off, np.maximum(variance, 0.0), weight


def _add_block(rows: Rows, first: int, last: int, center: Floats, sums: Floats) -> None:
    """Add sum x - c, sum (x - c)^2 and the number of rows that count."""
    width = len(center)
    with np.errstate(invalid="ignore", over="ignore"):
        x = np.subtract(rows.x[first:last], center, dtype=np.float64)
        ones = np.ones(last - first) if rows.mask is None else rows.mask[first:last] * 1.0
        sums[:width] += np.dot(ones, x)
        np.square(x, out=x)
        sums[width:-1] += np.dot(ones, x)
        sums[-1] += ones.sum()
