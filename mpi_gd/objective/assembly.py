"""From sums over the rows to answers in the solver's coordinates, the penalty's part included."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from mpi_gd.objective.gram import Squares
from mpi_gd.objective.kernel import LOSS, RESIDUAL, WEIGHT
from mpi_gd.objective.rows import Floats
from mpi_gd.objective.scaling import Scaling
from mpi_gd.penalties import Bound
from mpi_gd.solvers import Answer, Question

__all__ = ["Assembly"]


class Assembly:
    """Makes answers; `fixed` (n_params,) says which parameters are held at 0, None for none."""

    def __init__(self, scaling: Scaling, penalty: Bound, fixed: NDArray[np.bool_] | None) -> None:
        """Take what turns sums over rows into the objective's."""
        self._scaling, self._penalty, self._fixed = scaling, penalty, fixed

    def answer(self, question: Question, sums: Floats, hessian_sums: Floats) -> Answer:
        """Return the smooth part's value, gradient and Hessian in the solver's coordinates."""
        weight = float(sums[WEIGHT]) or 1.0
        coef = question.u[: -self._scaling.n_outputs]
        gradient = self._scaling.gradient(sums)
        gradient /= weight
        self._penalty.add_gradient(coef, gradient[: len(coef)])
        value = float(sums[LOSS]) / weight + self._penalty.value(coef)
        if self._fixed is not None:
            gradient[self._fixed] = 0.0
        answer = Answer(value, gradient, float(np.sqrt(sums[RESIDUAL] / weight)))
        if not question.hessian:
            return answer
        if question.kronecker:
            factor, coupling = self._factors(hessian_sums / weight)
            return dataclasses.replace(answer, hessian=factor, coupling=coupling)
        hessian = self._scaling.hessian(hessian_sums)
        hessian /= weight
        self._bend(hessian, self._penalty.hessian_diagonal(), self._fixed)
        return dataclasses.replace(answer, hessian=hessian)

    def mean(self, sums: Floats) -> Floats:
        """Return a mean of x times something, in the solver's coordinates, without a penalty."""
        mean = self._scaling.gradient(sums)
        mean /= float(sums[WEIGHT]) or 1.0
        if self._fixed is not None:
            mean[self._fixed] = 0.0
        return mean

    def _factors(self, means: Floats) -> tuple[Floats, Floats]:
        """Return the Kronecker factors of the Hessian."""
        n_outputs = self._scaling.n_outputs
        single = dataclasses.replace(self._scaling, n_outputs=1)
        coupling = means[-(n_outputs**2) :].reshape(n_outputs, n_outputs)
        hessian = single.hessian(means[: -(n_outputs**2)])
        fixed = None if self._fixed is None else self._fixed[::n_outputs]
        # All outputs of a column are penalized alike, and of the first factor has the penalty too.
        self._bend(hessian, self._penalty.hessian_diagonal()[::n_outputs], fixed)
        # The first factor's h is the mean of the outputs' own, so the second one's mean is 1.
        return hessian, coupling / (float(np.trace(coupling)) / n_outputs or 1.0)

    @staticmethod
    def _bend(hessian: Floats, penalty: Floats, fixed: NDArray[np.bool_] | None) -> None:
        """Add a penalty's Hessian, and leave out what is held."""
        diagonal = hessian.reshape(-1)[:: len(hessian) + 1]
        diagonal[: len(penalty)] += penalty
        if fixed is not None:
            hessian[fixed] = 0.0
            hessian[:, fixed] = 0.0

    def product(self, along: Floats, sums: Floats) -> Answer:
        """Return the smooth part's Hessian times `along`."""
        k = -self._scaling.n_outputs
        product = self._scaling.gradient(sums)
        product /= float(sums[WEIGHT]) or 1.0
        product[:k] += self._penalty.hessian_diagonal() * along[:k]
        if self._fixed is not None:
            product[self._fixed] = 0.0
        return Answer(np.nan, np.empty(0), np.nan, product=product)

    def with_control(self, question: Question, answer: Answer) -> Answer:
        """Take the penalty's gradient at the other point off, where there is one."""
        if question.control is None:
            return answer
        other = np.zeros_like(answer.gradient)
        k = -self._scaling.n_outputs
        self._penalty.add_gradient(question.control[:k], other[:k])
        if self._fixed is not None:
            other[self._fixed] = 0.0
        return dataclasses.replace(answer, gradient=answer.gradient - other)

    def from_moments(self, u: Floats, squares: Squares) -> Answer:
        """Return value, gradient and Hessian of least squares from the second moments."""
        value, gradient = squares.at(u)
        value_error, errors = squares.errors(u)
        residual = float(np.sqrt(2.0 * value))
        d = len(u) - 1
        self._penalty.add_gradient(u[:d], gradient[:d])
        if self._fixed is not None:
            gradient[self._fixed] = errors[self._fixed] = 0.0
        hessian = squares.hessian.copy()
        self._bend(hessian, self._penalty.hessian_diagonal(), self._fixed)
        return Answer(
            value + self._penalty.value(u[:d]),
            gradient,
            residual,
            hessian,
            error=float(errors.max()),
            value_error=value_error,
        )
