"""Signals and killed ranks: nothing hangs, and what was saved goes on to the same bytes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.launch import mpirun_command
from tests.running import Running

ENDLESS = '[solver]\nkind = "gd"\nstep = 1e-4\n[stop]\nmax_iter = 1_000_000_000\ntol = 0\n'
SAVING = "[checkpoint]\nevery_iterations = 50\n"


@pytest.fixture
def running(workplace: Any) -> Iterator[Running]:
    """Return a training on 4 ranks that does not end by itself."""
    job = workplace.job(ENDLESS + SAVING)
    command = [*mpirun_command(4), sys.executable, "-m", "mpi_gd", "train", job, "--out", "run"]
    started = Running(command, workplace.folder)
    saved = workplace.folder / "run" / "checkpoints"
    started.until(lambda: len(list(saved.glob("*.npz"))) >= 2)
    yield started
    started.kill()


def status_of(workplace: Any) -> str:
    """Return what the run's marker says."""
    return str(json.loads((workplace.folder / "run" / "status.json").read_text())["state"])


def iterations_of(workplace: Any) -> list[int]:
    """Return the iterations that a run's history has; a kill may have cut its last line."""
    lines = (workplace.folder / "run" / "metrics.jsonl").read_text().split("\n")[:-1]
    return [json.loads(line)["iteration"] for line in lines]


def finish_and_compare(workplace: Any, program: Any, *how: str, **options: Any) -> None:
    """Go on for a while on 2 ranks, and compare with a run that was never stopped."""
    limit = ["--set", f"stop.max_iter={iterations_of(workplace)[-1] + 100}"]
    done = program(2, "train", "job.toml", "--out", "run", *how, *limit, **options)
    assert done.rc == 0, done.text
    assert "Going on from iteration" in done.out
    assert program(1, "train", "job.toml", "--out", "whole", *limit).rc == 0
    assert workplace.model("run") == workplace.model("whole")
    assert status_of(workplace) == "finished"
    iterations = iterations_of(workplace)
    assert iterations == list(range(len(iterations)))


@pytest.mark.parametrize("who", ["mpirun", "one rank"])
def test_usr1_stops_with_a_checkpoint(
    who: str, running: Running, workplace: Any, program: Any
) -> None:
    pid = running.process.pid if who == "mpirun" else running.rank(2)
    os.kill(pid, signal.SIGUSR1)
    assert running.wait() == 75
    assert status_of(workplace) == "stopped"
    assert not (workplace.folder / "run" / "model.npz").exists()
    finish_and_compare(workplace, program, "--resume")


@pytest.mark.parametrize("victim", [0, 2])
def test_a_killed_rank_ends_all(
    victim: int, running: Running, workplace: Any, program: Any
) -> None:
    os.kill(running.rank(victim), signal.SIGKILL)
    assert running.wait() != 0
    assert not running.kill(), "ranks are left"
    assert status_of(workplace) == "running", "what a crash leaves"
    finish_and_compare(workplace, program, "--resume")


def test_a_second_signal_ends_at_once(running: Running, workplace: Any, program: Any) -> None:
    """The first one cannot be obeyed: a rank is frozen, and the others wait for it."""
    os.kill(running.rank(3), signal.SIGSTOP)
    victim = running.rank(1)
    os.kill(victim, signal.SIGTERM)
    time.sleep(1.5)
    assert running.process.poll() is None
    os.kill(victim, signal.SIGTERM)
    # The launcher ends all when one rank dies, but a frozen one cannot be asked to.
    deadline = time.monotonic() + 60
    while "a second signal" not in running.text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.kill()
    finish_and_compare(workplace, program, "--resume")


@pytest.mark.one_mpi
def test_a_finished_run_is_not_trained_again(workplace: Any, program: Any) -> None:
    job = workplace.job()
    assert program(2, "train", job, "--out", "run").rc == 0
    before = workplace.model("run")
    again = program(3, "train", job, "--out", "run", "--resume")
    assert again.rc == 0
    assert "has finished before" in again.out
    assert workplace.model("run") == before


@pytest.mark.one_mpi
def test_a_requeued_job_resumes_by_itself(workplace: Any, program: Any) -> None:
    job = workplace.job(ENDLESS + SAVING)
    stopped = program(2, "train", job, "--out", "run", "--set", "stop.max_seconds=0.2")
    assert stopped.rc == 75, stopped.text
    finish_and_compare(workplace, program, env={"SLURM_RESTART_COUNT": "1"})
