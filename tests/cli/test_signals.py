"""Signals and killed ranks: nothing hangs, and what was saved goes on to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.launch import mpirun_command

SLOW = '[solver]\nkind = "gd"\nstep = 1e-4\n[stop]\nmax_iter = 3000\ntol = 0\n'
SAVING = "[checkpoint]\nevery_iterations = 50\n"


class Running:
    """A training under mpirun that was left to itself."""

    def __init__(self, n: int, folder: Path, job: str, out: str) -> None:
        """Start it, and wait for its first checkpoints."""
        self.out = folder / out
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        }
        arguments = [sys.executable, "-m", "mpi_gd", "train", job, "--out", out]
        self.process = subprocess.Popen(
            [*mpirun_command(n), *arguments],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.until(lambda: len(list(self.out.glob("checkpoints/*.npz"))) >= 2)

    def until(self, condition: Any, seconds: float = 40.0) -> None:
        """Wait for something to become true; fail when it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            assert self.process.poll() is None, f"ended with {self.process.returncode}"
            time.sleep(0.01)

    def ranks(self) -> list[int]:
        """Return the processes of the ranks."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                is_here = os.readlink(entry / "cwd") == str(self.out.parent)
            except OSError:
                continue
            # mpirun's own command line holds the same words, but begins with another one.
            if is_here and words[0].endswith(b"python") and b"mpi_gd" in words:
                found.append(int(entry.name))
        return sorted(found)

    def wait(self, seconds: float = 30.0) -> int:
        """Return the exit code; a hang is a failure."""
        return self.process.wait(seconds)

    def kill(self) -> None:
        """End what is left."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        for pid in self.ranks():
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def running(workplace: Any) -> Iterator[Running]:
    """Return a training on 4 ranks that takes a while."""
    started = Running(4, workplace.folder, workplace.job(SLOW + SAVING), "run")
    yield started
    started.kill()


def finish_and_compare(workplace: Any, program: Any) -> None:
    """Go on with the run on 2 ranks, and compare with one that was never stopped."""
    done = program(2, "train", "job.toml", "--out", "run", "--resume", timeout=100)
    assert done.rc == 0, done.text
    assert "Going on from iteration" in done.out
    assert program(1, "train", "job.toml", "--out", "whole", timeout=100).rc == 0
    assert workplace.model("run") == workplace.model("whole")


@pytest.mark.parametrize("who", ["mpirun", "one rank"])
def test_usr1_stops_with_a_checkpoint(
    who: str, running: Running, workplace: Any, program: Any
) -> None:
    pid = running.process.pid if who == "mpirun" else running.ranks()[2]
    os.kill(pid, signal.SIGUSR1)
    assert running.wait() == 75
    assert not (workplace.folder / "run" / "model.npz").exists()
    finish_and_compare(workplace, program)


@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_rank_ends_all(
    victim: int, running: Running, workplace: Any, program: Any
) -> None:
    os.kill(running.ranks()[victim], signal.SIGKILL)
    assert running.wait() != 0
    deadline = time.monotonic() + 5
    while running.ranks():
        assert time.monotonic() < deadline, "ranks are left"
        time.sleep(0.01)
    finish_and_compare(workplace, program)
