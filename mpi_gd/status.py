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

from mpi_gd.errors import FileError
from mpi_gd.files import write_atomically

__all__ = ["STATUS_NAME", "State", "read_status", "write_status"]

STATUS_NAME = "status.json"
State = Literal["running", "finished", "stopped", "failed"]
# Where a launcher that waits for the program's end wants to read the same.
_COPY = "MPI_GD_STATUS"


def write_status(
    folder: Path | None, state: State, exit_code: int | None = None, **more: Any
) -> None:
    """Write the marker of the run in `folder`, None if it has none yet; a failure is a warning.

    `more` are further entries, as `message`, `iteration`, `ranks`.
    """
    marker = {
        "state": state,
        "exit_code": exit_code,
        **more,
        "folder": str(folder.resolve()) if folder else "",
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(marker, indent=1) + "\n"
    copy = os.environ.get(_COPY)
    for path in [*([folder / STATUS_NAME] if folder else []), *([Path(copy)] if copy else [])]:
        try:
            write_atomically(path, text.encode("utf-8"))
        except FileError as error:
            with contextlib.suppress(OSError):
                print(f"mpi_gd: warning: {error}", file=sys.stderr, flush=True)


def read_status(folder: Path) -> dict[str, Any]:
    """Return the marker of a run's folder; empty if there is none that can be read."""
    try:
        marker = json.loads((folder / STATUS_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return marker if isinstance(marker, dict) else {}
