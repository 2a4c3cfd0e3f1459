"""The gamma function's logarithm, for arrays, without SciPy."""

from __future__ import annotations

import math

import numpy as np

from mpi_gd.losses.loss import Floats

__all__ = ["log_gamma", "stirling_error"]

_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)
# From here on eight terms of Stirling's series leave an error of 2e-18.
_LARGE = 10
# B_2k / (2k (2k - 1)), k = 1, 2, ...: NIST Digital Library of Mathematical Functions, 5.11.1.
_SERIES = (
    1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400,
)  # fmt: skip


def stirling_error(x: Floats) -> Floats:
    """Return log Gamma(x) - [(x - 1/2) log x - x + log(2 pi) / 2] for x > 0, error below 3e-15.

    Its values are small and have no cancellation: log probabilities of large counts are made of
    them (C. Loader, "Fast and Accurate Computation of Binomial Probabilities", 2000).
    """
    x = np.asarray(x, dtype=np.float64)
    is_small = x < _LARGE
    error = _series(np.where(is_small, x + _LARGE, x))
    if is_small.any():
        small = x[is_small]
        # e(x) - e(x + 1) = (x + 1/2) log(1 + 1/x) - 1
        shifted = small + np.arange(_LARGE)[:, np.newaxis]
        with np.errstate(divide="ignore", over="ignore"):
            error[is_small] += ((shifted + 0.5) * np.log1p(1.0 / shifted) - 1.0).sum(axis=0)
    return error


def log_gamma(x: Floats) -> Floats:
    """Return log Gamma(x) for x > 0, error below 1e-14 of the larger of 1 and the value."""
    x = np.asarray(x, dtype=np.float64)
    return (x - 0.5) * np.log(x) - x + _HALF_LOG_2PI + stirling_error(x)


def _series(x: Floats) -> Floats:
    """Return Stirling's series for x of 10 and more."""
    with np.errstate(under="ignore", over="ignore"):
        square = 1.0 / np.square(x)
        total = np.full_like(x, _SERIES[-1])
        for term in _SERIES[-2::-1]:
            total *= square
            total += term
        return total / x
