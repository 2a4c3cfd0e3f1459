"""The cores that a rank may use, and what is wrong with how the ranks are placed."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpi_gd.allocation.job import Allocation

__all__ = ["Place", "complaints", "own_place", "usable_cores"]

_CPUS = Path("/sys/devices/system/cpu")
# In the order in which NumPy's OpenBLAS, MKL and the rest look at them.
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Place:
    """Where a rank is."""

    host: str
    cores: frozenset[int]
    """The cores it may use, each by its first thread's number."""
    threads: int = 1
    """Threads for linear algebra."""

    def packed(self) -> str:
        """Return it as a text."""
        return json.dumps([self.host, sorted(self.cores), self.threads])

    @classmethod
    def unpacked(cls, text: str) -> Place:
        """Return what `packed` has made a text of."""
        host, cores, threads = json.loads(text)
        return cls(host, frozenset(cores), threads)


def own_place() -> Place:
    """Return where this process is."""
    return Place(socket.gethostname(), usable_cores(), _threads(os.environ))


def usable_cores() -> frozenset[int]:
    """Return the cores this process may use; the threads of a core are one, as for MPI."""
    usable = os.sched_getaffinity(0)
    cores = set()
    for cpu in usable:
        try:
            siblings = (_CPUS / f"cpu{cpu}" / "topology" / "thread_siblings_list").read_text()
            cores.add(int(siblings.replace("-", ",").split(",")[0]))
        except (OSError, ValueError):
            return frozenset(usable)
    return frozenset(cores)


def complaints(places: Sequence[Place], allocation: Allocation | None) -> list[str]:
    """Return what is wrong with the ranks' places, given by rank, each with what to do.

    That ranks share cores is said only inside an allocation: elsewhere it is the user's own wish.
    """
    hosts: dict[str, list[Place]] = {}
    for place in places:
        hosts.setdefault(place.host, []).append(place)
    said = []
    if allocation and 1 < allocation.nodes > len(hosts) and len(places) > len(hosts):
        where = next(iter(hosts)) if len(hosts) == 1 else f"{len(hosts)} nodes"
        said.append(
            f"all {len(places)} ranks are on {where}, but the job has {allocation.nodes} nodes; "
            "set --ntasks-per-node, and start the ranks by srun, or by the mpirun of an MPI that "
            "knows Slurm (mpirun without -n or --host)"
        )
    crowded = {host: found for host, here in hosts.items() if (found := _crowd(here))}
    if not crowded:
        return said
    host, (n_ranks, n_threads, n_cores) = next(iter(crowded.items()))
    more = f" (so do those on {len(crowded) - 1} more)" if len(crowded) > 1 else ""
    if n_threads > n_ranks:
        said.append(
            f"{n_ranks} ranks on {host} have {n_threads} threads in all and share "
            f"{_counted(n_cores, 'core')}{more}; set OPENBLAS_NUM_THREADS=1, or give each rank "
            "its threads' cores (--cpus-per-task)"
        )
    elif allocation:
        said.append(
            f"{n_ranks} ranks on {host} share {_counted(n_cores, 'core')}{more}, and wait for each "
            "other; start fewer (--ntasks-per-node), or give each its own "
            "(srun --cpu-bind=cores, mpirun --bind-to core)"
        )
    return said


def _crowd(places: Sequence[Place]) -> tuple[int, int, int] | None:
    """Return ranks and threads that share too few cores of a host, and these; None if none do."""
    cores = [place.cores for place in places]
    for allowed in sorted({*cores, frozenset().union(*cores)}, key=len, reverse=True):
        threads = [place.threads for place in places if place.cores <= allowed]
        if sum(threads) > len(allowed):
            return len(threads), sum(threads), len(allowed)
    return None


def _threads(environ: Mapping[str, str]) -> int:
    """Return the threads that the environment gives to linear algebra; 1 if it says nothing."""
    for name in _THREADS:
        text = environ.get(name, "").partition(",")[0]
        if text.isdigit() and int(text) > 0:
            return int(text)
    return 1


def _counted(number: int, what: str) -> str:
    """Return a number of things."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
