"""Gradient descent with Nesterov's momentum."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from mpi_gd.solvers.armijo import require_step
from mpi_gd.solvers.probe import ProbedState, ask_probe, back_off, start_probe, tell_probe
from mpi_gd.solvers.solver import Answer, Floats, Problem, Question, Solver, Step, diverged

__all__ = ["Nesterov"]


@dataclass
class _State(ProbedState):
    """The extrapolated point is u; `last` is the end of the last gradient step."""

    good: Floats
    """The last point at which all numbers were finite."""
    last: Floats
    momentum: float


@dataclass(frozen=True)
class Nesterov(Solver):
    """x_k = u_k - step * grad F(u_k);  u_(k+1) = x_k + (t_k - 1) / t_(k+1) * (x_k - x_(k-1)).

    t_(k+1) = (1 + sqrt(1 + 4 t_k^2)) / 2 (Nesterov 1983; Beck and Teboulle, "A Fast Iterative
    Shrinkage-Thresholding Algorithm", SIAM J. Imaging Sci. 2(1), 2009, equations 4.1 to 4.3). The
    momentum begins anew when it points uphill (O'Donoghue and Candes, "Adaptive Restart for
    Accelerated Gradient Schemes", Found. Comput. Math. 15, 2015, section 3.2: gradient scheme).
    """

    step: float = 0.0
    """Step; 0: 1 / the largest eigenvalue of the Hessian, which a few gradients are spent to
    find."""

    restart: bool = True
    """Whether momentum that points uphill is dropped."""

    memory = _State

    def __post_init__(self) -> None:
        require_step(self.step)

    def start(self, problem: Problem, u: Floats) -> _State:
        """Begin at u without momentum."""
        fields = start_probe(problem, u, self.step)
        return _State(**fields, good=u.copy(), last=u.copy(), momentum=1.0)

    def ask(self, state: _State) -> Question:
        """Ask at the extrapolated point."""
        return ask_probe(state) or Question(state.u)

    def tell(self, state: _State, answer: Answer) -> Step | None:
        """Step, and extrapolate."""
        if not state.step_size:
            tell_probe(state, answer)
            return None
        if not answer.is_finite:
            if back_off(state, self.step):
                state.u = state.last = state.good
                state.momentum = 1.0
                return None
            raise diverged(
                state,
                answer,
                f"the step {state.step_size:g} is too large: set solver.step lower, "
                'or kind = "lbfgs"',
            )
        asked = state.good = state.u
        end = asked - state.step_size * answer.gradient
        move = end - state.last
        if self.restart and float(np.dot(answer.gradient, move)) > 0:
            state.momentum = 1.0
        following = 0.5 * (1.0 + math.sqrt(1.0 + 4.0 * state.momentum**2))
        state.u = end + (state.momentum - 1.0) / following * move
        state.last, state.momentum = end, following
        state.iteration += 1
        return Step(asked, answer, state.step_size if state.iteration else 0.0)
