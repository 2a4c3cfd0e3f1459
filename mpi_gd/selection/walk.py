"""Paths of several lanes at once: warm starts, one Hessian for all, one read of X for all.

    F_l(u) = loss_l(u) + alpha penalty_l(u)     of each lane l, for one alpha after another

Each lane has a model of its loss, g.(v - u) + (v - u).H.(v - u) / 2, of which the minimum with the
penalty is found exactly, as Newton's method does with kinks or without (Lee, Sun and Saunders,
"Proximal Newton-type Methods for Minimizing Composite Functions", SIAM J. Optim. 24(3), 2014). The
first H is that of all lanes' rows, or of a sample, at a point between them: folds share most of
their rows. Then each lane learns its own from the gradients that come anyway (BFGS; Nocedal and
Wright, "Numerical Optimization", 2006, formula 6.19). A new alpha changes the model's penalty
alone, so that its first step costs no read. All follows from reduced numbers: no rank can differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mpi_gd.objective.rows import Floats
from mpi_gd.solvers.path import PathPenalty
from mpi_gd.solvers.quadratic import least_squares_step, minimize_kinked

__all__ = ["Walked", "walk"]

Ask = Callable[[Floats, Sequence[int]], tuple[Floats, Floats, Floats]]

_MOST_PASSES = 60
# After so many passes for one alpha the Hessian is taken anew.
_STALE = 12
_MORE, _LESS = 4.0, 0.25
# What an objective may rise by rounding, as a share.
_ROUNDING = 4e-14
# Curvature along a step that is less than this share of its length says nothing.
_FLAT = 1e-12


@dataclass(frozen=True, eq=False)
class Walked:
    """Where the lanes have come to."""

    points: Floats
    """(n_alphas, n_lanes, n_params)."""
    losses: Floats
    criteria: Floats
    """(n_alphas, n_lanes): mean losses, and what is left of the subgradients, as `stop.tol` is."""
    n_passes: int
    n_short: int
    """Fits that ended before they were as near as they should be."""


class _Lane:
    """One model on its way."""

    def __init__(self, u: Floats, loss: float, gradient: Floats, rms: float) -> None:
        self.u, self.loss, self.gradient, self.rms = u, loss, gradient, rms
        self.hessian = np.empty(0)
        self.damping = 0.0
        self.trial = u

    def aim(self, penalty: PathPenalty) -> None:
        """Find the minimum of the model."""
        bent = (1.0 + self.damping) * self.hessian + np.diag(penalty.l2)
        slope = self.gradient + penalty.l2 * self.u
        if penalty.is_smooth:
            self.trial = self.u + least_squares_step(bent, slope, 1)
        else:
            self.trial = minimize_kinked(bent, slope, self.u, penalty.kinks)

    def learn(self, gradient: Floats) -> None:
        """Let the Hessian have the curvature that was met on the way to the trial point."""
        step, change = self.trial - self.u, gradient - self.gradient
        bend = float(np.dot(step, change))
        known = self.hessian @ step
        expected = float(np.dot(step, known))
        size = float(np.dot(change, change))
        if not (expected > 0 and bend > _FLAT * np.sqrt(size * float(np.dot(step, step)))):
            return
        self.hessian = self.hessian + np.outer(change, change) / bend
        self.hessian -= np.outer(known, known) / expected

    def move(self, loss: float, gradient: Floats, rms: float, penalty: PathPenalty) -> None:
        """Go to the trial point, if the objective is not higher there."""
        is_finite = np.isfinite(loss) and bool(np.isfinite(gradient).all())
        if is_finite:
            self.learn(gradient)
        before = self.loss + penalty.value(self.u)
        if is_finite and loss + penalty.value(self.trial) <= before + _ROUNDING * abs(before):
            self.u, self.loss, self.gradient, self.rms = self.trial, loss, gradient, rms
            self.damping = self.damping * _LESS if self.damping > _LESS else 0.0
        else:
            self.damping = max(1.0, _MORE * self.damping)

    def is_near(self, penalty: PathPenalty, tol: float) -> bool:
        """Whether what is left of the subgradient is small."""
        return self.left(penalty) <= tol

    def left(self, penalty: PathPenalty) -> float:
        """Return the largest component that is left of the subgradient, as a share."""
        left = float(np.abs(penalty.residual(self.u, self.gradient)).max())
        return left / (self.rms or 1.0)


def walk(
    ask: Ask,
    find_hessian: Callable[[Floats], Floats],
    start: Floats,
    penalties: Sequence[PathPenalty],
    alphas: Sequence[float],
    tol: float,
    vote: Callable[[], None],
) -> Walked:
    """Return the minimum of each lane for each alpha, the largest first.

    `ask` answers about points (k, n_params) of k lanes; `find_hessian` gives the Hessian of the
    mean loss of all rows at a point; `start` is (n_lanes, n_params); `vote` is called before each
    read, and may raise.
    """
    everyone = list(range(len(penalties)))
    vote()
    told = ask(start, everyone)
    lanes = [_Lane(start[k], float(told[0][k]), told[1][k], float(told[2][k])) for k in everyone]
    hessian = find_hessian(start.mean(axis=0))
    for lane in lanes:
        lane.hessian = hessian
    points = np.empty((len(alphas), *start.shape))
    losses, criteria = np.empty((2, len(alphas), len(lanes)))
    n_passes, n_short = 1, 0
    for number, alpha in enumerate(alphas):
        here = [penalty.times(alpha) for penalty in penalties]
        for lane in lanes:
            lane.damping = 0.0
        left = [k for k in everyone if not lanes[k].is_near(here[k], tol)]
        for turn in range(1, _MOST_PASSES + 1):
            if not left:
                break
            if turn % _STALE == 0:
                hessian = find_hessian(np.mean([lanes[k].u for k in left], axis=0))
                for k in left:
                    lanes[k].hessian = hessian
            for k in left:
                lanes[k].aim(here[k])
            vote()
            told = ask(np.stack([lanes[k].trial for k in left]), left)
            n_passes += 1
            for place, k in enumerate(left):
                lanes[k].move(float(told[0][place]), told[1][place], float(told[2][place]), here[k])
            left = [k for k in left if not lanes[k].is_near(here[k], tol)]
        n_short += len(left)
        points[number] = [lane.u for lane in lanes]
        losses[number] = [lane.loss for lane in lanes]
        criteria[number] = [lane.left(own) for lane, own in zip(lanes, here, strict=True)]
    return Walked(points, losses, criteria, n_passes, n_short)
