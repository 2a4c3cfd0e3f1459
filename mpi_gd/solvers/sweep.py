"""A sweep of the step: a few batches, each with a longer one, until the loss goes out of bounds.

Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3, with a step
that grows exponentially, as its right size may be anything. The solver trains as it would, batch by
batch; after each the loss is looked at on the same rows, so that no batch's luck is taken for the
step's merit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import TypeAlias

from mpi_gd.solvers.adagrad import AdaGrad
from mpi_gd.solvers.local_sgd import LocalSgd
from mpi_gd.solvers.sgd import Sgd
from mpi_gd.solvers.solver import Answer, Batch, Floats, Problem, Question
from mpi_gd.solvers.stochastic import Stochastic
from mpi_gd.solvers.svrg import Svrg

__all__ = ["Swept", "Tunable", "own_step", "sweep"]

Ask = Callable[[Question], Answer]
Tunable: TypeAlias = Stochastic | Svrg | LocalSgd
"""The solvers whose step can be swept: those that step after every minibatch."""

# Rows on which the loss is looked at.
_WATCHED = 8192
# It has diverged when it is above the start by so many times its largest fall, and a tenth of it.
_RISE = 4.0
# Share of the fall that a good step may lack, and what is safe of a good step.
_LOST = 0.1
_SAFE = 0.5
# Half the width of the running median.
_HALF = 2
_ENDLESS = 10**9


@dataclass(frozen=True)
class Swept:
    """What a sweep has seen."""

    steps: tuple[float, ...]
    """In their order, each longer than the last."""
    losses: tuple[float, ...]
    """The objective on the watched rows, after a batch with the step."""
    first: float
    """The same before the first."""
    has_diverged: bool
    """Whether that ended the sweep; else it was the last step."""
    is_shrinking: bool = False
    """Whether the solver's steps get shorter by themselves, the more so the longer it trains."""

    @property
    def smoothed(self) -> tuple[float, ...]:
        """Return the running median of five losses, of fewer at the ends: it lags by nothing."""
        n, found = len(self.losses), []
        for k in range(n):
            half = min(_HALF, k, n - 1 - k)
            found.append(median(self.losses[k - half : k + half + 1]))
        return tuple(found)

    @property
    def least(self) -> int | None:
        """Return where the smoothed loss is least; None if it has never fallen."""
        smoothed = self.smoothed
        if not smoothed or not min(smoothed) < self.first:
            return None
        return smoothed.index(min(smoothed))

    @property
    def good(self) -> tuple[float, float] | None:
        """Return the shortest and the longest good step; None if the loss has never fallen.

        Good is one with nine tenths of the loss's fall there, before the loss does nothing but
        rise. Where it is about at its floor, where it is least is chance; where it comes to the
        floor and leaves it is not.
        """
        if self.least is None:
            return None
        smoothed = self.smoothed
        low = smoothed[self.least]
        good = [k for k, loss in enumerate(smoothed) if loss <= low + _LOST * (self.first - low)]
        turn = len(smoothed) - 1
        while turn > 0 and smoothed[turn] >= smoothed[turn - 1]:
            turn -= 1
        first, last = good[0], max(good[0], min(good[-1], turn))
        return self.steps[first], self.steps[last]

    @property
    def suggestion(self) -> float | None:
        """Return half the geometric mean of the two, to two digits; None without them.

        Of steps that shrink, which a whole training makes shorter than a sweep, the longest.
        Without noise a loss near 0 hides for long that it grows again, so that the longest alone is
        several times too long; but then it has come down as many steps before.
        """
        if self.good is None:
            return None
        middle = math.sqrt(math.prod(self.good))
        return float(f"{self.good[1] if self.is_shrinking else _SAFE * middle:.1e}")


def own_step(solver: Tunable, problem: Problem, u: Floats, ask: Ask) -> float:
    """Return the first step that the solver chooses by itself at u.

    Raises Diverged where the objective is no number.
    """
    chosen = replace(_trained(solver), step=0.0)
    state = chosen.start(problem, u)
    while not state.step_size:
        chosen.tell(state, ask(chosen.ask(state)))
    return float(state.step_size)


def sweep(
    solver: Tunable, problem: Problem, u: Floats, ask: Ask, low: float, high: float, n_steps: int
) -> Swept:
    """Train from u with `n_steps` steps from `low` to `high`, each for one batch.

    Ends where the loss diverges. Every batch is a question, and so is every look at the loss.
    """
    trained = _endless(_trained(solver), low)
    rows = max(_WATCHED, trained.batch_size)
    watched = None if 0 < problem.n_rows <= rows else Batch(rows, 0)

    def loss_at(point: Floats) -> float:
        value = ask(Question(point, watched)).value
        return value + (problem.rest.value(point) if problem.rest else 0.0)

    def ended(has_diverged: bool) -> Swept:
        is_shrinking = isinstance(solver, AdaGrad)
        return Swept(tuple(steps), tuple(losses), first, has_diverged, is_shrinking)

    state = trained.start(problem, u)
    first = loss_at(u)
    steps, losses, least = list[float](), list[float](), first
    while len(steps) < n_steps:
        state.step_size = low * (high / low) ** (len(steps) / max(1, n_steps - 1))
        question = trained.ask(state)
        answer = ask(question)
        if not answer.is_finite:
            return ended(has_diverged=True)
        trained.tell(state, answer)
        if question.batch is None:
            # About all rows: at the start, and at the end of an epoch.
            continue
        loss = loss_at(state.u)
        if not math.isfinite(loss):
            return ended(has_diverged=True)
        steps.append(state.step_size)
        losses.append(loss)
        least = min(least, loss)
        if loss > first + _RISE * (first - least) + 0.1 * abs(first):
            return ended(has_diverged=True)
    return ended(has_diverged=False)


def _trained(solver: Tunable) -> Stochastic | Svrg:
    """Return the solver itself; of local SGD what each of its workers does."""
    if isinstance(solver, LocalSgd):
        return Sgd(batch_size=solver.batch_size, momentum=solver.momentum)
    return solver


def _endless(solver: Stochastic | Svrg, step: float) -> Stochastic | Svrg:
    """Return the solver with a step that it leaves alone, and that nothing but we ends."""
    if isinstance(solver, Svrg):
        return replace(solver, step=step, inner_epochs=1e6)
    return replace(solver, step=step, schedule="constant", averaging=False, epochs=_ENDLESS)
