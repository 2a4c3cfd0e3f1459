"""Files on storage that fails now and then: what may pass is tried again."""

from __future__ import annotations

import contextlib
import errno
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from mpi_gd.launcher import own_rank

__all__ = ["PatientFile", "patiently"]

T = TypeVar("T")

# What network file systems and tired disks say, and take back. A missing file or right is final.
_PASSING = {
    errno.EIO,
    errno.EAGAIN,
    errno.EINTR,
    errno.EBUSY,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.ENOTCONN,
    errno.ECONNRESET,
    errno.EREMOTEIO,
    errno.ENETUNREACH,
    errno.EHOSTDOWN,
}
# Pauses before each further try, seconds.
_PAUSES = (0.1, 0.3, 1.0, 3.0)


def patiently(what: Path | str, attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns; try again, with pauses, when it fails as storage does.

    Raises the last OSError, whose text then tells how often it was tried.
    """
    for number, pause in enumerate(_PAUSES, start=1):
        try:
            return attempt()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
            if number == 1:
                _warn(f"{what}: {(error.strerror or str(error)).lower()}; trying again")
        time.sleep(pause)
    try:
        return attempt()
    except OSError as error:
        times = f"{error.strerror} (tried {len(_PAUSES) + 1} times)"
        raise OSError(error.errno, times) from error


def _warn(text: str) -> None:
    """Print a line that names this rank, whose host may be the one with the trouble."""
    rank = own_rank()
    with contextlib.suppress(OSError):
        who = f"rank {rank}: " if rank else ""
        print(f"mpi_gd: warning: {who}{text}", file=sys.stderr, flush=True)


class PatientFile(io.FileIO):
    """A file opened for reading, unbuffered; a read that fails leaves the place where it was."""

    def __init__(self, path: Path) -> None:
        """Open it; raises OSError."""
        patiently(path, lambda: super(PatientFile, self).__init__(path, "rb"))
        self._path = path

    def read(self, size: int | None = -1, /) -> Any:
        """Read as io.FileIO does."""
        return patiently(self._path, lambda: super(PatientFile, self).read(size))

    def readall(self) -> Any:
        """Read to the end."""
        return patiently(self._path, super().readall)

    def readinto(self, buffer: Any, /) -> Any:
        """Read into a buffer."""
        return patiently(self._path, lambda: super(PatientFile, self).readinto(buffer))
