"""The Tweedie density between the powers 1 and 2: a Poisson number of gamma amounts.

P. K. Dunn and G. K. Smyth, "Series evaluation of Tweedie exponential dispersion model densities",
Statistics and Computing 15 (2005) 267-280: the density of y > 0 is a sum over the number j of
amounts. There the sum's logarithms grow with y / dispersion and cancel against the exponential's;
here each term is taken relative to the largest, through Stirling's formula, so that only the
deviance and the Stirling errors are left:

    log f = -D / (2 phi) - log y + log sum_j exp{(1 + a) J h(j / J)} c(j),
    a = (2 - p) / (p - 1), J = y^(2-p) / (phi (2 - p)), h(r) = r - r log r - 1 <= 0,
    c(j) = sqrt(a) / (2 pi) exp{-e(j) - e(a j)}, e the Stirling error.
"""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.losses.densities import deviance_part
from mpi_gd.losses.gamma_function import stirling_error
from mpi_gd.losses.loss import Floats

__all__ = ["compound_poisson_log"]

# Further than so many deviations below and above the largest, terms are less than 1e-17 of it.
_BELOW, _ABOVE = 9.0, 12.0
# Added to that where the law of j is not yet nearly normal.
_EXTRA = 25
_BLOCK_ROWS = 1 << 10


def compound_poisson_log(y: Floats, mean: Floats, dispersion: float, power: float) -> Floats:
    """Return the log density (n,) of y >= 0, 1 < power < 2; of y = 0 the log probability.

    Its absolute error is about 1e-14 and grows as eps times D / (2 phi).
    """
    p = power
    with np.errstate(all="ignore"):
        logs = -np.power(mean, 2 - p) / (dispersion * (2 - p))
        positive = np.flatnonzero(y > 0)
        y, mean = y[positive], mean[positive]
        logs[positive] = _log_sum(y, dispersion, p) - np.log(y)
        logs[positive] -= _half_deviance(y, mean, p) / dispersion
    return logs


def _half_deviance(y: Floats, mean: Floats, p: float) -> Floats:
    """Return the integral of (y - t) / t^p over t from the mean to y: the loss above its least."""
    log = np.log(mean / y)
    first, second = np.expm1((2 - p) * log) / (2 - p), np.expm1((1 - p) * log) / (1 - p)
    return np.power(y, 2 - p) * (first - second)


def _log_sum(y: Floats, dispersion: float, p: float) -> Floats:
    """Return log sum_j exp{(1 + a) J h(j / J)} c(j) for y > 0."""
    a = (2 - p) / (p - 1)
    peak = np.power(y, 2 - p) / (dispersion * (2 - p))
    # The terms are nearly normal in j with this deviation. Where that is 4 s or more and the
    # first term is nothing, every s-th term, times s, is the same sum: the trapezoidal rule's
    # error is exp(-2 pi^2 16).
    deviation = np.sqrt(peak / (1 + a))
    first = np.maximum(1.0, np.floor(peak - _BELOW * deviation))
    stride = np.where(first > 1, np.maximum(1.0, np.floor(deviation / 4)), 1.0)
    n_terms = np.ceil((peak + _ABOVE * deviation + _EXTRA * stride - first) / stride)
    out = np.empty(len(y))
    # Rows with as many terms are summed together.
    order = np.argsort(n_terms, kind="stable")
    for start in range(0, len(y), _BLOCK_ROWS):
        rows = order[start : start + _BLOCK_ROWS]
        j = first[rows] + stride[rows] * np.arange(n_terms[rows[-1]])[:, np.newaxis]
        terms = -(1 + a) * deviance_part(j, peak[rows])
        terms -= stirling_error(j) + stirling_error(a * j)
        largest = terms.max(axis=0)
        out[rows] = largest + np.log(np.exp(terms - largest).sum(axis=0) * stride[rows])
    return out + (0.5 * math.log(a) - math.log(2 * math.pi))
