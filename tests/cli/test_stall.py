"""A rank that hangs is named, with what it was doing; when it goes on, nothing has happened."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.launch import mpirun_command
from tests.running import Running

SLOW = """
[solver]
kind = "gd"
step = 1e-4
[stop]
max_iter = 1200
tol = 0
[checkpoint]
every_iterations = 20
"""


@pytest.fixture
def training(workplace: Any) -> Iterator[Running]:
    """Return a training that has written its first checkpoints."""
    words = [sys.executable, "-m", "mpi_gd", "train", workplace.job(SLOW), "--out", "run"]
    folder = workplace.folder
    started = Running([*mpirun_command(3), *words], folder, MPI_GD_STALL_SECONDS="1")
    try:
        started.until(lambda: len(list(folder.glob("run/checkpoints/*.npz"))) >= 2)
        yield started
    finally:
        started.kill()


def named(training: Running, number: int, pid: int) -> Callable[[], object]:
    """Return whether a rank has been reported."""
    line = re.compile(
        rf"^mpi_gd: warning: rank {number} \(host \S+, process {pid}\) "
        r"has not been heard of for \d+ s; it was \w.*$",
        re.MULTILINE,
    )
    return lambda: line.search(training.text)


def test_stopped_ranks_are_named_and_go_on(training: Running, workplace: Any, program: Any) -> None:
    """The root watches all others, and rank 1 the root."""
    pids = {number: training.rank(number) for number in (0, 2)}
    try:
        os.kill(pids[2], signal.SIGSTOP)
        training.until(named(training, 2, pids[2]))
        os.kill(pids[0], signal.SIGSTOP)
        os.kill(pids[2], signal.SIGCONT)
        training.until(named(training, 0, pids[0]))
    finally:
        for pid in pids.values():
            os.kill(pid, signal.SIGCONT)
    assert training.wait() == 0, training.text
    assert program(1, "train", "job.toml", "--out", "whole", timeout=100).rc == 0
    assert workplace.model("run") == workplace.model("whole")
