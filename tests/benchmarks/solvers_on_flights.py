"""Every solver on the embedded flights: what it takes to relative gaps of 1e-4 and 1e-8.

    mpirun -n 2 python tests/benchmarks/solvers_on_flights.py [SECONDS [KIND ...]]

Prints passes over the rows, Allreduces and seconds of the fit alone, each solver with its own
defaults and SECONDS at most (60); a dash where it did not get there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import mpi_gd
from mpi_gd.comm import World
from mpi_gd.comm.mpi import MpiWorld
from mpi_gd.commands.setup import set_up
from mpi_gd.config import parse_job, read_job_text
from mpi_gd.errors import MpiGdError
from mpi_gd.solvers import SOLVERS
from mpi_gd.trainer import Ballot, Course, Ending, Record, train

JOB = Path(mpi_gd.__file__).parent / "embedded" / "flights.toml"
GAPS = (1e-4, 1e-8)


def records_of(world: World, kind: str, seconds: float) -> tuple[list[Record], str, int]:
    """Return a fit's iterations, how it ended, and the rows of a pass."""
    text = read_job_text(JOB)
    setup = set_up(world, parse_job(text, str(JOB), (f"solver.kind={kind}",)), JOB.parent)
    problem, records = setup.objective.problem, list[Record]()
    began = time.monotonic()
    outcome = train(
        setup.objective,
        setup.solver,
        Course(setup.solver.start(problem, setup.start)),
        tol=1e-9,
        max_iter=10_000,
        ballot=Ballot(world.is_root, lambda: time.monotonic() - began > seconds),
        on_step=records.append,
        on_save=lambda: None,
    )
    is_late = outcome.ending is Ending.STOPPED
    return records, "out of time" if is_late else outcome.ending.value, setup.scaling.n_rows


def main() -> None:
    """Print a line a solver."""
    world = MpiWorld()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    best = records_of(world, "newton", 600.0)[0][-1].objective
    for kind in sys.argv[2:] or [kind for kind in SOLVERS if kind != "auto"]:
        try:
            records, ending, n_rows = records_of(world, kind, seconds)
        except MpiGdError as error:
            line = f"{kind:20} {str(error)[:90]}"
        else:
            line = f"{kind:20}"
            for gap in GAPS:
                there = [each for each in records if each.objective <= best * (1 + gap)]
                line += f" | {gap:g}: "
                if there:
                    first = there[0]
                    passes = first.rows / n_rows
                    line += f"{passes:7.1f} {first.questions:6} {first.elapsed_seconds:7.2f} s"
                else:
                    line += f"{'-':>24}"
            line += f" | {ending}, gap {records[-1].objective / best - 1:.1e}"
        if world.is_root:
            print(line, flush=True)


if __name__ == "__main__":
    main()
