"""What this rank is doing, noted by the main thread at the price of an assignment."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Activity", "State", "current", "describe", "doing", "done", "waiting"]


class State(IntEnum):
    """How far a rank is with what it has said that it does."""

    DOING = 0
    WAITING = 1
    """It is done and waits for the others."""
    DONE = 2
    """All are done; what it does now has no name."""
    GONE = 3
    """The program has ended."""


# A plain tuple, since it is made anew several times an iteration: what, which one, how far.
Activity = tuple[str, int | None, State]

_DOING, _WAITING, _DONE = State.DOING, State.WAITING, State.DONE
_current: Activity = ("starting", None, _DOING)


def doing(what: str, number: int | None = None) -> None:
    """Note that the main thread begins `what`, as in `doing("computing gradient", 17)`."""
    global _current
    _current = (what, number, _DOING)


def waiting() -> None:
    """Note that it has finished that, and waits for the other ranks."""
    global _current
    _current = (_current[0], _current[1], _WAITING)


def done() -> None:
    """Note that all ranks have finished that."""
    global _current
    _current = (_current[0], _current[1], _DONE)


def current() -> Activity:
    """Return what was noted last: another object after each note, even of the same words."""
    return _current


def describe(activity: Activity) -> str:
    """Say what a rank does, to go after "it was"."""
    what, number, state = activity
    named = what if number is None else f"{what} {number}"
    before = {State.WAITING: "waiting for the other ranks after ", State.DONE: "at work after "}
    return before.get(state, "") + named
