"""A node that dies, or that nobody hears: the job goes on, on others, to the same bytes."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.slurm.site import SRUN

CLUSTER = {"n": 11}
# A job waits for others, and for Slurm's clocks.
pytestmark = pytest.mark.timeout(400)
# Each job has two nodes for itself, as long as all are there.
TWO = ("--nodes=2", "--ntasks-per-node=1", "--exclusive", "--time=10")
STARTS = {
    "srun, the second node dies": ("openmpi", SRUN),
    "mpirun, the second node dies": ("openmpi", "mpirun"),
    "srun, the second node is cut off": ("openmpi", SRUN),
    "MPICH's mpirun, the second node dies": ("mpich", "mpirun"),
    "mpirun, the first node dies": ("openmpi", "mpirun"),
}


def test_lost_nodes_are_survived(site: Any, whole: bytes) -> None:
    """All at once: it takes Slurm 10 s and more to notice."""
    if not site.cluster.has_hosts:
        leave = pytest.fail if os.environ.get("MPI_GD_TESTS_NEED_SLURM") else pytest.skip
        leave("the nodes have no hosts of their own here")
    runs = {
        name: site.submit("preemptible.sbatch", *TWO, mpi=mpi, env={"START": start}, pause=0.5)
        for name, (mpi, start) in STARTS.items()
    }
    for run in runs.values():
        run.until_training()
    for name, run in runs.items():
        first = run.shown["BatchHost"]
        host = site.cluster.machine(first if "first" in name else other_node(site, run))
        host.cut() if "cut" in name else host.kill()
    for run in runs.values():
        run.until(lambda run=run: int(run.shown["Restarts"]) >= 1, 90)
        run.release()
    for name, run in runs.items():
        assert run.end() == "COMPLETED 0:0", f"{name}: {run.text}"
        assert "Going on from iteration" in run.text, f"{name}: {run.text}"
        assert run.model == whole, name


def other_node(site: Any, run: Any) -> str:
    """Return the node of a job where its batch script does not run."""
    nodes = site.cluster.call("scontrol", "show", "hostnames", run.shown["NodeList"]).split()
    return str(next(node for node in nodes if node != run.shown["BatchHost"]))
