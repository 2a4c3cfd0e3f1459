"""Sums over all ranks' tiles where a tile has terms in few of many columns.

The bits are those of `TileSum`, from the same two limbs; what differs is the way there. The terms
come column by column, those that are 0 not at all, so the work is that of the terms and not that of
tiles times columns. The message goes out in pieces, each while the next one is computed. Loss,
weights and the like, of which every tile has a term, and what else rides along, are its last piece.

With "float32" a piece holds plain sums, rounded to float32 on each rank before they are sent: half
the bytes of "fast" and a quarter of "exact". With p ranks' sums s_1, ..., s_p of a column, added by
MPI in any order, the error of the total is below

    ((1 + 2^-24)^p - 1) (|s_1| + ... + |s_p|),   about p 2^-24 times that sum,

for each s_i is rounded once, and then meets at most p - 1 additions in float32 (Higham, "Accuracy
and Stability of Numerical Algorithms", 2002, section 4.2); sums below 2^-126 become 0 or lose
digits, and above 2^128 become infinite. The last piece stays float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mpi_gd.comm.tilesum import HIGHEST, UNKNOWN, Reduction, TileSum, agree, find_bits
from mpi_gd.comm.world import World

__all__ = ["ColumnSum", "Terms"]

Floats = NDArray[np.float64]


class Terms(NamedTuple):
    """The local terms of some columns of a piece, one column after another."""

    places: NDArray[np.integer[Any]]
    """(n_columns,): which columns, counted from the piece's first one."""
    starts: NDArray[np.int64]
    """(n_columns,): where the terms of each begin; each has one at least."""
    counts: NDArray[np.int64]
    """(n_columns,): how many there are."""
    terms: Floats
    """(n_terms, n_outputs)."""


class ColumnSum:
    """The sum of many columns of `n_outputs` numbers, and of `n_rest` numbers of every tile."""

    def __init__(
        self,
        world: World,
        n_tiles: int,
        bounds: Sequence[int],
        n_outputs: int,
        n_rest: int,
        mode: Reduction = "exact",
        extra: int = 0,
    ) -> None:
        """Plan the message; piece i is the columns [bounds[i], bounds[i + 1]). Nothing is sent."""
        self._world, self._mode, self._bounds = world, mode, list(bounds)
        self._bits, self._k = find_bits(n_tiles), n_outputs
        self._width = self._bounds[-1] * n_outputs
        n_limbs = 2 if mode == "exact" else 1
        self._is_float32 = mode == "float32"
        kind = np.float32 if self._is_float32 else np.float64
        self._message: NDArray[Any] = np.zeros(n_limbs * self._width, dtype=kind)
        self._pieces = [
            self._message[n_limbs * first * n_outputs : n_limbs * last * n_outputs].reshape(
                n_limbs, last - first, n_outputs
            )
            for first, last in zip(self._bounds, self._bounds[1:], strict=False)
        ]
        self._exponents = np.full((self._bounds[-1], n_outputs), UNKNOWN, dtype=np.int32)
        self._overflow = False
        rest_mode: Reduction = "fast" if mode == "float32" else mode
        self._rest = TileSum(world, n_tiles, n_rest, rest_mode, 1 + extra)

    @property
    def rounding(self) -> float:
        """Return the error of a sum, as a share of the ranks' sums without their signs."""
        return math.expm1(self._world.size * math.log1p(2.0**-24)) if self._is_float32 else 0.0

    @property
    def exponents(self) -> NDArray[np.int64]:
        """(width + n_rest + 1,): of each column, as of a `TileSum`."""
        return np.append(self._exponents, self._rest.exponents)

    def set_exponents(self, exponents: NDArray[np.int64]) -> None:
        """Take exponents from a checkpoint."""
        self._exponents[:] = exponents[: self._width].reshape(-1, self._k)
        self._rest.set_exponents(exponents[self._width :])

    def follow(self, size: float) -> None:
        """Let the next sum agree on its exponents anew if the terms have become small."""
        self._rest.follow(size)
        if self._rest.exponents[0] == UNKNOWN:
            self._exponents[:] = UNKNOWN

    def sum(
        self,
        piece: Callable[[int], Iterator[Terms]],
        rest: Floats,
        extra: Floats | None = None,
        when_made: Callable[[], None] = lambda: None,
    ) -> Floats:
        """Return the sums of all columns, then those of the rest; collective.

        `piece` yields the local terms of piece i, each valid until the next; it is called again
        where the exponents have to be found. `rest` is (n_local_tiles, n_rest). `extra` is replaced
        by its sum, as by `TileSum`; `when_made` is called, and may fill it, when all pieces are.
        """
        with np.errstate(invalid="ignore", over="ignore"):
            is_known = self._mode != "exact" or not self._is_unknown or self._agree(piece)
            self._overflow = False
            self._world.allreduce_pieces(self._made(piece, when_made))
            riders = np.append(float(self._overflow), [] if extra is None else extra)
            rest_sums = self._rest.sum(rest, riders)
            if extra is not None:
                extra[:] = riders[1:]
            if riders[0]:
                self._sum_large(piece)
            if not is_known:
                # Zeros alone: the next sum will say more.
                self._exponents[:] = UNKNOWN
            total = np.empty(self._width + len(rest_sums))
            for first, last, limbs in zip(
                self._bounds, self._bounds[1:], self._pieces, strict=False
            ):
                out = total[first * self._k : last * self._k].reshape(limbs.shape[1:])
                if self._mode == "exact":
                    np.add(limbs[0], limbs[1], out=out)
                else:
                    out[:] = limbs[0]
            total[self._width :] = rest_sums
        return total

    def _sum_large(self, piece: Callable[[int], Iterator[Terms]]) -> None:
        """Sum again with larger exponents, for this once."""
        usual = self._exponents.copy()
        try:
            self._agree(piece)
            self._world.allreduce_pieces(self._made(piece, lambda: None, with_huge=True))
        finally:
            # They are part of the training's state, also where a collective has failed.
            self._exponents[:] = usual

    def _made(
        self,
        piece: Callable[[int], Iterator[Terms]],
        when_made: Callable[[], None],
        with_huge: bool = False,
    ) -> Iterator[NDArray[Any]]:
        """Yield the pieces of the message, each when it holds the local sums."""
        for number, limbs in enumerate(self._pieces):
            limbs[:] = 0.0
            for places, starts, counts, terms in piece(number):
                if self._mode != "exact":
                    limbs[0, places] = np.add.reduceat(terms, starts, axis=0)
                    continue
                if with_huge:
                    # Beyond the reach of the extraction only a number that is not finite is right.
                    terms = np.where(np.abs(terms) < 2.0**HIGHEST, terms, np.nan)
                exponents = self._exponents[self._bounds[number] + places]
                magic = _power(exponents + (52 - self._bits))
                magic *= 1.5
                magic = np.repeat(magic, counts, axis=0)
                limbs[:, places] = self._split(terms, magic, starts)
            if number == len(self._pieces) - 1:
                when_made()
            yield limbs

    def _split(self, terms: Floats, magic: Floats, starts: NDArray[np.int64]) -> Floats:
        """Return the sums of both limbs of each column, and note whether a term is too large."""
        # 2^(bits - 52) / 1.5: what makes the largest term of the extraction constant.
        if np.logical_or.reduce(
            np.abs(terms) > magic * (2.0 ** (self._bits - 52) / 1.5), axis=None
        ):
            self._overflow = True
        limbs = np.empty((2, *terms.shape))
        hi, lo = limbs
        np.add(terms, magic, out=hi)
        hi -= magic
        np.subtract(terms, hi, out=lo)
        magic *= 2.0**-self._bits
        lo += magic
        lo -= magic
        return np.asarray(np.add.reduceat(limbs, starts, axis=1))

    @property
    def _is_unknown(self) -> bool:
        """Whether there are exponents to be agreed on."""
        return bool(self._width) and self._exponents.flat[0] == UNKNOWN

    def _agree(self, piece: Callable[[int], Iterator[Terms]]) -> bool:
        """Agree on exponents that all ranks' terms fit; return whether any is known; collective."""
        largest = np.zeros(self._exponents.shape)
        for number, first in enumerate(self._bounds[:-1]):
            for places, starts, _, terms in piece(number):
                size = np.abs(terms)
                size = np.where(np.isfinite(size), size, 0.0)
                largest[first + places] = np.maximum.reduceat(size, starts, axis=0)
        self._exponents[:], is_known = agree(self._world, self._exponents, largest)
        return is_known


def _power(exponents: NDArray[np.int32]) -> Floats:
    """Return 2^e as float64, for e of normal numbers."""
    return (exponents.astype(np.int64) + 1023 << 52).view(np.float64)
