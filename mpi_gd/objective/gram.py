"""Least squares from one read of the rows: all that it needs are the second moments.

With v = (x - c, 1, t) of a row, t = y - offset - c_y and c near the means, sum weight v v' says the
squared loss, its gradient and its Hessian at every point. The tiles' sums are added exactly, so
that the bits are the same whoever owns which tiles.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.losses import Loss, Squared
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.scaling import ColumnMoments, Scaling

__all__ = [
    "Gram",
    "GramPass",
    "Squares",
    "center_of",
    "takes_moments",
    "target_pilot",
    "unpacked",
    "weights_and_targets",
]

# A tile's terms of more columns than that would fill too much of each rank's memory.
_MOST_COLUMNS = 2000

# A mean so many deviations from 0 costs digits: then it is subtracted first, for a copy's time.
_NEAR = 2.0
# What the sums of products of a block may be off, as a share of the sums of their sizes: many times
# the rounding error that is usual for a thousand numbers.
_ROUNDING = 64 * 2.0**-53


def takes_moments(loss: Loss, n_columns: int) -> bool:
    """Whether the second moments of the rows say all about the loss, and are not too many."""
    return loss == Squared() and n_columns <= _MOST_COLUMNS


@dataclass(frozen=True, eq=False)
class Gram:
    """Sums over all ranks' rows, of d columns."""

    center: Floats
    """(d,): c."""
    target_center: float
    """c_y."""
    second: Floats
    """(d, d): sum weight (x - c)(x - c)'."""
    first: Floats
    """(d,): sum weight (x - c)."""
    cross: Floats
    """(d,): sum weight (x - c) t."""
    target_first: float
    """sum weight t."""
    target_second: float
    """sum weight t^2."""
    weight: float
    n_rows: int

    def columns(self) -> ColumnMoments:
        """Return mean and variance of each column."""
        off = self.first / self.weight
        variance = np.diag(self.second) / self.weight - np.square(off)
        variance = np.maximum(variance, 0.0)
        return ColumnMoments(self.center + off, variance, self.weight, self.n_rows, self.center)

    def target_mean(self) -> float:
        """Return the mean of y - offset."""
        return self.target_center + self.target_first / self.weight

    def squares(self, scaling: Scaling, has_intercept: bool) -> Squares:
        """Return the squared loss as a function of the solver's coordinates."""
        d, weight = len(self.center), self.weight
        # z = x.w + b of the solver's coordinates is (x - c).w + 1 (u_b - (mean - c).w).
        shift = scaling.mean - self.center
        start = self.target_mean() if has_intercept else 0.0
        gap = start - self.target_center
        hessian = np.empty((d + 1, d + 1))
        crossed = np.outer(shift, self.first)
        hessian[:d, :d] = self.second - crossed - crossed.T + weight * np.outer(shift, shift)
        hessian[:d, d] = hessian[d, :d] = self.first - weight * shift
        hessian[d, d] = weight
        # r = z - t at coefficients 0 and the intercept `start`.
        residuals = gap * weight - self.target_first
        gradient = np.append(gap * self.first - self.cross - shift * residuals, residuals)
        square = self.target_second + gap * (gap * weight - 2.0 * self.target_first)
        scale = np.append(scaling.deviation, 1.0)
        sizes = np.sqrt(np.maximum(np.diag(self.second), 0.0) / weight) + np.abs(shift)
        point = np.zeros(d + 1)
        point[-1] = start
        return Squares(
            point=point,
            value=max(square, 0.0) / (2.0 * weight),
            gradient=gradient / (scale * weight),
            hessian=hessian / (np.outer(scale, scale) * weight),
            sizes=np.append(sizes, 1.0) / scale,
            target_size=float(np.sqrt(max(self.target_second, 0.0) / weight)) + abs(gap),
        )


@dataclass(frozen=True, eq=False)
class Squares:
    """value + gradient.(u - point) + (u - point).hessian.(u - point) / 2, without a penalty."""

    point: Floats
    """(n_params,)."""
    value: float
    gradient: Floats
    hessian: Floats
    sizes: Floats
    """(n_params,): the root mean squares of what was multiplied: rounding errors grow with them."""
    target_size: float

    def held(self, fixed: NDArray[np.bool_]) -> Squares:
        """Return the function of the other parameters, where those of a mask are held at 0."""
        gradient, hessian = self.gradient.copy(), self.hessian.copy()
        gradient[fixed] = 0.0
        hessian[fixed] = 0.0
        hessian[:, fixed] = 0.0
        return dataclasses.replace(self, gradient=gradient, hessian=hessian)

    def at(self, u: Floats) -> tuple[float, Floats]:
        """Return value and gradient at u."""
        move = u - self.point
        bent = self.hessian @ move
        value = self.value + float(np.dot(self.gradient + 0.5 * bent, move))
        return max(value, 0.0), self.gradient + bent

    def errors(self, u: Floats) -> tuple[float, Floats]:
        """Return what rounding may have done to both: a generous estimate, no proof."""
        size = self.target_size + float(np.dot(self.sizes, np.abs(u - self.point)))
        return 0.5 * _ROUNDING * size * size, _ROUNDING * size * self.sizes


class GramPass:
    """Reads the rows once, for the columns' scaling and for all that least squares needs."""

    def __init__(
        self, world: World, rows: Rows, reduction: Reduction, known: Gram | None = None
    ) -> None:
        """Plan; nothing is read. `known` is what would be found."""
        self._world, self._rows, self._reduction = world, rows, reduction
        self._found, self._is_known = known, known is not None

    def measure(self, pilot: ColumnMoments) -> ColumnMoments:
        """Return the columns' moments: about the pilot's means, if far from 0; collective."""
        if self._found is None or not self._is_known:
            center = center_of(pilot)
            self._found = _sum_rows(self._world, self._rows, center, self._reduction)
        found, center = self._found, self._found.center
        if not found.weight:
            zeros = np.zeros(len(center))
            return ColumnMoments(zeros, zeros, 0.0, found.n_rows, center)
        with np.errstate(invalid="ignore", over="ignore"):
            return found.columns()

    def gram(self) -> Gram:
        """Return what was found, or read the rows now: those that cannot be shifted; collective."""
        if self._found is None:
            center = np.zeros(self._rows.x.shape[1])
            self._found = _sum_rows(self._world, self._rows, center, self._reduction)
        return self._found


def center_of(pilot: ColumnMoments) -> Floats:
    """Return what to subtract from the columns: the means, if any is far from 0."""
    is_far = np.abs(pilot.mean) > _NEAR * np.sqrt(pilot.variance)
    return pilot.mean if is_far.any() else np.zeros(len(pilot.mean))


def _sum_rows(world: World, rows: Rows, center: Floats, reduction: Reduction) -> Gram:
    """Return the sums about a center; collective."""
    tiles = _Tiles(rows, center, target_pilot(world, rows))
    total = TileSum(world, rows.grid.n_tiles, tiles.width, reduction).sum_stream(
        tiles.all, tiles.pilot
    )
    return unpacked(total, center, tiles.target_center)


def unpacked(total: Floats, center: Floats, target_center: float) -> Gram:
    """Return what the sums of the tiles' terms say."""
    d = len(center)
    n_pairs = d * (d + 1) // 2
    second = np.empty((d, d))
    second[np.triu_indices(d)] = total[:n_pairs]
    lower = np.tril_indices(d, -1)
    second[lower] = second.T[lower]
    first, cross = total[n_pairs:-4].reshape(2, d)
    target_first, target_second, weight, n_rows = (float(number) for number in total[-4:])
    return Gram(
        center,
        target_center,
        second,
        first,
        cross,
        target_first,
        target_second,
        weight,
        int(n_rows),
    )


def target_pilot(world: World, rows: Rows) -> float:
    """Return about the mean of y - offset: that of the first tile; collective."""
    sums = np.zeros(2)
    first = next(rows.tiles(), None)
    if rows.first_tile == 0 and first is not None:
        weight, t = weights_and_targets(rows, *first, 0.0)
        sums[:] = np.dot(weight, t), np.add.reduce(weight)
    world.allreduce_sum(sums)
    mean = float(sums[0] / sums[1]) if sums[1] else 0.0
    return mean if np.isfinite(mean) else 0.0


def weights_and_targets(rows: Rows, first: int, last: int, center: float) -> tuple[Floats, Floats]:
    """Return weight and t of the rows; where there is no weight, anything may stand."""
    t = rows.target[first:last] - center
    if rows.offset is not None:
        t -= rows.offset[first:last]
    if rows.weight is None:
        return np.ones(last - first), t
    weight = rows.weight[first:last].astype(np.float64)
    t[weight == 0] = 0.0
    return weight, t


class _Tiles:
    """The tiles' terms: of `second` the upper triangle, first, cross and four numbers."""

    def __init__(self, rows: Rows, center: Floats, target_center: float) -> None:
        d = len(center)
        self._rows = rows
        self.target_center = target_center
        self.n_pairs = d * (d + 1) // 2
        self.width = self.n_pairs + 2 * d + 4
        self._terms = np.empty(self.width)
        upper = np.triu_indices(d)
        self._upper = upper[0] * (d + 2) + upper[1]
        self._sum, self._part = np.empty((d + 2, d + 2)), np.empty((d + 2, d + 2))
        # Half a block stays in the cache nearest to the core.
        self._step = max(16, rows.grid.block_rows // 32 * 16)
        self._reader = rows.x.reader(self._step, center if center.any() else None)
        self._v = np.empty((self._step, d + 2))

    def all(self) -> Iterator[Floats]:
        """Yield each local tile's terms."""
        pulse.doing("computing the Gram matrix")
        self._reader.expect(list(self._rows.tiles()))
        for start, stop in self._rows.tiles():
            yield self._tile(start, stop)
        pulse.waiting()

    def pilot(self) -> Floats:
        """Return what the terms of the first tile of all are below, zeros where it is not.

        Their own size would mislead: those about the first tile's mean vanish there, and there
        alone.
        """
        terms = np.zeros(self.width)
        first = next(self._rows.tiles(), None)
        if self._rows.first_tile == 0 and first is not None:
            terms[-2:] = self._tile(*first)[-2:]
            # By Cauchy and Schwarz.
            lengths = np.sqrt(np.diag(self._sum))
            d = len(lengths) - 2
            most = np.outer(lengths, lengths)
            terms[: self.n_pairs] = most.reshape(-1)[self._upper]
            terms[self.n_pairs : -4] = most[d:, :d].reshape(-1)
            terms[-4:-2] = most[d:, d + 1]
        pulse.waiting()
        return terms

    def _tile(self, start: int, stop: int) -> Floats:
        """Return the terms of the local rows [start, stop): v'v, and the rows' weight and number.

        Of rows v = (x, 1, t): one product is faster than one for x, and two that read it again.
        """
        terms, d = self._terms, self._v.shape[1] - 2
        self._sum[:] = terms[:] = 0.0
        with np.errstate(invalid="ignore", over="ignore"):
            for begin in range(start, stop, self._step):
                end = min(begin + self._step, stop)
                v = self._v[: end - begin]
                self._reader.put(begin, end, v[:, :d])
                weight, t = weights_and_targets(self._rows, begin, end, self.target_center)
                v[:, d], v[:, d + 1] = 1.0, t
                terms[-2] += np.add.reduce(weight)
                terms[-1] += np.count_nonzero(weight)
                if self._rows.weight is not None and not (weight == 1.0).all():
                    v *= np.sqrt(weight)[:, None]
                # BLAS does half the work where both factors are one.
                np.dot(v.T, v, out=self._part)
                self._sum += self._part
        np.take(self._sum.reshape(-1), self._upper, out=terms[: self.n_pairs], mode="clip")
        terms[self.n_pairs : -4] = self._sum[d:, :d].reshape(-1)
        terms[-4:-2] = self._sum[d:, d + 1]
        return terms
