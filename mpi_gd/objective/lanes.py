"""Loss and gradient of several models at once, each on its own part of the rows, in one read of X.

A lane is a model with a mask: of k-fold cross-validation, one for each fold, and one of all rows.
With the L lanes' coefficients side by side, X W and X' R are matrix products, which cost less
than L products with a vector; and X comes from the memory once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mpi_gd import pulse
from mpi_gd.comm import Reduction, TileSum, World
from mpi_gd.losses import Loss
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.scaling import Scaling

__all__ = ["LanePass", "lane_deviations", "lane_losses"]

# What follows the gradient (d,) of a lane: the intercept's, the loss, the squares of dloss/dz.
_MORE = 3
# A column whose deviation is below this share of its mean is constant, but for rounding.
_CONSTANT = 1e-12


class LanePass:
    """Answers questions about L models of one output with one message each."""

    def __init__(
        self,
        world: World,
        rows: Rows,
        loss: Loss,
        scaling: Scaling,
        masks: NDArray[np.bool_],
        reduction: Reduction,
        fixed: NDArray[np.bool_],
    ) -> None:
        """Plan; `masks` (L, n_rows) are the rows of each lane, `fixed` (n_params,) is held at 0.

        Collective: the lanes' weights are added.
        """
        self._rows, self._loss, self._scaling, self._masks = rows, loss, scaling, masks
        self._fixed = fixed
        n_lanes, d = len(masks), rows.x.shape[1]
        self._width = d + _MORE
        step = rows.grid.block_rows
        self._reader = rows.x.reader(step, scaling.mean if scaling.is_shifted else None)
        self._room = np.empty(n_lanes * step)
        self._terms = np.zeros((n_lanes, self._width))
        self._sum = TileSum(world, rows.grid.n_tiles, n_lanes * self._width, reduction)
        self._weights = _weights(world, rows, masks)

    def at(self, points: Floats, lanes: Sequence[int]) -> tuple[Floats, Floats, Floats]:
        """Return mean losses (k,), gradients (k, n_params) and root mean squares of dloss/dz.

        Of k lanes, at `points` (k, n_params); collective.
        """
        pulse.doing("computing several gradients")
        kernel = [self._scaling.to_kernel(point) for point in points]
        w = np.ascontiguousarray(np.stack([each for each, _ in kernel], axis=1))
        b = np.array([each for _, each in kernel], dtype=np.float64)

        def tiles() -> Iterator[Floats]:
            for start, stop in self._rows.tiles():
                yield self._tile(start, stop, w, b, lanes)
            pulse.waiting()

        def pilot() -> Floats:
            first = next(self._rows.tiles(), None)
            if self._rows.first_tile > 0 or first is None:
                return np.zeros(self._terms.size)
            return self._tile(*first, w, b, lanes)

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            total = self._sum.sum_stream(tiles, pilot).reshape(len(self._masks), -1)[list(lanes)]
        pulse.done()
        weights = self._weights[list(lanes)]
        self._sum.follow(float(total[:, -1].sum()))
        gradients = np.stack([self._scaling.gradient(sums) for sums in total])
        gradients /= weights[:, None]
        gradients[:, self._fixed] = 0.0
        return total[:, -2] / weights, gradients, np.sqrt(total[:, -1] / weights)

    def _tile(self, start: int, stop: int, w: Floats, b: Floats, lanes: Sequence[int]) -> Floats:
        """Return the terms of the local rows [start, stop)."""
        terms, d = self._terms, self._width - _MORE
        terms[:] = 0.0
        gradients = np.zeros((d, len(lanes)))
        for first, last in self._rows.blocks(start, stop):
            block = self._reader.block(first, last)
            z = self._room[: len(lanes) * (last - first)].reshape(len(lanes), -1)
            block.times(w, z.T)
            z += b[:, None]
            if self._rows.offset is not None:
                z += self._rows.offset[first:last]
            target = self._rows.target[first:last]
            for place, lane in enumerate(lanes):
                r, sums = z[place], terms[lane]
                weight = _weight(self._rows, self._masks[lane], first, last)
                sums[-2] += self._loss.sum_and_derivative(r, target, weight)
                sums[-3] += np.add.reduce(r)
                sums[-1] += np.dot(r, r)
            block.add_transposed_times(z.T, gradients)
        terms[list(lanes), :d] = gradients.T
        return terms.reshape(-1)


def _weight(
    rows: Rows, mask: NDArray[np.bool_], first: int, last: int
) -> Floats | NDArray[np.bool_]:
    """Return the weights of some rows in a lane."""
    own = mask[first:last]
    if rows.weight is None or rows.weight.dtype == bool:
        return own
    return np.asarray(rows.weight[first:last] * own, dtype=np.float64)


def _weights(world: World, rows: Rows, masks: NDArray[np.bool_]) -> Floats:
    """Return the sum of each lane's weights, (L,); collective."""
    partials = np.zeros((rows.n_tiles, len(masks)))
    for sums, (start, stop) in zip(partials, rows.tiles(), strict=True):
        for lane, mask in enumerate(masks):
            sums[lane] = np.add.reduce(_weight(rows, mask, start, stop), dtype=np.float64)
    return TileSum(world, rows.grid.n_tiles, len(masks)).sum(partials)


def lane_losses(
    world: World,
    rows: Rows,
    loss: Loss,
    scaling: Scaling,
    masks: NDArray[np.bool_],
    points: Floats,
) -> Floats:
    """Return the mean loss (k, L) of k models for each lane, over the lane's rows; collective.

    `points` is (k, L, n_params), `masks` (L, n_rows). Each row is multiplied by the models of the
    lanes that have it alone.
    """
    n_models, n_lanes = points.shape[:2]
    kernel = [
        [scaling.to_kernel(points[k, lane]) for k in range(n_models)] for lane in range(n_lanes)
    ]
    ws = [np.stack([w for w, _ in each], axis=1) for each in kernel]
    bs = [np.array([b for _, b in each], dtype=np.float64) for each in kernel]
    reader = rows.x.reader(rows.grid.block_rows, scaling.mean if scaling.is_shifted else None)
    terms = np.zeros((n_lanes, n_models))

    def tile(start: int, stop: int) -> Floats:
        terms[:] = 0.0
        for first, last in rows.blocks(start, stop):
            x = reader.block(first, last).dense()
            for lane in range(n_lanes):
                places = np.flatnonzero(masks[lane, first:last])
                if not places.size:
                    continue
                z = np.dot(ws[lane].T, x[places].T)
                z += bs[lane][:, None]
                if rows.offset is not None:
                    z += rows.offset[first + places]
                target = rows.target[first + places]
                weight = None
                if rows.weight is not None and rows.weight.dtype != bool:
                    weight = rows.weight[first + places]
                for k in range(n_models):
                    terms[lane, k] += loss.sum_and_derivative(z[k], target, weight)
        return terms.reshape(-1)

    def tiles() -> Iterator[Floats]:
        pulse.doing("judging several models")
        for start, stop in rows.tiles():
            yield tile(start, stop)
        pulse.waiting()

    def pilot() -> Floats:
        first = next(rows.tiles(), None)
        return tile(*first) if rows.first_tile == 0 and first else np.zeros(terms.size)

    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        total = TileSum(world, rows.grid.n_tiles, terms.size).sum_stream(tiles, pilot)
    pulse.done()
    return total.reshape(n_lanes, n_models).T / _weights(world, rows, masks)


def lane_deviations(
    world: World, rows: Rows, masks: NDArray[np.bool_], center: Floats, reduction: Reduction
) -> Floats:
    """Return the deviation of each column over each lane's rows, (L, d), 1 if none; collective.

    `center` (d,) is near the means.
    """
    n_lanes, d = len(masks), rows.x.shape[1]
    reader = rows.x.reader(rows.grid.block_rows)
    terms = np.zeros((n_lanes, 2, d))

    def tile(start: int, stop: int) -> Floats:
        terms[:] = 0.0
        for first, last in rows.blocks(start, stop):
            block = reader.block(first, last)
            for lane in range(n_lanes):
                weight = _weight(rows, masks[lane], first, last).astype(np.float64)
                block.add_moments(center, weight, terms[lane])
        return terms.reshape(-1)

    def pilot() -> Floats:
        first = next(rows.tiles(), None)
        if rows.first_tile > 0 or first is None:
            return np.zeros(terms.size)
        # The sum of x - c may vanish there: it is below that of the squares' root times the rows'.
        tile(*first)
        np.maximum(
            np.abs(terms[:, 0]), np.sqrt(terms[:, 1] * (first[1] - first[0])), out=terms[:, 0]
        )
        return terms.reshape(-1)

    def tiles() -> Iterator[Floats]:
        for start, stop in rows.tiles():
            yield tile(start, stop)

    total = TileSum(world, rows.grid.n_tiles, terms.size, reduction).sum_stream(tiles, pilot)
    means = total.reshape(n_lanes, 2, d) / _weights(world, rows, masks)[:, None, None]
    variance = np.maximum(means[:, 1] - np.square(means[:, 0]), 0.0)
    deviation = np.sqrt(variance)
    return np.where(deviation <= _CONSTANT * np.abs(center + means[:, 0]), 1.0, deviation)
