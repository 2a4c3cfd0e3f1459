"""All ranks' rows in the order of their scores, though no rank holds them together.

A sample sort: splitters cut the line of scores into one interval a rank, and equal scores, merged
before they travel, meet on one rank. What comes along with a score are masses, integers (how much
weight of each class has this score), so that running totals over the ranks are exact and no bit
depends on who holds what. Columns travel one after another, to keep the messages small.

Source: Li et al., "On the versatility of parallel sorting by regular sampling", Parallel Computing
19 (1993).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.integers import Counts

__all__ = ["Ranking", "rank_scores"]

Floats = NDArray[np.float64]

# Scores a rank shows to find the splitters: an interval then exceeds its fair share by little.
_SAMPLES = 64


@dataclass(frozen=True)
class Ranking:
    """This rank's interval of all ranks' distinct scores."""

    scores: Floats
    """(m,): ascending, each once in all ranks; ranks hold ascending intervals."""
    masses: tuple[Counts, ...]
    """Columns (m,): what all ranks' rows with this score have together."""
    before: tuple[int, ...]
    """Of each column: the sum over all lower intervals."""
    totals: tuple[int, ...]
    """Of each column: the sum over all intervals."""

    def below(self, column: int) -> Counts:
        """Return, for each score, the mass of all ranks' lower scores, (m,)."""
        mass = self.masses[column]
        return np.cumsum(mass) - mass + self.before[column]


def rank_scores(world: World, scores: Floats, masses: list[Counts]) -> Ranking:
    """Return the ranking of all ranks' rows; collective.

    scores (n_local,) are not NaN; masses are columns (n_local,) of integers of at least 0, that
    sum to less than 2^62 over all ranks. The list is emptied, to free the memory.
    """
    scores, columns = _merged(scores, masses)
    splitters = _splitters(world, scores)
    bounds = [0, *np.searchsorted(scores, splitters).tolist(), scores.size]
    received: list[NDArray[Any]] = [_exchange(world, scores, bounds)]
    while columns:
        received.append(_exchange(world, columns.pop(0), bounds))
    scores, columns = _merged(received[0], received[1:])
    sums = np.zeros((world.size, len(columns)), dtype=np.int64)
    sums[world.rank] = [column.sum() for column in columns]
    world.allreduce_sum(sums)
    before, totals = sums[: world.rank].sum(axis=0), sums.sum(axis=0)
    return Ranking(scores, tuple(columns), tuple(before.tolist()), tuple(totals.tolist()))


def _merged(scores: Floats, masses: list[Counts]) -> tuple[Floats, list[Counts]]:
    """Return the distinct scores in order, (k,), and their summed masses; empty the list."""
    order = np.argsort(scores)
    scores = scores[order]
    first = np.flatnonzero(np.append(True, scores[1:] != scores[:-1])[: scores.size])
    merged = []
    while masses:
        mass = masses.pop(0)[order]
        merged.append(np.add.reduceat(mass, first) if first.size else mass)
    # Adding zero turns -0.0 into 0.0, so that equal scores have equal bits.
    return scores[first] + 0.0, merged


def _exchange(world: World, column: NDArray[Any], bounds: list[int]) -> NDArray[Any]:
    """Send each rank its interval's part of a column; return what came; collective."""
    return np.concatenate(world.alltoallv([column[a:b] for a, b in pairwise(bounds)]))


def _splitters(world: World, scores: Floats) -> Floats:
    """Return size - 1 ascending scores that cut all ranks' scores about evenly; collective.

    The result of the sort does not depend on them, only its balance does.
    """
    # Of each rank: the number of its scores that a sample stands for, and the samples.
    shown = np.zeros((world.size, 1 + _SAMPLES))
    if scores.size:
        shown[world.rank, 0] = scores.size / _SAMPLES
        places = (2 * np.arange(_SAMPLES) + 1) * scores.size // (2 * _SAMPLES)
        # A sum over ranks: an infinity would be lost in it, the largest number is as good.
        shown[world.rank, 1:] = np.nan_to_num(scores[places])
    world.allreduce_sum(shown)
    samples = shown[:, 1:].ravel()
    order = np.argsort(samples)
    # The running number of scores, up to and including each sample.
    running = np.cumsum(np.repeat(shown[:, 0], _SAMPLES)[order])
    wanted = np.arange(1, world.size) * (running[-1] / world.size)
    splitters: Floats = samples[order][np.searchsorted(running, wanted)]
    return splitters
