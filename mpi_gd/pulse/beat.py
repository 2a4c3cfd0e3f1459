"""The thread that sends this rank's pulse and, on a rank that watches, listens to others'."""

from __future__ import annotations

import contextlib
import json
import math
import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from mpi_gd.pulse.activity import Activity, State, current
from mpi_gd.pulse.people import Person, sentinels
from mpi_gd.pulse.watch import Watch

__all__ = ["start", "stop"]

# What is a silence, and what a loss.
_STALL, _STALL_SECONDS = "MPI_GD_STALL_SECONDS", 10.0
_LOST, _LOST_SECONDS = "MPI_GD_LOST_SECONDS", 60.0
_PULSE_SECONDS = 1.0
_LEAST_SECONDS = 0.02
# Ranks that one watcher can hear in a second without being kept from its own work.
_MOST_PULSES = 1000
# Datagrams that the system surely keeps for a socket.
_MOST_KEPT = 100
_LONGEST = 1400
_LONGEST_TEXT = 160
_STOP_SECONDS = 0.5
# Sentinels after the first wait longer, the last of them twice as long.
_TURNS = 5
_NOT_FOR_THREADS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class Ranks(Protocol):
    """What is needed of a world."""

    rank: int
    size: int

    def gather_small(self, text: str) -> list[str]:
        """Return every rank's short text, by rank."""


_thread: _Beat | None = None
_number: int | None = None


def start(world: Ranks, on_lost: Callable[[str], None]) -> None:
    """Begin to send pulses, and to watch for those of others; one small collective.

    `on_lost` is called by a watcher, in a thread of its own, with a text that names who is lost.
    The root's environment says how many seconds are a silence, MPI_GD_STALL_SECONDS, and a loss,
    MPI_GD_LOST_SECONDS; 0 for never. Started anew after ranks have died, it knows the others by
    their first numbers. It raises nothing of its own: without a network, nothing is sent.
    """
    global _thread, _number
    stop()
    if _number is None:
        _number = world.rank
    if world.size == 1:
        return
    # Who watches is known when all have said where they are.
    ear = _open_ear()
    is_root = world.rank == 0
    me = Person(
        number=_number,
        host=socket.gethostname(),
        process=os.getpid(),
        port=ear.getsockname()[1] if ear else 0,
        silence=_seconds(_STALL, _STALL_SECONDS) if is_root else 0.0,
        loss=_seconds(_LOST, _LOST_SECONDS) if is_root else 0.0,
        token=os.urandom(16).hex() if is_root else "",
    )
    people = [Person(*json.loads(text)) for text in world.gather_small(json.dumps(me))]
    if ear and (people[0].silence == 0 or world.rank not in [0, *sentinels(people)]):
        ear.close()
        ear = None
    if people[0].silence == 0:
        return
    _thread = _Beat(world.rank, people, ear, on_lost)
    # A thread begins with its maker's mask. A signal is to find the main thread, and to wake it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_THREADS)
    try:
        _thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def stop() -> None:
    """Send no more pulses; the watchers are told, so that they do not wait for any."""
    global _thread
    if _thread:
        _thread.stop()
    _thread = None


class _Beat(threading.Thread):
    """Sends pulses until it is stopped; on a rank with an ear, says what is heard."""

    def __init__(
        self,
        rank: int,
        people: Sequence[Person],
        ear: socket.socket | None,
        on_lost: Callable[[str], None],
    ) -> None:
        """Take what all ranks have told of themselves, by rank."""
        super().__init__(name="mpi_gd pulse", daemon=True)
        self._rank, self._ear, self._on_lost, size = rank, ear, on_lost, len(people)
        root, watching = people[0], sentinels(people)
        self._token = root.token.encode("ascii")
        self._watchers = [
            ("127.0.0.1" if watcher.host == people[rank].host else watcher.host, watcher.port)
            for watcher in (people[number] for number in (watching if rank == 0 else [0]))
            if watcher.port
        ]
        # A sentinel watches the root alone; the root all, and itself, which needs no ear.
        watched = people if rank == 0 else people[:1]
        names = {number: person.name for number, person in enumerate(watched)}
        # All sentinels miss a root, one speaks; the next ones where that one is lost as well.
        place = watching.index(rank) if rank in watching else 0
        self._speaks = place == 0
        self._loss = root.loss * (1.0 + min(place, _TURNS) / _TURNS)
        period = min(max(_PULSE_SECONDS, size / _MOST_PULSES), root.silence / 4)
        self._period = max(_LEAST_SECONDS, period)
        self._pause = min(self._period, _MOST_KEPT / size)
        self._activity, self._since = current(), time.monotonic()
        self._watch = Watch(names, root.silence, self._since)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()
        self.join(_STOP_SECONDS)

    def run(self) -> None:
        """Send and listen. Whatever goes wrong here ends the pulse, not the program."""
        with contextlib.suppress(Exception), socket.socket(type=socket.SOCK_DGRAM) as mouth:
            mouth.setblocking(False)
            addresses: list[tuple[str, int]] = []
            self._live(mouth, addresses)
            for address in addresses:
                _send(mouth, address, self._pulse(("", None, State.GONE), 0.0))
        if self._ear:
            self._ear.close()

    def _live(self, mouth: socket.socket, addresses: list[tuple[str, int]]) -> None:
        """Send pulses and listen until stopped."""
        draw = random.Random()
        due = looked = time.monotonic()
        while not self._stopped.is_set():
            if self._watchers:
                # It may take its time, and there may be hundreds: one in a turn.
                addresses += _resolved(*self._watchers.pop(0))
            now = time.monotonic()
            self._see(now)
            if now >= due:
                # Thousands of ranks that began together should not all speak at once.
                due = now + self._period * draw.uniform(0.8, 1.2)
                for address in addresses:
                    _send(mouth, address, self._pulse(self._activity, now - self._since))
            if self._ear:
                self._listen(self._ear, now)
                if now - looked >= self._period / 2:
                    looked = now
                    self._say(now)
            self._stopped.wait(self._pause if self._ear else due - now)

    def _see(self, now: float) -> None:
        """See what the main thread is doing, and since when; to within a pulse."""
        activity = current()
        if activity is not self._activity:
            self._activity, self._since = activity, now

    def _pulse(self, activity: Activity, same_for: float) -> bytes:
        """Return a datagram."""
        what, number, state = activity
        words = [self._rank, what[:_LONGEST_TEXT], number, state, round(same_for, 3)]
        return b"%b%b" % (self._token, json.dumps(words).encode("ascii"))

    def _listen(self, ear: socket.socket, now: float) -> None:
        """Take what has come."""
        if self._rank == 0:
            self._watch.hear(0, self._activity, now - self._since, now)
        while True:
            try:
                data = ear.recv(_LONGEST + 1)
            except OSError:
                return
            pulse = _parsed(data, self._token)
            if pulse:
                self._watch.hear(*pulse, now)

    def _say(self, now: float) -> None:
        """Print what there is to say; end it all after a loss."""
        lines = self._watch.look(now)
        if self._rank == 0:
            lines += self._watch.look_for_late(now)
        for line in lines if self._speaks else ():
            _warn(line)
        # As long as anything goes on here, all ranks are alive, though they may not be heard.
        is_stuck = self._activity[2] is not State.DOING and now - self._since >= self._loss
        lost = self._watch.look_for_lost(now, self._loss) if self._loss and is_stuck else ""
        if lost:
            self._loss = 0.0
            self._on_lost(lost)


def _open_ear() -> socket.socket | None:
    """Return a socket that hears on any free port; None where there is no network."""
    try:
        ear = socket.socket(type=socket.SOCK_DGRAM)
    except OSError:
        return None
    try:
        ear.setblocking(False)
        ear.bind(("", 0))
    except OSError:
        ear.close()
        return None
    return ear


def _resolved(host: str, port: int) -> list[tuple[str, int]]:
    """Return the address of a host, if it has one."""
    with contextlib.suppress(OSError, UnicodeError):
        return [(socket.gethostbyname(host), port)]
    return []


def _send(mouth: socket.socket, address: tuple[str, int], data: bytes) -> None:
    """Send a datagram; what cannot leave at once is dropped."""
    with contextlib.suppress(OSError):
        mouth.sendto(data, address)


def _parsed(data: bytes, token: bytes) -> tuple[int, Activity, float] | None:
    """Return rank, activity and for how long; None for what is no pulse of this program."""
    if len(data) > _LONGEST or not data.startswith(token):
        return None
    try:
        rank, what, number, state, same_for = json.loads(data[len(token) :])
        known = State(state)
    except (ValueError, TypeError, RecursionError):
        return None
    is_number = number is None or isinstance(number, int)
    if not (isinstance(rank, int) and isinstance(what, str) and is_number):
        return None
    if not isinstance(same_for, float | int) or not math.isfinite(same_for):
        return None
    return rank, (what, number, known), float(same_for)


def _seconds(variable: str, default: float) -> float:
    """Return the seconds that the environment says; 0 for never."""
    text = os.environ.get(variable, "")
    if not text:
        return default
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < math.inf:
            return seconds
    _warn(f"{variable}: got {text!r}, expected seconds, 0 for never; going on with {default:.0f}")
    return default


def _warn(text: str) -> None:
    """Print a line at once: a buffer might be locked by a thread that is gone."""
    with contextlib.suppress(OSError):
        os.write(2, f"mpi_gd: warning: {text}\n".encode("utf-8", "backslashreplace"))
