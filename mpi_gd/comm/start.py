"""Start MPI, unless it is of a kind that this launcher cannot start. Importing this starts none.

MPICH ends the process where it meets a launcher that it does not know: what is to be said is said
before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import mpi4py

from mpi_gd import launcher
from mpi_gd.errors import LauncherError

# The library is loaded, and can be asked what it is, before it is started.
mpi4py.rc.initialize = False
mpi4py.rc.finalize = True

from mpi4py import MPI  # noqa: E402 - the line above must come first

__all__ = ["library_version", "remedy", "start_mpi"]


def start_mpi(environ: Mapping[str, str] | None = None) -> None:
    """Start MPI, with threads; raises LauncherError where that would end the process."""
    if MPI.Is_initialized():
        return
    environ = os.environ if environ is None else environ
    speaks_pmix = "PMIX_RANK" in environ and "PMI_RANK" not in environ
    text = MPI.Get_library_version()
    if speaks_pmix and text.startswith("MPICH") and "pmix" not in text:
        raise LauncherError(
            f"the launcher speaks PMIx, as Open MPI's mpirun and srun --mpi=pmix do, and "
            f"{library_version()} does not; {remedy()}"
        )
    if launcher.offers_survival():
        # Collectives by hosts do not see that a rank has died: a sum came back without its part.
        os.environ.setdefault("OMPI_MCA_coll", "^han,adapt")
    MPI.Init_thread(MPI.THREAD_MULTIPLE)


def library_version() -> str:
    """Return the name and version of the MPI library, on one line."""
    version = MPI.Get_library_version().strip("\0 \n")
    if version.startswith("MPICH"):
        return f"MPICH {version.splitlines()[0].split()[-1]}"
    return version.splitlines()[0].split(",")[0].strip()


def remedy() -> str:
    """Say how to start the ranks of this MPI."""
    if not launcher.is_by_srun():
        return "use the mpirun of the MPI that mpi4py was installed with"
    plugin = "pmix" if library_version().startswith("Open MPI") else "pmi2"
    return (
        f"use srun --mpi={plugin} (srun --mpi=list names what this Slurm has), or that MPI's own "
        "mpirun in the batch script, without srun"
    )
