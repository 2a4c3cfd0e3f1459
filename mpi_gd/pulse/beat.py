"""The thread that sends this rank's pulse and, on ranks 0 and 1, listens to those of others."""

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
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from mpi_gd.pulse.activity import Activity, State, current
from mpi_gd.pulse.watch import Watch

__all__ = ["forget", "start", "stop"]

_VARIABLE = "MPI_GD_STALL_SECONDS"
_DEFAULT_SECONDS = 10.0
_PULSE_SECONDS = 1.0
_LEAST_SECONDS = 0.02
# Ranks that one watcher can hear in a second without being kept from its own work.
_MOST_PULSES = 1000
# Datagrams that the system surely keeps for a socket.
_MOST_KEPT = 100
_LONGEST = 1400
_LONGEST_TEXT = 160
_STOP_SECONDS = 0.5
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


class _Person(NamedTuple):
    """What a rank tells of itself at the start."""

    host: str
    process: int
    port: int
    """Where it hears pulses; 0 if it does not."""
    seconds: float
    """Of the root: what is a silence."""
    token: str
    """Of the root: what the pulses of this program begin with."""


_thread: _Beat | None = None


def start(world: Ranks) -> None:
    """Begin to send pulses, and to watch for those of others; one small collective.

    The root's environment says how many seconds are a silence: MPI_GD_STALL_SECONDS, 0 for never.
    It raises nothing of its own: without a network, nothing is sent.
    """
    global _thread
    stop()
    if world.size == 1:
        return
    ear = _open_ear() if world.rank < 2 else None
    me = _Person(
        host=socket.gethostname(),
        process=os.getpid(),
        port=ear.getsockname()[1] if ear else 0,
        seconds=_stall_seconds() if world.rank == 0 else 0.0,
        token=os.urandom(16).hex() if world.rank == 0 else "",
    )
    texts = world.gather_small(json.dumps(me))
    if _Person(*json.loads(texts[0])).seconds == 0:
        if ear:
            ear.close()
        return
    _thread = _Beat(world.rank, me.host, texts, ear)
    # A thread begins with its maker's mask. A signal is to find the main thread, and to wake it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _NOT_FOR_THREADS)
    try:
        _thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def forget(people: Sequence[str]) -> None:
    """Say no more of ranks that are known to be dead, each as "rank 3 (host h, process 17)"."""
    if _thread:
        _thread.watch.forget(people)


def stop() -> None:
    """Send no more pulses; the watchers are told, so that they do not wait for any."""
    global _thread
    if _thread:
        _thread.stop()
    _thread = None


class _Beat(threading.Thread):
    """Sends pulses until it is stopped; on a rank with an ear, says what is heard."""

    def __init__(
        self, rank: int, host: str, texts: Sequence[str], ear: socket.socket | None
    ) -> None:
        """Take what all ranks have told of themselves: `texts`, by rank."""
        super().__init__(name="mpi_gd pulse", daemon=True)
        self._rank, self._ear, size = rank, ear, len(texts)
        # Only a watcher needs to know everybody: there may be thousands.
        known = [_Person(*json.loads(text)) for text in (texts if rank == 0 else texts[:2])]
        root = known[0]
        self._token = root.token.encode("ascii")
        watchers = known[1:2] if rank == 0 else known[:1]
        self._watchers = [
            ("127.0.0.1" if watcher.host == host else watcher.host, watcher.port)
            for watcher in watchers
            if watcher.port
        ]
        # Rank 1 watches the root alone; the root all, and itself, which it hears without an ear.
        watched = known if rank == 0 else known[:1]
        names = {
            number: f"rank {number} (host {person.host}, process {person.process})"
            for number, person in enumerate(watched)
        }
        period = min(max(_PULSE_SECONDS, size / _MOST_PULSES), root.seconds / 4)
        self._period = max(_LEAST_SECONDS, period)
        self._pause = min(self._period, _MOST_KEPT / size)
        self._activity, self._since = current(), time.monotonic()
        self.watch = Watch(names, root.seconds, self._since)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopped.set()
        self.join(_STOP_SECONDS)

    def run(self) -> None:
        """Send and listen. Whatever goes wrong here ends the pulse, not the program."""
        with contextlib.suppress(Exception), socket.socket(type=socket.SOCK_DGRAM) as mouth:
            mouth.setblocking(False)
            addresses = _resolved(self._watchers)
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
            self.watch.hear(0, self._activity, now - self._since, now)
        while True:
            try:
                data = ear.recv(_LONGEST + 1)
            except OSError:
                return
            pulse = _parsed(data, self._token)
            if pulse:
                self.watch.hear(*pulse, now)

    def _say(self, now: float) -> None:
        """Print what there is to say."""
        lines = self.watch.look(now)
        if self._rank == 0:
            lines += self.watch.look_for_late(now)
        for line in lines:
            _warn(line)


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


def _resolved(watchers: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the addresses of those hosts that have one. It may take its time."""
    addresses = []
    for host, port in watchers:
        with contextlib.suppress(OSError, UnicodeError):
            addresses.append((socket.gethostbyname(host), port))
    return addresses


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


def _stall_seconds() -> float:
    """Return what the environment says is a silence; 0 for never."""
    text = os.environ.get(_VARIABLE, "")
    if not text:
        return _DEFAULT_SECONDS
    with contextlib.suppress(ValueError):
        seconds = float(text)
        if 0 <= seconds < math.inf:
            return seconds
    _warn(f"{_VARIABLE}: got {text!r}, expected seconds, 0 for never; going on with 10")
    return _DEFAULT_SECONDS


def _warn(text: str) -> None:
    """Print a line at once: a buffer might be locked by a thread that is gone."""
    with contextlib.suppress(OSError):
        os.write(2, f"mpi_gd: warning: {text}\n".encode("utf-8", "backslashreplace"))
