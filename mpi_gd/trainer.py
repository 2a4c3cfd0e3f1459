"""The lockstep loop: one question, one Allreduce, one answer, on all ranks alike."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mpi_gd.objective import Reply
from mpi_gd.solvers import IDLE, Question, Solver, Step

__all__ = ["N_VOTES", "Ballot", "Course", "Ending", "Outcome", "Record", "Rules", "train"]

Floats = NDArray[np.float64]
N_VOTES = 2
_STOP, _SAVE = 0, 1


class Ending(Enum):
    """Why a training ended; the value is for people."""

    CONVERGED = "converged"
    SETTLED = "converged: the objective has changed by less than objective_tol"
    GAP = "converged: the objective is within gap_tol of its minimum"
    SOLVER = "done"
    STALLED = "not converged: stalled at the precision of float64 before tol"
    MAX_ITER = "not converged: max_iter reached before tol"
    MAX_PASSES = "not converged: max_passes reached before tol"
    PERFECT = "not converged: the features tell the labels apart without a mistake"
    STOPPED = "stopped"
    UNEVEN = "to go on with other rows on each rank"

    @property
    def is_converged(self) -> bool:
        """Whether a rule for convergence has been met."""
        return self in (Ending.CONVERGED, Ending.SETTLED, Ending.GAP)

    @property
    def is_limit(self) -> bool:
        """Whether the training could go on with a higher limit."""
        return self in (Ending.MAX_ITER, Ending.MAX_PASSES)


@dataclass(frozen=True)
class Rules:
    """Further rules for when to stop; as they stand, there are none."""

    objective_tol: float = 0.0
    """Relative change of the objective; 0: no rule."""
    max_rows: float = math.inf
    """Rows to be read, each as often as it is."""
    gap_tol: float = 0.0
    relative_gap: Callable[[Step], float] | None = None
    """What bounds how far an iterate is above the minimum, as a share; for `gap_tol`."""
    floor: float = -math.inf
    """An objective below it is the way to an optimum that is infinitely far."""


NO_RULES = Rules()


@dataclass(frozen=True)
class Record:
    """One iteration: a line of metrics.jsonl."""

    iteration: int
    questions: int
    """Questions, and so Allreduces, since the start."""
    rows: int
    """Rows read by all ranks, each as often as it was, since the start or the resume."""
    objective: float
    gradient_norm: float
    """Largest component of the gradient in the solver's coordinates; where the penalty has kinks,
    of the smallest subgradient."""
    criterion: float
    """The same divided by the root mean square of dloss/dz: what `stop.tol` is compared with."""
    step: float
    compute_seconds: float
    """Mean over the ranks, of all questions of the iteration; so are the next two."""
    communication_seconds: float
    waiting_seconds: float
    slowest_rank: int
    elapsed_seconds: float


@dataclass(frozen=True)
class Outcome:
    """The last iterate and its record, None if there was none, and why it is the last."""

    ending: Ending
    step: Step | None = None
    record: Record | None = None
    detail: str = ""
    seconds: float = 0.0
    """From the first question to the end, since the start or the resume."""
    compute: tuple[float, ...] = ()
    """(size,): the seconds of it that each rank spent on its rows."""


@dataclass
class Course:
    """Where a training is. All ranks that are alive are at most one question apart."""

    state: Any
    """The solver's."""
    questions: int = 0
    """Questions that have been answered since the start of the training."""
    rows: int = 0
    """Rows that have been read since then, by all ranks."""
    objective: float | None = None
    """That of the last iteration; None before the first."""


class Answers(Protocol):
    """What answers questions."""

    def answer(self, question: Question, votes: Floats | None = None) -> Reply:
        """Answer one question."""


class Ballot:
    """This rank's votes: to stop, because of a signal or the time, and to save a checkpoint."""

    def __init__(
        self,
        is_root: bool,
        stop_requested: Callable[[], bool],
        max_seconds: float = 0.0,
        save_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clocks; those of the root decide, 0 means never."""
        self._is_root, self._requested, self._clock = is_root, stop_requested, clock
        self._max_seconds, self._save_seconds = max_seconds, save_seconds
        self._began = self._saved = clock()
        self._votes = np.zeros(N_VOTES)
        self.is_late = False
        """Whether `max_seconds` are over, on the root."""

    def cast(self) -> Floats:
        """Return the votes (N_VOTES,) to send with the next question."""
        self._votes[:] = 0.0
        now = self._clock()
        self.is_late = self._is_root and 0 < self._max_seconds <= now - self._began
        self._votes[_STOP] = self._requested() or self.is_late
        if self._is_root and 0 < self._save_seconds <= now - self._saved:
            self._votes[_SAVE] = 1.0
            self._saved = now
        return self._votes


def train(
    objective: Answers,
    solver: Solver,
    course: Course,
    *,
    tol: float,
    max_iter: int,
    ballot: Ballot,
    on_step: Callable[[Record], None],
    on_save: Callable[[], None],
    save_every: int = 0,
    rules: Rules = NO_RULES,
    is_uneven: Callable[[Reply], bool] | None = None,
) -> Outcome:
    """Drive `solver` along `course` until an ending; collective.

    `on_step` gets each iteration's record; `on_save` is called where the ranks have voted to save,
    every `save_every` iterations, and at an ending from which the training may be taken up.
    `is_uneven` hears every reply, and ends the training after an iteration where the rows are to be
    divided anew. All decisions are made from what was reduced, so all ranks make the same. Whatever
    is raised, `course` is whole.
    """
    spent, state = _Spent(), course.state
    while True:
        reply = objective.answer(solver.ask(state), ballot.cast())
        step = solver.tell(state, reply.answer)
        course.questions += 1
        course.rows += reply.n_rows
        spent.add(reply)
        due = bool(reply.votes[_SAVE])
        uneven = is_uneven is not None and is_uneven(reply)
        if step is not None:
            record = spent.record(step, state.iteration, course.questions)
            on_step(record)
            ending = _ending(step, record, course, tol, max_iter, rules)
            course.objective = step.value
            if ending is not None:
                if ending.is_limit:
                    on_save()
                return Outcome(ending, step, record, step.end, spent.seconds, spent.of_ranks)
            due = due or bool(save_every and record.iteration % save_every == 0)
        if reply.votes[_STOP]:
            on_save()
            return Outcome(Ending.STOPPED)
        if due:
            on_save()
        if uneven and step is not None:
            return Outcome(Ending.UNEVEN)


def _ending(
    step: Step, record: Record, course: Course, tol: float, max_iter: int, rules: Rules
) -> Ending | None:
    """Return why this iterate is the last, or None; `course` has the objective before it."""
    if record.objective < rules.floor:
        return Ending.PERFECT
    is_last = record.iteration >= max_iter
    is_exhausted = course.rows >= rules.max_rows
    if not step.is_smoothed and (is_last or is_exhausted or not step.is_sharpening):
        if record.criterion <= tol:
            return Ending.CONVERGED
        if rules.gap_tol and rules.relative_gap and rules.relative_gap(step) <= rules.gap_tol:
            return Ending.GAP
    if step.end:
        if step.is_optimal:
            return Ending.CONVERGED
        return Ending.STALLED if step.end == IDLE else Ending.SOLVER
    if _has_settled(step, record, course, rules.objective_tol):
        return Ending.SETTLED
    if is_last:
        return Ending.MAX_ITER
    return Ending.MAX_PASSES if is_exhausted else None


def _has_settled(step: Step, record: Record, course: Course, tol: float) -> bool:
    """Whether the objective hardly changes any more."""
    before = course.objective
    if not tol or before is None or step.is_smoothed or record.iteration < 1:
        return False
    return abs(before - step.value) <= tol * abs(step.value)


class _Spent:
    """The seconds of the questions of one iteration."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()
        self._rows = 0
        self._before: Floats | float = 0.0
        self._compute: Floats | float = 0.0
        self._clear()

    @property
    def of_ranks(self) -> tuple[float, ...]:
        """Return the seconds that each rank has computed since the start, (size,)."""
        return tuple(np.round(np.atleast_1d(self._before + self._compute), 6).tolist())

    @property
    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._began

    def _clear(self) -> None:
        """Begin an iteration."""
        self._before = self._before + self._compute
        self._compute = 0.0
        self._communication = self._waiting = 0.0

    def add(self, reply: Reply) -> None:
        """Add a question. The root waits in the Allreduce until the slowest rank comes."""
        self._rows += reply.n_rows
        compute = reply.compute
        self._compute = self._compute + compute
        # Numbers of Python's own: there are few, and NumPy takes its time for each call.
        seconds = compute.tolist()
        slowest = max(seconds)
        self._waiting += slowest - sum(seconds) / len(seconds)
        self._communication += max(0.0, reply.reduce_seconds - (slowest - seconds[0]))

    def record(self, step: Step, iteration: int, questions: int) -> Record:
        """Return the iteration's record, and begin the next one."""
        compute = np.asarray(self._compute)
        norm = step.norm
        record = Record(
            iteration=iteration,
            questions=questions,
            rows=self._rows,
            objective=step.value,
            gradient_norm=norm,
            criterion=norm / step.answer.residual if step.answer.residual else norm,
            step=step.step_size,
            compute_seconds=round(float(np.add.reduce(compute)) / compute.size, 9),
            communication_seconds=round(self._communication, 9),
            waiting_seconds=round(self._waiting, 9),
            slowest_rank=int(compute.argmax()),
            elapsed_seconds=round(self.seconds, 6),
        )
        self._clear()
        return record
