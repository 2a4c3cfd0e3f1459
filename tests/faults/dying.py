"""Run the program with ranks that kill themselves: `dying.py POINT:CALL:RANK[,...] ARGUMENTS`.

Rank RANK, as MPI numbered it at the start, dies at its call number CALL of POINT.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

# Where a rank may die: the module, the class if any, and the function.
POINTS = {
    "open": ("mpi_gd.commands.load", "", "_open"),
    "read": ("mpi_gd.commands.load", "", "_read"),
    "scale": ("mpi_gd.commands.setup", "", "find_scaling"),
    "question": ("mpi_gd.objective.objective", "Objective", "answer"),
    "save": ("mpi_gd.files", "", "publish"),
    "score": ("mpi_gd.commands.score", "", "evaluate"),
    "recover": ("mpi_gd.comm.ulfm", "SurvivingWorld", "recover"),
}
# A thread that sends the signal so much later strikes inside the call, as in an Allreduce.
_LATER_SECONDS = 2e-4


def die_at(point: str, call: int, late: bool) -> None:
    """Let this process die at that call."""
    module_name, class_name, name = POINTS[point]
    module = __import__(module_name, fromlist=["_"])
    place = getattr(module, class_name) if class_name else module
    original: Callable[..., Any] = getattr(place, name)
    calls = 0

    def dying(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            if not late:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(_LATER_SECONDS, os.kill, [os.getpid(), signal.SIGKILL]).start()
        return original(*args, **kwargs)

    setattr(place, name, dying)


def main() -> int:
    """Arm the faults of this rank, then be the program."""
    rank = next(
        (os.environ[name] for name in ("OMPI_COMM_WORLD_RANK", "PMI_RANK") if name in os.environ),
        "0",
    )
    for wish in sys.argv[1].split(","):
        point, call, victim, late = wish.split(":")
        if victim == rank:
            die_at(point, int(call), late == "late")
    del sys.argv[1]
    # Only now: the program sets the number of threads before NumPy is loaded.
    from mpi_gd.__main__ import main as program

    return program()


if __name__ == "__main__":
    sys.exit(main())
