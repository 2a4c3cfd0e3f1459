"""Local SGD: workers take steps apart, and their models are averaged now and then."""

from __future__ import annotations

from dataclasses import dataclass

from mpi_gd.solvers.armijo import require_step
from mpi_gd.solvers.local import Descend, lacks_room, require_workers
from mpi_gd.solvers.probe import ProbedState, ask_probe, back_off, start_probe, tell_probe
from mpi_gd.solvers.sgd import safe_step
from mpi_gd.solvers.solver import Answer, Floats, Problem, Question, Solver, Step, diverged
from mpi_gd.solvers.stochastic import Schedule, scheduled

__all__ = ["LocalSgd"]


@dataclass
class _State(ProbedState):
    """The mean; `iteration` counts rounds."""

    good: Floats
    """The last mean at which all numbers were finite."""
    is_back: bool
    """Whether the next answer is about that, which has been reported before."""


@dataclass(frozen=True)
class LocalSgd(Solver):
    """u <- sum_k share_k u_k, u_k the end of worker k's own steps of SGD from u: round by round.

    Stich, "Local SGD Converges Fast and Communicates Little", ICLR 2019: with K workers and steps
    that fall like 1 / t the gap after T steps of each is O(1 / (K T)), as that of SGD with batches
    K times as large, at a message a round instead of one a step. Also known as federated averaging
    (McMahan et al., AISTATS 2017). Where workers' rows differ, as in a sorted file, longer rounds
    end at a point that is not the minimum: shuffle the rows, or set `local_epochs` lower.
    """

    workers: int = 16
    """Into how many runs of tiles the rows are divided, whatever the number of ranks: no more ranks
    than this have work."""

    local_epochs: float = 1.0
    """How often a worker goes through its rows between two averages; less than 1 for a part."""

    rounds: int = 20
    """Averages after which the training ends."""

    batch_size: int = 64
    """Rows of a worker's minibatch."""

    step: float = 0.0
    """First step; 0: chosen from the Hessian's largest eigenvalue, which a few gradients are spent
    to find, and from what a batch can exceed it by."""

    schedule: Schedule = "cosine"
    """How the step falls with e, the epochs done: step, step / (1 + e), step / sqrt(1 + e), or
    half a cosine wave that reaches 0 at the end."""

    momentum: float = 0.0
    """Share of a worker's last move that is kept, in [0, 1); none at the beginning of a round."""

    memory = _State

    def __post_init__(self) -> None:
        require_step(self.step)
        require_workers(self.workers)
        if not 0 < self.local_epochs <= 1e6:
            raise ValueError(f"local_epochs must be above 0, got {self.local_epochs}")
        for name in ("rounds", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")

    @property
    def divides(self) -> int:
        """Return the number of workers."""
        return self.workers

    def lacks(self, problem: Problem) -> str:
        """Say what keeps it from minimizing such an objective."""
        return lacks_room(self.workers, problem) or super().lacks(problem)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u."""
        return _State(**start_probe(problem, u, self.step), good=u.copy(), is_back=False)

    def ask(self, state: _State) -> Question:
        """Ask for the objective at the mean, and for the next round from there."""
        probe = ask_probe(state)
        if probe:
            return probe
        n_rounds = state.iteration + (0 if state.is_back else 1)
        if n_rounds == self.rounds:
            return Question(state.u)
        work = Descend(
            self.workers,
            state.u,
            self.batch_size,
            n_rounds * self.local_epochs,
            self.local_epochs,
            state.step_size,
            self.momentum,
            self._left,
        )
        return Question(state.u, work=work)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Report the mean, and go to the next one."""
        if not state.step_size:
            tell_probe(state, answer)
            if state.step_size:
                state.step_size = safe_step(state, self.batch_size, self.momentum)
            return None
        step = state.step_size * self._left(max(0, state.iteration) * self.local_epochs)
        if not answer.is_finite:
            if back_off(state, self.step):
                state.u, state.is_back = state.good, True
                return None
            remedy = f"the step {step:g} is too large: set solver.step lower, or solver.momentum"
            raise diverged(state, answer, remedy)
        here = state.u
        state.iteration += 0 if state.is_back else 1
        is_new, state.is_back, state.good = not state.is_back, False, here
        if answer.local is not None:
            state.u = answer.local.mean()
        end = "" if state.iteration < self.rounds else "the last round of the schedule is done"
        return Step(here, answer, step if state.iteration else 0.0, end) if is_new else None

    def _left(self, epochs: float) -> float:
        """Return the share of the first step that is left after so many epochs."""
        return scheduled(self.schedule, epochs, self.rounds * self.local_epochs)
