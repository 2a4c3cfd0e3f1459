"""Consensus ADMM: workers minimize apart, and are drawn to a point on which they agree."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mpi_gd.errors import Diverged
from mpi_gd.solvers.local import Minimize, lacks_room, require_workers
from mpi_gd.solvers.solver import (
    GIVEN,
    Answer,
    Floats,
    Local,
    Problem,
    Question,
    Solver,
    State,
    Step,
    diverged,
)
from mpi_gd.solvers.whole import whole_start, whole_step

__all__ = ["Admm"]

# rho grows or falls by this factor where one residual is so many times the other (equation 3.13).
_FACTOR, _UNBALANCED = 2.0, 10.0
# rho as a share of the mean curvature, at first.
_FIRST_SHARE = 0.4
# A worker ends where its gradient has fallen to this share, or after so many iterations.
_LOCAL_SHARE, _LOCAL_ITER = 0.02, 50
_LOCAL_TOL = 1e-14
# Residuals of this size beside the points are rounding errors.
_ROUNDING = 1e-14


@dataclass
class _State(State):
    """The point z on which the workers are to agree."""

    duals: Floats
    """(n_workers, n_params): scaled, so that rho times them are the multipliers."""
    rho: float
    distance: float
    """The primal residual: how far the workers are from z."""
    move: float
    """The dual residual over rho: how far z has moved."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Admm(Solver):
    """x_k = argmin F_k(x) + rho/2 |x - z + y_k|^2;  z = prox(mean(x_k + y_k));  y_k += x_k - z.

    Boyd, Parikh, Chu, Peleato and Eckstein, "Distributed Optimization and Statistical Learning via
    the Alternating Direction Method of Multipliers", Found. Trends Mach. Learn. 3(1), 2011,
    sections 7.1 and 8.2, with over-relaxation (3.4.3) and rho from the residuals' balance (3.4.1).
    Means are weighted by the workers' rows, F_k is the objective of worker k's, so that the mean of
    all F_k is the smooth part of the whole. Converges linearly where that is strongly convex and
    smooth, to the minimum of the whole however the rows are divided; a message an iteration, and
    many passes over the rows between two. For slow networks and fast hosts; penalties with kinks or
    bounds come in by their proximal map at z alone.
    """

    workers: int = 16
    """Into how many runs of tiles the rows are divided, whatever the number of ranks: no more ranks
    than this have work."""

    rho: float = 0.0
    """How strongly the workers are drawn together, at first; 0: chosen from the curvature."""

    adapt: bool = True
    """Whether rho follows the residuals."""

    relaxation: float = 1.6
    """Over-relaxation, in (0, 2): 1 is none."""

    takes_rest = True
    memory = _State

    def __post_init__(self) -> None:
        require_workers(self.workers)
        if not 0 <= self.rho < math.inf:
            raise ValueError(f"rho must be a positive number, or 0 to choose it, got {self.rho}")
        if not 0 < self.relaxation < 2:
            raise ValueError(f"relaxation must be in (0, 2), got {self.relaxation}")

    @property
    def divides(self) -> int:
        """Return the number of workers."""
        return self.workers

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        if problem.rest is not None and not problem.rest.is_convex:
            return "cannot handle a penalty that is not convex"
        return lacks_room(self.workers, problem) or super().lacks(problem)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u, where all agree."""
        return _State(
            u=whole_start(problem, u),
            iteration=-1,
            duals=np.zeros((self.workers, u.size)),
            rho=self.rho or _FIRST_SHARE * problem.mean_curvature,
            distance=math.inf,
            move=math.inf,
            problem=problem,
        )

    def ask(self, state: _State) -> Question:
        """Ask for the objective at z, and for where the workers are drawn from there."""
        work = Minimize(
            self.workers,
            state.u,
            _LOCAL_TOL,
            _LOCAL_ITER,
            anchors=state.u - state.duals,
            rho=state.rho,
            share=_LOCAL_SHARE,
        )
        return Question(state.u, work=work)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Report z, and move it."""
        if not answer.is_finite:
            raise diverged(state, answer, "set solver.rho higher")
        if answer.local is None:
            raise ValueError("ADMM has given the workers work")
        if not np.isfinite(answer.local.points).all():
            raise Diverged("a worker's part of the objective is no finite number: rescale columns")
        here = state.u
        state.iteration += 1
        self._move(state, answer.local)
        size = _ROUNDING * float(np.sqrt(np.dot(here, here)))
        agrees = state.distance <= size and state.move <= size
        end = "the workers agree to the last digit" if agrees else ""
        return whole_step(state.problem, here, answer, state.rho if state.iteration else 0.0, end)

    def _move(self, state: _State, local: Local) -> None:
        """Put z where the workers are in the mean, and the duals after it."""
        relaxed = self.relaxation * local.points + (1.0 - self.relaxation) * state.u
        z = local.mean(relaxed + state.duals)
        if state.problem.rest is not None:
            z = state.problem.rest.prox(z, 1.0 / state.rho)
        has_rows = (local.weight > 0)[:, np.newaxis]
        state.duals = np.where(has_rows, state.duals + relaxed - z, 0.0)
        off = np.where(has_rows, local.points - z, 0.0)
        square = float(local.mean(np.square(off)).sum())
        state.distance = math.sqrt(square)
        state.move = float(np.sqrt(np.dot(z - state.u, z - state.u)))
        state.u = z
        if self.adapt:
            self._balance(state)

    def _balance(self, state: _State) -> None:
        """Let rho grow where the workers are far apart, and fall where z moves far."""
        pull = state.rho * state.move
        factor = 1.0
        if state.distance > _UNBALANCED * pull:
            factor = _FACTOR
        elif pull > _UNBALANCED * state.distance:
            factor = 1.0 / _FACTOR
        state.rho *= factor
        state.duals = state.duals / factor
