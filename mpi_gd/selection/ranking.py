"""Results of candidates: their order, and the one that is chosen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mpi_gd.config.tune import PATH_KEY
from mpi_gd.selection.candidates import Values

__all__ = ["Result", "alike", "choose", "is_higher_better", "ranked"]

_HIGHER = (
    "accuracy",
    "balanced_accuracy",
    "top_2_accuracy",
    "top_3_accuracy",
    "top_5_accuracy",
    "f1_macro",
    "f1_weighted",
    "auc",
    "auc_ovr",
    "average_precision",
    "r2",
    "d2",
    "gini",
)


def is_higher_better(metric: str) -> bool:
    """Whether the best score by a metric is the highest."""
    return metric in _HIGHER


@dataclass(frozen=True)
class Result:
    """What a candidate has come to."""

    number: int
    values: Values
    scores: tuple[float, ...]
    """Of each split; empty if it has failed."""
    failed: str = ""
    """Why it has no scores."""
    share: float = 1.0
    """The share of the rows that it was trained on, of those that it might have been."""

    @property
    def mean(self) -> float:
        """Return the mean of the scores."""
        return math.fsum(self.scores) / len(self.scores) if self.scores else math.nan

    @property
    def error(self) -> float:
        """Return the standard error of the mean; nan of one split."""
        n = len(self.scores)
        if n < 2:
            return math.nan
        mean = self.mean
        squares = math.fsum((score - mean) ** 2 for score in self.scores)
        return math.sqrt(squares / (n - 1) / n)


def ranked(results: Sequence[Result], metric: str) -> list[Result]:
    """Return the results from the best on; those on more rows first, those that failed last.

    Of equal ones that comes first which has the smaller number.
    """
    sign = -1.0 if is_higher_better(metric) else 1.0

    def place(result: Result) -> tuple[bool, float, float, int]:
        has_score = math.isfinite(result.mean)
        return (not has_score, -result.share, sign * result.mean if has_score else 0, result.number)

    return sorted(results, key=place)


def choose(results: Sequence[Result], metric: str, rule: Literal["best", "1se"]) -> Result | None:
    """Return the best, or the strongest penalty that is as good; None if all have failed.

    As good: within one standard error of the best, of those that are like it in all else (Breiman,
    Friedman, Olshen and Stone, "Classification and Regression Trees", 1984, section 3.4.3).
    """
    best = next(iter(ranked(results, metric)), None)
    if best is None or not math.isfinite(best.mean):
        return None
    if rule == "best" or PATH_KEY not in best.values or not math.isfinite(best.error):
        return best
    sign = -1.0 if is_higher_better(metric) else 1.0
    good = (
        result for result in alike(results, best) if sign * (result.mean - best.mean) <= best.error
    )
    return next(good)


def alike(results: Sequence[Result], best: Result) -> list[Result]:
    """Return those that have a score and differ from `best` in penalty.alpha alone, falling."""
    like = [
        result
        for result in results
        if math.isfinite(result.mean)
        and result.share == best.share
        and PATH_KEY in result.values
        and _others(result.values) == _others(best.values)
    ]
    return sorted(like, key=lambda result: -float(result.values[PATH_KEY]))


def _others(values: Values) -> dict[str, Any]:
    """Return the values but for the penalty's strength."""
    return {key: value for key, value in values.items() if key != PATH_KEY}
