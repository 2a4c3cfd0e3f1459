"""Back into Slurm's queue: when, how often, and never against the user's or Slurm's own will."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mpi_gd.__main__ import main
from mpi_gd.allocation import Allocation
from mpi_gd.commands import launch, requeue
from mpi_gd.commands.requeue import may_crash_again, put_back
from mpi_gd.options import LaunchOptions

JOB = Allocation("17", "17")


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let there be a scontrol, for which a job is in that state, and which requeues by `body`."""
    monkeypatch.setattr(requeue, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()

    def write(state: str, body: str = "") -> None:
        path = tmp_path / "bin" / "scontrol"
        show = f"echo 'JobId=17 JobName=x JobState={state} Reason=None'" if state else "exit 1"
        path.write_text(
            f'#!/bin/bash\necho "$*" >> {tmp_path}/asked\n'
            f"if [[ $1 == show ]]; then {show}; exit; fi\n{body or ':'}\n"
        )
        path.chmod(0o755)

    return write


def asked(folder: Path) -> list[str]:
    path = folder / "asked"
    return path.read_text().splitlines() if path.exists() else []


def test_a_running_job_is_put_back_and_its_end_waited_for(
    scontrol: Callable[..., None], tmp_path: Path
) -> None:
    scontrol("RUNNING")
    looks = iter([False, False, True])
    assert put_back(JOB, lambda: next(looks)) == ""
    assert asked(tmp_path) == ["show job --oneliner 17", "requeue 17"]
    assert next(looks, None) is None


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", "REQUEUED", "PREEMPTED"])
def test_a_job_that_ends_already_is_left_alone(
    state: str, scontrol: Callable[..., None], tmp_path: Path
) -> None:
    scontrol(state)
    assert put_back(JOB, lambda: True) == f"it is {state}"
    assert asked(tmp_path) == ["show job --oneliner 17"]


def test_a_busy_controller_is_asked_again(scontrol: Callable[..., None], tmp_path: Path) -> None:
    scontrol(
        "RUNNING",
        f"[[ $(grep -c requeue {tmp_path}/asked) -ge 3 ]] || {{ echo busy >&2; exit 1; }}",
    )
    assert put_back(JOB, lambda: True) == ""
    assert asked(tmp_path).count("requeue 17") == 3


@pytest.mark.parametrize(
    ("body", "why"), [("echo 'not permitted' >&2; exit 1", "not permitted"), ("exit 7", "code 7")]
)
def test_a_controller_that_refuses_is_quoted(
    body: str, why: str, scontrol: Callable[..., None], tmp_path: Path
) -> None:
    # It does not tell the state, either: that alone is no reason to give up.
    scontrol("", body)
    assert why in put_back(JOB, lambda: True)
    assert asked(tmp_path).count("requeue 17") == requeue._TRIES


def test_without_slurm_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requeue, "_PAUSE_SECONDS", 0.0)
    monkeypatch.setenv("PATH", os.devnull)
    assert "scontrol" in put_back(JOB, lambda: True)


def saved(folder: Path, iteration: int) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    (folder / "checkpoints" / f"{iteration:09d}.npz").touch()


def test_crashes_count_until_there_is_a_new_checkpoint(tmp_path: Path) -> None:
    run = str(tmp_path)
    assert [may_crash_again(run, JOB, 2) for _ in range(3)] == [True, True, False]
    saved(tmp_path, 40)
    assert [may_crash_again(run, JOB, 2) for _ in range(3)] == [True, True, False]
    (tmp_path / "checkpoints" / "notes.txt").touch()
    saved(tmp_path, 30)
    assert not may_crash_again(run, JOB, 2), "an older checkpoint is no progress"
    saved(tmp_path, 41)
    assert may_crash_again(run, JOB, 1)
    assert not may_crash_again(run, JOB, 1)
    assert not may_crash_again(run, JOB, 0)


@pytest.mark.parametrize("note", ["", "[]", '{"iteration": 1}', '{"iteration": "x", "count": 1}'])
def test_a_damaged_note_is_begun_anew(note: str, tmp_path: Path) -> None:
    (tmp_path / ".crashes.json").write_text(note)
    assert may_crash_again(str(tmp_path), JOB, 1)
    assert json.loads((tmp_path / ".crashes.json").read_text()) == {
        "job": "17",
        "iteration": -1,
        "count": 1,
    }


def test_a_job_that_is_submitted_anew_begins_with_none(tmp_path: Path) -> None:
    assert [may_crash_again(str(tmp_path), JOB, 1) for _ in range(2)] == [True, False]
    assert may_crash_again(str(tmp_path), Allocation("18", "18"), 1)


def test_where_no_note_is_taken_the_jobs_restarts_count(tmp_path: Path) -> None:
    (tmp_path / ".crashes.json").mkdir()
    assert may_crash_again(str(tmp_path), Allocation("17", restarts=1), 2)
    assert not may_crash_again(str(tmp_path), Allocation("17", restarts=2), 2)


def test_without_a_folder_the_jobs_restarts_count() -> None:
    assert may_crash_again("", Allocation("17", restarts=1), 2)
    assert not may_crash_again("", Allocation("17", restarts=2), 2)


@pytest.fixture
def signals_kept() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def batch(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scontrol: Callable[..., None],
    signals_kept: None,
) -> Callable[..., int]:
    """Run `launch --requeue` in a Slurm job; mpirun is a script that leaves a marker."""
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    monkeypatch.setenv("SLURM_NTASKS", "5")
    monkeypatch.setattr(requeue, "_END_SECONDS", 0.2)
    monkeypatch.setattr(launch, "_FIRST_PAUSE", 1.0)
    monkeypatch.chdir(tmp_path)
    scontrol("RUNNING")
    (tmp_path / "run").mkdir()

    def run(state: str, code: int, *, body: str = "", most: int = 1, by: str = "") -> int:
        told = {"state": state, "exit_code": code, "folder": str(tmp_path / "run")}
        marker = json.dumps({**told, "stopped_by": by})
        mpirun = tmp_path / "mpirun"
        mpirun.write_text(
            f'#!/bin/bash\necho "$*" >> started\n'
            f"[[ '{state}' ]] && echo '{marker}' > $MPI_GD_STATUS\n{body}\nexit {code}\n"
        )
        mpirun.chmod(0o755)
        return launch.run(
            LaunchOptions(
                ("train", "job.toml"), requeue=True, mpirun=str(mpirun), max_restarts=most
            )
        )

    return run


def test_a_stopped_training_goes_back(batch: Callable[..., int], tmp_path: Path) -> None:
    assert batch("stopped", 75) == 75
    assert asked(tmp_path)[-1:] == ["requeue 17"]
    [started] = (tmp_path / "started").read_text().splitlines()
    assert started.startswith("-n 5 "), "as many ranks as the job has tasks"


def test_a_training_that_was_to_last_so_long_does_not_come_back(
    batch: Callable[..., int], tmp_path: Path
) -> None:
    assert batch("stopped", 75, by="stop.max_seconds") == 75
    assert asked(tmp_path) == []


@pytest.mark.parametrize(("state", "code"), [("finished", 0), ("failed", 2), ("failed", 3)])
def test_a_final_answer_stays(
    state: str, code: int, batch: Callable[..., int], tmp_path: Path
) -> None:
    assert batch(state, code) == code
    assert asked(tmp_path) == []


def test_a_crash_goes_back_until_it_repeats_itself(
    batch: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert batch("running", 14) == 14
    assert asked(tmp_path).count("requeue 17") == 1
    assert "without a new checkpoint: giving up" in capsys.readouterr().err
    assert (tmp_path / "started").read_text().count("\n") == 2, "it is Slurm that starts again"


def test_a_job_that_is_cancelled_does_not_come_back_to_life(
    batch: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is to end the job reaches the ranks first, the launcher a moment later."""
    # Not one of the launch's own processes, which it would end.
    kill = f"sleep 0.3; kill -TERM {os.getpid()}"
    late = f"env -i setsid bash -c '{kill}' >/dev/null 2>&1 &"
    assert batch("running", 137, body=late, most=0) == 137
    assert batch("stopped", 75, body=f"kill -TERM {os.getpid()}; sleep 0.3") == 75
    assert asked(tmp_path) == []
    assert capsys.readouterr().err.count("as the job is to end") == 2


def test_usr1_is_no_end(batch: Callable[..., int], tmp_path: Path) -> None:
    assert batch("stopped", 75, body=f"kill -USR1 {os.getpid()}; sleep 0.3") == 75
    assert asked(tmp_path)[-1:] == ["requeue 17"]


def test_a_job_that_cannot_go_back_says_why(
    batch: Callable[..., int],
    scontrol: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    scontrol("RUNNING", "echo 'Requested operation not permitted' >&2; exit 1")
    assert batch("stopped", 75) == 75
    assert "could not be put back: Requested operation not" in capsys.readouterr().err


def test_it_is_for_slurm_jobs_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert main(["launch", "--requeue", "train"]) == 2
    assert "--requeue is for the batch script" in capsys.readouterr().err
