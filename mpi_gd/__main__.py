"""python -m mpi_gd: from arguments to a command to an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from mpi_gd import cli, signals
from mpi_gd.errors import MpiGdError

# What launchers tell a process of its rank, before MPI starts.
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID")


def main(argv: list[str] | None = None) -> int:
    """Run the program on all ranks; return this rank's exit code."""
    parsed = cli.parse(sys.argv[1:] if argv is None else argv)
    if isinstance(parsed, cli.ParsedExit):
        if _is_first_process():
            print(parsed.text, file=sys.stderr if parsed.to_stderr else sys.stdout)
        return parsed.code
    _use_one_thread()
    signals.install()
    try:
        from mpi_gd.comm import mpi
    except (ImportError, RuntimeError) as error:
        print(
            f"mpi_gd: error: MPI cannot be loaded ({str(error).splitlines()[0]}); install one: "
            "pip install 'mpi-gd[mpich]', or load your cluster's MPI module",
            file=sys.stderr,
        )
        return 2
    world = mpi.MpiWorld()
    mpi.abort_on_uncaught(world)
    command = import_module(f"mpi_gd.commands.{parsed.command}")
    try:
        world.check_launcher()
        code: int = command.run(world, parsed)
    except MpiGdError as error:
        if world.is_root:
            print(f"mpi_gd: error: {error}", file=sys.stderr, flush=True)
        code = error.exit_code
        if not mpi.leave_together(world):
            raise
    return code


def _is_first_process() -> bool:
    """Whether this is rank 0, as far as the launcher has told."""
    ranks = [os.environ[name] for name in _RANK_VARIABLES if name in os.environ]
    return not ranks or ranks[0] == "0"


def _use_one_thread() -> None:
    """Give each rank one thread for linear algebra, unless the user says otherwise.

    To be done before NumPy is loaded. Ranks with several threads each fight for the cores, and
    the order of their additions is not fixed.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


if __name__ == "__main__":
    sys.exit(main())
