"""The launcher's decisions: which mpirun, what a launch's end means, with what to start again."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mpi_gd.cli import ParsedExit, parse
from mpi_gd.commands import mpirun
from mpi_gd.commands.answering import silent_hosts
from mpi_gd.commands.launch import Verdict, again, judge
from mpi_gd.commands.mpirun import Launched, Requests, count_cores, mpi_kind, mpirun_words
from mpi_gd.errors import JobError
from mpi_gd.options import LaunchOptions

TRAIN = LaunchOptions(("train",))


@pytest.mark.parametrize(
    ("code", "state", "told", "expected"),
    [
        # The marker decides, whatever mpirun says.
        (0, "finished", 0, Verdict(0, False)),
        (137, "finished", 0, Verdict(0, False)),
        (1, "stopped", 75, Verdict(75, False)),
        (1, "failed", 2, Verdict(2, False, "/r")),
        (0, "failed", 3, Verdict(3, False, "/r")),
        (0, "failed", 1, Verdict(1, True, "/r")),
        (134, "failed", None, Verdict(134, True, "/r")),
        (137, "running", None, Verdict(137, True, "/r")),
        (-9, "running", None, Verdict(137, True, "/r")),
        # Launchers lose exit codes; the launcher never says that all is well when it is not.
        (0, "running", None, Verdict(1, True, "/r")),
        (75, "running", None, Verdict(1, True, "/r")),
        (137, "unheard of", None, Verdict(137, True, "/r")),
    ],
)
def test_the_marker_decides(code: int, state: str, told: int | None, expected: Verdict) -> None:
    assert judge(code, {"state": state, "exit_code": told, "folder": "/r"}) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (0, Verdict(1, True)),
        (1, Verdict(1, True)),
        (2, Verdict(2, False)),
        (3, Verdict(3, False)),
        (75, Verdict(1, True)),
        (139, Verdict(139, True)),
        (-15, Verdict(143, True)),
    ],
)
def test_without_a_marker(code: int, expected: Verdict) -> None:
    assert judge(code, None) == expected


def test_a_crash_without_a_word_says_where_it_was() -> None:
    hosts = ["node1", "node2"]
    assert judge(0, {"state": "running", "hosts": hosts}).hosts == ("node1", "node2")
    assert judge(0, {"state": "failed", "exit_code": 1, "hosts": hosts}).hosts == ()


def test_a_host_that_refuses_to_talk_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"a": ConnectionRefusedError(), "b": TimeoutError(), "c": OSError(113, "no route")}

    def connect(address: tuple[str, int], seconds: float) -> object:
        raise answers.get(address[0], socket.gaierror())

    monkeypatch.setattr(socket, "create_connection", connect)
    assert silent_hosts(["a", "b", "unknown", "c"]) == ["b", "c"]


@pytest.mark.parametrize(
    ("line", "folder", "expected"),
    [
        ("train a.toml", "", "train a.toml"),
        ("train a.toml --force", "", "train a.toml --force"),
        ("train a.toml --out o --force", "/x/o", "train a.toml --out o --resume"),
        ("train a.toml --out=o --resume", "/x/o", "train a.toml --out=o --resume"),
        ("train a.toml", "/x/runs/train-3", "train a.toml --resume --out /x/runs/train-3"),
        ("train --resume", "/x/runs/train", "train --resume --out /x/runs/train"),
    ],
)
def test_what_is_started_again(line: str, folder: str, expected: str) -> None:
    words = again(line.split(), folder)
    assert " ".join(words) == expected
    assert not isinstance(parse(words), ParsedExit)


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\nexit 1\n")
        path.chmod(0o755)


def test_the_kind_by_what_lies_beside(tmp_path: Path) -> None:
    touch(tmp_path / "a/mpirun", tmp_path / "a/ompi_info")
    touch(tmp_path / "b/mpirun", tmp_path / "b/mpichversion")
    assert mpi_kind(str(tmp_path / "a/mpirun")) == "openmpi"
    assert mpi_kind(str(tmp_path / "b/mpirun")) == "mpich"


def test_the_kind_of_alternatives(tmp_path: Path) -> None:
    """As on Debian, where both lie in one folder and links say which is meant."""
    touch(tmp_path / "mpirun.openmpi", tmp_path / "mpiexec.hydra")
    touch(tmp_path / "ompi_info", tmp_path / "mpichversion")
    for target, kind in (("mpirun.openmpi", "openmpi"), ("mpiexec.hydra", "mpich")):
        link = tmp_path / f"{kind}-link"
        link.symlink_to(tmp_path / target)
        assert mpi_kind(str(link)) == kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [("mpirun (Open MPI) 4.1.4", "openmpi"), ("HYDRA build details:", "mpich"), ("srun", "")],
)
def test_the_kind_by_asking(said: str, kind: str, tmp_path: Path) -> None:
    program = tmp_path / "mpirun"
    touch(program)
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    assert mpi_kind(str(program)) == kind


def test_the_kind_of_none(tmp_path: Path) -> None:
    assert mpi_kind(str(tmp_path / "mpirun")) == ""


def test_the_users_mpirun_is_taken_as_it_is() -> None:
    options = LaunchOptions(("train",), mpirun="mpirun --hostfile 'my hosts'")
    assert mpirun_words(options, 64) == ["mpirun", "--hostfile", "my hosts"]
    with pytest.raises(JobError, match="--mpirun"):
        mpirun_words(LaunchOptions(("train",), mpirun="mpirun 'a"), 2)


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a Python that has no mpirun yet, and neither has PATH."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin/python"))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    return tmp_path / "bin"


def test_the_mpirun_beside_this_python_is_preferred(beside: Path) -> None:
    with pytest.raises(JobError, match="no mpirun"):
        mpirun_words(TRAIN, 2)
    on_path = beside.parent / "path"
    touch(on_path / "mpirun", on_path / "mpichversion")
    assert mpirun_words(TRAIN, 2) == [str(on_path / "mpirun")]
    touch(beside / "mpirun", beside / "ompi_info")
    few = [str(beside / "mpirun"), "--bind-to", "none"]
    assert mpirun_words(TRAIN, 1) == few
    assert mpirun_words(TRAIN, count_cores() + 1) == [*few, "--oversubscribe"]


def test_cores_are_those_that_may_be_used() -> None:
    assert 1 <= count_cores() <= len(os.sched_getaffinity(0))


@pytest.fixture
def requests() -> Iterator[Requests]:
    """Return the signals that come; put back what else would become of them."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield Requests()
    for number, handler in before.items():
        signal.signal(number, handler)


def fake(folder: Path, text: str) -> list[str]:
    """Return a program in place of mpirun."""
    path = folder / "mpirun"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return [str(path)]


def test_an_exit_code_passes(tmp_path: Path, requests: Requests) -> None:
    launched = Launched(fake(tmp_path, "exit 7"), 2, ["bench"], "")
    assert launched.wait(requests, 60) == 7


def test_what_mpirun_leaves_is_killed(tmp_path: Path, requests: Requests) -> None:
    """Though it is in a session of its own, and does not mind being asked."""
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
    start = fake(tmp_path, f'setsid {sys.executable} -c "{child}" & echo $! > child; exit 1')
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert Launched(start, 2, ["bench"], "").wait(requests, 60) == 1
        assert b"sleep" not in mpirun._read(int((tmp_path / "child").read_text()), "cmdline")
    finally:
        os.chdir(before)


def test_a_second_signal_ends_what_does_not_end(tmp_path: Path, requests: Requests) -> None:
    ready = tmp_path / "ready"
    start = fake(tmp_path, f"trap '' TERM; touch '{ready}'; while :; do sleep 1; done")
    launched = Launched(start, 2, [], "")
    deadline = time.monotonic() + 60
    while not ready.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.raise_signal(number)
    assert launched.wait(requests, 60) == -signal.SIGKILL


def test_grace_is_limited(tmp_path: Path, requests: Requests) -> None:
    launched = Launched(fake(tmp_path, "trap '' USR1; while :; do sleep 1; done"), 2, [], "")
    signal.raise_signal(signal.SIGUSR1)
    assert launched.wait(requests, 0.1) == -signal.SIGTERM


def test_an_mpirun_that_does_not_see_the_end_is_ended(
    tmp_path: Path, requests: Requests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mpirun, "_LINGER_SECONDS", 0.1)
    launched = Launched(fake(tmp_path, "while :; do sleep 1; done"), 2, [], "")
    assert launched.wait(requests, 60, lambda: True) == -signal.SIGTERM


def test_what_is_set_for_us_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By words, for an mpirun may leave the environment behind."""
    monkeypatch.setenv("MPI_GD_STALL_SECONDS", "7")
    told = tmp_path / "told"
    Launched(
        fake(tmp_path, f'printf "%s\\n" "$@" > {told}'), 2, ["bench"], "status"
    )._process.wait()
    words = told.read_text().split()
    assert words[:3] == ["-n", "2", "env"]
    assert {"MPI_GD_STALL_SECONDS=7", "MPI_GD_RANKS=2", "MPI_GD_STATUS=status"} <= set(words)


def test_an_mpirun_that_cannot_be_started_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="cannot start"):
        Launched([str(tmp_path / "none")], 2, [], "")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("launch train a.toml --resume", LaunchOptions(("train", "a.toml", "--resume"))),
        (
            "launch --ranks 3 --max-restarts 2 --grace 2.5 --mpirun srun train --out o",
            LaunchOptions(("train", "--out", "o"), 3, 2, "srun", 2.5),
        ),
    ],
)
def test_options(line: str, expected: LaunchOptions) -> None:
    assert parse(line.split()) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("launch", "the following arguments are required: COMMAND"),
        ("launch trian", "unknown command 'trian'; did you mean 'train'?"),
        ("launch train --resme", "unknown option '--resme'; did you mean --resume?"),
        ("launch --rank 3 train", "unknown option '--rank'; did you mean --ranks?"),
        ("launch launch train", "launch cannot run itself"),
        ("launch --grace nan train", "--grace must be 0 seconds or more, got nan"),
        ("launch --grace soon train", "argument --grace: got 'soon', expected a number"),
        ("launch --ranks -1 train", "--ranks must be 1 or more, got -1"),
    ],
)
def test_mistakes_are_found_before_anything_is_started(line: str, expected: str) -> None:
    left = parse(line.split())
    assert isinstance(left, ParsedExit)
    assert left.code == 2
    assert left.text.startswith(f"mpi_gd: error: {expected}")
