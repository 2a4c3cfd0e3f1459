"""A job that is put back into the queue goes on to the bytes of an undisturbed run."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.slurm.site import SRUN

CLUSTER = {"n": 4}
# A job waits for others, and for Slurm's clocks.
pytestmark = pytest.mark.timeout(400)
TWO = ("--nodes=2", "--ntasks-per-node=1", "--job-name=goes-on")
# What starts the ranks, and how: under Open MPI's mpirun a job that Slurm ends has no time to save.
STARTS = {
    "srun": ("openmpi", SRUN),
    "mpirun of MPICH": ("mpich", "mpirun"),
    "mpirun of Open MPI": ("openmpi", "mpirun"),
}


@pytest.fixture
def running(site: Any) -> Iterator[dict[str, Any]]:
    """Return a slow training under each launcher, on two nodes each, that has saved its state."""
    runs = {
        name: site.submit("preemptible.sbatch", *TWO, mpi=mpi, env={"START": start}, pause=0.3)
        for name, (mpi, start) in STARTS.items()
    }
    try:
        for run in runs.values():
            run.until_training()
        yield runs
    finally:
        site.cluster.call("scancel", "--quiet", "--name=goes-on")


def goes_on(name: str, run: Any, site: Any, whole: bytes) -> None:
    """Let it finish; fail if it has not gone on to the right bytes."""
    run.release()
    assert run.end() == "COMPLETED 0:0", f"{name}: {run.text}"
    restarts = int(run.shown["Restarts"])
    assert restarts == 1, run.text
    assert f"Slurm job {run.number} (restart {restarts}): " in run.text, run.text
    assert "Going on from iteration" in run.text, f"{name}: {run.text}"
    assert (run.status["slurm_job"], run.status["slurm_restarts"]) == (run.number, restarts)
    assert run.model == whole, name
    assert not list(site.folder.glob(f".mpi_gd-{run.number}.*")), "litter"


def test_usr1(running: dict[str, Any], site: Any, whole: bytes) -> None:
    """As --signal=B:USR1@120 sends it ahead of the time limit."""
    for run in running.values():
        site.cluster.call("scancel", "--batch", "--signal=USR1", run.number)
    for name, run in running.items():
        run.until(lambda run=run: run.shown["Restarts"] != "0")
        assert "saved; putting the job back into the queue" in run.text, f"{name}: {run.text}"
        goes_on(name, run, site, whole)


def test_preemption(running: dict[str, Any], site: Any, whole: bytes) -> None:
    words = ("--partition=high", "--nodes=4", "--exclusive", "--output=/dev/null", "--wrap=true")
    high = site.cluster.submit(*words, folder=site.folder)
    assert site.cluster.wait(high)["JobState"] == "COMPLETED"
    for name, run in running.items():
        goes_on(name, run, site, whole)
        assert "putting the job back" not in run.text, "Slurm does that by itself"


def test_cancelled_is_cancelled(running: dict[str, Any], site: Any) -> None:
    assert trainings(site)
    for run in running.values():
        site.cluster.call("scancel", run.number)
    for name, run in running.items():
        assert run.end().startswith("CANCELLED"), f"{name}: {run.text}"
        assert run.shown["Restarts"] == "0", f"{name}: {run.text}"
        assert run.status["state"] in ("stopped", "running")
        assert not list(site.folder.glob(f".mpi_gd-{run.number}.*")), "litter"
    site.cluster.until(lambda: not trainings(site), 10)
    for run in running.values():
        run.release()


def trainings(site: Any) -> str:
    """Return the processes of trainings that are left of this cluster."""
    done = subprocess.run(
        ["pgrep", "-af", f"mpi_gd.*{site.folder}"], capture_output=True, text=True, timeout=20
    )
    return done.stdout
