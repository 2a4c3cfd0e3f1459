"""A time limit costs nothing but time: what was trained before it is kept."""

from __future__ import annotations

from typing import Any

import pytest

CLUSTER = {"n": 3}
# A job waits for others, and for Slurm's clocks.
pytestmark = pytest.mark.timeout(400)


def test_time_limits(site: Any, whole: bytes) -> None:
    """All at once: Slurm's limits are minutes, and it looks at them twice a minute."""
    minute = ("--time=1", "--ntasks-per-node=1")
    careless = site.folder / "careless.toml"
    careless.write_text(site.job.read_text().replace("tol = 0", "tol = 0\nbefore_time_limit = 0"))
    warned = site.submit(
        "preemptible.sbatch",
        *(*minute, "--nodes=2", "--signal=B:USR1@10"),
        mpi="mpich",
        pause=1.0,
        job=str(careless),
    )
    aware = site.submit("one_node.sbatch", *minute, mpi="openmpi", pause=1.0, out="aware")
    killed = site.submit(
        "one_node.sbatch", *minute, mpi="mpich", pause=1.0, job=str(careless), out="killed"
    )
    # Slurm keeps whole minutes, but counts to the second.
    killed.until_training()
    site.cluster.call("scontrol", "update", f"job={killed.number}", "EndTime=now+10")
    warned.until(lambda: "saved; putting the job back into the queue" in warned.text)
    warned.release()
    assert warned.end() == "COMPLETED 0:0", warned.text
    assert warned.model == whole
    assert killed.end().startswith("TIMEOUT"), killed.text
    assert aware.end() == "FAILED 75:0", aware.text
    assert f"the time limit of Slurm job {aware.number} is near: stopping" in aware.text
    assert aware.status["state"] == "stopped"
    again = [
        site.submit("one_node.sbatch", "--ntasks-per-node=2", mpi=mpi, job=job, out=out)
        for mpi, job, out in (("openmpi", "", "aware"), ("mpich", str(careless), "killed"))
    ]
    for run in again:
        assert run.end() == "COMPLETED 0:0", run.text
        assert "Going on from iteration" in run.text, run.text
        assert run.model == whole
