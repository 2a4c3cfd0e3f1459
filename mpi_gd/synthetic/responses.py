"""Responses drawn from the law that a loss is the likelihood of, or that it estimates well.

Each function takes (problem, z, random) and returns y (n,), numbers as users have them. z is what
the loss's model has to find: of the quantile loss that quantile, of the others a centre or a mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.errors import JobError
from mpi_gd.synthetic.problem import Floats, Problem

__all__ = ["RESPONSES", "draw", "draw_trials"]

Random = np.random.Generator
# Numbers, whole ones or booleans.
Drawn = NDArray[Any]
Draw = Callable[[Problem, Floats, Random], Drawn]

# Student's noise of so many degrees of freedom has a variance, and outliers enough.
_DEGREES = 3
# z of less is as good as outside where the link takes only z above 0; see `Problem`.
_LEAST = 1e-3


def draw(kind: str, problem: Problem, z: Floats, random: Random, trials: Floats | None) -> Floats:
    """Return the responses of rows with the predictor z, (n,) or (n, K)."""
    if problem.needs_positive:
        z = np.maximum(z, _LEAST * problem.signal)
    if kind == "binomial":
        counts = np.asarray(trials, dtype=np.int64)
        return random.binomial(counts, problem.loss.inverse_link(z)).astype(np.float64)
    return RESPONSES[kind](problem, z, random).astype(np.float64)


def draw_trials(problem: Problem, n: int, random: Random) -> Floats:
    """Return the trials of n rows: 1 to `problem.trials`."""
    return random.integers(1, problem.trials, n, endpoint=True).astype(np.float64)


def _mean(problem: Problem, z: Floats) -> Floats:
    return problem.loss.inverse_link(z)


def _normal(problem: Problem, z: Floats, random: Random) -> Drawn:
    return _mean(problem, z) + problem.noise * random.standard_normal(len(z))


def _student(problem: Problem, z: Floats, random: Random) -> Drawn:
    """Add noise of the variance `noise`^2."""
    scale = problem.noise / math.sqrt(_DEGREES / (_DEGREES - 2))
    return z + scale * random.standard_t(_DEGREES, len(z))


def _laplace(problem: Problem, z: Floats, random: Random) -> Drawn:
    """Add noise of the variance `noise`^2, moved so that z is the quantile."""
    scale = problem.noise / math.sqrt(2.0)
    share = float(getattr(problem.loss, "quantile", 0.5))
    place = math.log(2 * share) if share < 0.5 else -math.log(2 * (1 - share))
    return z + random.laplace(-scale * place, scale, len(z))


def _bernoulli(problem: Problem, z: Floats, random: Random) -> Drawn:
    return random.random(len(z)) < _mean(problem, z)


def _classes(problem: Problem, z: Floats, random: Random) -> Drawn:
    """Choose the largest of z + Gumbel's noise: that has the multinomial probabilities."""
    return np.asarray((z + random.gumbel(size=z.shape)).argmax(axis=1))


def _margin(problem: Problem, z: Floats, random: Random) -> Drawn:
    """Blur two sides of a plane; the plane is what can be found, not the length of w."""
    return z + problem.noise * random.standard_normal(len(z)) > 0


def _poisson(problem: Problem, z: Floats, random: Random) -> Drawn:
    return random.poisson(_mean(problem, z))


def _negative_binomial(problem: Problem, z: Floats, random: Random) -> Drawn:
    theta = float(getattr(problem.loss, "theta", 1.0))
    return random.negative_binomial(theta, theta / (theta + _mean(problem, z)))


def _gamma(problem: Problem, z: Floats, random: Random) -> Drawn:
    dispersion = problem.noise**2
    return random.gamma(1.0 / dispersion, dispersion * _mean(problem, z))


def _inverse_gaussian(problem: Problem, z: Floats, random: Random) -> Drawn:
    return random.wald(_mean(problem, z), 1.0 / problem.noise**2)


def _tweedie(problem: Problem, z: Floats, random: Random) -> Drawn:
    """Add up a Poisson number of gamma amounts, for V(mean) = mean^p, 1 < p < 2 (Jorgensen)."""
    p = float(getattr(problem.loss, "power", 1.5))
    known: dict[float, Draw] = {0.0: _normal, 1.0: _poisson, 2.0: _gamma, 3.0: _inverse_gaussian}
    if p in known:
        return known[p](problem, z, random)
    if not 1 < p < 2:
        raise JobError(
            f"loss.power is {p:g}: expected 0, 1, 2, 3 or a number between 1 and 2, whose "
            "responses can be drawn"
        )
    mean, dispersion = _mean(problem, z), problem.noise**2
    counts = random.poisson(mean ** (2 - p) / (dispersion * (2 - p)))
    shape = counts * (2 - p) / (p - 1)
    amounts = random.gamma(shape) * dispersion * (p - 1) * mean ** (p - 1)
    return np.where(counts > 0, amounts, 0.0)


RESPONSES: dict[str, Draw] = {
    "squared": _normal,
    "huber": _student,
    "quantile": _laplace,
    "epsilon-insensitive": _laplace,
    "squared-epsilon-insensitive": _normal,
    "logistic": _bernoulli,
    "multinomial": _classes,
    "hinge": _margin,
    "squared-hinge": _margin,
    "poisson": _poisson,
    "negative-binomial": _negative_binomial,
    "gamma": _gamma,
    "inverse-gaussian": _inverse_gaussian,
    "tweedie": _tweedie,
}
"""By the kind of the loss; binomial counts are drawn with their trials."""
