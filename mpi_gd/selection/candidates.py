"""The candidates of a search: values of the job's keys, by number."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mpi_gd.config.tune import Range
from mpi_gd.data.holdout import hashed

__all__ = ["Values", "draw", "grid", "rounds"]

Values = dict[str, Any]

# Draws are a sequence of their own.
_SALT = 0x7F4A7C15


def grid(space: Mapping[str, Sequence[Any] | Range]) -> list[Values]:
    """Return every combination; the last axis changes fastest."""
    axes = [axis.values() if isinstance(axis, Range) else list(axis) for axis in space.values()]
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*axes)]


def draw(space: Mapping[str, Sequence[Any] | Range], n: int, seed: int) -> list[Values]:
    """Return n combinations drawn at random, each once; fewer where there are not so many.

    Where all axes are lists that have no more combinations than that, all of them.
    """
    lists = [len(axis) for axis in space.values() if not isinstance(axis, Range)]
    if len(lists) == len(space) and int(np.prod(lists, dtype=object)) <= n:
        return grid(space)
    found: dict[str, Values] = {}
    # Draws that have come before are drawn again, but not for ever.
    for number in range(20 * n):
        if len(found) == n:
            break
        values = _draw(space, number, seed)
        found.setdefault(repr(values), values)
    return list(found.values())


def _draw(space: Mapping[str, Sequence[Any] | Range], number: int, seed: int) -> Values:
    """Return the draw of a number: of each axis one of its values, or a point of its range."""
    places = np.arange(len(space), dtype=np.uint64) + np.uint64(number * len(space))
    shares = (hashed(places, seed + _SALT) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    values: Values = {}
    for (key, axis), share in zip(space.items(), shares.tolist(), strict=True):
        if isinstance(axis, Range):
            values[key] = axis.at(share)
        else:
            values[key] = axis[int(share * len(axis))]
    return values


def rounds(n: int, factor: float) -> list[tuple[int, float]]:
    """Return successive halving's rounds: how many candidates on which share of the rows.

    From the shares 1 / factor^r ... 1 / factor, 1, a round each, as long as there is more than one
    candidate to choose from (Jamieson and Talwalkar, "Non-stochastic Best Arm Identification and
    Hyperparameter Optimization", AISTATS 2016).
    """
    counts = [n]
    while counts[-1] > factor:
        counts.append(max(1, int(counts[-1] / factor)))
    last = len(counts) - 1
    return [(count, factor ** (place - last)) for place, count in enumerate(counts)]
