"""Levels as features of 0 and 1: one for each, or 2^bits that they are hashed to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.data.columns import Column
from mpi_gd.prepare.encoder import Encoder, numbers_of, shown
from mpi_gd.prepare.refused import Refusals
from mpi_gd.prepare.terms import Term, one_hot

__all__ = ["NOWHERE", "REFUSED", "Category", "Hashed"]

# Places of no feature: of the reference, and of what is refused.
NOWHERE, REFUSED = -1, -2
# No level has it: it is no character.
_MISSING = "\udfff"


@dataclass(frozen=True)
class Category(Encoder):
    """A feature for each level, but those that share one or have none."""

    levels: tuple[str, ...] | tuple[float, ...] = ()
    """All that are known, in order: of text or of numbers."""
    places: tuple[int, ...] = ()
    """(levels,): the feature of each; NOWHERE: none, as the reference."""
    labels: tuple[str, ...] = ()
    """(features,): what follows the column's name in theirs."""
    missing: int = REFUSED
    """The feature of a missing value."""
    unseen: int = REFUSED
    """The feature of a level that is not known."""

    is_dense: ClassVar[bool] = False

    @property
    def names(self) -> Sequence[str]:
        """Return colour=red, colour=(rare), colour=(missing), ..."""
        return tuple(f"{self.name}={label}" for label in self.labels)

    def encode(self, column: Column, number: int, refusals: Refusals) -> Term:
        """Return the features."""
        missing: NDArray[np.bool_] | None
        if column.kind == "text":
            # One more, for missing values' codes, which may be anything.
            own = [self._place_of.get(level, self.unseen) for level in column.levels]
            table = np.array([*own, self.missing], dtype=np.int64)
            places, missing = table[np.clip(column.values, 0, len(own))], column.missing
        else:
            places, missing = self._of_numbers(column)
        if missing is not None:
            places = np.where(missing, self.missing, places)
        refused = places == REFUSED
        if missing is not None:
            refusals.add(number, self.name, "missing", refused & missing, lambda row: "level")
            refused &= ~missing
        refusals.add(number, self.name, "unseen", refused, lambda row: _level_at(column, row))
        return one_hot(places, self.width)

    def _of_numbers(self, column: Column) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
        """Return the places of numbers, and which are missing."""
        values, missing = numbers_of(column)
        known = np.array(self.levels, dtype=np.float64)
        if not len(known):
            return np.full(len(values), self.unseen), missing
        at = np.minimum(np.searchsorted(known, values), len(known) - 1)
        places = np.array(self.places, dtype=np.int64)[at]
        return np.where(known[at] == values, places, self.unseen), missing

    @cached_property
    def _place_of(self) -> dict[str | float, int]:
        return dict(zip(self.levels, self.places, strict=True))


@dataclass(frozen=True)
class Hashed(Encoder):
    """2^bits features: a level's is chosen by a hash of the column's name and the level's text.

    Its value is 1 or -1, by a further bit of the hash, so that levels that meet in one feature do
    not add up on average (K. Weinberger, A. Dasgupta, J. Langford, A. Smola and J. Attenberg,
    Feature Hashing for Large Scale Multitask Learning, ICML 2009, section 2). The hash is BLAKE2b
    of 8 bytes, the same everywhere.
    """

    bits: int = 1
    takes_missing: bool = False
    """Whether a missing value is a level of its own; else it is refused."""

    is_dense: ClassVar[bool] = False

    @property
    def names(self) -> Sequence[str]:
        """Return hash(name,0), hash(name,1), ..."""
        return tuple(f"hash({self.name},{k})" for k in range(self.width))

    @property
    def width(self) -> int:
        """Return 2^bits."""
        return 1 << self.bits

    def encode(self, column: Column, number: int, refusals: Refusals) -> Term:
        """Return the features."""
        if column.kind == "text":
            texts, codes, missing = column.levels, column.values, column.missing
        else:
            values, missing = numbers_of(column)
            levels, codes = np.unique(values, return_inverse=True)
            texts = tuple(map(shown, levels.tolist()))
        table = np.array([self._hash(text) for text in (*texts, _MISSING)], dtype=np.uint64)
        hashes = table[np.clip(codes, 0, len(texts))]
        if missing is not None:
            hashes = np.where(missing, table[-1], hashes)
            if not self.takes_missing:
                refusals.add(number, self.name, "missing", missing, lambda row: "level")
        places = (hashes & np.uint64(self.width - 1)).astype(np.int64)
        return one_hot(places, self.width, np.where(hashes >> np.uint64(63), -1.0, 1.0))

    def _hash(self, text: str) -> int:
        """Return a level's hash, of 64 bits."""
        content = f"{self.name}={text}".encode("utf-8", "surrogatepass")
        return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _level_at(column: Column, row: int) -> str:
    """Return the level of a row, as text."""
    if column.kind == "text":
        return column.levels[int(column.values[row])]
    return shown(float(column.values[row]))
