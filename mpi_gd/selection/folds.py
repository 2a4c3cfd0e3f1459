"""How rows are divided for validation: a function of seed and global row number alone.

Rows are cut into parts; a split names the parts that are trained on and those that judge. Of k
folds, split i trains on all parts but i. Of time, split i trains on the parts before part i.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm import World
from mpi_gd.data.holdout import hashed
from mpi_gd.errors import JobError

__all__ = ["Plan", "Split", "SplitRule", "make_plan"]

Parts = NDArray[np.int64]
SplitRule = Literal["random", "stratified", "grouped", "time", "fixed"]

# So far apart that no two uses of one seed meet.
_STEP = 0x51ED270B9C0A5D1F
_LEFT_OUT = -1


@dataclass(frozen=True)
class Split:
    """The parts that are trained on, and those that judge."""

    train: tuple[int, ...]
    test: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Plan:
    """One division of the rows."""

    parts: Parts
    """(n_rows,): the part of each local row; -1 where it has none."""
    n_parts: int
    splits: tuple[Split, ...]

    def trained(self, split: Split) -> NDArray[np.bool_]:
        """Return which local rows are trained on."""
        return np.asarray(np.isin(self.parts, split.train))

    def tested(self, split: Split) -> NDArray[np.bool_]:
        """Return which local rows judge."""
        return np.asarray(np.isin(self.parts, split.test))


def make_plan(
    world: World,
    rule: SplitRule,
    start: int,
    n_rows: int,
    *,
    folds: int,
    fraction: float,
    seed: int,
    repeat: int = 0,
    used: NDArray[np.bool_] | None = None,
    labels: NDArray[Any] | None = None,
    groups: NDArray[Any] | None = None,
) -> Plan:
    """Divide the global rows [start, start + n_rows) of this rank; collective.

    Rows that are not `used` have no part. Raises JobError, on all ranks, where the rule needs
    `labels`, of a classifier, or `groups`, and there are none, and where a part has no row.
    """
    rows = np.arange(start, start + n_rows, dtype=np.uint64)
    own = (seed + (repeat + 1) * _STEP) & ((1 << 64) - 1)
    if rule == "fixed":
        parts, n_parts = (_uniform(hashed(rows, own)) < fraction).astype(np.int64), 2
        splits: tuple[Split, ...] = (Split((0,), (1,)),)
    elif rule == "time":
        n_parts = folds + 1
        parts = _in_order(world, n_rows, used, n_parts)
        splits = tuple(Split(tuple(range(k)), (k,)) for k in range(1, n_parts))
    else:
        n_parts = folds
        if rule == "random":
            parts = (hashed(rows, own) % np.uint64(folds)).astype(np.int64)
        elif rule == "grouped":
            parts = _of_groups(groups, own, folds)
        else:
            parts = _stratified(world, labels, used, own, folds)
        everything = range(folds)
        splits = tuple(Split(tuple(j for j in everything if j != k), (k,)) for k in everything)
    if used is not None:
        parts = np.where(used, parts, _LEFT_OUT)
    counts = np.bincount(parts[parts >= 0], minlength=n_parts).astype(np.int64)
    world.allreduce_sum(counts)
    if not counts.all():
        what = "groups" if rule == "grouped" else "rows"
        raise JobError(
            f"tune.folds: part {int(counts.argmin()) + 1} of {n_parts} has no row of the "
            f"{int(counts.sum())} that are trained on: there are too few {what}; set tune.folds "
            "lower"
        )
    return Plan(parts, n_parts, splits)


def _uniform(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return numbers in [0, 1)."""
    return np.asarray((hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _of_groups(groups: NDArray[Any] | None, seed: int, folds: int) -> Parts:
    """Return the part of each row by the hash of its group, which may be a number or a text."""
    if groups is None:
        raise JobError(
            'tune.split = "grouped" needs to know the groups: name their column as data.cluster'
        )
    values, places = np.unique(groups, return_inverse=True)
    names = [str(value).encode("utf-8", "surrogatepass") for value in values.tolist()]
    digests = [hashlib.blake2b(name, digest_size=8).digest() for name in names]
    numbers = np.array([int.from_bytes(digest, "little") for digest in digests], dtype=np.uint64)
    parts = (hashed(numbers, seed) % np.uint64(folds)).astype(np.int64)
    return np.asarray(parts[places.reshape(-1)])


def _in_order(world: World, n_rows: int, used: NDArray[np.bool_] | None, n_parts: int) -> Parts:
    """Return parts of the same number of used rows each, one after another."""
    counted = np.ones(n_rows, dtype=bool) if used is None else used
    before, total = _before(world, np.array([np.count_nonzero(counted)], dtype=np.int64))
    place = before[0] + np.cumsum(counted) - 1
    return np.asarray(np.maximum(place, 0) * n_parts // max(1, int(total[0])), dtype=np.int64)


def _stratified(
    world: World, labels: NDArray[Any] | None, used: NDArray[np.bool_] | None, seed: int, folds: int
) -> Parts:
    """Return parts in which each label has the same number of rows, but for one.

    Of each k rows of a label that follow one another, one goes to each of the k folds, in an order
    that is drawn: permuted blocks. Which row is which of its label's is known from those before.
    """
    if labels is None:
        raise JobError('tune.split = "stratified" is for losses of labels; set "random"')
    parts = np.zeros(len(labels), dtype=np.int64)
    counted = np.ones(len(labels), dtype=bool) if used is None else used
    n_labels = np.array([int(labels[counted].max(initial=0)) + 1], dtype=np.int64)
    world.allreduce_max(n_labels)
    places = [np.flatnonzero(counted & (labels == label)) for label in range(int(n_labels[0]))]
    before, _ = _before(world, np.array([len(place) for place in places], dtype=np.int64))
    for label, place in enumerate(places):
        number = before[label] + np.arange(len(place))
        block, within = number // folds, number % folds
        if not len(place):
            continue
        first = int(block[0])
        drawn = np.arange(first * folds, (int(block[-1]) + 1) * folds, dtype=np.uint64)
        orders = hashed(drawn, seed + label * _STEP).reshape(-1, folds).argsort(axis=1)
        parts[place] = orders[block - first, within]
    return parts


def _before(world: World, mine: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sums over the ranks below this one, and over all; collective."""
    table = np.zeros((world.size, len(mine)), dtype=np.int64)
    table[world.rank] = mine
    flat = table.reshape(-1)
    world.allreduce_sum(flat)
    return table[: world.rank].sum(axis=0), table.sum(axis=0)
