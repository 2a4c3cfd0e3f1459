"""Which ranks have fallen silent, and for which all others wait: no clock, no network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mpi_gd.pulse.activity import Activity, State, describe

__all__ = ["Watch"]

# A whole cluster may fall silent at once.
_MOST_LINES, _MOST_NAMES = 8, 4
# So long may ranks wait for others before it is worth a line.
_LONG_SECONDS = 60.0


@dataclass
class _Heard:
    """What was heard last of a rank."""

    at: float
    activity: Activity
    since: float
    """When it began that."""
    is_silent: bool = False
    is_reported: bool = False
    """Whether it was said that the others wait for it."""


class Watch:
    """What is known of the ranks: times are seconds on the watcher's clock.

    Only ranks that have been heard of can fall silent: where no datagram gets through, none does.
    """

    def __init__(self, names: dict[int, str], seconds: float, now: float) -> None:
        """Watch the ranks that have a name; `seconds` without a word are a silence."""
        self._names, self._seconds, self._looked = names, seconds, now
        self._heard: dict[int, _Heard] = {}
        self._again: list[str] = []

    def hear(self, rank: int, activity: Activity, same_for: float, now: float) -> None:
        """Note a pulse of a rank that has been doing the same for so long."""
        name = self._names.get(rank)
        if name is None:
            return
        before = self._heard.pop(rank, None)
        if before and before.is_silent:
            self._again.append(f"{name} is heard of again after {now - before.at:.0f} s")
        if activity[2] is State.GONE:
            return
        is_same = before is not None and before.activity == activity
        is_reported = before is not None and before.is_reported and is_same
        self._heard[rank] = _Heard(now, activity, now - same_for, is_reported=is_reported)

    def look(self, now: float) -> list[str]:
        """Return what there is to say: of ranks that have fallen silent, or are heard of again."""
        self._forgive(now)
        silent = []
        for name, heard in self._known():
            if not heard.is_silent and now - heard.at >= self._seconds:
                heard.is_silent = True
                silent.append(
                    f"{name} has not been heard of for {int(now - heard.at)} s; "
                    f"it was {describe(heard.activity)}"
                )
        again, self._again = self._again, []
        return _few(again, "are heard of again") + _few(silent, "have not been heard of either")

    def look_for_late(self, now: float) -> list[str]:
        """Return what there is to say of ranks that live, but that the others wait for.

        That is when half of all ranks or more have been waiting for a minute, and for more than
        half of the time that the late one has taken: a long read that is long for all is none.
        """
        alive = [(name, heard) for name, heard in self._known() if not heard.is_silent]
        waiting = [heard for _, heard in alive if heard.activity[2] is State.WAITING]
        if not waiting or 2 * len(waiting) < len(self._names):
            return []
        waited = now - max(heard.since for heard in waiting)
        late = []
        for name, heard in alive:
            is_waiting = heard.activity[2] is State.WAITING
            took = now - heard.since
            if not is_waiting and not heard.is_reported and waited > max(_LONG_SECONDS, took / 2):
                heard.is_reported = True
                late.append(
                    f"{name} has been {describe(heard.activity)} for {took:.0f} s; "
                    "the other ranks wait for it"
                )
        return _few(late, "are as late")

    def look_for_lost(self, now: float, seconds: float) -> str:
        """Say which ranks have been silent for so many seconds or more; empty if none."""
        lost = [(name, now - heard.at) for name, heard in self._known()]
        lost = [(name, silent) for name, silent in lost if silent >= seconds]
        if not lost:
            return ""
        names = ", ".join(name for name, _ in lost[:_MOST_NAMES])
        more = f" and {len(lost) - _MOST_NAMES} more" if len(lost) > _MOST_NAMES else ""
        return f"lost {names}{more}: not heard of for {int(lost[0][1])} s"

    def _known(self) -> list[tuple[str, _Heard]]:
        """Return the ranks that are watched and have been heard of, by number."""
        return [(self._names[rank], heard) for rank, heard in sorted(self._heard.items())]

    def _forgive(self, now: float) -> None:
        """Take back the time in which the watcher itself could not listen."""
        gap, self._looked = now - self._looked, now
        if gap > self._seconds / 2:
            for heard in self._heard.values():
                heard.at = min(now, heard.at + gap)


def _few(lines: Sequence[str], what: str) -> list[str]:
    """Return the first lines, and one for the rest."""
    rest = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], *([f"{rest} more ranks {what}"] if rest > 0 else [])]
