"""What the scheduler has given to a run: said at its start, and obeyed when the time is up."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from mpi_gd import signals
from mpi_gd.allocation import (
    Place,
    TimeLimit,
    complaints,
    find_allocation,
    own_place,
    seconds_left,
)
from mpi_gd.comm import World
from mpi_gd.report import Progress, warn
from mpi_gd.status import note_hosts

__all__ = ["look_around", "stop_requested"]


def look_around(world: World, progress: Progress) -> None:
    """Let the root say where the ranks are, and what is wrong with that; one small collective."""
    texts = world.gather_small(own_place().packed())
    if not world.is_root:
        return
    places, allocation = [Place.unpacked(text) for text in texts], find_allocation()
    note_hosts([place.host for place in places])
    if allocation and progress != "none":
        left = seconds_left(allocation.job, os.environ)
        n_hosts = len({place.host for place in places})
        print(allocation.describe(len(places), n_hosts, left), flush=True, file=sys.stdout)
    for complaint in complaints(places, allocation):
        warn(complaint)


def stop_requested(world: World, reserve: float) -> Callable[[], bool]:
    """Return what says whether to stop: after a signal or, on the root, near the time limit."""
    allocation = find_allocation()
    if not world.is_root or allocation is None or reserve == 0:
        return signals.stop_requested
    job = allocation.job
    limit = TimeLimit(seconds_left(job, os.environ), reserve, lambda: seconds_left(job))
    is_said = False

    def is_time() -> bool:
        nonlocal is_said
        if limit.is_near() and not is_said:
            is_said = True
            warn(f"the time limit of Slurm job {allocation.name} is near: stopping")
        return limit.is_near() or signals.stop_requested()

    return is_time
