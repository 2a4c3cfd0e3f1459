"""The loop: when it ends, when it saves, what it records."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mpi_gd import signals
from mpi_gd.errors import Diverged
from mpi_gd.objective import Reply
from mpi_gd.solvers import Answer, GradientDescent, Lbfgs, Problem, Question, Sgd, Solver
from mpi_gd.solvers.solver import Floats
from mpi_gd.trainer import N_VOTES, Ballot, Course, Ending, Outcome, Record, Rules, train

PROBLEM = Problem(2, 1.0, 3.0, lambda size: 4)


class Bowl:
    """F(u) = |u - 1|^2 / 2, answered by two ranks of which the second is slow."""

    def __init__(self, bad_from: int = 10**9) -> None:
        self.n_asked, self.bad_from = 0, bad_from
        self.votes: list[list[float]] = []

    def answer(self, question: Question, votes: Floats | None = None) -> Reply:
        self.n_asked += 1
        assert votes is not None
        self.votes.append(votes.tolist())
        r = question.u - 1.0
        value = float(r @ r / 2) if self.n_asked < self.bad_from else np.nan
        answer = Answer(value, r.copy(), 2.0)
        return Reply(answer, votes.copy(), np.array([0.25, 0.5]), 100, 0.75)


def drive(solver: Solver, **options: Any) -> tuple[Outcome, list[Record], list[Any], Bowl]:
    """Train; return also the records, what was saved and the objective."""
    bowl = options.pop("bowl", None) or Bowl()
    records: list[Record] = []
    saved: list[Any] = []
    options.setdefault("tol", 1e-10)
    options.setdefault("max_iter", 1000)
    options.setdefault("ballot", Ballot(True, lambda: False))
    course = Course(solver.start(PROBLEM, np.zeros(2)), options.pop("questions", 0))
    outcome = train(
        bowl,
        solver,
        course,
        on_step=records.append,
        on_save=lambda: saved.append((course.state.iteration, course.questions)),
        **options,
    )
    return outcome, records, saved, bowl


SLOW = GradientDescent(step=0.1)


def test_converged() -> None:
    outcome, records, saved, bowl = drive(Lbfgs())
    assert outcome.ending is Ending.CONVERGED and outcome.step is not None
    np.testing.assert_allclose(outcome.step.u, 1.0, atol=1e-9)
    assert records[-1].criterion <= 1e-10 < records[-2].criterion
    assert bowl.n_asked == records[-1].questions and not saved


def test_the_first_iterate_below_tol_is_the_last() -> None:
    """Every step lowers the gradient by a tenth."""
    _, records, _, _ = drive(SLOW, tol=1e-3)
    assert records[-1].criterion <= 1e-3 < records[-2].criterion
    assert records[-1].criterion > 0.8e-3


def test_below_the_floor_there_is_no_optimum() -> None:
    outcome, records, saved, _ = drive(SLOW, rules=Rules(floor=1e-3))
    assert outcome.ending is Ending.PERFECT and not saved
    assert records[-1].objective < 1e-3 <= records[-2].objective


def test_a_start_at_the_optimum_is_the_end() -> None:
    outcome, records, _, bowl = drive(SLOW, tol=10.0)
    assert outcome.ending is Ending.CONVERGED and bowl.n_asked == len(records) == 1


@pytest.mark.parametrize("max_iter", [0, 1, 7])
def test_max_iter(max_iter: int) -> None:
    outcome, records, _, _ = drive(SLOW, max_iter=max_iter)
    assert outcome.ending is Ending.MAX_ITER
    assert [record.iteration for record in records] == list(range(max_iter + 1))


def test_the_solver_is_done() -> None:
    outcome, records, _, _ = drive(Sgd(epochs=3, step=1e-3), tol=0.0)
    assert outcome.ending is Ending.SOLVER and "last epoch" in outcome.detail
    assert len(records) == 4


def test_a_small_change_of_the_objective_ends() -> None:
    """Each step of SLOW keeps 0.81 of the objective: a change of 0.19 / 0.81 of the new one."""
    outcome, records, saved, _ = drive(SLOW, tol=0.0, rules=Rules(objective_tol=0.24))
    assert outcome.ending is Ending.SETTLED and outcome.ending.is_converged and not saved
    assert records[-1].iteration == 1
    _, records, _, _ = drive(SLOW, tol=0.0, max_iter=50, rules=Rules(objective_tol=0.2))
    assert records[-1].iteration == 50


def test_the_objective_before_a_resume_is_known() -> None:
    """Taken up after an iteration, a training ends where it would have ended without the pause."""
    state = SLOW.start(PROBLEM, np.zeros(2))
    SLOW.tell(state, Bowl().answer(SLOW.ask(state), np.zeros(N_VOTES)).answer)
    course = Course(state, questions=1, rows=100, objective=1.0)
    ending = train(
        Bowl(),
        SLOW,
        course,
        tol=0.0,
        max_iter=50,
        ballot=Ballot(True, lambda: False),
        on_step=lambda record: None,
        on_save=lambda: None,
        rules=Rules(objective_tol=0.24),
    ).ending
    assert ending is Ending.SETTLED and course.questions == 2 and course.rows == 200


def test_passes_over_the_rows_are_limited() -> None:
    """A question reads 100 rows."""
    outcome, records, saved, _ = drive(SLOW, tol=0.0, rules=Rules(max_rows=500))
    assert outcome.ending is Ending.MAX_PASSES and not outcome.ending.is_converged
    assert records[-1].rows == 500 and saved == [(4, 5)], "more may be asked for"


def test_a_certain_gap_ends() -> None:
    """The objective is 0 at the minimum: a gap is known here without a bound."""
    rules = Rules(gap_tol=1e-3, relative_gap=lambda step: step.value)
    outcome, records, _, _ = drive(SLOW, tol=0.0, rules=rules)
    assert outcome.ending is Ending.GAP and outcome.ending.is_converged
    assert records[-1].objective <= 1e-3 < records[-2].objective


def test_where_nothing_falls_any_more_it_has_stalled() -> None:
    class Lie(Bowl):
        def answer(self, question: Question, votes: Floats | None = None) -> Reply:
            reply = super().answer(question, votes)
            value = float(np.linalg.norm(question.u))
            return replace(reply, answer=Answer(value, np.ones(2), 1.0))

    outcome, _, _, _ = drive(Lbfgs(), bowl=Lie())
    assert outcome.ending is Ending.STALLED and not outcome.ending.is_converged


def test_divergence_passes() -> None:
    with pytest.raises(Diverged, match="iteration 4"):
        drive(SLOW, bowl=Bowl(bad_from=5))


@pytest.mark.parametrize("after", [1, 2, 9])
def test_a_request_to_stop_saves_and_stops(after: int) -> None:
    bowl = Bowl()
    ballot = Ballot(False, lambda: bowl.n_asked >= after - 1)
    outcome, records, saved, _ = drive(SLOW, bowl=bowl, ballot=ballot)
    assert outcome.ending is Ending.STOPPED
    assert bowl.n_asked == after and saved == [(after - 1, after)]
    assert [record.iteration for record in records] == list(range(after))


def test_stopped_between_two_iterates() -> None:
    bowl = Bowl()
    solver = Sgd(epochs=3, step=0.1)
    outcome, records, saved, _ = drive(
        solver, bowl=bowl, ballot=Ballot(True, lambda: bowl.n_asked == 3)
    )
    assert outcome.ending is Ending.STOPPED and outcome.step is None
    assert len(records) == 1 and saved == [(0, 4)]


def test_convergence_goes_before_a_stop() -> None:
    outcome, _, saved, _ = drive(SLOW, tol=10.0, ballot=Ballot(True, lambda: True))
    assert outcome.ending is Ending.CONVERGED and not saved


def test_saves_every_few_iterations() -> None:
    _, _, saved, _ = drive(SLOW, save_every=3, max_iter=8, questions=100)
    # And at the last iteration, from which more may be asked for.
    assert [iteration for iteration, _ in saved if iteration] == [3, 6, 8]
    assert (3, 104) in saved, "questions go on from those before the resume"


def test_root_saves_by_its_clock() -> None:
    now = [50.0]
    ballot = Ballot(True, lambda: False, save_seconds=10.0, clock=lambda: now[0])
    cast = []
    for now[0] in (50.0, 59.9, 60.0, 60.1, 69.9, 75.0, 84.9, 85.0):
        cast.append(ballot.cast().tolist())
    assert [vote[1] for vote in cast] == [0, 0, 1, 0, 0, 1, 0, 1]
    assert not any(vote[0] for vote in cast)


def test_root_stops_by_its_clock() -> None:
    now = [50.0]
    ballot = Ballot(True, lambda: False, max_seconds=10.0, clock=lambda: now[0])
    cast = []
    for now[0] in (50.0, 59.9, 60.0, 70.0):
        cast.append(ballot.cast().tolist())
    assert cast == [[0, 0], [0, 0], [1, 0], [1, 0]]


def test_other_ranks_have_no_clock_but_a_voice() -> None:
    now, asked = [0.0], [False]
    ballot = Ballot(False, lambda: asked[0], 1.0, 1.0, clock=lambda: now[0])
    now[0] = 1e6
    assert ballot.cast().tolist() == [0.0] * N_VOTES
    asked[0] = True
    assert ballot.cast().tolist() == [1.0, 0.0]


def test_no_limit_no_vote() -> None:
    now = [0.0]
    ballot = Ballot(True, lambda: False, clock=lambda: now[0])
    now[0] = 1e9
    assert ballot.cast().tolist() == [0.0] * N_VOTES


def test_a_vote_to_save_saves_once() -> None:
    now = [0.0]

    def clock() -> float:
        now[0] += 1.0
        return now[0]

    ballot = Ballot(True, lambda: False, save_seconds=4.0, clock=clock)
    _, _, saved, bowl = drive(SLOW, max_iter=11, ballot=ballot)
    assert [questions for _, questions in saved] == [4, 8, 12]
    assert sum(vote[1] for vote in bowl.votes) == 3, "the last one comes with the end"


def test_records_tell_where_the_time_went() -> None:
    """Ranks computed 0.25 and 0.5 s; root's Allreduce took 0.75 s, 0.25 of them waiting."""
    solver = Sgd(epochs=2, step=0.1)
    _, records, _, _ = drive(solver, tol=0.0)
    assert [record.questions for record in records] == [1, 6, 11]
    for record, n_questions in zip(records, (1, 5, 5), strict=True):
        assert record.compute_seconds == pytest.approx(0.375 * n_questions)
        assert record.waiting_seconds == pytest.approx(0.125 * n_questions)
        assert record.communication_seconds == pytest.approx(0.5 * n_questions)
        assert record.slowest_rank == 1
        assert record.rows == 100 * record.questions
        assert record.criterion == pytest.approx(record.gradient_norm / 2.0)
        assert record.objective >= 0
    assert records[0].elapsed_seconds <= records[-1].elapsed_seconds


@pytest.fixture
def handlers() -> Iterator[None]:
    """Put the signal handlers back."""
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    signals.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    signal.set_wakeup_fd(-1)
    signals._received.clear()


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_asks_to_stop(number: signal.Signals) -> None:
    assert not signals.stop_requested()
    os.kill(os.getpid(), number)
    assert signals.stop_requested()
    os.kill(os.getpid(), number)
    assert signals.stop_requested()
