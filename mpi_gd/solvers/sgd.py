"""Minibatch stochastic gradient descent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mpi_gd.solvers.armijo import require_step
from mpi_gd.solvers.probe import ProbedState, ask_probe, back_off, start_probe, tell_probe
from mpi_gd.solvers.solver import Answer, Batch, Floats, Problem, Question, Solver, Step, diverged

__all__ = ["Sgd"]

# Exponent of the averaging: 0 weighs all iterates alike, more forgets the early ones faster.
_FORGETTING = 3.0
# A first step so many times what a constant one should be: the schedule lowers it.
_BOLDNESS = 4.0


@dataclass
class _State(ProbedState):
    """The iterate, its velocity and its average; `iteration` counts epochs."""

    number: int
    """Batches told so far."""
    n_batches: int
    """Batches of an epoch."""
    velocity: Floats
    average: Floats
    good: Floats
    """(2, n_params): iterate and average at the end of the last epoch."""


@dataclass(frozen=True)
class Sgd(Solver):
    """v <- momentum * v - step * grad F_batch(u);  u <- u + v (Robbins and Monro 1951).

    An iteration is an epoch: as many batches as cover the rows once, each row in one of them, and
    then the objective over all rows. With `averaging`, what is reported and kept is a running
    average of the iterates that forgets the early ones (Shamir and Zhang, "Stochastic Gradient
    Descent for Non-smooth Optimization", ICML 2013, section 4: polynomial decay, eta = 3).
    """

    batch_size: int = 256
    """Rows of a minibatch over all ranks; the last of an epoch can be smaller."""

    step: float = 0.0
    """First step; 0: chosen from the Hessian's largest eigenvalue, which a few gradients are spent
    to find, and from what a batch can exceed it by."""

    schedule: Literal["constant", "inverse", "sqrt", "cosine"] = "cosine"
    """How the step falls with e, the epochs done: step, step / (1 + e), step / sqrt(1 + e), or
    half a cosine wave that reaches 0 at the end."""

    momentum: float = 0.9
    """Share of the last move that is kept, in [0, 1)."""

    averaging: bool = True
    """Whether to keep the average of the iterates."""

    epochs: int = 20
    """Epochs after which the training ends."""

    memory = _State

    def __post_init__(self) -> None:
        require_step(self.step)
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.epochs < 1:
            raise ValueError(f"epochs must be 1 or more, got {self.epochs}")

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(
            **start_probe(problem, u, self.step),
            number=0,
            n_batches=problem.n_batches(self.batch_size),
            velocity=np.zeros_like(u),
            average=u.copy(),
            good=np.stack([u, u]),
        )

    def ask(self, state: _State) -> Question:
        """Ask about the next batch; about all rows at the start and at the end of an epoch."""
        probe = ask_probe(state)
        if probe:
            return probe
        if state.number == (state.iteration + 1) * state.n_batches:
            return Question(self._kept(state))
        return Question(state.u, Batch(self.batch_size, state.number))

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Take a batch's step; report an epoch."""
        if not state.step_size:
            tell_probe(state, answer)
            if state.step_size:
                state.step_size = self._safe_step(state)
            return None
        step = self._step_size(state)
        if not answer.is_finite:
            if back_off(state, self.step):
                self._repeat(state)
                return None
            raise diverged(
                state,
                answer,
                f"the step {step:g} is too large: set solver.step or solver.momentum lower",
            )
        if state.number == (state.iteration + 1) * state.n_batches:
            state.iteration += 1
            state.good = np.stack([state.u, state.average])
            end = "" if state.iteration < self.epochs else "the last epoch of the schedule is done"
            return Step(self._kept(state), answer, step if state.iteration else 0.0, end)
        state.velocity = self.momentum * state.velocity - step * answer.gradient
        state.u = state.u + state.velocity
        state.number += 1
        share = (_FORGETTING + 1.0) / (state.number + _FORGETTING)
        state.average = state.average + share * (state.u - state.average)
        return None

    def _repeat(self, state: _State) -> None:
        """Begin the epoch again."""
        state.number = state.iteration * state.n_batches
        state.u, state.average = state.good
        state.velocity = np.zeros_like(state.u)

    def _kept(self, state: _State) -> Floats:
        """Return the point that counts."""
        return state.average if self.averaging else state.u

    def _safe_step(self, state: _State) -> float:
        """Return a first step for batches of this size.

        A batch's Hessian exceeds that of all rows by about trace / batch_size, and momentum makes
        a move 1 / (1 - momentum) as long in the end.
        """
        curvature = 1.0 / state.step_size + state.bound / self.batch_size
        return min(1.0, _BOLDNESS * (1.0 - self.momentum)) / curvature

    def _step_size(self, state: _State) -> float:
        """Return the step after so many batches."""
        epochs = state.number / state.n_batches
        if self.schedule == "inverse":
            return state.step_size / (1.0 + epochs)
        if self.schedule == "sqrt":
            return state.step_size / math.sqrt(1.0 + epochs)
        if self.schedule == "cosine":
            return (
                state.step_size * 0.5 * (1.0 + math.cos(math.pi * min(1.0, epochs / self.epochs)))
            )
        return state.step_size
