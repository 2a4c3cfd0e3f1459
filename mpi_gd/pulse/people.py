"""Who the ranks are, and which of them watch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["Person", "sentinels"]


class Person(NamedTuple):
    """What a rank tells of itself at the start."""

    number: int
    """Its rank when the program began: people know it by this, whoever has died since."""
    host: str
    process: int
    port: int
    """Where it hears pulses; 0 if it does not."""
    silence: float
    """Of the root: so many seconds without a word are one."""
    loss: float
    """Of the root: a silence of so many seconds, for which all wait, is a loss; 0 for never."""
    token: str
    """Of the root: what the pulses of this program begin with."""

    @property
    def name(self) -> str:
        """Say who it is."""
        return f"rank {self.number} (host {self.host}, process {self.process})"


def sentinels(people: Sequence[Person]) -> list[int]:
    """Return the ranks that watch the root, which watches all.

    The first rank of each other host: who shares the root's host dies with it. Rank 1 where there
    is one host.
    """
    first_of: dict[str, int] = {}
    for rank, person in enumerate(people):
        first_of.setdefault(person.host, rank)
    return [rank for rank in first_of.values() if rank] or [1]
