"""Run a command under mpirun or srun: stopped with a checkpoint, started again after a crash.

In a Slurm job it can be put back into the queue instead, and goes on as soon as there are nodes: as
the last command of a batch script, in its place (exec), so that the script's signals come here. It
starts no MPI itself, so it is no command with a world: `run(options)`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mpi_gd.allocation import Allocation, find_allocation
from mpi_gd.commands.answering import silent_hosts
from mpi_gd.commands.mpirun import Launched, Requests, count_cores, mpirun_words
from mpi_gd.commands.requeue import may_crash_again, put_back
from mpi_gd.errors import JobError
from mpi_gd.launcher import started_size
from mpi_gd.options import LaunchOptions

__all__ = ["Verdict", "again", "judge", "run"]

_EXIT_STOPPED = 75
# A start anew would end in the same way.
_FINAL = (0, 2, 3, 4, _EXIT_STOPPED)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Verdict:
    """How a launch has ended."""

    code: int
    """The program's exit code."""
    has_crashed: bool
    folder: str = ""
    """The run's, if the training got as far as having one."""
    hosts: tuple[str, ...] = ()
    """Where it was, if it had no time to say why it ended."""
    is_final: bool = False
    """Whether it was stopped by the job's own wish."""


def run(options: LaunchOptions) -> int:
    """Launch, and launch again after a crash; return the program's exit code.

    Raises JobError when there is no mpirun, or when this is a rank of another one.
    """
    if started_size()[0] > 1:
        raise JobError("launch starts the ranks by itself: run it without mpirun")
    allocation = find_allocation()
    if options.requeue and allocation is None:
        raise JobError("--requeue is for the batch script of a Slurm job, and this is no such job")
    n_ranks = options.ranks or (allocation.tasks if allocation else 0) or count_cores()
    start = mpirun_words(options, n_ranks)
    # All before the first rank is there: a signal that comes early is not lost.
    requests = Requests()
    words, n_restarts = options.words, 0
    while True:
        verdict = _launch(start, n_ranks, words, requests, options.grace)
        if verdict.has_crashed and not requests.count:
            _look_for_hosts(verdict.hosts)
        if options.requeue and allocation:
            return _requeued(verdict, allocation, requests, options)
        if not verdict.has_crashed or requests.count or n_restarts == options.max_restarts:
            return verdict.code
        n_restarts += 1
        words = again(words, verdict.folder)
        how = "with --resume" if "--resume" in words else "as before"
        _warn(
            f"the training crashed (exit code {verdict.code}); starting it again {how} "
            f"({n_restarts} of {options.max_restarts})"
        )
        _pause(min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** (n_restarts - 1)), requests)
        if requests.count:
            return _EXIT_STOPPED


def _look_for_hosts(hosts: Sequence[str]) -> None:
    """Say which hosts are gone: MPI may not, and the ranks had no time to."""
    silent = silent_hosts(hosts)
    # All but this one, and more than one: that is rather a firewall.
    if silent and not 1 < len(silent) >= len(set(hosts)) - 1:
        more = f" and {len(silent) - 8} more" if len(silent) > 8 else ""
        _warn(f"lost host {', '.join(silent[:8])}{more}: no answer from there")


def _requeued(
    verdict: Verdict, allocation: Allocation, requests: Requests, options: LaunchOptions
) -> int:
    """Put the job back unless it is done, fails for good or is to end; return the exit code."""
    if verdict.is_final or (verdict.code != _EXIT_STOPPED and not verdict.has_crashed):
        return verdict.code
    if verdict.has_crashed:
        # What Slurm does to a whole job reaches the ranks first.
        _pause(_FIRST_PAUSE, requests)
        told = f"the training crashed (exit code {verdict.code})"
        folder = verdict.folder or _folder_in(options.words)
        if not requests.are_final and not may_crash_again(folder, allocation, options.max_restarts):
            _warn(f"{told}, once more without a new checkpoint: giving up")
            return verdict.code
    else:
        told = "the training has stopped, with its state saved"
    if requests.are_final:
        # Cancelled, or put back by Slurm itself.
        _warn(f"{told}, as the job is to end")
        return verdict.code
    _warn(f"{told}; putting the job back into the queue (restart {allocation.restarts + 1})")
    why = put_back(allocation, lambda: requests.are_final)
    if why:
        _warn(f"the job could not be put back: {why}")
    return verdict.code


def _launch(
    start: Sequence[str], n_ranks: int, words: Sequence[str], requests: Requests, grace: float
) -> Verdict:
    """Launch once; return how it has ended."""
    with _place_for_status(find_allocation()) as status:
        launched = Launched(start, n_ranks, words, str(status))
        code = launched.wait(requests, grace, lambda: _has_ended(_marker(status)))
        # A check makes no run.
        is_training = words[0] == "train" and "--check" not in words
        return judge(code, _marker(status)) if is_training else Verdict(_as_exit(code), False)


def _has_ended(marker: dict[str, object] | None) -> bool:
    """Whether the program says that it has."""
    return marker is not None and marker.get("state") != "running"


def judge(code: int, marker: dict[str, object] | None) -> Verdict:
    """Return how a training has ended: `code` is mpirun's, which may not be the program's.

    The marker decides. One that says "running" after the end is that of a crash; so is none at
    all, but for the exit codes of a mistake, that no crash has.
    """
    crash = Verdict(1 if code in _FINAL else _as_exit(code), True)
    if marker is None:
        return Verdict(code, False) if code in (2, 3) else crash
    state, told, folder = marker.get("state"), marker.get("exit_code"), marker.get("folder")
    if state == "finished":
        # 4 where it is to fail without convergence.
        return Verdict(told if isinstance(told, int) else 0, False)
    if state == "stopped":
        # The job's own wish would come again at each new start.
        is_wish = marker.get("stopped_by") == "stop.max_seconds"
        return Verdict(_EXIT_STOPPED, False, is_final=is_wish)
    folder = folder if isinstance(folder, str) else ""
    if state == "failed" and isinstance(told, int) and told:
        return Verdict(told, told not in _FINAL, folder)
    hosts = marker.get("hosts")
    names = tuple(map(str, hosts)) if isinstance(hosts, list) else ()
    return Verdict(crash.code, True, folder, hosts=names)


def _folder_in(words: Sequence[str]) -> str:
    """Return the run's folder that --out names, if it is there; else an empty text."""
    for word, following in zip(words, (*words[1:], ""), strict=True):
        folder = following if word == "--out" else word.removeprefix("--out=")
        if folder != word and Path(folder).is_dir():
            return folder
    return ""


def again(words: Sequence[str], folder: str) -> tuple[str, ...]:
    """Return the words with which a training that has crashed is to go on.

    Without --out, which folder --resume takes depends on what else is there: it is named. A
    training that had no folder yet begins as before.
    """
    if not folder:
        return tuple(words)
    kept = [word for word in words if word not in ("--force", "--resume")]
    has_out = any(word == "--out" or word.startswith("--out=") for word in kept)
    return (*kept, "--resume", *([] if has_out else ["--out", folder]))


@contextlib.contextmanager
def _place_for_status(allocation: Allocation | None) -> Iterator[Path]:
    """Make the path of a file that is not there yet.

    It lies in the working folder, which all hosts share: the root need not be on this one.
    """
    here = os.getcwd()
    place = here if os.access(here, os.W_OK) else None
    prefix = ".mpi_gd-"
    if allocation:
        prefix += f"{allocation.name}."
        for restart in range(allocation.restarts):
            # Its host died, or it was killed.
            for left in Path(place or tempfile.gettempdir()).glob(f"{prefix}{restart}-*"):
                shutil.rmtree(left, ignore_errors=True)
        prefix += f"{allocation.restarts}-"
    with tempfile.TemporaryDirectory(
        prefix=prefix, dir=place, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder) / "status.json"


def _marker(path: Path) -> dict[str, object] | None:
    """Return what the program has told of itself; None if nothing."""
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def _as_exit(code: int) -> int:
    """Return an exit code for mpirun's: 128 and the signal's number if one has ended it."""
    return code if code >= 0 else 128 - code


def _pause(seconds: float, requests: Requests) -> None:
    """Wait: what has made it crash may pass. No longer than until a request to stop."""
    until = time.monotonic() + seconds
    while not requests.count and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)


def _warn(text: str) -> None:
    """Print a line."""
    print(f"mpi_gd: warning: {text}", file=sys.stderr, flush=True)
