"""Inside a Slurm job: what its environment tells, the time left, ranks that are badly placed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mpi_gd.allocation import (
    Allocation,
    Place,
    TimeLimit,
    complaints,
    find_allocation,
    own_place,
    seconds_left,
)

TWO_NODES = Allocation("7", "7", nodes=2)


def test_no_job_is_no_allocation() -> None:
    assert find_allocation({}) is None
    assert find_allocation({"SLURM_JOB_ID": ""}) is None


def test_the_environment_tells_of_a_job() -> None:
    told = {
        "SLURM_JOB_ID": "17",
        "SLURM_JOB_NUM_NODES": "4",
        "SLURM_RESTART_COUNT": "2",
        "SLURM_NTASKS": "32",
    }
    assert find_allocation(told) == Allocation("17", "17", nodes=4, restarts=2, tasks=32)
    assert find_allocation({"SLURM_JOB_ID": "17"}) == Allocation("17", "17")
    odd = {"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "many", "SLURM_NTASKS": ""}
    assert find_allocation(odd) == Allocation("17", "17")


def test_a_task_of_an_array_has_its_own_number_and_the_arrays_name() -> None:
    told = {"SLURM_JOB_ID": "21", "SLURM_ARRAY_JOB_ID": "17", "SLURM_ARRAY_TASK_ID": "4"}
    assert find_allocation(told) == Allocation("21", "17_4")
    del told["SLURM_ARRAY_TASK_ID"]
    assert find_allocation(told) == Allocation("21", "21")


@pytest.mark.parametrize(
    ("allocation", "ranks", "hosts", "left", "expected"),
    [
        (Allocation("7", "7"), 8, 1, None, "Slurm job 7: 1 node, 8 ranks on each"),
        (TWO_NODES, 2, 2, 59.9, "Slurm job 7: 2 nodes, 1 rank on each, 0:00:59 left"),
        (TWO_NODES, 5, 2, -3.0, "Slurm job 7: 2 nodes, 2 to 3 ranks on each, 0:00:00 left"),
        (
            Allocation("9", "7_4", nodes=3, restarts=2),
            6,
            3,
            93784.0,
            "Slurm job 7_4 (restart 2): 3 nodes, 2 ranks on each, 1-2:03:04 left",
        ),
    ],
)
def test_it_is_described(
    allocation: Allocation, ranks: int, hosts: int, left: float | None, expected: str
) -> None:
    assert allocation.describe(ranks, hosts, left) == expected


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a squeue of that body be the only one there is; it notes its arguments."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def write(body: str) -> None:
        path = tmp_path / "squeue"
        path.write_text(f'#!/bin/sh\necho "$*" > asked\n{body}\n')
        path.chmod(0o755)

    return write


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("3:04", 184),
        ("02:03:04", 7384),
        ("1-02:03:04", 93784),
        ("0:00", 0),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("", None),
        ("5", None),
    ],
)
def test_the_controller_tells_the_time_left(
    told: str, expected: float | None, squeue: Callable[[str], None]
) -> None:
    squeue(f"echo '{told}'")
    assert seconds_left("17") == expected
    assert Path("asked").read_text() == "--noheader --jobs 17 --format %L\n"


def test_a_controller_that_fails_is_no_limit(squeue: Callable[[str], None]) -> None:
    assert seconds_left("17") is None
    squeue("echo '5:00'; exit 0")
    assert seconds_left("17", {"SLURM_JOB_END_TIME": "soon"}) == 300


def test_the_environment_tells_the_end_and_saves_the_question(
    monkeypatch: pytest.MonkeyPatch, squeue: Callable[[str], None]
) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    squeue("echo '5:00'")
    assert seconds_left("17", {"SLURM_JOB_END_TIME": "1600"}) == 600
    assert not Path("asked").exists()


def test_a_controller_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, squeue: Callable[[str], None]
) -> None:
    monkeypatch.setattr("mpi_gd.allocation.job._ASK_SECONDS", 0.1)
    squeue("exec /bin/sleep 30")
    assert seconds_left("17") is None


def on(host: str, *cores: int, threads: int = 1) -> Place:
    return Place(host, frozenset(cores), threads)


def test_a_place_survives_its_message() -> None:
    place = on("n1", 3, 1, threads=4)
    assert Place.unpacked(place.packed()) == place


def test_its_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert own_place().threads == 1
    assert 1 <= len(own_place().cores) <= len(os.sched_getaffinity(0))
    monkeypatch.setenv("OMP_NUM_THREADS", "6,2")
    assert own_place().threads == 6
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert own_place().threads == 3


def test_the_two_threads_of_a_core_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mpi_gd.allocation.place._CPUS", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 4, 5})
    assert own_place().cores == {0, 1, 4, 5}, "nothing is known"
    for cpu, siblings in {0: "0,4", 4: "0,4", 1: "1-5", 5: "1-5"}.items():
        (tmp_path / f"cpu{cpu}" / "topology").mkdir(parents=True)
        (tmp_path / f"cpu{cpu}" / "topology" / "thread_siblings_list").write_text(siblings + "\n")
    assert own_place().cores == {0, 1}


def test_well_placed_ranks_are_not_complained_of() -> None:
    bound = [on("n1", 0), on("n1", 1), on("n2", 0), on("n2", 1)]
    assert complaints(bound, TWO_NODES) == []
    free = [on(host, 0, 1, 2, 3, threads=2) for host in ("n1", "n1", "n2", "n2")]
    assert complaints(free, TWO_NODES) == []
    assert complaints([on("n1", 0, 1)], TWO_NODES) == [], "one rank is a wish"


def test_shared_cores_are_complained_of_in_a_job_alone() -> None:
    shared = [on("n1", 0, 1)] * 3 + [on("n2", 0, 1)] * 2
    [told] = complaints(shared, TWO_NODES)
    assert told.startswith("3 ranks on n1 share 2 cores, and wait for each other; start fewer")
    assert complaints(shared, None) == []
    # There are as many cores as ranks, but the binding gives two ranks the same one.
    [told] = complaints([on("n1", 0), on("n1", 0), on("n1", 1, 2), on("n2", 0)], TWO_NODES)
    assert "2 ranks on n1 share 1 core, and" in told


def test_one_line_for_many_crowded_hosts() -> None:
    shared = [on(f"n{k}", 0) for k in (1, 1, 2, 2, 3, 3)]
    [told] = complaints(shared, Allocation("7", "7", nodes=3))
    assert "2 ranks on n1 share 1 core (so do those on 2 more), and" in told


@pytest.mark.parametrize("allocation", [None, Allocation("7", "7")])
def test_too_many_threads_are_complained_of_anywhere(allocation: Allocation | None) -> None:
    [told] = complaints([on("n1", 0, 1, 2, 3, threads=3)] * 2, allocation)
    assert told.startswith(
        "2 ranks on n1 have 6 threads in all and share 4 cores; set OPENBLAS_NUM"
    )


def test_cores_that_overlap_are_counted_once() -> None:
    [told] = complaints([on("n1", 0, 1, threads=2), on("n1", 1, 2, threads=2)], None)
    assert told.startswith("2 ranks on n1 have 4 threads in all and share 3 cores;")


def test_ranks_that_are_all_on_one_of_the_nodes() -> None:
    [told] = complaints([on("n1", 0), on("n1", 1)], TWO_NODES)
    assert told.startswith("all 2 ranks are on n1, but the job has 2 nodes; set --ntasks-per-node")
    three = Allocation("7", "7", nodes=4)
    [told] = complaints([on("n1", 0), on("n1", 1), on("n2", 0)], three)
    assert told.startswith("all 3 ranks are on 2 nodes, but the job has 4 nodes")
    # One rank a node, on fewer nodes than there are: a wish.
    assert complaints([on("n1", 0), on("n2", 0)], three) == []


class Clock:
    """A clock, and a controller that says how long is left; None for a limit that is none."""

    def __init__(self, *answers: float | None) -> None:
        self.now, self.asked = 100.0, 0
        self._answers = answers

    def time(self) -> float:
        return self.now

    def ask(self) -> float | None:
        self.asked += 1
        return self._answers[min(self.asked, len(self._answers)) - 1]


def limit(clock: Clock, left: float | None, reserve: float) -> TimeLimit:
    return TimeLimit(left, reserve, clock.ask, clock.time)


def test_it_is_near_the_reserve_before_the_limit() -> None:
    clock = Clock(60.0)
    near = limit(clock, 1000.0, 60.0)
    clock.now += 939.0
    assert not near.is_near()
    assert clock.asked == 0
    clock.now += 1.0
    assert near.is_near() and near.is_near()
    assert clock.asked == 1, "once it is near it stays so"


def test_long_questions_are_not_begun_shortly_before() -> None:
    clock = Clock(90.0)
    near = limit(clock, 1000.0, 60.0)
    for _ in range(8):
        clock.now += 100.0
        assert not near.is_near()
    clock.now += 50.0
    assert near.is_near(), "150 s are left, 60 s to be kept, and a question may take 100 s"


def test_what_takes_most_of_the_time_is_not_waited_for() -> None:
    clock = Clock(500.0)
    near = limit(clock, 1000.0, 60.0)
    clock.now += 500.0
    assert not near.is_near()
    assert clock.asked == 0


def test_a_limit_that_was_moved_is_obeyed() -> None:
    clock = Clock(500.0, 60.5)
    near = limit(clock, 1000.0, 60.0)
    clock.now += 940.0
    assert not near.is_near()
    clock.now += 439.0
    assert not near.is_near()
    clock.now += 1.5
    assert near.is_near(), "a little more time is no new limit"
    assert clock.asked == 2


def test_without_an_answer_the_known_limit_holds() -> None:
    clock = Clock(None)
    near = limit(clock, 1000.0, 60.0)
    clock.now += 941.0
    assert near.is_near()


def test_a_short_job_is_not_stopped_as_it_begins() -> None:
    clock = Clock(5.0)
    near = limit(clock, 100.0, 300.0)
    clock.now += 89.0
    assert not near.is_near()
    clock.now += 1.5
    assert near.is_near()


@pytest.mark.parametrize(("left", "reserve"), [(None, 60.0), (1000.0, 0.0)])
def test_no_limit_and_no_reserve_are_never_near(left: float | None, reserve: float) -> None:
    clock = Clock(0.0)
    near = limit(clock, left, reserve)
    clock.now += 1e9
    assert not near.is_near()
    assert clock.asked == 0
