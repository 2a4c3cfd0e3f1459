"""What all tests share."""

from __future__ import annotations

import os

# Before NumPy is loaded: one thread a rank, and the same bits whatever the machine's cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from collections.abc import Callable

import pytest
from hypothesis import settings

from tests.launch import Completed, mpi_kind, mpirun

# Under MPI all ranks must try the same examples, and on a busy machine an example takes its time.
settings.register_profile("same", derandomize=True, deadline=None, database=None)
settings.load_profile("same")


@pytest.fixture
def launch() -> Callable[..., Completed]:
    """Run this Python under mpirun: `launch(n, args, timeout=, env=, cwd=, ranks=)`."""
    return mpirun


@pytest.fixture(scope="session")
def mpi() -> str:
    """Return "openmpi" or "mpich", whichever this environment has."""
    return mpi_kind()
