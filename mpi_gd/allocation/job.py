"""The Slurm job that the program is part of, as its environment and the controller tell."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["Allocation", "find_allocation", "seconds_left"]

# The controller may be busy, or not be there for compute nodes.
_ASK_SECONDS = 5.0
# squeue's %L, as in 1-02:03:04, 2:03:04, 3:04.
_LEFT = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)")


@dataclass(frozen=True)
class Allocation:
    """A Slurm job."""

    job: str
    """Its number, which stays when it is put back into the queue."""
    name: str = ""
    """The same for people: 17, or 17_4 for a task of an array."""
    nodes: int = 1
    restarts: int = 0
    """How often it has been put back into the queue."""
    tasks: int = 0
    """Ranks that it was asked for, as a batch script is told: mpirun's daemons are told other
    numbers. 0 if nothing was said."""

    def describe(self, ranks: int, hosts: int, left: float | None) -> str:
        """Return it in a line: `ranks` in all on so many hosts, seconds `left`, None if unknown."""
        restart = f" (restart {self.restarts})" if self.restarts else ""
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        per_node, rest = divmod(ranks, max(1, hosts))
        share = f"{per_node} to {per_node + 1} ranks" if rest else f"{per_node} ranks"
        share = "1 rank" if share == "1 ranks" else share
        time_left = "" if left is None else f", {_clock(left)} left"
        return f"Slurm job {self.name}{restart}: {nodes}, {share} on each{time_left}"


def find_allocation(environ: Mapping[str, str] | None = None) -> Allocation | None:
    """Return the job that the environment tells of; None outside of any."""
    environ = os.environ if environ is None else environ
    job = environ.get("SLURM_JOB_ID", "")
    if not job:
        return None
    array, task = environ.get("SLURM_ARRAY_JOB_ID"), environ.get("SLURM_ARRAY_TASK_ID")
    return Allocation(
        job=job,
        name=f"{array}_{task}" if array and task else job,
        nodes=_number(environ, "SLURM_JOB_NUM_NODES", 1),
        restarts=_number(environ, "SLURM_RESTART_COUNT", 0),
        tasks=_number(environ, "SLURM_NTASKS", 0),
    )


def seconds_left(job: str, environ: Mapping[str, str] | None = None) -> float | None:
    """Return the seconds until the job's time limit; None if there is none, or it is not known.

    The controller is asked unless `environ` tells: what it tells may have been changed since.
    """
    # Only the root asks; thousands of other ranks need not load it.
    import subprocess

    end = (environ or {}).get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return float(end) - time.time()
    try:
        done = subprocess.run(
            ["squeue", "--noheader", "--jobs", job, "--format", "%L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Also "UNLIMITED", "INVALID", or nothing.
    left = _LEFT.fullmatch(done.stdout.strip())
    if not left:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in left.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def _number(environ: Mapping[str, str], name: str, otherwise: int) -> int:
    """Return a number from the environment."""
    text = environ.get(name, "")
    return int(text) if text.isdigit() else otherwise


def _clock(seconds: float) -> str:
    """Return seconds as h:mm:ss, with days where there are any."""
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    text = f"{rest // 3600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return f"{days}-{text}" if days else text
