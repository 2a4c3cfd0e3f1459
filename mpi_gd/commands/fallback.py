"""A file that a training must not lose, written elsewhere where its own folder takes nothing."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mpi_gd.errors import FileError
from mpi_gd.report import warn

__all__ = ["write_somewhere"]

# Pauses before each further try in the file's own folder, seconds.
_PAUSES = (0.5, 1.0, 2.0)
_PLACE = "MPI_GD_FALLBACK"


def write_somewhere(path: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Let `write` write the file to `path`; if that fails for some seconds, to another folder.

    That is a new one, called after the run's `name`, in $MPI_GD_FALLBACK, the current folder or
    the system's folder for temporary files. Return where the file is. Raises the first FileError
    if it cannot be written anywhere.
    """
    failure = _tried(path, write)
    for pause in _PAUSES:
        if failure is None:
            return path
        time.sleep(pause)
        failure = _tried(path, write)
    if failure is None:
        return path
    # Two runs of one name may come here in the same second.
    own = f"mpi_gd-{name}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    for place in (os.environ.get(_PLACE) or ".", ".", tempfile.gettempdir()):
        other = _written_in(Path(place) / own, path.name, write)
        if other:
            warn(f"{failure}; writing {path.name} elsewhere: {other}")
            return other
    raise failure


def _tried(path: Path, write: Callable[[Path], None]) -> FileError | None:
    """Write the file; return why not."""
    try:
        write(path)
    except FileError as error:
        return error
    return None


def _written_in(folder: Path, name: str, write: Callable[[Path], None]) -> Path | None:
    """Write the file in a new folder; return its path, None if that cannot be."""
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        write(folder / name)
    except FileError:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    return (folder / name).resolve()
