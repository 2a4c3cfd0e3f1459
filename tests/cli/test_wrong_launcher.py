"""Ranks that never met, as under another MPI's mpirun: one message with the fix, no trainings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.launch import mpi_kind
from tests.running import Running

# What Open MPI's mpirun, hydra, and srun with no --mpi tell process `{}` of three.
LAUNCHERS: dict[str, dict[str, str]] = {
    "openmpi": {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "{}", "PMIX_RANK": "{}"},
    "mpich": {"PMI_SIZE": "3", "PMI_RANK": "{}", "MPI_LOCALNRANKS": "3"},
    "srun": {"SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "{}", "SLURM_JOB_ID": "17"},
}
TRAIN = ["-m", "mpi_gd", "train", "job.toml", "--out", "run"]
REMEDY = {
    "mpirun": "use the mpirun of the MPI that mpi4py was installed with",
    "srun": f"use srun --mpi={'pmix' if mpi_kind() == 'openmpi' else 'pmi2'} (",
}


@pytest.mark.parametrize("launcher", [name for name in LAUNCHERS if name != mpi_kind()])
def test_processes_that_are_each_alone(launcher: str, workplace: Any) -> None:
    """Three, with the environment that a launcher which does not fit gives to them."""
    workplace.job()
    started = []
    try:
        for rank in range(3):
            told = {name: value.format(rank) for name, value in LAUNCHERS[launcher].items()}
            started.append(Running([sys.executable, *TRAIN], workplace.folder, **told))
        assert [process.wait() for process in started] == [2, 2, 2]
    finally:
        for process in started:
            process.kill()
    printed = [process.text for process in started]
    assert printed[0].count("mpi_gd: error: the launcher") == 1, printed
    assert REMEDY["srun" if launcher == "srun" else "mpirun"] in printed[0]
    assert printed[1:] == ["", ""]
    assert not (workplace.folder / "run").exists()


@pytest.mark.parametrize("whose", ["its mpirun", "its program"])
def test_the_mpirun_of_the_other_mpi(whose: str, workplace: Any) -> None:
    """Where tests/run.sh has set up both."""
    workplace.job()
    own = Path(sys.executable).parent
    other_kind = "mpich" if mpi_kind() == "openmpi" else "openmpi"
    other = own.parents[1] / other_kind / "bin"
    if not (other / "mpirun").exists():
        pytest.skip("there is no environment with the other MPI")
    mpirun, python = (other, own) if whose == "its mpirun" else (own, other)
    is_open = (other_kind if mpirun == other else mpi_kind()) == "openmpi"
    flags = ["--oversubscribe", "--bind-to", "none"] if is_open else []
    command = [str(mpirun / "mpirun"), *flags, "-n", "3", str(python / "python"), *TRAIN]
    run = Running(command, workplace.folder)
    try:
        assert run.wait() != 0
    finally:
        left = run.kill()
    assert not left
    assert run.text.count("mpi_gd: error: the launcher") == 1, run.text
    assert REMEDY["mpirun"] in run.text
    assert not (workplace.folder / "run").exists()
