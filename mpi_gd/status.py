"""The marker of a run: status.json in its folder says what has become of it.

Launchers lose exit codes; the marker does not. "running" after the end is that of a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from mpi_gd.allocation import find_allocation
from mpi_gd.errors import FileError
from mpi_gd.files import write_atomically

__all__ = ["STATUS_NAME", "State", "note_hosts", "read_status", "write_status"]

STATUS_NAME = "status.json"
State = Literal["running", "finished", "stopped", "failed"]
# All markers have so many bytes, so that each can be written in place of another.
_LEAST_BYTES = 1024
# Where a launcher that waits for the program's end wants to read the same.
_COPY = "MPI_GD_STATUS"
# Of more hosts nobody wants a list.
_MOST_HOSTS = 256
_hosts: list[str] = []


def note_hosts(hosts: list[str]) -> None:
    """Note where the ranks are, for all markers to come."""
    _hosts[:] = list(dict.fromkeys(hosts))[:_MOST_HOSTS]


def write_status(
    folder: Path | None,
    state: State,
    exit_code: int | None = None,
    *,
    message: str = "",
    iteration: int = -1,
    ranks: int = 0,
    model: str = "",
    stopped_by: str = "",
) -> None:
    """Write the marker of the run in `folder`, None if it has none yet; a failure is a warning.

    `iteration` is the last one, `ranks` how many there are, `model` the path of what came out,
    `stopped_by` the key of the job that has stopped it; as they stand here where not known.
    """
    allocation = find_allocation()
    marker = {
        "state": state,
        "exit_code": exit_code,
        "message": message,
        "iteration": iteration,
        "ranks": ranks,
        "model": model,
        "stopped_by": stopped_by,
        "folder": str(folder.resolve()) if folder else "",
        "host": socket.gethostname(),
        "hosts": _hosts,
        "pid": os.getpid(),
        "slurm_job": allocation.job if allocation else "",
        "slurm_restarts": allocation.restarts if allocation else 0,
        "slurm_nodes": allocation.nodes if allocation else 0,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(marker, indent=1)
    # The list of hosts is the same in all markers of a run.
    least = _LEAST_BYTES + len(json.dumps(_hosts, indent=2))
    data = text.encode("utf-8").ljust(least - 1) + b"\n"
    copy = os.environ.get(_COPY)
    for path in [*([folder / STATUS_NAME] if folder else []), *([Path(copy)] if copy else [])]:
        try:
            _write(path, data)
        except FileError as error:
            with contextlib.suppress(OSError):
                print(f"mpi_gd: warning: {error}", file=sys.stderr, flush=True)


def _write(path: Path, data: bytes) -> None:
    """Write a marker; raises FileError."""
    try:
        write_atomically(path, data)
    except FileError:
        if not _overwritten(path, data):
            raise


def _overwritten(path: Path, data: bytes) -> bool:
    """Write in place of the marker that is there; return whether that was possible.

    A full disk takes no new file, but new bytes for old ones; and a marker that goes on saying
    "running" would be a lie.
    """
    try:
        with path.open("r+b", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            return size >= len(data) and file.write(data.ljust(size)) == size
    except OSError:
        return False


def read_status(folder: Path) -> dict[str, Any]:
    """Return the marker of a run's folder; empty if there is none that can be read."""
    try:
        marker = json.loads((folder / STATUS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}
