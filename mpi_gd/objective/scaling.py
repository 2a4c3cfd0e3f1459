"""The coordinates a solver works in: columns of mean 0 and deviation 1, whatever the data's units.

With u the solver's point, s the deviations and m the means,

    w_j = u_j / s_j,    b = u_b - sum_j m_j w_j,

and the gradient goes back by g_u = (g_w - m g_b) / s, the Hessian likewise. With K outputs w_j, b
and u_b are (K,). The objective is the same function; only the way to its minimum is shorter. The
penalty is on w unless the job asks for standardized columns: then it is on u. Without an intercept
there is nothing that could take up the means: they are 0 then, unless the columns are to be
standardized. Where an L2 penalty bends the objective along a coordinate, s_j is larger by so much
that the bend is again that of the loss: of a column that is seldom other than 0 it would be the
larger by far.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.errors import DataError
from mpi_gd.objective.bycolumn import is_by_column, sum_moments
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.sample import sampled_rows

__all__ = [
    "ColumnMoments",
    "Scaling",
    "find_pilot",
    "find_scaling",
    "is_off",
    "require_finite",
    "scaling_of",
]

# Where a mean is so many deviations from 0, g_w - m g_b would lose more than four digits: the
# columns are shifted in the cache instead, which costs a copy of each block.
_FAR = 1e3
# A pilot mean may be so many deviations off before the variance is found again around the mean.
_PILOT_OFF = 16.0
# A column whose deviation is below this share of its mean is constant, but for rounding.
_CONSTANT = 1e-12
# Moments that only have to be near enough are those of a part of so many tiles, twice as many at
# most, where that makes so many rows, and is an eighth of them or less.
_ROUGH_TILES = 64
_ROUGH_ROWS = 32_768
_ROUGH_SHARE = 8


@dataclass(frozen=True, eq=False)
class Scaling:
    """Means and deviations of the training rows' columns, (n_features,) each."""

    mean: Floats
    deviation: Floats
    """1 for a constant column."""
    weight: float
    """The sum of the rows' weights."""
    n_rows: int
    """The number of rows that count."""
    is_shifted: bool
    """Whether the kernel subtracts the means from X."""
    penalty_scale: Floats
    """What the penalty is on: penalty_scale_j u_j, which is w_j, or u_j itself."""
    mean_squares: Floats
    """The mean of the squares of each column in the solver's coordinates: 1, or 0 if constant."""
    n_outputs: int = 1
    is_rough: bool = False
    """Whether means and deviations are those of a sample, and most rows have not been read yet."""

    def with_ridge(self, diagonal: Floats, curvature: float) -> Scaling:
        """Return the coordinates in which loss and L2 penalty bend together as the loss did alone.

        `diagonal` (d,) is the penalty's Hessian in these coordinates, `curvature` the loss's l''.
        """
        squares = self.mean_squares + diagonal / curvature
        factor = np.where(diagonal > 0, np.sqrt(squares), 1.0)
        return replace(
            self,
            deviation=self.deviation * factor,
            penalty_scale=self.penalty_scale / factor,
            mean_squares=self.mean_squares / np.square(factor),
        )

    def to_kernel(self, u: Floats) -> tuple[Floats, float | Floats]:
        """Return w (n_features,) and b for the kernel, whose X may be shifted; or (d, K), (K,)."""
        w, b = self._split(u)
        w = (w.T / self.deviation).T
        return w, b if self.is_shifted else b - np.dot(self.mean, w)

    def gradient(self, sums: Floats) -> Floats:
        """Return the gradient in u (n_params,) from the kernel's sums (g_w, g_b, ...)."""
        gradient = sums[: (len(self.deviation) + 1) * self.n_outputs].copy()
        w, b = self._split(gradient)
        if not self.is_shifted:
            w -= self.mean * b if self.n_outputs == 1 else np.outer(self.mean, b)
        # w is a view of the gradient.
        columns = w.T
        columns /= self.deviation
        return gradient

    def hessian(self, sums: Floats) -> Floats:
        """Return the Hessian in u (n_params, n_params) from the kernel's sums for it."""
        d, n_outputs = len(self.deviation), self.n_outputs
        n_pairs = n_outputs * (n_outputs + 1) // 2
        upper = np.triu_indices(d)
        hessian = np.zeros((d + 1, n_outputs, d + 1, n_outputs))
        place = 0
        for j in range(n_outputs):
            for k in range(j, n_outputs):
                packed = sums.reshape(n_pairs, -1)[place]
                place += 1
                block = np.empty((d + 1, d + 1))
                block[upper] = packed[: len(upper[0])]
                block[:d, d], block[d, d] = packed[len(upper[0]) : -1], packed[-1]
                lower = np.tril_indices(d + 1, -1)
                block[lower] = block.T[lower]
                self._to_solver(block)
                hessian[:, j, :, k] = hessian[:, k, :, j] = block if j == k else -block
        n_params = (d + 1) * n_outputs
        return hessian.reshape(n_params, n_params)

    def scores(self, x: Floats, r: Floats) -> Floats:
        """Return each row in the solver's coordinates times its r, (n, n_params).

        `x` (n, d) is the kernel's; `r` is (n,) or (n, K).
        """
        rows = np.empty((len(x), x.shape[1] + 1))
        np.subtract(x, 0.0 if self.is_shifted else self.mean, out=rows[:, :-1])
        rows[:, :-1] /= self.deviation
        rows[:, -1] = 1.0
        return np.asarray(rows[:, :, None] * r.reshape(len(x), 1, -1)).reshape(len(x), -1)

    def _to_solver(self, block: Floats) -> None:
        """Change the coordinates of a symmetric (d + 1, d + 1), the intercept last."""
        d = len(self.deviation)
        if not self.is_shifted:
            first, total = block[:d, d].copy(), block[d, d]
            cross = np.outer(self.mean, first)
            block[:d, :d] -= cross + cross.T - total * np.outer(self.mean, self.mean)
            block[:d, d] -= total * self.mean
            block[d, :d] = block[:d, d]
        block[:d] /= self.deviation[:, None]
        block[:, :d] /= self.deviation

    def to_original(self, u: Floats) -> tuple[Floats, float | Floats]:
        """Return coefficients and intercept for the data as they were read."""
        w, b = self._split(u)
        coef = (w.T / self.deviation).T
        return coef, b - np.dot(self.mean, coef)

    def to_solver(self, coef: Floats, intercept: float | Floats) -> Floats:
        """Return u for coefficients and intercept of the data as they were read."""
        w = (coef.T * self.deviation).T
        return np.append(w.reshape(-1), intercept + np.dot(self.mean, coef))

    def to_original_matrix(self) -> Floats:
        """Return the matrix (n_params, n_params) that takes u to coefficients and intercepts."""
        d, k = len(self.deviation), self.n_outputs
        matrix = np.zeros((d + 1, k, d + 1, k))
        for j in range(k):
            columns = np.arange(d)
            matrix[columns, j, columns, j] = 1.0 / self.deviation
            matrix[d, j, :d, j] = -self.mean / self.deviation
            matrix[d, j, d, j] = 1.0
        return matrix.reshape((d + 1) * k, (d + 1) * k)

    def _split(self, u: Floats) -> tuple[Floats, float | Floats]:
        """Return views of the coefficients, (d,) or (d, K), and the intercept, or (K,)."""
        if self.n_outputs == 1:
            return u[:-1], float(u[-1])
        d = len(self.deviation)
        return u[: -self.n_outputs].reshape(d, self.n_outputs), u[-self.n_outputs :]


def find_scaling(
    world: World,
    rows: Rows,
    columns: Sequence[str],
    reduction: Reduction,
    *,
    standardize: bool,
    precondition: bool,
    locate: Callable[[int], str],
    intercept: bool = True,
    ties: tuple[NDArray[np.int64], ...] = (),
    n_outputs: int = 1,
    measure: Callable[[ColumnMoments], ColumnMoments] | None = None,
    rough: int | None = None,
) -> Scaling:
    """Return the scaling of the training rows; collective. Reads the rows once, seldom twice.

    `measure` returns the moments near those of a pilot, and may find more on its way.
    With `rough`, the seed of a sample, it may be that of a sample of the tiles, unless the columns
    are to be standardized: the optimum does not depend on it. Then nobody has seen yet whether all
    numbers are finite.
    Columns in one of `ties` share their deviation, the root mean square of their own, unless they
    are to be standardized. Raises DataError, on all ranks, when X holds what is not a finite number
    or no row counts; `locate` names the place of a global row.
    """
    if measure is None:

        def measure(pilot: ColumnMoments) -> ColumnMoments:
            return _moments(world, rows, pilot.mean, reduction)

    by_column = is_by_column(rows)
    if by_column:
        found, sampled = _moments(world, rows, np.zeros(rows.x.shape[1]), reduction), None
    else:
        pilot = find_pilot(world, rows)
        sampled = None
        if rough is not None and precondition and not standardize:
            sampled = _sampled_moments(world, rows, pilot.mean, reduction, rough)
        found = sampled or measure(pilot)
    if not found.n_rows:
        raise DataError("no row is left to train on: set data.test_fraction lower")
    if not found.weight:
        raise DataError("the weights of all rows are 0: at least one must count")
    if is_off(found) and not by_column:
        found = measure(found)
    mean, variance = found.mean, found.variance
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        with world.phase("looking for what is not a finite number"):
            require_finite(rows, columns, locate)
        j = int(np.argmin(np.isfinite(mean) & np.isfinite(variance)))
        raise DataError(
            f"column {columns[j]!r}: its squares are too large to add; divide the column by so "
            "much that its numbers are below 1e140"
        )
    is_constant = _is_constant(found)
    if is_constant.any():
        _require_constant(world, rows, columns, np.flatnonzero(is_constant))
    return scaling_of(
        found,
        standardize=standardize,
        precondition=precondition,
        intercept=intercept,
        ties=ties,
        n_outputs=n_outputs,
        can_shift=rows.x.can_shift,
        is_rough=sampled is not None,
    )


def find_pilot(world: World, rows: Rows) -> ColumnMoments:
    """Return the moments of the first tile of all, finite numbers; collective."""
    pilot = _moments(world, rows, np.zeros(rows.x.shape[1]), "fast", first_only=True)
    center = np.nan_to_num(pilot.mean, nan=0.0, posinf=0.0, neginf=0.0)
    spread = np.nan_to_num(pilot.variance, nan=0.0, posinf=0.0, neginf=0.0)
    return replace(pilot, mean=center, variance=spread)


def is_off(found: ColumnMoments) -> bool:
    """Whether a mean is so far from what was subtracted that the squares have lost digits."""
    return bool((np.abs(found.mean - found.center) > _PILOT_OFF * np.sqrt(found.variance)).any())


def _is_constant(found: ColumnMoments) -> NDArray[np.bool_]:
    """Return which columns are constant, but for rounding."""
    return np.asarray(np.sqrt(found.variance) <= _CONSTANT * np.abs(found.mean))


def scaling_of(
    found: ColumnMoments,
    *,
    standardize: bool,
    precondition: bool,
    intercept: bool = True,
    ties: tuple[NDArray[np.int64], ...] = (),
    n_outputs: int = 1,
    can_shift: bool = False,
    is_rough: bool = False,
) -> Scaling:
    """Return the scaling that follows from the columns' moments."""
    mean, variance = found.mean, found.variance
    is_constant = _is_constant(found)
    deviation = np.where(is_constant, 1.0, np.sqrt(variance))
    squares = variance + np.square(mean)
    ones, zeros = np.ones_like(mean), np.zeros_like(mean)
    if not (standardize or precondition):
        return Scaling(
            zeros, ones, found.weight, found.n_rows, False, ones, squares, n_outputs=n_outputs
        )
    mean_squares = 1.0 - is_constant.astype(np.float64)
    if not intercept and not standardize:
        mean = zeros
        deviation = np.sqrt(np.where(squares > 0, squares, 1.0))
        mean_squares = (squares > 0).astype(np.float64)
    if not standardize:
        variance = np.square(deviation)
        for tied in ties:
            deviation[tied] = np.sqrt(variance[tied].mean())
        mean_squares *= variance / np.square(deviation)
    is_shifted = can_shift and bool((np.abs(mean) > _FAR * deviation).any())
    return Scaling(
        mean,
        deviation,
        found.weight,
        found.n_rows,
        is_shifted,
        ones if standardize else 1.0 / deviation,
        mean_squares,
        n_outputs=n_outputs,
        is_rough=is_rough,
    )


def _require_constant(
    world: World, rows: Rows, columns: Sequence[str], suspects: NDArray[np.int64]
) -> None:
    """Raise DataError for a column that is not constant: its squares are too small to add."""
    is_used = np.ones(len(rows.x), dtype=bool) if rows.weight is None else rows.weight > 0
    ends = rows.x.ends(suspects, is_used)
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


def require_finite(rows: Rows, columns: Sequence[str], locate: Callable[[int], str]) -> None:
    """Raise DataError for the first number of the local X that is not finite."""
    offset = rows.first_tile * rows.grid.tile_rows
    for tile in rows.tiles():
        for first, last in rows.blocks(*tile):
            found = rows.x.find_not_finite(first, last)
            if found:
                i, j, value = found
                raise DataError(
                    f"{locate(offset + i)}, column {columns[j]!r}: got {value}, expected a finite "
                    "number; remove the row, or fill the gap before training"
                )


@dataclass(frozen=True, eq=False)
class ColumnMoments:
    """Mean and variance of each column, the weight of the rows and their number."""

    mean: Floats
    variance: Floats
    weight: float
    n_rows: int
    center: Floats
    """(d,): what was subtracted before the squares were added."""


def _sampled_moments(
    world: World, rows: Rows, center: Floats, reduction: Reduction, seed: int
) -> ColumnMoments | None:
    """Return the moments of a sample of the tiles, with all rows' number and weight; collective.

    None where a sample is not much less than all, or does not show what a column is like.
    """
    grid = rows.grid
    if grid.n_samples < _ROUGH_SHARE * _ROUGH_ROWS or not rows.x.can_shift:
        return None
    stride = max(1, grid.n_tiles // _ROUGH_TILES)
    piece = min(grid.tile_rows, _ROUGH_ROWS * stride // grid.n_tiles)
    first, last = rows.first_tile, rows.last_tile
    offset = first * grid.tile_rows
    chosen = [
        (start - offset, stop - offset)
        for tile, start, stop in sampled_rows(grid, stride, piece, seed)
        if first <= tile < last
    ]
    found = _moments(world, rows, center, reduction, chosen=chosen)
    spread = np.sqrt(found.variance)
    # Where one is not finite, this is not true.
    if not (spread > _CONSTANT * np.abs(found.mean)).all() or not np.isfinite(spread).all():
        return None
    if (np.abs(found.mean - center) > _PILOT_OFF * spread).any():
        return None
    weight, n_rows = _weight_of_rows(world, rows)
    return replace(found, weight=weight, n_rows=n_rows)


def _weight_of_rows(world: World, rows: Rows) -> tuple[float, int]:
    """Return the sum of all rows' weights and how many have one; collective."""
    if rows.weight is None:
        return float(rows.grid.n_samples), rows.grid.n_samples
    partials = np.empty((rows.n_tiles, 2))
    for sums, (start, stop) in zip(partials, rows.tiles(), strict=True):
        part = rows.weight[start:stop]
        sums[:] = np.add.reduce(part, dtype=np.float64), np.count_nonzero(part)
    total = TileSum(world, rows.grid.n_tiles, 2).sum(partials)
    return float(total[0]), int(total[1])


def _moments(
    world: World,
    rows: Rows,
    center: Floats,
    reduction: Reduction,
    *,
    chosen: list[tuple[int, int]] | None = None,
    first_only: bool = False,
) -> ColumnMoments:
    """Return the moments of the rows, or of the `chosen` local ones; collective.

    `first_only` looks at the first tile of all: a pilot, whose mean is near enough.
    """
    d = len(center)
    own = list(rows.tiles()) if chosen is None else chosen
    reader = rows.x.reader(rows.grid.block_rows)
    sums = np.empty(2 * d + 2)

    def terms(start: int, stop: int) -> Floats:
        sums[:] = 0.0
        for first, last in rows.blocks(start, stop):
            weight = np.ones(last - first)
            if rows.weight is not None:
                weight = rows.weight[first:last].astype(np.float64)
            with np.errstate(invalid="ignore", over="ignore"):
                reader.block(first, last).add_moments(center, weight, sums[:-2].reshape(2, d))
            sums[-2] += np.add.reduce(weight)
            sums[-1] += np.count_nonzero(weight)
        return sums

    def pilot() -> Floats:
        first = next(rows.tiles(), None)
        if rows.first_tile > 0 or first is None:
            return np.zeros(2 * d + 2)
        found = terms(*first)
        if not first_only:
            # The first tile's own mean is the center, of which other tiles' differ: the size of a
            # sum of x - c is seen from that of the squares (Cauchy and Schwarz).
            np.maximum(np.abs(found[:d]), np.sqrt(found[d:-2] * found[-2]), out=found[:d])
        return found

    def tiles() -> Iterator[Floats]:
        if first_only:
            yield pilot()
            return
        reader.expect(own)
        for start, stop in own:
            yield terms(start, stop)

    if is_by_column(rows):
        total = sum_moments(world, rows, reduction)
    else:
        total = TileSum(world, rows.grid.n_tiles, 2 * d + 2, reduction).sum_stream(tiles, pilot)
    weight_sum, n_rows = float(total[-2]), int(total[-1])
    if not weight_sum:
        return ColumnMoments(np.zeros(d), np.zeros(d), 0.0, n_rows, center)
    with np.errstate(invalid="ignore", over="ignore"):
        off = total[:d] / weight_sum
        variance = total[d:-2] / weight_sum - np.square(off)
        variance = np.maximum(variance, 0.0)
        return ColumnMoments(center + off, variance, weight_sum, n_rows, center)
