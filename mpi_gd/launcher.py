"""What launchers tell their processes in the environment, known before MPI starts."""

from __future__ import annotations

import os

__all__ = ["is_by_srun", "is_first_process", "lacks", "offers_survival", "own_rank", "started_size"]

_RANKS = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")
# Our own launcher, mpirun, srun. The last two count a host's ranks, or an mpirun's daemons.
_SIZES = ("MPI_GD_RANKS", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_PARTS = ("MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")


def is_first_process() -> bool:
    """Whether this is rank 0, as far as the launcher has told."""
    return own_rank() in ("", "0")


def own_rank() -> str:
    """Return this process's rank; empty if the launcher has not told."""
    return next((os.environ[name] for name in _RANKS if name in os.environ), "")


def started_size() -> tuple[int, str]:
    """Return how many processes the launcher started, and the variable that says so; else 1, ""."""
    for name in (*_SIZES, *_PARTS):
        number = os.environ.get(name, "")
        if number.isdigit() and int(number) > 0:
            return int(number), name
    return 1, ""


def lacks(size: int) -> bool:
    """Whether MPI connects other than all processes that the launcher started, being `size`."""
    started, name = started_size()
    return size != started and (name in _SIZES or (size == 1 and started > 1))


def is_by_srun() -> bool:
    """Whether srun started this process itself, and no mpirun between them."""
    return "SLURM_STEP_NUM_TASKS" in os.environ and not any(
        name in os.environ for name in ("OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS")
    )


def offers_survival() -> bool:
    """Whether a program may go on without its dead ranks: Open MPI's mpirun --with-ft ulfm."""
    return os.environ.get("OMPI_MCA_mpi_ft_enable") == "1"  # noqa: SIM112 - its real name
