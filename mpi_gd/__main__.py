"""python -m mpi_gd: from arguments to a command to an exit code."""

from __future__ import annotations

import faulthandler
import os
import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING

from mpi_gd import cli, launcher, listeners, pulse, signals
from mpi_gd.errors import LauncherError, MpiGdError, RankLost

if TYPE_CHECKING:
    from mpi_gd.comm.mpi import MpiWorld
    from mpi_gd.options import Options

# A rank that dies inside MPI_Init leaves the others waiting there.
_START_SECONDS = 60.0
# A launcher that sees one process fail may kill the one that is to say why; its host may be slow.
_LAST_WORD_SECONDS = 5.0


def main(argv: list[str] | None = None) -> int:
    """Run the program on all ranks; return this rank's exit code."""
    listeners.outlive_readers()
    parsed = cli.parse(sys.argv[1:] if argv is None else argv)
    if isinstance(parsed, cli.ParsedExit):
        # The others end well: a launcher that sees one fail might kill the first before it speaks.
        if not launcher.is_first_process():
            return 0
        print(parsed.text, file=sys.stderr if parsed.to_stderr else sys.stdout, flush=True)
        return parsed.code
    if not parsed.needs_world:
        return _run_alone(parsed)
    _use_one_thread()
    if parsed.command in ("train", "tune"):
        signals.install()
    if launcher.offers_survival():
        faulthandler.dump_traceback_later(_START_SECONDS, exit=True)
    try:
        from mpi_gd.comm import mpi, ulfm
    except LauncherError as error:
        return _launched_wrongly(error)
    except (ImportError, RuntimeError) as error:
        print(
            f"mpi_gd: error: MPI cannot be loaded ({str(error).splitlines()[0]}); install one: "
            "pip install 'mpi-gd[mpich]', or load your cluster's MPI module",
            file=sys.stderr,
        )
        return 2
    world = ulfm.SurvivingWorld() if launcher.offers_survival() else mpi.MpiWorld()
    faulthandler.cancel_dump_traceback_later()
    mpi.abort_on_uncaught(world)
    code = _run(world, parsed)
    world.leave(code)
    pulse.stop()
    return code


def _run_alone(options: Options) -> int:
    """Run a command that needs no MPI, or starts the ranks itself; return the exit code."""
    command = import_module(f"mpi_gd.commands.{options.command}")
    try:
        return int(command.run(options))
    except MpiGdError as error:
        print(f"mpi_gd: error: {error}", file=sys.stderr, flush=True)
        return error.exit_code


def _run(world: MpiWorld, options: Options) -> int:
    """Run the command; report an error that all ranks have, once. Return the exit code."""
    command = import_module(f"mpi_gd.commands.{options.command}")
    try:
        world.check_launcher()
        return int(command.run(world, options))
    except LauncherError as error:
        return _launched_wrongly(error)
    except MpiGdError as error:
        if world.is_root:
            print(f"mpi_gd: error: {error}", file=sys.stderr, flush=True)
        if not world.meet():
            raise
        return error.exit_code
    except RankLost:
        lost = ", ".join(world.recover())
        if world.is_root:
            print(f"mpi_gd: error: lost {lost}; run it again", file=sys.stderr, flush=True)
        return 1


def _launched_wrongly(error: LauncherError) -> int:
    """Report an error once, though to itself each process may be the root; return the exit code."""
    if launcher.is_first_process():
        from mpi_gd.status import write_status

        print(f"mpi_gd: error: {error}", file=sys.stderr, flush=True)
        # The exit code that a launcher gives may be that of those it has killed then.
        write_status(None, "failed", error.exit_code, message=str(error))
    else:
        time.sleep(_LAST_WORD_SECONDS)
    return error.exit_code


def _use_one_thread() -> None:
    """Give each rank one thread for linear algebra, unless the user says otherwise.

    To be done before NumPy is loaded. Ranks with several threads each fight for the cores, and
    the order of their additions is not fixed.
    """
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")


if __name__ == "__main__":
    sys.exit(main())
