"""Pulses: what is said of silent and late ranks, and that nothing a network does matters."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mpi_gd import pulse
from mpi_gd.pulse import activity, beat
from mpi_gd.pulse.activity import Activity, State
from mpi_gd.pulse.people import Person, sentinels
from mpi_gd.pulse.watch import Watch
from tests.simulated import ThreadWorld, on_ranks

READING: Activity = ("reading x.npy", None, State.DOING)
WAITING: Activity = ("reading x.npy", None, State.WAITING)
GRADIENT: Activity = ("computing gradient", 17, State.DOING)
GONE: Activity = ("", None, State.GONE)


def watch(n: int = 4, seconds: float = 10.0) -> Watch:
    return Watch({rank: f"rank {rank}" for rank in range(n)}, seconds, 0.0)


def hear_all(
    watch: Watch, now: float, states: dict[int, Activity], since: float | None = None
) -> None:
    for rank, state in states.items():
        watch.hear(rank, state, now - (now if since is None else since), now)


def lines_until(watch: Watch, end: int, living: list[int], begin: int = 0) -> list[str]:
    """Return what is said when only some ranks send pulses, one a second."""
    lines = []
    for now in range(begin, end + 1):
        for rank in living:
            watch.hear(rank, GRADIENT, 0.0, now)
        lines += watch.look(now)
    return lines


def test_a_silent_rank_is_reported_once_and_again_when_heard() -> None:
    ranks = watch()
    assert lines_until(ranks, 3, [0, 1, 2, 3]) == []
    said = lines_until(ranks, 40, [0, 1, 2], begin=4)
    assert said == ["rank 3 has not been heard of for 10 s; it was computing gradient 17"]
    said = lines_until(ranks, 50, [0, 1, 2, 3], begin=41)
    assert said == ["rank 3 is heard of again after 38 s"]


def test_who_was_never_heard_of_is_not_missed() -> None:
    """As behind a firewall."""
    assert lines_until(watch(), 100, [0, 1]) == []


def test_who_has_said_goodbye_is_not_missed() -> None:
    ranks = watch()
    lines_until(ranks, 3, [0, 1, 2, 3])
    ranks.hear(3, GONE, 0.0, 3.0)
    assert lines_until(ranks, 100, [0, 1, 2], begin=4) == []


def test_who_is_silent_for_long_is_lost() -> None:
    ranks = watch(8)
    lines_until(ranks, 3, list(range(7)))
    lines_until(ranks, 62, [0, 4], begin=4)
    assert ranks.look_for_lost(62, 60) == ""
    lost = ranks.look_for_lost(63, 60)
    # Rank 7 has never been heard of.
    assert lost == "lost rank 1, rank 2, rank 3, rank 5 and 1 more: not heard of for 60 s"


def test_a_watcher_that_was_asleep_blames_nobody() -> None:
    """The whole program was stopped and continued."""
    ranks = watch()
    lines_until(ranks, 3, [0, 1, 2, 3])
    assert ranks.look(1000.0) == []
    assert len(lines_until(ranks, 1020, [0, 1, 2], begin=1001)) == 1


def test_a_cluster_that_falls_silent_takes_few_lines() -> None:
    ranks = watch(1000)
    lines_until(ranks, 3, list(range(1000)))
    said = lines_until(ranks, 30, [0], begin=4)
    assert len(said) == 9
    assert said[-1] == "991 more ranks have not been heard of either"
    assert len(lines_until(ranks, 32, list(range(1000)), begin=31)) == 9


def test_a_rank_that_all_wait_for_is_reported_once() -> None:
    ranks = watch()
    late = []
    for now in range(0, 200):
        hear_all(ranks, now, {0: WAITING, 1: WAITING, 2: WAITING}, since=5)
        ranks.hear(3, READING, now, now)
        late += [(now, line) for line in ranks.look_for_late(now)]
    assert late == [
        (66, "rank 3 has been reading x.npy for 66 s; the other ranks wait for it"),
    ]


@pytest.mark.parametrize(
    "states",
    [
        pytest.param(dict.fromkeys(range(4), READING), id="all read"),
        pytest.param(dict.fromkeys(range(4), WAITING), id="all wait"),
        pytest.param({0: WAITING, 1: READING, 2: READING, 3: READING}, id="most read"),
        pytest.param({0: WAITING, 3: READING}, id="not all are heard of"),
    ],
)
def test_long_work_is_not_late(states: dict[int, Activity]) -> None:
    ranks = watch(5)
    for now in range(0, 1000, 10):
        hear_all(ranks, now, states)
        assert ranks.look_for_late(now) == []


def test_late_is_relative_to_what_the_others_took() -> None:
    """The others took 600 s: 61 s more are no wonder, 601 s more are."""
    ranks = watch()
    for now, expected in ((661.0, 0), (1150.0, 0), (1201.0, 1)):
        hear_all(ranks, now, {0: WAITING, 1: WAITING, 2: WAITING}, since=600)
        ranks.hear(3, READING, now, now)
        assert len(ranks.look_for_late(now)) == expected


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (READING, "reading x.npy"),
        (GRADIENT, "computing gradient 17"),
        (WAITING, "waiting for the other ranks after reading x.npy"),
        (("reading x.npy", None, State.DONE), "at work after reading x.npy"),
    ],
)
def test_describe(now: Activity, words: str) -> None:
    assert activity.describe(now) == words


def test_a_phase_says_what_it_does() -> None:
    def work(world: ThreadWorld) -> Activity:
        with world.phase("reading x.npy"):
            return activity.current()

    assert on_ranks(1, work) == [READING]
    assert activity.current() == ("reading x.npy", None, State.DONE)


def test_a_note_is_another_object_each_time() -> None:
    pulse.doing("computing gradient", 1)
    first = activity.current()
    pulse.doing("computing gradient", 1)
    assert activity.current() == first
    assert activity.current() is not first


TOKEN = b"0123456789abcdef"


@pytest.mark.parametrize(
    "words",
    [
        [],
        {},
        17,
        ["3", "x", 1, 0, 1.0],
        [3, 5, 1, 0, 1.0],
        [3, "x", "1", 0, 1.0],
        [3, "x", 1, 99, 1.0],
        [3, "x", 1, 0, float("nan")],
        [3, "x", 1, 0, "1"],
        [3, "x" * 2000, 1, 0, 1.0],
    ],
)
def test_what_is_no_pulse_is_ignored(words: object) -> None:
    assert beat._parsed(TOKEN + json.dumps(words).encode(), TOKEN) is None


@pytest.mark.parametrize(
    "data", [b"", TOKEN, TOKEN + b"[" * 1200, TOKEN + b"\xff", b'[3,"x",1,0,1]']
)
def test_noise_is_ignored(data: bytes) -> None:
    assert beat._parsed(data, TOKEN) is None


def test_a_pulse_is_read() -> None:
    data = TOKEN + json.dumps([3, "computing gradient", 17, State.DOING, 1.5]).encode()
    assert beat._parsed(data, TOKEN) == (3, GRADIENT, 1.5)


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("aa", [1]),
        ("aaaa", [1]),
        ("ab", [1]),
        ("aabb", [2]),
        ("abcabc", [1, 2]),
        ("aabcab", [2, 3]),
    ],
)
def test_a_rank_of_each_other_host_watches_the_root(hosts: str, expected: list[int]) -> None:
    people = [Person(rank, host, 17, 9, 0, 0, "") for rank, host in enumerate(hosts)]
    assert sentinels(people) == expected


def person(host: str, port: int = 0, silence: float = 0.0, token: str = "") -> list[object]:
    """Return what the other rank tells of itself."""
    return list(Person(1, host, 4711, port, silence, 0.0, token))


def ignore(_: str) -> None:
    """Do nothing about a loss."""


class TwoRanks:
    """A world of two, of which the test is one; the other is made up."""

    size = 2

    def __init__(self, rank: int, other: list[object]) -> None:
        self.rank, self._other = rank, json.dumps(other)

    def gather_small(self, text: str) -> list[str]:
        self.told = json.loads(text)
        return [text, self._other] if self.rank == 0 else [self._other, text]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a short silence be one; end the thread."""
    monkeypatch.setenv("MPI_GD_STALL_SECONDS", "0.2")
    monkeypatch.setattr(beat, "_number", None)
    yield
    pulse.stop()


def pulse_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "mpi_gd pulse"]


def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def test_the_root_hears_and_misses(quick: None, capfd: pytest.CaptureFixture[str]) -> None:
    """Over a real socket: noise does nothing, a pulse is heard, silence is reported."""
    world = TwoRanks(0, person(socket.gethostname()))
    pulse.start(world, ignore)
    port, token = world.told[3], world.told[6]
    with socket.socket(type=socket.SOCK_DGRAM) as mouth:
        for data in (b"noise", b"", token.encode() + b"[]", os.urandom(3000)):
            mouth.sendto(data, ("127.0.0.1", port))
        words = json.dumps([1, "computing gradient", 17, 0, 0.0]).encode()
        mouth.sendto(token.encode() + words, ("127.0.0.1", port))
        text = ""

        def has_come(words: str) -> bool:
            nonlocal text
            text += capfd.readouterr().err
            return words in text

        until(lambda: has_come("it was computing gradient 17"))
        mouth.sendto(token.encode() + words, ("127.0.0.1", port))
        until(lambda: has_come("heard of again"))
    name = f"mpi_gd: warning: rank 1 (host {socket.gethostname()}, process 4711)"
    assert text.startswith(f"{name} has not been heard of for ")
    assert f"{name} is heard of again after" in text


@pytest.mark.parametrize("is_stuck", [True, False])
def test_a_loss_is_one_only_when_all_wait(
    is_stuck: bool, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While questions are answered, all ranks are alive, though they may not be heard."""
    monkeypatch.setenv("MPI_GD_LOST_SECONDS", "0.5")
    lost: list[str] = []
    world = TwoRanks(0, person("there"))
    pulse.start(world, lost.append)
    port, token = world.told[3], world.told[6]
    words = json.dumps([1, "computing gradient", 17, 0, 0.0]).encode()
    with socket.socket(type=socket.SOCK_DGRAM) as mouth:
        mouth.sendto(token.encode() + words, ("127.0.0.1", port))
    pulse.doing("computing gradient", 18)
    pulse.waiting()
    until_time = time.monotonic() + 1.5
    while not is_stuck and time.monotonic() < until_time:
        pulse.waiting()
        time.sleep(0.01)
    if is_stuck:
        until(lambda: lost)
        time.sleep(0.2)
    pulse.stop()
    expected = ["lost rank 1 (host there, process 4711): not heard of for 0 s"]
    assert lost == (expected if is_stuck else [])


def test_a_rank_sends_its_pulse_and_says_goodbye(quick: None) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as ear:
        ear.bind(("127.0.0.1", 0))
        ear.settimeout(20)
        port = ear.getsockname()[1]
        pulse.doing("computing gradient", 17)
        pulse.start(TwoRanks(1, person(socket.gethostname(), port, 0.2, "t" * 32)), ignore)
        parsed = beat._parsed(ear.recv(2000), b"t" * 32)
        assert parsed
        assert parsed[:2] == (1, GRADIENT)
        pulse.stop()
        while parsed and parsed[1] != GONE:
            parsed = beat._parsed(ear.recv(2000), b"t" * 32)
    assert not pulse_threads()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "x" * 300, "", "\udc80"])
def test_a_host_that_is_not_found_matters_not(quick: None, host: str) -> None:
    pulse.start(TwoRanks(1, person(host, 9, 0.2, "t" * 32)), ignore)
    time.sleep(0.1)


def test_no_network_matters_not(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "socket", refuse)
    world = TwoRanks(0, person(socket.gethostname()))
    pulse.start(world, ignore)
    assert world.told[3] == 0
    until(lambda: not pulse_threads())


def test_zero_seconds_turn_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPI_GD_STALL_SECONDS", "0")
    pulse.start(TwoRanks(0, person(socket.gethostname())), ignore)
    assert not pulse_threads()


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_a_wrong_number_of_seconds_is_said(
    text: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MPI_GD_STALL_SECONDS", text)
    assert beat._seconds("MPI_GD_STALL_SECONDS", 10.0) == 10.0
    assert capfd.readouterr().err.startswith("mpi_gd: warning: MPI_GD_STALL_SECONDS: got ")


def test_one_rank_has_no_pulse() -> None:
    on_ranks(1, lambda world: pulse.start(world, ignore))
    assert not pulse_threads()


def test_signals_find_the_main_thread(quick: None) -> None:
    pulse.start(TwoRanks(0, person(socket.gethostname())), ignore)
    (thread,) = pulse_threads()
    status = f"/proc/self/task/{thread.native_id}/status"
    with open(status) as file:
        blocked = next(int(line.split()[1], 16) for line in file if line.startswith("SigBlk"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
        assert blocked >> (number - 1) & 1
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, []) & {signal.SIGTERM, signal.SIGUSR1}
