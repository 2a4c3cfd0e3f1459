"""L-BFGS in the coordinates of a sampled Hessian, on more and more of the rows."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from mpi_gd.solvers.curvature import apply_inverse, inverse_of, no_inverse, usual_bend
from mpi_gd.solvers.lbfgs import Lbfgs, LbfgsState
from mpi_gd.solvers.solver import (
    GIVEN,
    Answer,
    Floats,
    Problem,
    Question,
    Sample,
    Step,
    diverged,
)

__all__ = ["Progressive"]

# One tile of so many, stage by stage.
_STRIDES = (64, 16, 4)
# A stage's sample has at least so many rows for each parameter, and so many tiles.
_ROWS_EACH = 4
_FEWEST_TILES = 4
# The Hessian is that of so many rows for each of its columns, or of so many that it costs about an
# eighth of a gradient on the stage's rows; they come from about so many tiles.
_HESSIAN_ROWS = 30
_HESSIAN_SHARE = 3
_HESSIAN_TILES = 64
_ROWS_UNIT = 16
# A stage is solved to so much of what its optimum is off by, because it is a sample's; and after
# so many steps, whatever they have brought.
_ENOUGH = 0.1
_MOST_STEPS = 40
# On all rows, the Hessian is found again after so many steps.
_RENEW = 20


@dataclass
class _State(LbfgsState):
    """L-BFGS's, and the inverse of a sample's Hessian."""

    first: Floats
    """(n_params / K,) square: the inverse of the Hessian, or of its first factor."""
    second: Floats
    """(K, K): the inverse of its second factor, or 1."""
    stage: int
    """The strides that are done."""
    is_known: bool
    """Whether the stage's Hessian is known."""
    is_begun: bool
    """Whether the stage's gradient is known."""
    bend: float
    """The mean of the loss's second derivative in the sample."""
    origin: Floats
    """Where the training began."""
    n_steps: int
    """Steps since the Hessian was found."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Progressive(Lbfgs):
    """u <- u - step * H grad F(u) on 1/64, 1/16, 1/4 of the tiles, and then on all rows.

    Each stage begins where the last one ended, and ends when what is left to gain is less than what
    its optimum is off by, because it is a sample's: so the gradients of all rows are few. (Growing
    samples: Byrd, Chin, Nocedal and Wu, "Sample Size Selection in Optimization Methods for Machine
    Learning", Math. Programming 134, 2012; Mokhtari, Daneshmand, Lucchi, Hofmann and Ribeiro,
    "Adaptive Newton Method for Empirical Risk Minimization to Statistical Accuracy", NIPS 2016.)
    H is the matrix of L-BFGS that begins with the inverse of the Hessian of a small sample of the
    stage's rows: with m rows for d columns a step leaves about d / m of what the objective is above
    its minimum. (Byrd, Chin, Neveitt and Nocedal, "On the Use of Stochastic Hessian Information in
    Optimization Methods for Machine Learning", SIAM J. Optim. 21(3), 2011.) With K outputs it is
    that of a Kronecker product. For many more rows than parameters, and up to a few thousand
    columns. Iterations are those on all rows.
    """

    memory = _State

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u with an empty memory."""
        plain = super().start(problem, u)
        first, second = no_inverse(u.size, problem.n_outputs)
        return _State(
            **{each.name: getattr(plain, each.name) for each in fields(plain)},
            first=first,
            second=second,
            stage=0,
            is_known=False,
            is_begun=False,
            bend=1.0,
            origin=u.copy(),
            n_steps=0,
            problem=problem,
        )

    def ask(self, state: Any) -> Question:
        """Ask for the stage's Hessian, or at its first point, or at the line search's trial."""
        stride = _stride(state)
        if not state.is_known:
            is_coupled = state.problem.n_outputs > 1
            sample = _hessian_sample(state.problem, stride)
            return Question(state.u, hessian=True, kronecker=is_coupled, sample=sample)
        point = state.u + state.trial * state.direction if state.is_begun else state.u
        return Question(point, sample=_sample(stride))

    def tell(self, state: Any, answer: Answer) -> Step | None:
        """Take the Hessian, a stage's first gradient, or a trial point; report all rows' points."""
        stride = _stride(state)
        if not state.is_known:
            self._take_hessian(state, answer)
            whole = _hessian_sample(state.problem, stride) == _sample(stride)
            return self._begin(state, answer) if whole and not state.is_begun else None
        if not state.is_begun:
            return self._begin(state, answer)
        iteration = state.iteration
        step = super().tell(state, answer)
        if step is None or stride == 1:
            return step
        state.iteration = iteration
        if step.end or state.n_steps >= _MOST_STEPS or self._is_solved(state):
            state.stage += 1
            state.is_known = state.is_begun = False
        return None

    def _take_hessian(self, state: _State, answer: Answer) -> None:
        """Aim with a new matrix."""
        if not answer.is_finite:
            self._go_back(state, answer)
            return
        state.first, state.second = inverse_of(answer)
        state.bend = usual_bend(answer)
        state.is_known, state.n_steps = True, 0
        if state.is_begun:
            self._aim(state)

    def _begin(self, state: _State, answer: Answer) -> Step | None:
        """Begin a stage at the iterate."""
        if not answer.is_finite:
            self._go_back(state, answer)
            return None
        state.value, state.gradient, state.residual = answer.value, answer.gradient, answer.residual
        state.is_begun, state.n_pairs = True, 0
        self._aim(state)
        if _stride(state) > 1:
            return None
        state.iteration = 0
        return Step(state.u, answer, 0.0)

    def _go_back(self, state: _State, answer: Answer) -> None:
        """Begin with all rows at the very start: a sample has led to where others make no sense."""
        if not state.stage or np.array_equal(state.u, state.origin):
            raise diverged(state, answer, "rescale the columns or the target")
        state.u, state.stage = state.origin.copy(), len(_strides(state.problem))
        state.is_known = state.is_begun = False

    def _accept(self, state: Any, answer: Answer) -> Step:
        """Move to the trial point."""
        step = super()._accept(state, answer)
        state.n_steps += 1
        if state.n_steps >= _RENEW and _stride(state) == 1:
            state.is_known = False
        return step

    def _give_up(self, state: Any) -> Step | None:
        """Drop the memory, then the matrix, before the end."""
        if state.n_pairs or not state.n_steps:
            return super()._give_up(state)
        state.is_known = False
        return None

    def _is_solved(self, state: _State) -> bool:
        """Whether what is left to gain is little beside what the sample's optimum is off by.

        For a likelihood that is about p / 2 n, with p parameters and n rows; else p V / 2 n H, V
        the variance of a row's gradient and H the mean Hessian.
        """
        problem, rows = state.problem, _sample(_stride(state))
        left = -state.slope / 2.0
        share = np.square(state.residual) / (problem.n_outputs * state.bend or 1.0)
        off = problem.n_params * share / (2.0 * problem.rows_of(rows))
        return bool(left <= _ENOUGH * off)

    def _first_matrix(self, state: Any, q: Floats, last: int) -> Floats:
        """Return H_0 q."""
        return apply_inverse((state.first, state.second), q)

    def _first_step(self, state: Any) -> float:
        """Return the first step along a direction: the Hessian's is 1."""
        return 1.0


def _strides(problem: Problem) -> list[int]:
    """Return the strides of the stages before all rows."""
    least = _ROWS_EACH * problem.n_params
    return [
        stride
        for stride in _STRIDES
        if problem.rows_of(Sample(stride)) >= least and problem.n_tiles >= _FEWEST_TILES * stride
    ]


def _stride(state: _State) -> int:
    """Return the stage's stride; 1 for all rows."""
    strides = _strides(state.problem)
    return strides[state.stage] if state.stage < len(strides) else 1


def _sample(stride: int) -> Sample | None:
    """Return the sample of a stride; None for all rows."""
    return Sample(stride) if stride > 1 else None


def _hessian_sample(problem: Problem, stride: int) -> Sample | None:
    """Return the part of a stage's rows that its Hessian is made of."""
    columns = problem.n_params // problem.n_outputs
    n_rows = problem.rows_of(Sample(stride))
    wanted = max(_HESSIAN_ROWS * columns, _HESSIAN_SHARE * n_rows // columns)
    if wanted >= n_rows:
        return _sample(stride)
    n_tiles = max(_HESSIAN_TILES, -(-wanted // problem.tile_rows))
    wide = stride * max(1, problem.n_tiles // (stride * n_tiles))
    each = -(-wanted // -(-problem.n_tiles // wide))
    return Sample(wide, -(-each // _ROWS_UNIT) * _ROWS_UNIT)
