"""A smooth function above max(r, 0): the softplus function."""

from __future__ import annotations

import numpy as np

from mpi_gd.losses.loss import Floats

__all__ = ["soft_bend", "soft_positive"]


def soft_positive(r: Floats, width: float) -> tuple[Floats, Floats]:
    """Return width log(1 + e^(r / width)) and its derivative, stable for any r and width > 0.

    It is convex and above max(r, 0) by at most width log 2, reached at r = 0.
    """
    with np.errstate(all="ignore"):
        e = np.exp(-np.abs(r) / width)
        value = np.maximum(r, 0.0) + width * np.log1p(e)
        return value, np.where(r >= 0, 1.0, e) / (1.0 + e)


def soft_bend(r: Floats, width: float) -> Floats:
    """Return its second derivative, at most 1 / (4 width)."""
    with np.errstate(all="ignore"):
        e = np.exp(-np.abs(r) / width)
        return np.asarray(e / np.square(1.0 + e) / width)
