"""A launcher that does not fit the MPI: ranks that never meet are an error, with what to do."""

from __future__ import annotations

from typing import Any

import pytest

CLUSTER = {"n": 2}
# A job waits for others, and for Slurm's clocks.
pytestmark = pytest.mark.timeout(400)
WRONG = [("mpich", "pmix"), ("mpich", "none"), ("openmpi", "pmi2"), ("openmpi", "none")]


def test_ranks_that_never_meet_are_one_error(site: Any) -> None:
    """Without a look at it: as many runs as there are ranks, on each other's files."""
    options = ("--nodes=2", "--ntasks-per-node=1")
    runs = {
        (mpi, plugin): site.submit("many_nodes_srun.sbatch", *options, mpi=mpi, env={"MPI": plugin})
        for mpi, plugin in WRONG
    }
    for (mpi, plugin), run in runs.items():
        assert run.end() == "FAILED 2:0", run.text
        assert run.text.count("mpi_gd: error") == 1, run.text
        right = {"mpich": "pmi2", "openmpi": "pmix"}[mpi]
        assert f"use srun --mpi={right}" in run.text, f"{mpi} {plugin}: {run.text}"
        assert not (run.run / "model.npz").exists()
