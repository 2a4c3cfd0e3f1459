"""What a run says of its surroundings, and that it stops before a job's time is over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mpi_gd import signals
from mpi_gd.allocation import Place
from mpi_gd.comm import SerialWorld
from mpi_gd.commands import surroundings
from mpi_gd.commands.surroundings import look_around, stop_requested


class Ranks(SerialWorld):
    """The root, or another one, of three ranks that share a host's two cores."""

    size = 3

    def __init__(self, rank: int = 0) -> None:
        self.rank = rank

    def gather_small(self, text: str) -> list[str]:
        return [Place("n1", frozenset({0, 1})).packed()] * self.size


@pytest.fixture(autouse=True)
def job(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Slurm job of one node, with 125 seconds left."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    for name in ("SLURM_JOB_NUM_NODES", "SLURM_RESTART_COUNT", "SLURM_ARRAY_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(surroundings, "seconds_left", lambda job, environ=None: 125.0)
    monkeypatch.setattr(signals, "stop_requested", lambda: False)
    yield


def test_the_root_says_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    look_around(Ranks(), "lines")
    said = capsys.readouterr()
    assert said.out == "Slurm job 17: 1 node, 3 ranks on each, 0:02:05 left\n"
    assert said.err.count("mpi_gd: warning: 3 ranks on n1 share 2 cores") == 1


def test_quietly_only_what_is_wrong_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    look_around(Ranks(), "none")
    said = capsys.readouterr()
    assert said.out == "" and "share 2 cores" in said.err


def test_other_ranks_say_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    look_around(Ranks(1), "lines")
    assert capsys.readouterr() == ("", "")


def test_outside_a_job_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID")
    look_around(Ranks(), "lines")
    assert capsys.readouterr() == ("", "")


def times(monkeypatch: pytest.MonkeyPatch, *left: float) -> None:
    """Let the clock be at 0, and what is asked for the seconds left say these in turn."""
    answers = iter(left)
    monkeypatch.setattr(surroundings, "seconds_left", lambda job, environ=None: next(answers))


def test_it_stops_before_the_limit_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # A limit that is over: all of it is reserve.
    times(monkeypatch, 0.0, 0.0)
    is_time = stop_requested(Ranks(), 60.0)
    assert is_time() and is_time()
    assert capsys.readouterr().err.count("the time limit of Slurm job 17 is near: stopping") == 1


def test_with_time_left_a_signal_alone_stops_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    times(monkeypatch, 1e6)
    is_time = stop_requested(Ranks(), 60.0)
    assert not is_time()
    monkeypatch.setattr(signals, "stop_requested", lambda: True)
    assert is_time()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("rank", "reserve"), [(1, 60.0), (0, 0.0)])
def test_other_ranks_and_those_without_a_reserve_ask_nobody(
    rank: int, reserve: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One rank's vote is enough, and a thousand questions are too many for a controller."""
    times(monkeypatch)
    assert stop_requested(Ranks(rank), reserve) is signals.stop_requested
