"""Run pytest on all ranks: `mpirun -n 4 python -m tests.ranks tests/mpi`.

Root prints as it goes; another rank prints only what it did if its tests failed. All ranks end
with the same exit code: an mpirun kills the others when one fails.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from typing import TypeVar

import pytest
from mpi4py import MPI

__all__ = ["on_root"]

Made = TypeVar("Made")


def on_root(make: Callable[[], Made]) -> Made:
    """Return what rank 0 makes, on all ranks; collective.

    The others sleep meanwhile: where ranks share cores, those that wait inside MPI take its time.
    """
    made = make() if MPI.COMM_WORLD.rank == 0 else None
    arrived = MPI.COMM_WORLD.Ibarrier()
    while not arrived.Test():
        time.sleep(0.001)
    result: Made = MPI.COMM_WORLD.bcast(made)
    return result


def main() -> int:
    """Return 0 if all ranks' tests passed, else the largest exit code."""
    world = MPI.COMM_WORLD
    # A test that hangs on one rank hangs on all: only the end of the process frees the others.
    args = ["--with-mpi", "-p", "no:cacheprovider", "-o", "timeout_method=thread", *sys.argv[1:]]
    if world.rank == 0:
        code = int(pytest.main(args))
        return int(world.allreduce(code, MPI.MAX))
    with tempfile.TemporaryFile("w+") as printed:
        with contextlib.redirect_stdout(printed):
            code = int(pytest.main([*args, "--color=no"]))
        printed.seek(0)
        text = printed.read()
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        print(f"===== rank {world.rank} of {world.size}\n{text}", file=sys.stderr, flush=True)
    return int(world.allreduce(code, MPI.MAX))


if __name__ == "__main__":
    sys.exit(main())
