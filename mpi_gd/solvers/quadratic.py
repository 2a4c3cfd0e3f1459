"""The minimum of a quadratic model, with and without a rest: the heart of Newton's method.

    m(v) = g.(v - u) + (v - u).H.(v - u) / 2 + rest(v)

H is replicated on all ranks, so nothing here needs a message.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.solvers.active_set import Kinks, minimize_on_sets
from mpi_gd.solvers.solver import Floats, Rest

__all__ = ["least_squares_step", "minimize_kinked", "minimize_model"]

# Below this share of the largest, an eigenvalue is that of a direction the model does not see.
_FLAT = 1e-13
_MOST_SWEEPS = 1000
_MOST_INNER = 20
# What is left of the slope after a step, as a share of it, where the step cannot see all of it.
_UNSEEN = 1e-6
# Sweeps end when no coordinate moves by more than this share of the largest.
_ENOUGH = 1e-13
_MOST_BLOCK_STEPS = 50
# So many sweeps over groups may gain little, where the slope is nearly none already.
_MOST_IDLE = 5
_GAIN = 0.5
_NEARLY = 1e-10


def least_squares_step(hessian: Floats, gradient: Floats, n_outputs: int) -> Floats:
    """Return the shortest -H^+ g, (n_params,).

    With K outputs the loss does not change when a number is added to all K coefficients of a
    column: a multiple of that direction's projector is added to H, which leaves the solution as it
    is, for the gradient has no part in it, and makes H regular.
    """
    whole = hessian if n_outputs == 1 else _without_null_directions(hessian, n_outputs)
    lengths = np.diag(whole)
    seen = lengths > 0
    if not seen.all():
        # Parameters that are held, or that no row depends on any more, stay where they are.
        step = np.zeros_like(gradient)
        if seen.any():
            step[seen] = least_squares_step(whole[np.ix_(seen, seen)], gradient[seen], 1)
        return step
    scale = np.sqrt(lengths)
    matrix = whole / np.outer(scale, scale)
    right = -gradient / scale
    try:
        factor = np.linalg.cholesky(matrix)
        if float(np.diag(factor).min()) ** 2 > _FLAT * len(gradient):
            step = np.linalg.solve(factor.T, np.linalg.solve(factor, right))
            # Once more with what rounding has left: costs little, and wins digits.
            step += np.linalg.solve(factor.T, np.linalg.solve(factor, right - matrix @ step))
            return np.asarray(step / scale)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(matrix)
    kept = values > _FLAT * len(gradient) * values[-1]
    return np.asarray((vectors[:, kept] / values[kept]) @ (vectors[:, kept].T @ right) / scale)


def _without_null_directions(
    hessian: Floats, n_outputs: int, columns: NDArray[np.int64] | None = None
) -> Floats:
    """Return the Hessian plus a multiple of the projector on what all outputs have in common.

    Of some columns alone, where they are given.
    """
    n = len(hessian) // n_outputs
    size = np.diag(hessian).reshape(n, n_outputs).mean(axis=1)
    whole = hessian.copy()
    blocks = whole.reshape(n, n_outputs, n, n_outputs)
    for j in range(n) if columns is None else columns.tolist():
        blocks[j, :, j, :] += size[j] / n_outputs
    return whole


def minimize_model(
    hessian: Floats, gradient: Floats, u: Floats, rest: Rest, n_outputs: int = 1
) -> Floats:
    """Return v (n_params,), where the model with a rest is least."""
    if rest.blocks is not None:
        return _by_blocks(hessian, gradient, u, rest)
    if rest.l1 is None or rest.lower is None or rest.upper is None:
        raise ValueError("the active set needs the rest's weights and bounds")
    if n_outputs > 1:
        # What all outputs have in common of a column without a rest, as the intercepts: nothing
        # but this keeps it where it is.
        is_held = (rest.l1 > 0) | np.isfinite(rest.lower) | np.isfinite(rest.upper)
        free = np.flatnonzero(~is_held.reshape(-1, n_outputs).any(axis=1))
        hessian = _without_null_directions(hessian, n_outputs, free)
    return minimize_kinked(hessian, gradient, u, Kinks(rest.l1, rest.lower, rest.upper))


def minimize_kinked(hessian: Floats, gradient: Floats, u: Floats, kinks: Kinks) -> Floats:
    """Return v (n_params,), where the model with these kinks and bounds is least."""
    found = minimize_on_sets(hessian, gradient, u, kinks)
    # Where columns are dependent no set has one solution: sweeps do not mind.
    return _by_coordinates(hessian, gradient, u, kinks) if found is None else found


def _by_coordinates(hessian: Floats, gradient: Floats, u: Floats, kinks: Kinks) -> Floats:
    """Minimize by coordinate descent; where the support has settled, solve for it exactly.

    Friedman, Hastie and Tibshirani, "Regularization Paths for Generalized Linear Models via
    Coordinate Descent", Journal of Statistical Software 33(1), 2010, section 2.
    """
    l1, lower, upper = kinks.l1, kinks.lower, kinks.upper
    diagonal = np.diag(hessian).copy()
    v = np.clip(u, lower, upper)
    # The smooth model's gradient at v.
    slope = gradient + hessian @ (v - u)

    def sweep(places: NDArray[np.int64]) -> float:
        """Put each coordinate where the model is least along it; return the longest move."""
        moved = 0.0
        for j in places.tolist():
            bend, old = diagonal[j], v[j]
            wanted, shrink = old - slope[j] / bend, l1[j] / bend
            new = wanted - shrink if wanted > shrink else min(wanted + shrink, 0.0)
            new = min(max(new, lower[j]), upper[j])
            if new != old:
                v[j] = new
                np.add(slope, (new - old) * hessian[j], out=slope)
                moved = max(moved, abs(new - old))
        return moved

    everything = np.flatnonzero(diagonal > 0)
    for _ in range(_MOST_SWEEPS):
        moved = sweep(everything)
        for _ in range(_MOST_INNER):
            support = _support(v, lower, upper, diagonal)
            if not support.any():
                break
            slope[:] = gradient + hessian @ (v - u)
            found, is_whole = _on_support(hessian, slope, v, np.flatnonzero(support), kinks)
            v[:] = found
            if is_whole:
                break
        slope[:] = gradient + hessian @ (v - u)
        if moved <= _ENOUGH * float(np.abs(v).max(initial=0.0)) or _is_optimal(
            slope, v, l1, lower, upper, gradient, diagonal
        ):
            break
    return v


def _support(v: Floats, lower: Floats, upper: Floats, diagonal: Floats) -> NDArray[np.bool_]:
    """Return which coordinates are free to move both ways."""
    return np.asarray((v != 0) & (v > lower) & (v < upper) & (diagonal > 0))


def _on_support(
    hessian: Floats, slope: Floats, v: Floats, places: NDArray[np.int64], kinks: Kinks
) -> tuple[Floats, bool]:
    """Move the coordinates at `places` towards where the model is least with signs as they are.

    The way ends at the kink or bound where the model is lowest, and coordinates that reach one
    there stay at it (Lee, Battle, Raina and Ng, "Efficient Sparse Coding Algorithms", NIPS 2006,
    section 3). Return the point, and whether it is the whole way.
    """
    l1, start = kinks.l1[places], v[places]
    part = hessian[np.ix_(places, places)]
    signed = slope[places] + l1 * np.sign(start)
    move = least_squares_step(part, signed, 1)
    left = -signed - part @ move
    is_flat = bool(np.abs(left).max() > _UNSEEN * np.abs(signed).max())
    if is_flat:
        # What the model's curvature does not see falls in a straight line to a kink.
        move = left
    with np.errstate(divide="ignore", invalid="ignore"):
        zeros = np.where(l1 > 0, -start / move, np.inf)
        ends = np.where(move > 0, kinks.upper[places] - start, kinks.lower[places] - start) / move
    ends = np.where(move == 0, np.inf, ends)
    longest = float(min(ends.min(), np.inf if is_flat else 1.0))
    steps = np.append(zeros[(zeros > 0) & (zeros < longest)], longest)
    steps = steps[np.isfinite(steps)]
    if not steps.size:
        return v, True
    bend = float(np.dot(move, part @ move)) / 2.0
    heights = steps * float(np.dot(slope[places], move)) + np.square(steps) * bend
    heights += np.abs(start + steps[:, None] * move) @ l1
    step = steps[int(heights.argmin())]
    if not float(heights.min()) <= float(np.abs(start) @ l1):
        return v, True
    found = v.copy()
    found[places] = start + step * move
    found[places[zeros == step]] = 0.0
    found = np.clip(found, kinks.lower, kinks.upper)
    return found, bool(step == 1.0 and not is_flat)


def _is_optimal(
    slope: Floats,
    v: Floats,
    l1: Floats,
    lower: Floats,
    upper: Floats,
    gradient: Floats,
    diagonal: Floats,
) -> bool:
    """Whether v satisfies the optimality conditions but for rounding."""
    at_zero = np.maximum(np.abs(slope) - l1, 0.0)
    residual = np.where(v == 0, np.sign(slope) * at_zero, slope + l1 * np.sign(v))
    residual = np.where((v <= lower) & (residual > 0), 0.0, residual)
    residual = np.where((v >= upper) & (residual < 0), 0.0, residual)
    size = float(np.abs(gradient).max(initial=0.0)) + float(np.abs(diagonal * v).max(initial=0.0))
    return float(np.abs(residual).max(initial=0.0)) <= 1e-13 * size


def _by_blocks(hessian: Floats, gradient: Floats, u: Floats, rest: Rest) -> Floats:
    """Minimize group by group, then all that are not 0 together, where the model is smooth.

    The rest is a sum of weight_g |u_g|.
    """
    blocks = [block for block in rest.blocks or () if np.diag(hessian)[block].max() > 0]
    whole = [_Group(hessian, block, rest) for block in blocks]
    others = np.setdiff1d(np.arange(len(u)), np.concatenate([*(rest.blocks or ())]))
    v, slope = u.copy(), gradient.copy()
    size = float(np.abs(gradient).max(initial=0.0))
    least, n_idle = np.inf, 0
    for _ in range(_MOST_SWEEPS):
        if others.size:
            step = least_squares_step(hessian[np.ix_(others, others)], slope[others], 1)
            v[others] += step
            slope += hessian[:, others] @ step
        for group in whole:
            step = group.minimum(v, slope) - v[group.places]
            if step.any():
                v[group.places] += step
                slope += hessian[:, group.places] @ step
        v = _together(hessian, gradient, u, v, slope, whole, others, rest)
        slope = gradient + hessian @ (v - u)
        scale = size + float(np.abs(np.diag(hessian) * v).max(initial=0.0))
        left = float(np.abs(rest.residual(v, slope)).max(initial=0.0))
        # Rounding errors do not get smaller by going on.
        n_idle = 0 if left < _GAIN * least else n_idle + 1
        least = min(least, left)
        if left <= _ENOUGH * scale or (n_idle >= _MOST_IDLE and left <= _NEARLY * scale):
            break
    return v


class _Group:
    """The model along one group: w.A.w / 2 - b.w + weight |w|."""

    def __init__(self, hessian: Floats, places: NDArray[np.int64], rest: Rest) -> None:
        unit = np.zeros(len(hessian))
        unit[places[0]] = 1.0
        self.places, self.weight = places, rest.value(unit)
        self._part = hessian[np.ix_(places, places)]
        self._values, self._vectors = np.linalg.eigh(self._part)

    def minimum(self, v: Floats, slope: Floats) -> Floats:
        """Return the group's coefficients where the model is least.

        With t = |w| they are (A + weight / t)^-1 b, which has the length t: sum_i (q_i.b)^2 /
        (values_i t + weight)^2 = 1, q_i the eigenvectors; by Newton's method for t, from below.
        """
        b = self._part @ v[self.places] - slope[self.places]
        along = self._vectors.T @ b
        if float(np.linalg.norm(b)) <= self.weight:
            return np.zeros_like(b)
        values = np.maximum(self._values, _FLAT * self._values[-1])
        if not self.weight:
            return np.asarray(self._vectors @ (along / values))
        length = 0.0
        for _ in range(_MOST_BLOCK_STEPS):
            below = values * length + self.weight
            ratio = along / below
            norm = float(np.linalg.norm(ratio))
            # Newton's method for 1 / norm = 1, which is nearly linear in the length.
            step = (norm - 1.0) * norm**2 / float(np.dot(ratio * ratio, values / below))
            length += step
            if not abs(step) > _ENOUGH * length:
                break
        return np.asarray(self._vectors @ (along / (values + self.weight / length)))


def _together(
    hessian: Floats,
    gradient: Floats,
    u: Floats,
    v: Floats,
    slope: Floats,
    groups: list[_Group],
    others: NDArray[np.int64],
    rest: Rest,
) -> Floats:
    """Return v after a Newton step of all that are not 0, if the model is lower there."""
    active = [group for group in groups if v[group.places].any()]
    places = np.concatenate([others, *(group.places for group in active)])
    if not places.size:
        return v
    bent, slopes = hessian.copy(), slope.copy()
    for group in active:
        part = v[group.places]
        length = float(np.linalg.norm(part))
        slopes[group.places] += group.weight * part / length
        turn = np.eye(len(part)) - np.outer(part, part) / length**2
        bent[np.ix_(group.places, group.places)] += group.weight / length * turn
    try:
        step = -np.linalg.solve(bent[np.ix_(places, places)], slopes[places])
    except np.linalg.LinAlgError:
        return v
    found = v.copy()
    found[places] += step

    def height(point: Floats) -> float:
        move = point - u
        return float(np.dot(gradient + 0.5 * (hessian @ move), move)) + rest.value(point)

    lower = height(v)
    return found if height(found) <= lower + 1e-15 * abs(lower) else v
