"""What the methods have in common that step after every minibatch."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mpi_gd.solvers.armijo import require_step
from mpi_gd.solvers.probe import SteppedState, back_off
from mpi_gd.solvers.solver import Answer, Batch, Floats, Problem, Question, Solver, Step, diverged

__all__ = ["Schedule", "Stochastic", "StochasticState", "scheduled"]

Schedule = Literal["constant", "inverse", "sqrt", "cosine"]

# Exponent of the averaging: 0 weighs all iterates alike, more forgets the early ones faster.
_FORGETTING = 3.0


def scheduled(schedule: Schedule, epochs: float, n_epochs: float) -> float:
    """Return the share of the first step that is left after so many of `n_epochs` epochs."""
    if schedule == "inverse":
        return 1.0 / (1.0 + epochs)
    if schedule == "sqrt":
        return 1.0 / math.sqrt(1.0 + epochs)
    if schedule == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, epochs / n_epochs)))
    return 1.0


@dataclass
class StochasticState(SteppedState):
    """The iterate, what is remembered of gradients, and the average; `iteration` counts epochs."""

    number: int
    """Batches told so far."""
    n_batches: int
    """Batches of an epoch."""
    moments: Floats
    """(n_moments, n_params): sums of gradients and of their squares, as the method has them."""
    average: Floats
    good: Floats
    """(2 + n_moments, n_params): iterate, average and moments at the end of the last epoch."""


@dataclass(frozen=True)
class Stochastic(Solver):
    """One loop: u <- u + move(gradient of a batch), batch after batch.

    An iteration is an epoch: as many batches as cover the rows once, each row in one of them, and
    then the objective over all rows. With `averaging`, what is reported and kept is a running
    average of the iterates that forgets the early ones (Shamir and Zhang, "Stochastic Gradient
    Descent for Non-smooth Optimization", ICML 2013, section 4: polynomial decay, eta = 3).
    """

    batch_size: int = 256
    """Rows of a minibatch over all ranks, or a few less. A batch takes the
    time of some vectors of all parameters: with very many of them more rows a batch are better."""

    step: float = 0.0
    """First step; 0: chosen from the data."""

    schedule: Schedule = "cosine"
    """How the step falls with e, the epochs done: step, step / (1 + e), step / sqrt(1 + e), or
    half a cosine wave that reaches 0 at the end."""

    averaging: bool = True
    """Whether to keep the average of the iterates."""

    epochs: int = 20
    """Epochs after which the training ends."""

    n_moments: ClassVar[int]

    def __post_init__(self) -> None:
        require_step(self.step)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")
        if self.epochs < 1:
            raise ValueError(f"epochs must be 1 or more, got {self.epochs}")

    @abstractmethod
    def _move(self, state: Any, gradient: Floats, step: float) -> Floats:
        """Take a batch's gradient into the moments; return by how much u moves."""

    @abstractmethod
    def _takes_for_step(self, state: Any, answer: Answer) -> bool:
        """Choose the first step, if it is not known; return whether the answer is used up."""

    def _fields(self, problem: Problem, u: Floats) -> dict[str, Any]:
        """Return the fields of a StochasticState at its start, but for those of the step."""
        return {
            "number": 0,
            "n_batches": problem.n_batches(self.batch_size),
            "moments": np.zeros((self.n_moments, u.size)),
            "average": u.copy(),
            "good": np.concatenate([[u, u], np.zeros((self.n_moments, u.size))]),
        }

    def ask(self, state: Any) -> Question:
        """Ask about the next batch; about all rows at the start and at the end of an epoch."""
        if state.number == (state.iteration + 1) * state.n_batches:
            return Question(self._kept(state))
        return Question(state.u, Batch(self.batch_size, state.number))

    def tell(self, state: Any, answer: Answer) -> Step | None:
        """Take a batch's step; report an epoch."""
        if self._takes_for_step(state, answer):
            return None
        step = state.step_size * scheduled(
            self.schedule, state.number / state.n_batches, self.epochs
        )
        if not answer.is_finite:
            if back_off(state, self.step):
                self._repeat(state)
                return None
            raise diverged(state, answer, self._remedy(step))
        if state.number == (state.iteration + 1) * state.n_batches:
            state.iteration += 1
            state.good = np.concatenate([[state.u, state.average], state.moments])
            end = "" if state.iteration < self.epochs else "the last epoch of the schedule is done"
            return Step(self._kept(state), answer, step if state.iteration else 0.0, end)
        state.u = state.u + self._move(state, answer.gradient, step)
        state.number += 1
        share = (_FORGETTING + 1.0) / (state.number + _FORGETTING)
        state.average = state.average + share * (state.u - state.average)
        return None

    def _remedy(self, step: float) -> str:
        """Say what to do about a divergence."""
        return f"the step {step:g} is too large: set solver.step lower"

    def _repeat(self, state: StochasticState) -> None:
        """Begin the epoch again."""
        state.number = state.iteration * state.n_batches
        state.u, state.average = state.good[:2]
        state.moments = state.good[2:]

    def _kept(self, state: StochasticState) -> Floats:
        """Return the point that counts."""
        return state.average if self.averaging else state.u
