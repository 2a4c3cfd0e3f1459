"""Log densities of the families, with all constants, accurate also for large counts.

Naive formulas subtract logarithms of gamma functions that are nearly equal. Here each is a sum of
small terms: Stirling errors and the deviance part x log(x / m) + m - x, after C. Loader, "Fast
and Accurate Computation of Binomial Probabilities" (2000), as R does it. Arrays are (n,).
"""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.losses.gamma_function import stirling_error
from mpi_gd.losses.loss import Floats, Weight

__all__ = [
    "binomial_log",
    "deviance_part",
    "gamma_log",
    "inverse_gaussian_log",
    "negative_binomial_log",
    "normal_log",
    "poisson_log",
    "times_weight",
]

_LOG_2PI = math.log(2.0 * math.pi)
# Closer than this, relative to x + m, the deviance part is a series; 8 terms reach 1e-17.
_CLOSE = 0.1


def times_weight(logs: Floats, weight: Weight | None) -> Floats:
    """Return weight * logs; 0 where the weight is."""
    if weight is None:
        return logs
    with np.errstate(invalid="ignore"):
        return np.where(weight == 0, 0.0, logs * weight)


def deviance_part(x: Floats, m: Floats) -> Floats:
    """Return x log(x / m) + m - x for x > 0, m >= 0, without cancellation where x is near m."""
    with np.errstate(all="ignore"):
        difference = x - m
        v = difference / (x + m)
        part = np.asarray(x * np.log(x / m) - difference)
        close = np.abs(v) < _CLOSE
        v = v[close]
        # 2 x v (v^2 / 3 + v^4 / 5 + ...) + (x - m) v
        square = np.square(v)
        series = np.zeros_like(v)
        for k in range(8, 0, -1):
            series = (series + 1.0 / (2 * k + 1)) * square
        part[close] = v * (difference[close] + 2.0 * np.broadcast_to(x, part.shape)[close] * series)
        return part


def normal_log(y: Floats, mean: Floats, variance: Floats | float) -> Floats:
    """Return the log density of the normal law."""
    return np.asarray(-0.5 * (_LOG_2PI + np.log(variance) + np.square(y - mean) / variance))


def poisson_log(y: Floats, mean: Floats) -> Floats:
    """Return log(mean^y e^-mean / Gamma(y + 1)), y >= 0."""
    y, mean = np.broadcast_arrays(np.asarray(y, dtype=np.float64), mean)
    with np.errstate(all="ignore"):
        positive = np.where(y > 0, y, 1.0)
        return np.where(y > 0, _poisson_positive(positive, mean), -mean)


def _poisson_positive(y: Floats, mean: Floats) -> Floats:
    """Return the same for y > 0: log Gamma(y + 1) = log y + log Gamma(y)."""
    return -stirling_error(y) - deviance_part(y, mean) - 0.5 * (_LOG_2PI + np.log(y))


def binomial_log(k: Floats, n: Floats, p: Floats, q: Floats) -> Floats:
    """Return log of C(n, k) p^k q^(n - k), 0 <= k <= n, q = 1 - p; numbers need not be whole."""
    with np.errstate(all="ignore"):
        rest = n - k
        inside = (k > 0) & (rest > 0)
        a, b = np.where(inside, k, 1.0), np.where(inside, rest, 1.0)
        logs = (
            stirling_error(a + b)
            - stirling_error(a)
            - stirling_error(b)
            - deviance_part(a, (a + b) * p)
            - deviance_part(b, (a + b) * q)
            + 0.5 * (np.log(a + b) - np.log(a) - np.log(b) - _LOG_2PI)
        )
        # n log p with p near 1 is n log(1 - q), and the other way round.
        none, all_ = n * _log_share(q, p), n * _log_share(p, q)
        return np.where(n <= 0, 0.0, np.where(inside, logs, np.where(k > 0, all_, none)))


def _log_share(p: Floats, q: Floats) -> Floats:
    """Return log p where q = 1 - p."""
    return np.where(p < 0.5, np.log(p), np.log1p(-q))


def gamma_log(y: Floats, mean: Floats, dispersion: float) -> Floats:
    """Return the log density of shape 1 / dispersion and mean `mean`, y > 0."""
    shape = np.full(len(y), 1.0 / dispersion)
    with np.errstate(all="ignore"):
        return _poisson_positive(shape, shape * (y / mean)) + np.log(shape / y)


def inverse_gaussian_log(y: Floats, mean: Floats, dispersion: float) -> Floats:
    """Return the log density of variance dispersion mean^3, y > 0."""
    with np.errstate(all="ignore"):
        deviance = np.square((y - mean) / mean) / y
        return -0.5 * (_LOG_2PI + math.log(dispersion) + 3.0 * np.log(y) + deviance / dispersion)


def negative_binomial_log(y: Floats, mean: Floats, theta: float) -> Floats:
    """Return log of Gamma(y + theta) / (Gamma(theta) y!) p^theta (1 - p)^y, p of mean `mean`.

    p = theta / (theta + mean). It is theta / (theta + y) times a binomial probability.
    """
    with np.errstate(all="ignore"):
        size = np.full(len(y), theta)
        total = theta + mean
        positive = np.where(y > 0, y, 1.0)
        logs = binomial_log(size, positive + size, theta / total, mean / total)
        return np.where(y > 0, logs - np.log1p(y / theta), -theta * np.log1p(mean / theta))
