"""Start MPI, unless it is of a kind that this launcher cannot start. Importing this starts none.

MPICH ends the process where it meets a launcher that it does not know: what is to be said is said
before.
"""

from __future__ import annotations

import faulthandler
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

# MPI waits for its last rank without end: for one that died, or whose host does not answer.
_VARIABLE, _START_SECONDS = "MPI_GD_START_SECONDS", 600.0


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
    _join_all_ranks(_start_seconds(environ))


def _join_all_ranks(seconds: float) -> None:
    """Start MPI; end this process, with a traceback, if the ranks do not meet for so long.

    The main thread keeps Python's lock all the time: only a thread of C can look at a clock.
    """
    if seconds and not launcher.offers_survival():
        faulthandler.dump_traceback_later(seconds, exit=True)
        MPI.Init_thread(MPI.THREAD_MULTIPLE)
        faulthandler.cancel_dump_traceback_later()
    else:
        MPI.Init_thread(MPI.THREAD_MULTIPLE)


def _start_seconds(environ: Mapping[str, str]) -> float:
    """Return how long the ranks may take to meet; 0 for ever, as for one that is alone."""
    if launcher.started_size()[0] == 1:
        return 0.0
    try:
        return max(0.0, float(environ.get(_VARIABLE, "")))
    except ValueError:
        return _START_SECONDS


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
