"""Read a job file."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from pathlib import Path

from mpi_gd.errors import FileError, JobError
from mpi_gd.patient import PatientFile, patiently

__all__ = ["read_job_text"]

# A job file has about a thousand bytes; more is some other file.
_MOST_BYTES = 1 << 16


def read_job_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a job file, without a byte order mark.

    Raises FileError if it cannot be read, JobError if it is not UTF-8 or larger than any job.
    """
    path = Path(path)
    try:
        # Opening a pipe would wait for whoever writes to it.
        if not stat.S_ISREG(patiently(path, path.stat).st_mode):
            kind = "a folder" if path.is_dir() else "a pipe or device"
            raise FileError(f"{path}: got {kind}, expected a job file (TOML); name the file")
        with io.BufferedReader(PatientFile(path)) as file:
            data = file.read(_MOST_BYTES + 1)
    except FileError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path}: cannot read the job file: {reason}; {_advice(path)}") from error
    if len(data) > _MOST_BYTES:
        raise JobError(
            f"{path}: got more than {_MOST_BYTES >> 10} KiB, expected a job file (TOML), which is "
            "small; is it the data?"
        )
    return _decode(data, path)


def _decode(data: bytes, path: Path) -> str:
    """Return the text of UTF-8 bytes, with or without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise JobError(
            f"{path}:{line}: got the byte 0x{data[error.start]:02x}, expected text in UTF-8; save "
            "the file in that encoding"
        ) from error


def _advice(path: Path) -> str:
    """Say what to do about a file that cannot be read: most often its name is misspelt."""
    # Ranks whose names are right need not load it.
    import difflib

    names: list[str] = []
    with contextlib.suppress(OSError):
        if path.name in (names := os.listdir(path.parent)):
            return "ask its owner for the right to read it"
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {path.parent / near[0]}?" if near else f"it was sought from {Path.cwd()}"
