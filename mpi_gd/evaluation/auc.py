"""The area under the ROC curve, exact with ties, over rows that no rank holds together.

AUC = P(z of a positive row > z of a negative row) + P(equal) / 2. Doubled, to have no halves, and
times the number of pairs it is an integer,

    U2 = sum over distinct scores s of positives(s) * (2 * negatives(below s) + negatives(s)),

which is summed exactly and divided once, so every number of ranks gives the same bits. The rows
are brought in order by a sample sort: splitters cut the line of scores into one interval a rank,
and equal scores of a class, merged before they travel, meet on one rank. The two classes travel
one after the other, which halves the memory for messages.

Source: Mann and Whitney (1947), the U statistic; Li et al. (1993), sorting by regular sampling.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.metric import Metric, ScoredRows, Undefined
from mpi_gd.losses import Loss

__all__ = ["Auc"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Scored = tuple[Floats, Floats]

# Scores a rank shows to find the splitters: an interval then exceeds its fair share by little.
_SAMPLES = 64
# Counts travel as float64, which holds integers up to here.
_MAX_COUNT = 2**53
# U2 travels in digits of 31 bits: int64 sums of them have room for 2^32 ranks.
_DIGIT_BITS = 31
_DIGITS = 4


@dataclass(frozen=True)
class Auc(Metric):
    """The area under the ROC curve; a weight of k counts as k equal rows."""

    for_classifiers = True

    def __call__(self, world: World, loss: Loss, rows: ScoredRows) -> float:
        """Return the AUC in [0, 1]. Raises Undefined for one class only, or broken weights."""
        _require_whole(world, rows.weight)
        is_positive = rows.y > 0.5
        classes = [_merged(rows.z[c], rows.weight[c]) for c in (is_positive, ~is_positive)]
        splitters = _splitters(world, [scores for scores, _ in classes])
        # Popped, so that a class's scores are freed while they travel.
        positives = _route(world, splitters, classes.pop(0))
        negatives = _route(world, splitters, classes.pop(0))
        totals = _by_rank(world, [positives[1].sum(), negatives[1].sum()])
        n_positive, n_negative = (int(total) for total in totals.sum(axis=0))
        if n_positive == 0 or n_negative == 0:
            only = "second" if n_negative == 0 else "first"
            raise Undefined(f"all {n_positive + n_negative} rows are of the {only} class")
        below = int(totals[: world.rank, 1].sum())
        u2 = _sum_integer(world, _doubled_wins(positives, negatives, below))
        # Python divides integers of any size with one rounding.
        return u2 / (2 * n_positive * n_negative)


def _require_whole(world: World, weight: Floats) -> None:
    """Raise Undefined on all ranks unless every weight is a whole number, small enough to count."""
    broken = float(np.any(weight != np.floor(weight)))
    check = np.array([broken, weight.sum()])
    world.allreduce_max(check)
    if check[0]:
        raise Undefined("it counts pairs of rows, and some weights are not whole numbers")
    if check[1] * world.size >= _MAX_COUNT:
        raise Undefined("the weights are too large to be counted exactly")


def _merged(scores: Floats, counts: Floats) -> Scored:
    """Return the distinct scores in order, (k,), and their summed counts, (k,)."""
    if not scores.size:
        return scores, counts
    order = np.argsort(scores)
    scores = scores[order]
    is_first = np.append(True, scores[1:] != scores[:-1])
    # Adding zero turns -0.0 into 0.0, so that equal scores have equal bits.
    return scores[is_first] + 0.0, np.add.reduceat(counts[order], np.flatnonzero(is_first))


def _route(world: World, splitters: Floats, scored: Scored) -> Scored:
    """Return all ranks' distinct scores in this rank's interval, and their counts; collective."""
    scores, counts = scored
    bounds = [0, *np.searchsorted(scores, splitters).tolist(), scores.size]
    pieces = [
        np.concatenate([scores[start:stop], counts[start:stop]]) for start, stop in pairwise(bounds)
    ]
    received = [piece.reshape(2, -1) for piece in world.alltoallv(pieces)]
    scores, counts = np.concatenate(received, axis=1)
    return _merged(scores, counts)


def _splitters(world: World, classes: list[Floats]) -> Floats:
    """Return size - 1 ascending scores that cut all ranks' scores about evenly; collective.

    The result of the sort does not depend on them, only its balance does.
    """
    # One row a rank and class: the share of all scores that a sample stands for, and the samples.
    shown = np.zeros((world.size, len(classes), 1 + _SAMPLES))
    for row, scores in zip(shown[world.rank], classes, strict=True):
        if scores.size:
            row[0] = scores.size / _SAMPLES
            row[1:] = scores[(2 * np.arange(_SAMPLES) + 1) * scores.size // (2 * _SAMPLES)]
    world.allreduce_sum(shown)
    samples = shown[:, :, 1:].ravel()
    order = np.argsort(samples)
    # The running number of scores, up to and including each sample.
    running = np.cumsum(np.repeat(shown[:, :, 0], _SAMPLES)[order])
    wanted = np.arange(1, world.size) * (running[-1] / world.size)
    splitters: Floats = samples[order][np.searchsorted(running, wanted)]
    return splitters


def _doubled_wins(positives: Scored, negatives: Scored, below: int) -> int:
    """Return this interval's share of U2; `below` negatives have lower scores than all of it."""
    # The number of negatives before each distinct negative score, and in the end of all.
    running = np.concatenate([[0], np.cumsum(negatives[1].astype(np.int64))]) + below
    lower = np.searchsorted(negatives[0], positives[0], side="left")
    not_higher = np.searchsorted(negatives[0], positives[0], side="right")
    # 2 negatives(below s) + negatives(s) = negatives(below s) + negatives(at or below s)
    return _exact_dot(positives[1].astype(np.int64), running[lower] + running[not_higher])


def _exact_dot(a: Counts, b: Counts) -> int:
    """Return sum_i a_i b_i for counts a, b >= 0 of any size, by halves that fit int64."""
    if not a.size:
        return 0
    if int(a.sum()) * int(b.max()) < 2**63:
        return int(a @ b)
    if a.size == 1:
        return int(a[0]) * int(b[0])
    half = a.size // 2
    return _exact_dot(a[:half], b[:half]) + _exact_dot(a[half:], b[half:])


def _by_rank(world: World, values: list[np.float64]) -> Counts:
    """Return every rank's counts (k,) as (size, k); collective."""
    table = np.zeros((world.size, len(values)), dtype=np.int64)
    table[world.rank] = values
    world.allreduce_sum(table)
    return table


def _sum_integer(world: World, value: int) -> int:
    """Return the sum over ranks of an integer in [0, 2^124); collective."""
    mask = (1 << _DIGIT_BITS) - 1
    digits = np.array([value >> _DIGIT_BITS * i & mask for i in range(_DIGITS)], dtype=np.int64)
    world.allreduce_sum(digits)
    return sum(int(digit) << _DIGIT_BITS * i for i, digit in enumerate(digits))
