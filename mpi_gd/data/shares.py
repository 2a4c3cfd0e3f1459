"""Who counts what of many files: by files, and by bytes where a file can be counted in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.source import Source

__all__ = ["Share", "cut_shares", "rooms_of"]

# Bytes that are counted while a file is opened.
_OPENING = 1 << 18
# A file's part is no less than that.
_LEAST_PART = 1 << 25


@dataclass(frozen=True)
class Share:
    """One of the parts of a shard."""

    shard: int
    part: int
    parts: int


def rooms_of(form: type[Source], sizes: Sequence[int]) -> NDArray[np.int64]:
    """Return where the counts of each file begin among those of all, (len(sizes) + 1,)."""
    return np.concatenate([[0], np.cumsum([form.survey_room(size) for size in sizes])])


def cut_shares(
    sizes: Sequence[int], rooms: NDArray[np.int64], whole: Sequence[bool], part: int, parts: int
) -> Iterator[Share]:
    """Yield what part number `part` of `parts` counts; each share is one part's.

    A file that has room for counts of its own is read through: it counts by its bytes, and is cut
    unless it must stay `whole`.
    Of any other file the headers are read: all such count the same.
    """
    n_parts = [
        max(1, min(size // _LEAST_PART, parts)) if room and not uncut else 1
        for size, room, uncut in zip(sizes, rooms.tolist(), whole, strict=True)
    ]
    work = [
        (_OPENING * pieces + size * bool(room)) / pieces
        for size, room, pieces in zip(sizes, rooms.tolist(), n_parts, strict=True)
    ]
    shards = np.repeat(np.arange(len(sizes)), n_parts)
    each = np.array(work)[shards]
    middle = np.cumsum(each) - each / 2
    owner = np.minimum((middle * parts / each.sum()).astype(np.int64), parts - 1)
    firsts = np.cumsum([0, *n_parts[:-1]])
    for place in np.flatnonzero(owner == part).tolist():
        shard = int(shards[place])
        yield Share(shard, place - int(firsts[shard]), n_parts[shard])
