"""Slow ranks: reported, and relieved of some of their rows where the job asks for it."""

from __future__ import annotations

import numpy as np

from mpi_gd.comm import World
from mpi_gd.commands.account import Account
from mpi_gd.commands.kept import Kept
from mpi_gd.commands.setup import Setup
from mpi_gd.objective import Reply
from mpi_gd.pace import Pace

__all__ = ["Pacing"]

# To divide the rows anew costs more than it seems: files are no longer in the cache, say.
_LEAST_COST = 0.5
# After so many times it is no passing trouble that can be mended.
_MOST_DIVISIONS = 8


class Pacing:
    """Hears every reply, and says when the rows are to be divided anew: on all ranks alike."""

    def __init__(self, world: World, setup: Setup, account: Account, kept: Kept) -> None:
        """Begin with the rows as they are; collective."""
        self._world, self._account, self._kept = world, account, kept
        self._data, self._n_rows = setup.data, setup.scaling.n_rows
        self._divides = setup.job.slow_ranks == "divide" and kept.n_divisions < _MOST_DIVISIONS
        cost = np.array([setup.reading_seconds + setup.setup_seconds, _LEAST_COST])
        if self._divides:
            world.allreduce_max(cost)
        self._pace = Pace(setup.data.division.bytes, float(cost.max()) * 2.0**kept.n_divisions)
        self._is_decided = False

    def __call__(self, reply: Reply) -> bool:
        """Whether to divide the rows anew before going on; collective where there is news."""
        if self._is_decided:
            # The iteration was not at its end.
            return True
        # Of a sample or a batch some ranks have more than others.
        if self._world.size == 1 or reply.n_rows < self._n_rows:
            return False
        self._pace.add(reply.compute)
        if self._pace.is_worth_a_word():
            self._tell()
        shares = self._pace.shares() if self._divides else None
        if shares is None:
            return False
        self._kept.shares = shares
        if not self._has_room(shares):
            self._divides = False
            self._account.say("There is no memory to divide the rows anew.")
            return False
        self._account.say(
            f"Dividing the rows anew: {self._described()} of the pace that is usual; the others "
            f"have waited for {self._pace.wasted:.1f} s."
        )
        self._is_decided = True
        return True

    def _described(self) -> str:
        """Name the slow ranks, the slowest first; collective."""
        slow = sorted(self._pace.slow_ranks().items(), key=lambda pair: -pair[1])
        return ", ".join(f"{self._world.name_of(rank)} at {1 / times:.0%}" for rank, times in slow)

    def _tell(self) -> None:
        """Say which ranks are slow; collective."""
        found = self._described()
        self._account.say(
            f"Slow: {found} of the pace that is usual; something else may run on the same cores."
        )

    def _has_room(self, shares: list[int]) -> bool:
        """Whether all ranks have memory for both the old rows and the new ones; collective."""
        from mpi_gd.allocation.memory import available_memory

        lacks = np.zeros(1, dtype=np.int64)
        if self._data.x.is_kept:
            own = sum(self._data.division.bytes) * shares[self._world.rank] // sum(shares)
            lacks[0] = own > available_memory(self._world.size)
        self._world.allreduce_max(lacks)
        return not lacks[0]
