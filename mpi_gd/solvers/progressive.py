"""L-BFGS in the coordinates of a sampled Hessian, on more and more of the rows."""

from __future__ import annotations

import math
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

__all__ = ["Progressive", "has_stages"]

# The shares of the rows, stage by stage, are one in so many: pieces of so many tiles, twice as many
# at most. Whole tiles would be too few: rows that follow each other may be much alike.
_PARTS = (64, 16, 4)
_PIECES = 64
# A sample has at least so many rows for each parameter, and for each column, and so many at all.
_ROWS_EACH = 4
_ROWS_COLUMN = 40
_FEWEST_ROWS = 2048
# The Hessian is that of so many rows for each of its columns, or of so many that it costs about an
# eighth of a gradient on the stage's rows, at most an eighth of them.
_HESSIAN_ROWS = 30
_HESSIAN_SHARE = 3
_HESSIAN_PART = 8
# A row's part of the Hessian takes as long as a gradient's times columns over this.
_GRADIENT_FLOPS = 24
_ROWS_UNIT = 16
# Without a Hessian where finding inverses of so many columns would take longer than the gradients
# that it saves: where columns^3 is more than so many times the numbers of all rows.
_MATRIX_SHARE = 3
# A stage is solved to so much of what its optimum is off by, because it is a sample's; and after
# so many steps, whatever they have brought.
_ENOUGH = 0.1
_MOST_STEPS = 12
# A stage has led astray where the next one's objective is more than so much above what it was at
# its own beginning: differences below are a sample's.
_ASTRAY = 0.02
# A step that leaves more than so much of what there was to gain is a slow one; after two of them
# the Hessian is found again, of so many times as many rows, if that costs no more than so many
# gradients.
_SLOW = 0.15
_MORE_ROWS = 8
_MOST_COST = 12
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
    """The samples that are done."""
    is_known: bool
    """Whether the stage's Hessian is known."""
    is_begun: bool
    """Whether the stage's gradient is known."""
    bend: float
    """The mean of the loss's second derivative in the sample."""
    origins: Floats
    """(2, n_params): where the training and where the last stage began."""
    origin_value: float
    """The objective there, on the last stage's rows; infinite before the first."""
    n_steps: int
    """Steps since the Hessian was found."""
    n_slow: int
    """Slow ones among the last of them."""
    boost: int
    """How many times as many rows as usual Hessians are made of."""
    problem: Problem = field(metadata=GIVEN)


@dataclass(frozen=True)
class Progressive(Lbfgs):
    """u <- u - step * H grad F(u) on 1/64, 1/16, 1/4 of the rows, and then on all of them.

    Each stage begins where the last one ended, and ends when what is left to gain is less than what
    its optimum is off by, because it is a sample's: so the gradients of all rows are few. (Growing
    samples: Byrd, Chin, Nocedal and Wu, "Sample Size Selection in Optimization Methods for Machine
    Learning", Math. Programming 134, 2012; Mokhtari, Daneshmand, Lucchi, Hofmann and Ribeiro,
    "Adaptive Newton Method for Empirical Risk Minimization to Statistical Accuracy", NIPS 2016.)
    H is the matrix of L-BFGS that begins with the inverse of the Hessian of a small sample of the
    stage's rows: with m rows for d columns a step leaves about d / m of what the objective is above
    its minimum. (Byrd, Chin, Neveitt and Nocedal, "On the Use of Stochastic Hessian Information in
    Optimization Methods for Machine Learning", SIAM J. Optim. 21(3), 2011.) With K outputs it is
    that of a Kronecker product; with too many columns for a matrix it is a number, as in L-BFGS.
    For many more rows than parameters. Iterations are those on all rows.
    """

    memory = _State

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u with an empty memory."""
        plain = super().start(problem, u)
        has_matrix = _has_matrix(problem)
        first, second = no_inverse(u.size if has_matrix else 0, problem.n_outputs)
        return _State(
            **{each.name: getattr(plain, each.name) for each in fields(plain)},
            first=first,
            second=second,
            stage=0,
            is_known=not has_matrix,
            is_begun=False,
            bend=problem.mean_curvature,
            origins=np.stack([u, u]),
            origin_value=math.inf,
            n_steps=0,
            n_slow=0,
            boost=1,
            problem=problem,
        )

    def ask(self, state: Any) -> Question:
        """Ask for the stage's Hessian, or at its first point, or at the line search's trial."""
        if not state.is_known:
            is_coupled, sample = state.problem.n_outputs > 1, _hessian_sample(state)
            return Question(state.u, hessian=True, kronecker=is_coupled, sample=sample)
        point = state.u + state.trial * state.direction if state.is_begun else state.u
        return Question(point, sample=_sample(state))

    def tell(self, state: Any, answer: Answer) -> Step | None:
        """Take the Hessian, a stage's first gradient, or a trial point; report all rows' points."""
        if not state.is_known:
            self._take_hessian(state, answer)
            is_whole = state.is_known and _hessian_sample(state) == _sample(state)
            return self._begin(state, answer) if is_whole and not state.is_begun else None
        if not state.is_begun:
            return self._begin(state, answer)
        iteration = state.iteration
        # On a sample too there is a point before the trial, and a line search from it.
        state.iteration = max(iteration, 0)
        step = super().tell(state, answer)
        if _sample(state) is None:
            return step
        state.iteration = iteration
        if step is None:
            return None
        if step.end or state.n_steps >= _MOST_STEPS or self._is_solved(state):
            state.stage += 1
            self._start_stage(state)
        return None

    def _start_stage(self, state: _State) -> None:
        """Let the next questions be those of a stage's beginning."""
        state.is_known, state.is_begun = not _has_matrix(state.problem), False

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
        """Begin a stage at the iterate, or where the last one began if that has led astray."""
        limit = state.origin_value + _ASTRAY * abs(state.origin_value)
        is_elsewhere = not np.array_equal(state.u, state.origins[1])
        if not answer.is_finite or (is_elsewhere and answer.value > limit):
            self._go_back(state, answer)
            return None
        state.value, state.gradient, state.residual = answer.value, answer.gradient, answer.residual
        state.origins = np.stack([state.origins[0], state.u])
        state.origin_value = answer.value
        state.is_begun, state.n_pairs = True, 0
        self._aim(state)
        if _sample(state):
            return None
        state.iteration = 0
        return Step(state.u, answer, 0.0)

    def _go_back(self, state: _State, answer: Answer) -> None:
        """Begin the stage where the last one began: its sample has led to where others disagree."""
        start, last = state.origins
        if np.array_equal(state.u, start):
            raise diverged(state, answer, "rescale the columns or the target")
        if np.array_equal(state.u, last):
            last, state.origin_value = start, math.inf
        state.u, state.origins = last.copy(), np.stack([start, last])
        self._start_stage(state)

    def _accept(self, state: Any, answer: Answer) -> Step:
        """Move to the trial point."""
        before, is_first = state.slope, not state.n_trials
        step = super()._accept(state, answer)
        state.n_steps += 1
        is_slow = state.slope < _SLOW * before or not is_first
        state.n_slow = state.n_slow + 1 if is_slow else 0
        if not state.first.size:
            return step
        if state.n_slow >= 2 and _may_grow(state):
            state.boost *= _MORE_ROWS
            state.is_known, state.n_slow = False, 0
        elif state.n_steps >= _RENEW and not _sample(state):
            state.is_known = False
        return step

    def _give_up(self, state: Any) -> Step | None:
        """Drop the memory, then the matrix, before the end."""
        if state.n_pairs or not state.n_steps or not state.first.size:
            return super()._give_up(state)
        state.is_known = False
        return None

    def _is_solved(self, state: _State) -> bool:
        """Whether what is left to gain is little beside what the sample's optimum is off by.

        For a likelihood that is about p / 2 n, with p parameters and n rows; else p V / 2 n H, V
        the variance of a row's gradient and H the mean Hessian.
        """
        problem, rows = state.problem, _sample(state)
        left = -state.slope / 2.0
        share = np.square(state.residual) / (problem.n_outputs * state.bend or 1.0)
        off = problem.n_params * share / (2.0 * problem.rows_of(rows))
        return bool(left <= _ENOUGH * off)

    def _first_matrix(self, state: Any, q: Floats, last: int) -> Floats:
        """Return H_0 q."""
        if not state.first.size:
            return super()._first_matrix(state, q, last)
        return apply_inverse((state.first, state.second), q)

    def _first_step(self, state: Any) -> float:
        """Return the first step along a direction: the Hessian's is 1."""
        return 1.0 if state.first.size else super()._first_step(state)


def has_stages(problem: Problem) -> bool:
    """Whether a sample of the rows tells anything of the optimum."""
    return bool(_samples(problem))


def _has_matrix(problem: Problem) -> bool:
    """Whether the Hessian of a sample is worth its inverse."""
    columns = problem.n_params // problem.n_outputs
    n_numbers = problem.n_rows * problem.row_numbers * problem.n_outputs
    return not problem.n_rows or columns**3 <= _MATRIX_SHARE * n_numbers


def _samples(problem: Problem) -> list[Sample]:
    """Return the samples of the stages before all rows."""
    columns = problem.n_params // problem.n_outputs
    least = max(_FEWEST_ROWS, _ROWS_EACH * problem.n_params, _ROWS_COLUMN * columns)
    return [_part(problem, part) for part in _PARTS if problem.n_rows // part >= least]


def _part(problem: Problem, part: int) -> Sample:
    """Return a sample of one row in `part`."""
    stride = min(part, max(1, problem.n_tiles // _PIECES))
    return Sample(stride, _rounded(problem.tile_rows * stride / part))


def _rounded(n_rows: float) -> int:
    """Return a number of rows that ends where a line of the cache does."""
    return math.ceil(n_rows / _ROWS_UNIT) * _ROWS_UNIT


def _may_grow(state: _State) -> bool:
    """Whether a Hessian of more rows is to be had, and is worth it."""
    problem, sample = state.problem, _hessian_sample(state)
    columns = problem.n_params // problem.n_outputs
    n_rows = problem.rows_of(_sample(state))
    if problem.n_outputs > 1 or sample == _sample(state):
        # What is wrong with a Kronecker product is not the number of rows.
        return False
    wanted = min(_MORE_ROWS * problem.rows_of(sample), n_rows)
    return wanted * columns <= _MOST_COST * _GRADIENT_FLOPS * n_rows


def _sample(state: _State) -> Sample | None:
    """Return the stage's sample; None for all rows."""
    samples = _samples(state.problem)
    return samples[state.stage] if state.stage < len(samples) else None


def _hessian_sample(state: _State) -> Sample | None:
    """Return the part of a stage's rows that its Hessian is made of."""
    problem, sample = state.problem, _sample(state)
    columns = problem.n_params // problem.n_outputs
    n_rows = problem.rows_of(sample)
    cheap = min(_HESSIAN_SHARE * n_rows // columns, n_rows // _HESSIAN_PART)
    wanted = max(_HESSIAN_ROWS * columns, cheap) * state.boost
    if wanted >= n_rows:
        return sample
    stride = sample.stride if sample else max(1, problem.n_tiles // _PIECES)
    return Sample(stride, _rounded(wanted * stride / problem.n_tiles))
