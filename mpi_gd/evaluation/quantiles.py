"""Where a ranking is cut into bins of equal mass, and what lies below the cuts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.evaluation.ranking import Ranking

__all__ = ["cut_by_mass"]

Floats = NDArray[np.float64]


def cut_by_mass(
    world: World, ranking: Ranking, columns: tuple[int, ...], n_bins: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the distinct upper edges of bins of equal mass, (m,), and the masses up to each.

    Edge q is the smallest score at or below which q + 1 of n_bins parts of the columns' mass lie;
    the last is the largest score. The masses, (columns, m), are those of all scores up to and with
    the edge. Collective.
    """
    reached = np.zeros((len(columns), ranking.scores.size), dtype=np.int64)
    for row, column in zip(reached, columns, strict=True):
        row[:] = ranking.below(column) + ranking.masses[column]
    all_reached = reached.sum(axis=0)
    before = sum(ranking.before[column] for column in columns)
    total = sum(ranking.totals[column] for column in columns)
    edges = np.full(n_bins, -np.inf)
    masses = np.zeros((len(columns), n_bins), dtype=np.int64)
    for q in range(n_bins):
        wanted = -(-(q + 1) * total // n_bins)  # rounded up
        if ranking.scores.size and before < wanted <= all_reached[-1]:
            place = np.searchsorted(all_reached, wanted)
            edges[q], masses[:, q] = ranking.scores[place], reached[:, place]
    # One rank has an edge; the others have less than it.
    world.allreduce_max(edges)
    world.allreduce_max(masses)
    edges, first = np.unique(edges, return_index=True)
    return edges, masses[:, first]
