"""The launcher: a crash is followed by a new start, a signal by a checkpoint; nothing is left."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from tests.launch import mpirun_command
from tests.running import Running

JOB = """
[solver]
kind = "gd"
step = 1e-4
[stop]
max_iter = {max_iter}
tol = 0
[checkpoint]
every_iterations = 10
"""
# It stands for mpirun. The first time, it fails at once, or rank 1 kills itself in the middle of
# the training, when there is a checkpoint of it.
DYING = """
    import glob, os, signal, sys, time

    if sys.argv[1] == "mpirun":
        _, _, where, *command = sys.argv
        if not os.path.exists(where):
            open(where, "w").close()
            if where == "early":
                sys.exit(1)
            at = command.index("-m")
            command[at : at + 2] = [__file__]
        os.execv(command[0], command)

    from mpi_gd.objective import Objective

    answer, asked = Objective.answer, 0
    saved = set(glob.glob("runs/*/checkpoints/*.npz"))

    def dying(self, *args, **more):
        global asked
        asked += 1
        while self._world.rank == 1 and asked == 35:
            if set(glob.glob("runs/*/checkpoints/*.npz")) - saved:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.01)
        return answer(self, *args, **more)

    Objective.answer = dying
    from mpi_gd.__main__ import main

    sys.exit(main())
"""


def test_a_crashed_training_is_started_again(workplace: Any, program: Any) -> None:
    """In its own folder: those before it are of earlier runs, that are not to be touched."""
    job = workplace.job(JOB.format(max_iter=50))
    script = workplace.folder / "dying.py"
    script.write_text(textwrap.dedent(DYING))
    assert program(1, "train", job).rc == 0
    for where, how in (("early", "as before"), ("late", "with --resume")):
        mpirun = [sys.executable, str(script), "mpirun", where, *mpirun_command(1)[:-2]]
        options = ["--ranks", "3", "--max-restarts", "2", "--mpirun", shlex.join(mpirun)]
        done = program(0, "launch", *options, "train", job, timeout=100)
        assert done.rc == 0, done.text
        assert not done.orphans
        assert done.err.count(f"starting it again {how} (1 of 2)") == 1, done.text
        assert ("Going on from iteration" in done.out) == (where == "late"), done.text
    assert sorted(os.listdir(workplace.folder / "runs")) == ["train", "train-2", "train-3"]
    assert len({workplace.model(f"runs/{name}") for name in ("train", "train-2", "train-3")}) == 1
    assert not list(workplace.folder.glob(".mpi_gd-*"))


@pytest.mark.one_mpi
def test_it_gives_up(workplace: Any, program: Any) -> None:
    options = ["--ranks", "2", "--max-restarts", "2", "--mpirun", "false"]
    done = program(0, "launch", *options, "train", workplace.job(), timeout=100)
    assert done.rc == 1, done.text
    assert done.err.count("starting it again") == 2


@pytest.mark.one_mpi
def test_a_final_answer_is_not_asked_for_again(workplace: Any, program: Any) -> None:
    job = workplace.job('[solver]\nkind = "gd"\nstep = 1e9', loss="squared")
    done = program(0, "launch", "--ranks", "2", "--max-restarts", "3", "train", job, timeout=100)
    assert done.rc == 3, done.text
    assert "starting it again" not in done.text


@pytest.fixture
def launched(workplace: Any) -> Iterator[Running]:
    """Return a long training under the launcher that has written its first checkpoints."""
    job = workplace.job(JOB.format(max_iter=1_000_000))
    words = "-m mpi_gd launch --ranks 3 --max-restarts 3 --grace".split()
    grace = ["60", "train", job, "--out", "run"]
    started = Running([sys.executable, *words, *grace], workplace.folder)
    try:
        started.until(lambda: len(list(workplace.folder.glob("run/checkpoints/*.npz"))) >= 2)
        yield started
    finally:
        started.kill()


def test_a_signal_stops_with_a_checkpoint(launched: Running, workplace: Any) -> None:
    launched.process.terminate()
    assert launched.wait() == 75, launched.text
    assert "Stopped: the state is saved" in launched.text
    assert launched.kill() == ()
    assert list(workplace.folder.glob("run/checkpoints/*.npz"))


def test_a_second_signal_ends_all(launched: Running) -> None:
    """A frozen rank too, which the first one does not reach."""
    os.kill(launched.rank(1), signal.SIGSTOP)
    launched.process.terminate()
    launched.process.send_signal(signal.SIGINT)
    # One mpirun lets it go on, so that it still can stop in good order; the other one does not.
    assert launched.wait() != 0, launched.text
    assert launched.kill() == ()


def test_other_commands_and_none(workplace: Any, program: Any) -> None:
    done = program(0, "launch", "--ranks", "2", "train", workplace.job(), "--check")
    assert done.rc == 0, done.text
    assert "are good" in done.out
    assert program(0, "launch", "--mpirun", "/nowhere/mpirun", "bench").rc == 2
    assert program(2, "launch", "bench").rc == 2
