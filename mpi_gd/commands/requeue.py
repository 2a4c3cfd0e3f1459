"""Put a Slurm job back into the queue, so that its training goes on, on other nodes if need be."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from mpi_gd.allocation import Allocation
from mpi_gd.errors import FileError
from mpi_gd.files import write_atomically

__all__ = ["may_crash_again", "put_back"]

# Hidden, so that the run's folder does not show it among what came out.
_CRASHES = ".crashes.json"
_CHECKPOINT = re.compile(r"(\d{9})\.npz")
# A controller that is started again, or gives over to another one, is gone for a minute.
_ASK_SECONDS, _TRIES, _PAUSE_SECONDS = 20.0, 30, 2.0
# From the controller's word to the end of this process.
_END_SECONDS, _LOOK_SECONDS = 60.0, 0.05


def put_back(allocation: Allocation, is_ending: Callable[[], bool]) -> str:
    """Let Slurm put this job back; return why not, empty when it `is_ending` this process.

    A job that is being cancelled, or that Slurm is putting back already, is left alone: a requeue
    would bring it back to life.
    """
    why = ""
    for _ in range(_TRIES):
        state = _state(allocation.job)
        if state not in ("", "RUNNING"):
            return f"it is {state}"
        why = _call("scontrol", "requeue", allocation.job)[1]
        if not why:
            until = time.monotonic() + _END_SECONDS
            while not is_ending() and time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
            return ""
        time.sleep(_PAUSE_SECONDS)
    return why


def may_crash_again(folder: str, allocation: Allocation, most: int) -> bool:
    """Note a crash; return whether there were at most so many since the last new checkpoint.

    Those of another job, submitted since, do not count. Where there is no folder yet, or it takes
    no note, the job's restarts are counted.
    """
    if not folder:
        return allocation.restarts < most
    found = [_CHECKPOINT.fullmatch(path.name) for path in Path(folder, "checkpoints").glob("*")]
    iteration = max((int(match[1]) for match in found if match), default=-1)
    before, count = -2, 0
    note = Path(folder, _CRASHES)
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads(note.read_text(encoding="utf-8"))
        if told["job"] == allocation.job:
            before, count = int(told["iteration"]), int(told["count"])
    count = count + 1 if iteration <= before else 1
    text = json.dumps({"job": allocation.job, "iteration": iteration, "count": count})
    try:
        write_atomically(note, text.encode())
    except FileError:
        return allocation.restarts < most
    return count <= most


def _state(job: str) -> str:
    """Return a job's state; empty if the controller does not answer."""
    told = re.search(r"JobState=(\w+)", _call("scontrol", "show", "job", "--oneliner", job)[0])
    return told[1] if told else ""


def _call(*words: str) -> tuple[str, str]:
    """Run a command; return what it prints, and what was wrong."""
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ASK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode == 0:
        return done.stdout, ""
    return "", done.stderr.strip() or f"exit code {done.returncode}"
