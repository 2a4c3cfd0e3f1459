"""Full disks, damaged checkpoints, other people's folders: nothing lost, nothing mixed up."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.launch import Completed, mpirun_command
from tests.running import Running

# What disks do is the same under all MPIs; `tests.faults` fills and damages them under each.
pytestmark = pytest.mark.one_mpi

GD = '[solver]\nkind = "gd"\nstep = 1e-3\n[stop]\nmax_iter = {max_iter}\ntol = 0\n'
SAVING = "[checkpoint]\nevery_iterations = 10\nevery_seconds = 0\n"

# Fills the disk before each checkpoint is written, so that none has room, nor has what comes after.
FILLING = """
    import os, signal, sys
    from mpi_gd import checkpoint

    save, n_saves = checkpoint.save, 0

    def filling(*args):
        global n_saves
        n_saves += 1
        with open(os.environ["FILLER"], "ab", buffering=0) as file:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while file.write(b"x" * size):
                        pass
                except OSError:
                    pass
        if n_saves == int(os.environ["STOP_AT"]):
            os.kill(os.getpid(), signal.SIGUSR1)
        return save(*args)

    checkpoint.save = filling
    from mpi_gd.__main__ import main

    sys.exit(main())
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 256 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def train_while_it_fills(
    workplace: Any, launch: Callable[..., Completed], job: str, stop_at: int
) -> Completed:
    """Train on the small disk, with another folder to fall back to; stop at that checkpoint."""
    script = workplace.folder / "filling.py"
    script.write_text(textwrap.dedent(FILLING))
    elsewhere = workplace.folder / "elsewhere"
    elsewhere.mkdir()
    env = {
        "FILLER": str(workplace.folder / "disk" / "filler"),
        "STOP_AT": str(stop_at),
        "MPI_GD_FALLBACK": str(elsewhere),
    }
    args = [str(script), "train", job, "--out", "disk/run"]
    done = launch(3, args, cwd=workplace.folder, env=env, timeout=100)
    assert "Traceback" not in done.text, done.text
    assert done.err.count("no space left on device (free some disk space); the training") == 1
    return done


def status_in(folder: Path) -> dict[str, Any]:
    """Return what a marker says."""
    marker: dict[str, Any] = json.loads((folder / "status.json").read_text())
    assert {"state", "exit_code", "message", "iteration", "host", "pid", "ranks", "time"} <= set(
        marker
    )
    return marker


def test_a_full_disk_loses_no_model(
    disk: Path, workplace: Any, program: Any, launch: Callable[..., Completed]
) -> None:
    job = workplace.job(GD.format(max_iter=500) + SAVING)
    done = train_while_it_fills(workplace, launch, job, 0)
    assert done.rc == 0, done.text
    assert done.err.count("metrics.jsonl: cannot write: no space left on device") == 1
    assert "iterations could not be written" in done.err
    [model] = (workplace.folder / "elsewhere").rglob("model.npz")
    assert f"The model is {model}" in done.out
    marker = status_in(disk / "run")
    assert (marker["state"], marker["exit_code"], marker["ranks"]) == ("finished", 0, 3)
    assert marker["model"] == str(model)
    assert program(1, "train", job, "--out", "whole", timeout=100).rc == 0
    assert model.read_bytes() == workplace.model("whole")


def test_a_full_disk_loses_no_state(
    disk: Path, workplace: Any, program: Any, launch: Callable[..., Completed]
) -> None:
    """At a stop the checkpoint is written elsewhere, and can be gone on from there."""
    job = workplace.job(GD.format(max_iter=10**9) + SAVING)
    done = train_while_it_fills(workplace, launch, job, 3)
    assert done.rc == 75, done.text
    [state] = (workplace.folder / "elsewhere").rglob("*.npz")
    assert f"the state is saved in {state}. Put it into disk/run/checkpoints" in done.out
    marker = status_in(disk / "run")
    assert (marker["state"], marker["exit_code"]) == ("stopped", 75)
    (disk / "filler").unlink()
    shutil.move(state, disk / "run" / "checkpoints")
    limit = ["--set", f"stop.max_iter={marker['iteration'] + 20}", "--progress", "none"]
    again = program(2, "train", job, "--out", "disk/run", "--resume", *limit, timeout=100)
    assert again.rc == 0, again.text
    assert program(1, "train", job, "--out", "whole", *limit, timeout=100).rc == 0
    assert workplace.model("disk/run") == workplace.model("whole")


@pytest.fixture
def finished(workplace: Any, program: Any) -> str:
    """Return the job of a run that ended at 30 iterations, and has checkpoints."""
    job = workplace.job(GD.format(max_iter=30) + SAVING)
    assert program(2, "train", job, "--out", "run").rc == 0
    return str(job)


def resume(program: Any, job: str, *settings: str) -> Any:
    """Go on to 60 iterations."""
    words = [word for setting in ("stop.max_iter=60", *settings) for word in ("--set", setting)]
    return program(3, "train", job, "--out", "run", "--resume", *words)


def test_damaged_checkpoints_are_passed_over_aloud(
    finished: str, workplace: Any, program: Any
) -> None:
    saved = sorted((workplace.folder / "run" / "checkpoints").iterdir())
    assert len(saved) > 1, "the last iteration's, and one that went before it"
    data = bytearray(saved[-1].read_bytes())
    data[len(data) // 2] ^= 1
    saved[-1].write_bytes(data)
    done = resume(program, finished)
    assert done.rc == 0, done.text
    assert done.err.count("this checkpoint is damaged") == 1 and saved[-1].name in done.err
    assert program(1, "train", finished, "--out", "whole", "--set", "stop.max_iter=60").rc == 0
    assert workplace.model("run") == workplace.model("whole")
    before = workplace.model("run")
    for path in (workplace.folder / "run" / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    lost = resume(program, finished, "stop.max_iter=70")
    assert lost.rc == 2, "never a new start that nobody asked for"
    assert "checkpoints are damaged; begin anew with --force" in lost.err
    assert workplace.model("run") == before


def test_a_run_of_another_job_is_not_gone_on_with(
    finished: str, workplace: Any, program: Any
) -> None:
    before = workplace.model("run")
    other = resume(program, finished, "penalty.alpha=0.5", "seed=4")
    assert other.rc == 2, other.text
    assert "penalty.alpha was 0.001 and is 0.5; seed was 0 and is 4" in other.err
    status = status_in(workplace.folder / "run")
    assert status["state"] == "finished", "a run that was not touched"
    for path in (workplace.folder / "run" / "checkpoints").iterdir():
        path.unlink()
    other = resume(program, finished, "penalty.alpha=0.5")
    assert other.rc == 2, other.text
    assert "this run is of another job or other data: penalty.alpha was" in other.err
    assert workplace.model("run") == before
    anew = resume(program, finished, "name=other", "checkpoint.keep=2")
    assert anew.rc == 0, anew.text
    assert "There is no checkpoint: training from the start." in anew.out
    np.save(workplace.folder / "label.npy", -workplace.label)
    other = resume(program, finished, "stop.max_iter=70")
    assert other.rc == 2, other.text
    assert "this checkpoint is of another job or other data: the data was " in other.err


def test_two_programs_do_not_share_a_folder(workplace: Any, program: Any) -> None:
    job = workplace.job(GD.format(max_iter=10**9) + SAVING)
    command = [*mpirun_command(2), sys.executable, "-m", "mpi_gd", "train", job, "--out", "run"]
    first = Running(command, workplace.folder)
    try:
        first.until(lambda: list(workplace.folder.glob("run/checkpoints/*.npz")))
        root = status_in(workplace.folder / "run")["pid"]
        for how in ("--force", "--resume"):
            second = program(1, "train", job, "--out", "run", how)
            assert second.rc == 2, second.text
            assert "another program is training in this folder" in second.err
            assert f"(process {root} on " in second.err
        assert status_in(workplace.folder / "run")["pid"] == root
        assert first.process.poll() is None
    finally:
        first.kill()


def test_the_marker_tells_of_failures(workplace: Any, program: Any) -> None:
    """Also of those before there is a folder, to a launcher that waits."""
    told = workplace.folder / "told"
    told.mkdir()
    env = {"MPI_GD_STATUS": str(told / "status.json")}
    job = workplace.job('[solver]\nkind = "gd"\nstep = 1e9', loss="squared")
    done = program(2, "train", job, "--out", "run", env=env)
    assert done.rc == 3, done.text
    for folder in (workplace.folder / "run", told):
        marker = status_in(folder)
        assert (marker["state"], marker["exit_code"]) == ("failed", 3)
        assert "not a finite number" in marker["message"]
    (workplace.folder / "x.npy").unlink()
    done = program(2, "train", job, "--out", "new", env=env)
    assert done.rc == 2, done.text
    marker = status_in(told)
    assert (marker["state"], marker["exit_code"], marker["folder"]) == ("failed", 2, "")
    assert "x.npy" in marker["message"]
    assert not (workplace.folder / "new").exists()
