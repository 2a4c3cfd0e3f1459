"""Sums over clusters of rows, wherever the rows of a cluster lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import TileSum, World
from mpi_gd.objective import Objective, Rows

__all__ = ["cluster_gram"]

Floats = NDArray[np.float64]

# Units of the two limbs below the largest term: their sums of up to 2^26 terms are exact.
_LIMB_BITS = 26


def cluster_gram(
    world: World, objective: Objective, rows: Rows, clusters: NDArray[Any], u: Floats
) -> tuple[Floats, int]:
    """Return sum_g s_g s_g' (n_params, n_params) and the number of clusters; collective.

    s_g is the sum of the loss's gradients, in the solver's coordinates, over the rows whose
    `clusters` (n_rows,), numbers or text, is g; rows without weight do not count. The result does
    not depend on who owns which rows: a row's gradient is cut into limbs on a common grid, so that
    all additions are exact.
    """
    keys, places = np.unique(_hashes(clusters), return_inverse=True)
    largest = 0.0
    for _, scores in objective.scores(u):
        largest = max(largest, float(np.abs(scores).max(initial=0.0)))
    bound = np.array([largest])
    world.allreduce_max(bound)
    unit = 2.0 ** (np.frexp(bound[0])[1] - _LIMB_BITS) if bound[0] else 1.0
    limbs = np.zeros((len(keys), 2, len(u)))
    counts = np.zeros(len(keys))
    for first, scores in objective.scores(u):
        own = places[first : first + len(scores)]
        high = np.rint(scores / unit) * unit
        low = np.rint((scores - high) / (unit * 2.0**-_LIMB_BITS)) * (unit * 2.0**-_LIMB_BITS)
        np.add.at(limbs[:, 0], own, high)
        np.add.at(limbs[:, 1], own, low)
        weight = rows.weight
        counted = np.ones(len(own)) if weight is None else weight[first : first + len(own)] > 0
        np.add.at(counts, own, counted)
    keys, limbs, counts = _to_owners(world, keys, limbs, counts)
    is_used = counts > 0
    sums = (limbs[:, 0] + limbs[:, 1])[is_used]
    number = np.array([len(sums)], dtype=np.int64)
    world.allreduce_sum(number)
    terms = np.empty(len(u) ** 2)

    def tiles() -> Iterator[Floats]:
        for s in sums:
            np.outer(s, s, out=terms.reshape(len(u), len(u)))
            yield terms

    # No term exceeds the largest: a pilot that all ranks know keeps the exponents from depending
    # on the division of the clusters.
    most = np.array([np.abs(sums).max(initial=0.0)])
    world.allreduce_max(most)
    total = TileSum(world, max(1, int(number[0])), len(u) ** 2).sum_stream(
        tiles, lambda: np.full(len(u) ** 2, most[0] ** 2)
    )
    return total.reshape(len(u), len(u)), int(number[0])


def _hashes(clusters: NDArray[Any]) -> NDArray[np.uint64]:
    """Return 64 bits for each cluster's name: numbers as they are, texts by a digest."""
    if clusters.dtype.kind != "U":
        # Adding zero makes one number of 0 and -0.
        return (clusters.astype(np.float64) + 0.0).view(np.uint64)
    texts, places = np.unique(clusters, return_inverse=True)
    digests = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts
    ]
    return np.array(digests, dtype=np.uint64)[places]


def _to_owners(
    world: World, keys: NDArray[np.uint64], limbs: Floats, counts: Floats
) -> tuple[NDArray[np.uint64], Floats, Floats]:
    """Bring all of a cluster to one rank, by its key, and add; collective."""
    owner = (keys >> np.uint64(11)) % np.uint64(world.size)
    width = limbs.shape[2]
    pieces = []
    for rank in range(world.size):
        mine = owner == rank
        flat = limbs[mine].reshape(int(mine.sum()), 2 * width)
        table = np.column_stack([keys[mine].view(np.float64), counts[mine], flat])
        pieces.append(table.reshape(-1))
    received = np.concatenate(
        [piece.reshape(-1, 2 * width + 2) for piece in world.alltoallv(pieces)]
    )
    found, places = np.unique(
        np.ascontiguousarray(received[:, 0]).view(np.uint64), return_inverse=True
    )
    total = np.zeros((len(found), 2 * width + 1))
    np.add.at(total, places, received[:, 1:])
    return found, total[:, 1:].reshape(-1, 2, width), total[:, 0]
