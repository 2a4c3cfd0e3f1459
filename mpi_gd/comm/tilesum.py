"""Sums over all ranks' tiles whose bits do not depend on who owns which tile.

Floating-point addition is not associative, so a plain sum depends on the number of ranks. Here
every term is split into two limbs, each a multiple of a unit that is agreed on beforehand, so
small that all sums of limbs are exact in float64: then any order gives the same bits, and MPI's
own SUM can add them. (Demmel and Nguyen, "Parallel Reproducible Summation", IEEE Transactions on
Computers 64(7), 2015, sections 3 and 4: the extraction; here with the units fixed in advance, so
that one Allreduce is enough.)

For column j all terms are below 2^e_j in size. With n_tiles <= 2^k and h = min(50, 52 - k):

    unit 1 = 2^(e - h)      hi = term rounded to unit 1       |sum of hi| <= 2^53 unit 1
    unit 2 = unit 1 / 2^h   lo = term - hi rounded to unit 2  |sum of lo| <= 2^53 unit 2

so the error of a sum of n terms is below n 2^(e - 2 h - 1): with 1,000 tiles 2^-74 of the largest
possible term, where a plain sum keeps 2^-53. The exponents e are agreed on by a MAX at the first
sum; they belong to the state of the training, because the last bit of a result can depend on them.
When a term is met that is too large, larger ones are agreed on for that sum alone: if they stayed,
one far trial point of a line search would take the digits of all later sums. When all terms have
become small (`follow`), smaller ones are agreed on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm.world import World

__all__ = ["HIGHEST", "SPARE_BITS", "UNKNOWN", "Reduction", "TileSum", "agree", "find_bits"]

Floats = NDArray[np.float64]
Whole = TypeVar("Whole", np.int32, np.int64)
Reduction = Literal["exact", "fast", "float32"]

# An exponent leaves room for terms 2^8 times as large as the first ones.
SPARE_BITS = 8
# They are agreed on anew when the terms' size has fallen to 2^-8 of what it was.
_FALL_BITS = 8
UNKNOWN = -(1 << 20)
# One tile shows little of the size of a column that is seldom other than 0: terms may be so many
# times larger still. Two limbs have the bits for that.
_SPARE_OF_ONE = 2.0**16
# Exponents for which the limbs' units and the extraction constants are normal numbers.
_LOWEST, HIGHEST = -800, 960
# So many tiles, and about so many numbers, are split at a time: they stay in the cache.
_CHUNK = 64
_CHUNK_NUMBERS = 1 << 18


class TileSum:
    """The sum of rows of `width` numbers, one row a tile, over the tiles of all ranks.

    `extra` numbers travel in the same message. They are added plainly: each must be an integer
    whose sum stays below 2^53, or come from one rank alone.
    """

    rounding: float = 0.0
    """What the message adds to the rounding of float64."""

    def __init__(
        self,
        world: World,
        n_tiles: int,
        width: int,
        mode: Reduction = "exact",
        extra: int = 0,
        spare_bits: int = SPARE_BITS,
    ) -> None:
        """Plan the message; nothing is sent. Terms may grow by `spare_bits` over the first ones."""
        self._world, self._spare_bits = world, spare_bits
        # In a short message float32 would save nothing.
        self._mode = "exact" if mode == "exact" else "fast"
        self._bits = find_bits(n_tiles)
        self._width = width
        limbs = 2 * width + 1 if mode == "exact" else width
        self._message = np.zeros(limbs + extra)
        self._hi, self._lo = self._message[:width], self._message[width : 2 * width]
        self._overflow = self._message[2 * width : 2 * width + 1]
        self._extra = self._message[limbs:]
        self._chunk = max(1, min(_CHUNK, n_tiles, _CHUNK_NUMBERS // width))
        self._scratch = np.empty((2, self._chunk, width))
        self._magic = np.empty((2, width))
        self._limit = np.empty(width)
        self.exponents: NDArray[np.int64] = np.full(width + 1, UNKNOWN, dtype=np.int64)
        """(width + 1,): of each column, and of the size that was told with the first sum."""

    def sum(self, partials: Floats, extra: Floats | None = None) -> Floats:
        """Return the sum of all ranks' `partials` (n_local_tiles, width), (width,); collective.

        `extra` is replaced by its sum. A column with a NaN or an infinity, or with a term of 2^960
        or more, gives a sum that is not finite.
        """
        if self._mode == "fast":
            np.add.reduce(partials, axis=0, out=self._hi)
            self._reduce(extra)
            return self._hi.copy()
        if self.exponents[0] == UNKNOWN:
            self._agree(_largest(partials))
        with np.errstate(invalid="ignore", over="ignore"):
            self._clear()
            self._split(partials)
            self._reduce(extra)
            if self._overflow[0]:
                usual = self.exponents.copy()
                try:
                    self._agree(_largest(partials))
                    self._clear()
                    self._split(np.where(np.abs(partials) < 2.0**HIGHEST, partials, np.nan))
                    self._reduce(None)
                finally:
                    # They are part of the training's state, also where a collective has failed.
                    self.set_exponents(usual)
            return np.add(self._hi, self._lo)

    def sum_stream(
        self,
        tiles: Callable[[], Iterator[Floats]],
        pilot: Callable[[], Floats],
        extra: Floats | None = None,
    ) -> Floats:
        """Return the same sum, where the terms of all tiles at once would not fit into memory.

        `tiles` yields the local tiles' terms (width,) one after another, each valid until the next;
        it is called again where a term is too large for the exponents. `pilot` returns the terms of
        the first tile of all, zeros on the ranks that do not own it: the first exponents are chosen
        by it, and stay as large as the first sum has needed them.
        """
        is_first = self._mode == "exact" and self.exponents[0] == UNKNOWN
        if is_first:
            self._agree(_SPARE_OF_ONE * _largest(pilot()[None]))
        with np.errstate(invalid="ignore", over="ignore"):
            self._sum_local(tiles())
            self._reduce(extra)
            if self._mode == "fast":
                return self._hi.copy()
            if self._overflow[0]:
                usual = self.exponents.copy()
                try:
                    self._sum_larger(tiles)
                finally:
                    if not is_first:
                        self.set_exponents(usual)
            return np.add(self._hi, self._lo)

    def _sum_larger(self, tiles: Callable[[], Iterator[Floats]]) -> None:
        """Sum again, with exponents that fit."""
        largest = np.zeros(self._width)
        for terms in tiles():
            np.maximum(largest, _largest(terms[None]), out=largest)
        self._agree(largest)
        self._sum_local(tiles())
        self._reduce(None)

    def _sum_local(self, tiles: Iterator[Floats]) -> None:
        """Put the local sum of the tiles' terms into the message."""
        self._clear()
        for terms in tiles:
            if self._mode == "fast":
                self._hi += terms
            else:
                # Beyond the reach of the extraction only a number that is not finite is right.
                is_huge = np.abs(terms) >= 2.0**HIGHEST
                self._split((np.where(is_huge, np.nan, terms) if is_huge.any() else terms)[None])

    def limbs(self) -> tuple[Floats, Floats]:
        """Return both limbs of the last sum, (width,) each: their exact sum is what was added."""
        return self._hi.copy(), self._lo.copy()

    def follow(self, size: float) -> None:
        """Let the next sum agree on its exponents anew if the terms have become small.

        `size` is a number that the terms grow with, the same on all ranks: a reduced one.
        """
        exponent = math.frexp(size)[1]
        if not 0 < size < math.inf or self.exponents[0] == UNKNOWN:
            return
        if self.exponents[-1] == UNKNOWN:
            self.exponents[-1] = exponent
        elif exponent <= self.exponents[-1] - _FALL_BITS:
            self.exponents[:] = UNKNOWN

    def set_exponents(self, exponents: NDArray[np.int64]) -> None:
        """Take exponents from a checkpoint."""
        self.exponents[:] = exponents
        unit = self.exponents[:-1] - self._bits
        # Adding and subtracting 1.5 * 2^52 units rounds to a multiple of the unit.
        self._magic[0] = np.ldexp(1.5, unit + 52)
        self._magic[1] = np.ldexp(1.5, unit - self._bits + 52)
        self._limit[:] = np.ldexp(1.0, self.exponents[:-1])

    def _reduce(self, extra: Floats | None) -> None:
        """Send the message; put the sum of `extra` in its place."""
        if extra is not None:
            self._extra[:] = extra
        self._world.allreduce_sum(self._message)
        if extra is not None:
            extra[:] = self._extra

    def _clear(self) -> None:
        """Begin a sum."""
        self._hi[:] = 0.0
        if self._mode == "exact":
            self._lo[:] = self._overflow[0] = 0.0

    def _split(self, partials: Floats) -> None:
        """Add the sums of both limbs to the message, and note whether a term is too large."""
        for first in range(0, len(partials), self._chunk):
            terms = partials[first : first + self._chunk]
            hi, lo = self._scratch[:, : len(terms)]
            np.abs(terms, out=hi)
            if np.logical_or.reduce(hi > self._limit, axis=None):
                self._overflow[0] = 1.0
            np.add(terms, self._magic[0], out=hi)
            np.subtract(hi, self._magic[0], out=hi)
            np.subtract(terms, hi, out=lo)
            np.add(lo, self._magic[1], out=lo)
            np.subtract(lo, self._magic[1], out=lo)
            self._hi += np.add.reduce(hi, axis=0)
            self._lo += np.add.reduce(lo, axis=0)

    def _agree(self, largest: Floats) -> None:
        """Raise the exponents of columns in which any rank has too large a term; collective.

        `largest` (width,) is the size of the largest local term.
        """
        agreed, is_known = agree(self._world, self.exponents[:-1], largest, self._spare_bits)
        self.set_exponents(np.append(agreed, self.exponents[-1]))
        if not is_known:
            # Zeros alone: the next sum will say more.
            self.exponents[:] = UNKNOWN


def find_bits(n_tiles: int) -> int:
    """Return h, the bits of a limb, for sums of `n_tiles` terms."""
    return min(50, 52 - max(1, n_tiles - 1).bit_length())


def agree(
    world: World, exponents: NDArray[Whole], largest: Floats, spare_bits: int = SPARE_BITS
) -> tuple[NDArray[Whole], bool]:
    """Return exponents raised where any rank's `largest` term needs it; collective.

    And whether any of them was known or found: all are guesses if not.
    """
    needed = np.frexp(largest)[1].astype(exponents.dtype)
    raised = exponents.copy()
    np.copyto(raised, needed + spare_bits, where=(largest > 0) & (needed > exponents))
    world.allreduce_max(raised)
    # A column of zeros says nothing of its size: guess that of the largest column.
    known = raised != UNKNOWN
    is_known = bool(known.any())
    guess = raised[known].max() if is_known else 0
    raised[~known] = guess
    return np.clip(raised, _LOWEST, HIGHEST, out=raised), is_known


def _largest(partials: Floats) -> Floats:
    """Return the size of the largest finite term of each column, (width,)."""
    size = np.abs(partials)
    return np.asarray(np.where(np.isfinite(size), size, 0.0).max(axis=0, initial=0.0))
