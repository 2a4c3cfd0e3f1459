"""How far an objective can be above its minimum: a bound, from what is reduced anyway.

By Fenchel and Young, every r in the loss's domain with mean_i r_i z_i = q.w for all w bounds the
minimum from below (Rockafellar, "Convex Analysis", 1970, section 31):

    F* >= -mean loss*(r) - penalty*(-q).

At an iterate r is the loss's derivative there, for which -loss*(r_i) = loss(z_i) - r_i z_i, so that
no row need be read; with kinks it is another, as `kinks` says. What is left of free parameters'
gradients is made up for as `reference` says, with the squared loss exactly; too large a q, where
the penalty's conjugate is infinite, by shrinking r: -loss*(s r) >= -s loss*(r) + (1 - s) least
loss.

Where the objective bends by m at least in every direction, |subgradient|^2 / (2 m) bounds as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.losses import Loss, Squared
from mpi_gd.losses.kinked import Kinked
from mpi_gd.objective.fenchel import conjugate_gap
from mpi_gd.objective.gram import Squares
from mpi_gd.objective.kinks import find_kinked_dual
from mpi_gd.objective.objective import Objective
from mpi_gd.objective.reference import References
from mpi_gd.objective.rows import Floats, Rows
from mpi_gd.objective.scaling import Scaling
from mpi_gd.objective.start import weighted_means
from mpi_gd.penalties import Bound
from mpi_gd.solvers import Step

__all__ = ["Certificate", "Certifier", "find_certifier"]

# The objective itself is no surer than this share of it.
_ROUNDING = 2.0**-50
# Eigenvalues below this share of the largest are rounding errors.
_FLAT = 1e-11
_MOST_DIGITS = 15


@dataclass(frozen=True)
class Certificate:
    """What is certain of an iterate."""

    bound: str
    """Where the bound comes from; empty if there is none."""
    gap: float
    """The objective is above its minimum by this at most, rounding included; or infinite."""
    digits: int | None
    """How many digits of the objective are those of the minimum; None without a bound."""


@dataclass(frozen=True, eq=False)
class Certifier:
    """Bounds the gap of iterates of one objective; all its methods are collective."""

    world: World
    rows: Rows
    objective: Objective
    loss: Loss
    penalty: Bound
    scaling: Scaling
    free: NDArray[np.bool_]
    """(n_params,): the parameters that are not held at 0."""
    references: References
    least: float
    """The mean of the least loss that each row can have."""

    @property
    def squares(self) -> Squares | None:
        """Return the squared loss, where its second moments are known."""
        return self.objective.squares

    def certify(self, step: Step) -> Certificate:
        """Return the best bound there is."""
        duals = [self._dual_gap(step, softened) for softened in step.softened or (None,)]
        bounds = {"duality gap": min(duals), "strong convexity": self._convex_gap(step)}
        name = min(bounds, key=bounds.__getitem__)
        gap, value = bounds[name], abs(step.value)
        # A value near 0 may be the difference of large numbers: the least loss is of their size.
        size = value + abs(step.value - self.least)
        gap = max(gap, 0.0) + step.answer.value_error + _ROUNDING * size
        if not math.isfinite(gap):
            return Certificate("", math.inf, None)
        digits = None
        if value:
            digits = min(max(0, math.floor(-math.log10(gap / value))), _MOST_DIGITS)
        return Certificate(name, gap, digits)

    def relative_gap(self, step: Step) -> float:
        """Return the bound as a share of the objective."""
        gap = self.certify(step).gap
        return gap / abs(step.value) if step.value else gap

    @property
    def _is_convex(self) -> bool:
        return self.loss.is_convex and self.penalty.is_convex

    def _convex_gap(self, step: Step) -> float:
        """Return the bound by strong convexity."""
        gradient = step.answer.gradient if step.subgradient is None else step.subgradient
        # The gradient of a smoothed loss is none of the loss itself.
        if step.softened or not self._is_convex or not self.free.any():
            return math.inf
        bend = self._least_bend()
        left = np.abs(gradient[self.free]) + self._error(step)
        return float(np.dot(left, left)) / (2.0 * bend) if bend > 0 else math.inf

    def _least_bend(self) -> float:
        """Return how much the objective bends at least."""
        k = self.scaling.n_outputs
        ridge = np.append(self.penalty.hessian_diagonal(), np.zeros(k))
        if self.squares is None:
            return float(ridge[self.free].min())
        hessian = self.squares.hessian + np.diag(ridge)
        values = np.linalg.eigvalsh(hessian[np.ix_(self.free, self.free)])
        return float(values[0]) - _FLAT * float(values[-1])

    def _dual_gap(self, step: Step, softened: tuple[Floats, float] | None) -> float:
        """Return the bound by a dual point; infinite where none is found.

        `softened` is a point and a width that a loss with kinks has one from.
        """
        penalty, answer = self.penalty, step.answer
        l1, lower, upper = penalty.l1, penalty.lower, penalty.upper
        if not self._is_convex:
            return math.inf
        k = self.scaling.n_outputs
        if l1 is None or lower is None or upper is None:
            return math.inf if penalty.blocks is None else self._group_gap(step, softened)
        u, q = step.u[:-k], answer.gradient[:-k].copy()
        l2 = penalty.hessian_diagonal()
        q -= l2 * u
        loss = answer.value - penalty.value(u)
        off = np.full(len(q), self._error(step))
        held = ~self.free[:-k]
        q[held] = off[held] = 0.0
        bare = (l1 == 0) & (l2 == 0) & np.isinf(lower) & np.isinf(upper) & ~held
        moved = self._free(step, softened, loss, q, off, bare)
        if not math.isfinite(moved):
            return math.inf
        kept = ~bare & ~held
        shrink, parts = conjugate_gap(kept, u, q, off, l1, l2, lower, upper)
        return max(moved, shrink * moved) + self._shrinking(shrink, loss) + parts

    def _free(
        self,
        step: Step,
        softened: tuple[Floats, float] | None,
        loss: float,
        q: Floats,
        off: Floats,
        bare: NDArray[np.bool_],
    ) -> float:
        """Return what it costs to make the gradients of free parameters 0.

        q and off become those of a dual point for which they are. `bare` are the columns that are
        free, beside the intercepts.
        """
        if isinstance(self.loss, Kinked) and softened:
            free = np.append(bare, self.free[-1])
            dual = find_kinked_dual(
                self.world, self.rows, self.loss, self.objective, step, softened, free
            )
            if dual is None:
                return math.inf
            q[:] = dual.gradient[:-1]
            return dual.excess
        if isinstance(self.loss, Squared) and (self.squares or not self.scaling.is_rough):
            return self._free_squares(step, q, off, bare)
        return math.inf if bare.any() else self._free_intercepts(step, loss, q, off)

    def _shrinking(self, shrink: float, loss: float) -> float:
        """Return the part of the loss that shrinking r costs."""
        if isinstance(self.loss, Squared):
            return float(np.square(1.0 - shrink)) * loss
        return (1.0 - shrink) * (loss - self.least)

    def _group_gap(self, step: Step, softened: tuple[Floats, float] | None) -> float:
        """Return the same where the penalty is a sum of norms, weight_g |u_g|."""
        k, answer = self.scaling.n_outputs, step.answer
        u, q, loss = step.u[:-k], answer.gradient[:-k].copy(), answer.value
        off = np.full(len(q), self._error(step))
        moved = self._free(step, softened, loss, q, off, np.zeros(len(q), dtype=bool))
        if not math.isfinite(moved):
            return math.inf
        shrink, unit = 1.0, np.zeros(len(u))
        for block in self.penalty.blocks or ():
            unit[block[0]] = 1.0
            weight = self.penalty.rest(unit)
            unit[block[0]] = 0.0
            length = float(np.linalg.norm(q[block]) + np.linalg.norm(off[block]))
            if length > weight:
                shrink = min(shrink, weight / length)
        parts = self.penalty.rest(u) + shrink * float(np.dot(q, u) + np.dot(off, np.abs(u)))
        return max(moved, shrink * moved) + self._shrinking(shrink, loss) + max(parts, 0.0)

    def _free_squares(self, step: Step, q: Floats, off: Floats, bare: NDArray[np.bool_]) -> float:
        """Return by how much free parameters can lower the loss; q becomes the gradient there."""
        error = self._error(step)
        g_b = float(step.answer.gradient[-1])
        if not bare.any():
            if not self.free[-1]:
                return 0.0
            # The intercept's curvature is 1.
            size = abs(g_b) + error
            off += (
                self._sizes(1.0) * size
                if self.squares is None
                else (np.abs(self.squares.hessian[:-1, -1]) * size)
            )
            return 0.5 * size * size
        if self.squares is None:
            return math.inf
        places = np.flatnonzero(np.append(bare, self.free[-1]))
        g = np.append(q, g_b)[places]
        part = self.squares.hessian[np.ix_(places, places)]
        values, vectors = np.linalg.eigh(part)
        if not values[0] > _FLAT * values[-1]:
            return math.inf
        move = -(vectors / values) @ (vectors.T @ g)
        others = self.squares.hessian[: len(q)][:, places]
        q += others @ move
        # What is not known of g is moved by at most so much more.
        size = error * np.sqrt(len(places)) / values[0]
        off += np.sqrt(np.square(others).sum(axis=1)) * size
        most = float(np.linalg.norm(g)) + error * np.sqrt(len(places))
        return most * most / (2.0 * float(values[0])) if error else -0.5 * float(np.dot(g, move))

    def _error(self, step: Step) -> float:
        """Return what a component of the gradient may be off by."""
        return step.answer.error + self.objective.rounding * step.answer.residual

    def _sizes(self, size: float) -> Floats:
        """Return what the mean of x r is below, for numbers r of this root mean square."""
        return np.asarray(size * np.sqrt(self.scaling.mean_squares))

    def _free_intercepts(self, step: Step, loss: float, q: Floats, off: Floats) -> float:
        """Return what it costs to make the intercepts' gradients 0; q and off are changed."""
        k = self.scaling.n_outputs
        g = step.answer.gradient[-k:]
        if not self.free[-k:].any() or not g.any():
            return 0.0
        reference = self.references.of(g)
        if reference is None or not math.isfinite(reference.value):
            return math.inf
        share = reference.share
        q *= 1.0 - share
        q += share * reference.gradient
        u = step.u[:-k]
        cost = share * (loss - reference.value - float(np.dot(reference.gradient, u)))
        return cost + (1.0 - share) * float(np.dot(step.u[-k:], g))


def find_certifier(
    world: World,
    rows: Rows,
    y: Floats,
    loss: Loss,
    penalty: Bound,
    scaling: Scaling,
    free: NDArray[np.bool_],
    objective: Objective,
) -> Certifier:
    """Return what bounds the gaps of an objective; collective. Reads y alone."""
    least = 0.0
    if loss != Squared():
        with np.errstate(all="ignore"):
            (least,) = weighted_means(world, rows, loss.least(rows.target)[None])
    k = scaling.n_outputs
    references = References(world, rows, y, loss, len(free), k, objective.beside)
    return Certifier(world, rows, objective, loss, penalty, scaling, free, references, least)
