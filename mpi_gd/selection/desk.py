"""The desk at which groups of ranks get work and hand in results, kept by rank 0.

Rank 0 works too: it looks after the desk between its own questions and when it has nothing left to
do. Which group does what is a matter of chance; results do not depend on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from mpi_gd import pulse
from mpi_gd.comm import World

__all__ = ["Desk", "divide"]

Records = list[dict[str, Any]]

_LOOK_SECONDS = 0.0005
# A rank's share of the rows below which more ranks on one candidate do not pay.
_SMALL_BYTES = 64 << 20


def divide(world: World, n_bytes: int, n_units: int, wanted: int) -> int:
    """Return into how many groups to divide the ranks, for rows of so many bytes in all.

    As many as there are ranks where a rank may well have all rows; one where the rows are so many
    that reading them is the work, which the ranks share. `wanted`: so many at least, if not 0.
    """
    if world.can_survive:
        # Those that are left after a loss go on together.
        return 1
    most = max(1, min(world.size, n_units))
    if wanted:
        return min(wanted, most)
    ranks = max(1, -(-n_bytes // _SMALL_BYTES))
    return max(1, min(world.size // ranks, most)) if ranks < world.size else 1


class Desk:
    """Hands out the numbers 0, 1, ... n_units - 1, each once, to the roots of groups."""

    def __init__(
        self, world: World, group: World, n_units: int, keep: Callable[[Records], None]
    ) -> None:
        """Open it; `keep` is called on rank 0 for whatever is handed in, and must not raise."""
        self._world, self._group, self._keep = world, group, keep
        self._next, self._n_units = 0, n_units
        n_groups = 1 if group is world else _count_groups(world, group)
        self._n_open = n_groups - 1
        self._is_ended = False

    def take(self) -> int | None:
        """Return the next number, None if there is none; collective in the group."""
        text = ""
        if self._world.is_root:
            text = str(self._number())
        elif self._group.is_root:
            self._world.send_text(json.dumps({"what": "take"}), 0)
            text = self._wait()
        number = int(self._group.bcast_text(text))
        return None if number < 0 else number

    def give(self, records: Records) -> None:
        """Hand in results, which all ranks of the group have; not collective."""
        if self._world.is_root:
            self._keep(records)
            self.tend()
        elif self._group.is_root:
            self._world.send_text(json.dumps({"what": "give", "records": records}), 0)

    def end(self) -> None:
        """Let nothing more be handed out: on rank 0 at once, else when rank 0 is told."""
        self._is_ended = True
        if not self._world.is_root and self._group.is_root:
            self._world.send_text(json.dumps({"what": "end"}), 0)

    def tend(self) -> None:
        """Answer what has come; on rank 0 alone."""
        while self._world.is_root and (found := self._world.receive_text()):
            source, text = found
            message = json.loads(text)
            if message["what"] == "take":
                self._world.send_text(str(self._number()), source)
            elif message["what"] == "give":
                self._keep(message["records"])
            elif message["what"] == "end":
                self._is_ended = True
            else:
                self._n_open -= 1

    def close(self) -> None:
        """Wait until all groups have come here."""
        if self._world.is_root:
            pulse.waiting()
            while self._n_open > 0:
                self.tend()
                time.sleep(_LOOK_SECONDS)
            pulse.done()
        elif self._group.is_root:
            self._world.send_text(json.dumps({"what": "leave"}), 0)

    def _number(self) -> int:
        """Return the next number; -1 if there is none."""
        if self._is_ended or self._next >= self._n_units:
            return -1
        self._next += 1
        return self._next - 1

    def _wait(self) -> str:
        """Return the answer of rank 0."""
        pulse.waiting()
        while not (found := self._world.receive_text()):
            time.sleep(_LOOK_SECONDS)
        pulse.done()
        return found[1]


def _count_groups(world: World, group: World) -> int:
    """Return the number of groups; collective."""
    return sum(map(int, world.gather_small("1" if group.is_root else "0")))
