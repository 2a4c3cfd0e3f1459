"""Where a path may end before its last strength: the rules of glmnet.

J. Friedman, T. Hastie, R. Tibshirani, "Regularization Paths for Generalized Linear Models via
Coordinate Descent", Journal of Statistical Software 33(1), 2010, section 2.5; the numbers are
those of glmnet.control: fdev, devmax, mnlam; `most` is its dfmax.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["why_early"]

_LEAST_CHANGE, _ENOUGH, _FIRST = 1e-5, 0.999, 5


def why_early(explained: Sequence[float], n_nonzero: int, most: int, by_deviance: bool) -> str:
    """Say why a path ends with its last model; empty if it goes on.

    `explained` are the shares of the deviance so far; `n_nonzero` belongs to the last model, and
    `most` is the limit of it, 0 for none.
    """
    if most and n_nonzero > most:
        return f"more than {most} coefficients differ from 0"
    if not by_deviance or len(explained) < _FIRST:
        return ""
    before, now = explained[-2], explained[-1]
    if now > _ENOUGH:
        return f"{_ENOUGH:.1%} of the deviance are explained"
    if now - before < _LEAST_CHANGE * now:
        return "a weaker penalty explains hardly more of the deviance"
    return ""
