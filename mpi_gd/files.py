"""Write files that are either whole or absent: a temporary name, flushed to disk, renamed.

`write_atomically` is for bytes in memory, `write_whole` for what writes into a file. A file that
several ranks write together takes the same steps one at a time: `reserve` on root, `write_at` on
each rank, `publish` or `discard` on root.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from mpi_gd.errors import FileError

__all__ = ["discard", "publish", "reserve", "write_at", "write_atomically", "write_whole"]

# Longest file name we build the temporary name from: most file systems stop at 255 bytes.
_STEM_BYTES = 200


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` at `path`: a reader, or a crash at any moment, meets the old file or the new one.

    Raises FileError when the folder is missing, read-only or full; the old file is then untouched.
    """
    path = Path(path)
    temporary = reserve(path, len(data))
    try:
        write_at(temporary, 0, data, path)
        publish(temporary, path)
    except BaseException:
        discard(temporary)
        raise


def write_whole(path: str | os.PathLike[str], write: Callable[[BinaryIO], None]) -> None:
    """Put at `path` what `write` writes to an empty file, open for writing and reading.

    As whole as with `write_atomically`; raises FileError, and what `write` raises.
    """
    path = Path(path)
    temporary = reserve(path, 0)
    try:
        with _explained(path), open(temporary, "r+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        publish(temporary, path)
    except BaseException:
        discard(temporary)
        raise


def reserve(path: str | os.PathLike[str], size: int) -> Path:
    """Make an empty temporary file of `size` bytes in the folder of `path`; return its path.

    Raises FileError, also when `path` is there and is no regular file (renaming over a folder
    fails late, and renaming over a device such as /dev/null would destroy it).
    """
    path = Path(path)
    stem = os.fsdecode(os.fsencode(path.name)[:_STEM_BYTES])
    temporary = path.parent / f".{stem}.{os.urandom(6).hex()}.tmp"
    with _explained(path):
        if path.exists() and not path.is_file():
            kind = "a folder" if path.is_dir() else "not a regular file"
            raise FileError(f"{path}: cannot write here: it is {kind} (name a file)")
        # O_EXCL: never follow a link or reuse a file that somebody else laid under this name.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            os.ftruncate(descriptor, size)
        except BaseException:
            discard(temporary)
            raise
        finally:
            os.close(descriptor)
    return temporary


def write_at(
    temporary: Path, offset: int, data: bytes | memoryview, path: str | os.PathLike[str]
) -> None:
    """Write `data` at byte `offset` of a reserved file, and flush it to disk.

    Raises FileError, which names `path`, that the file is for.
    """
    view = memoryview(data).cast("B")
    with _explained(Path(path)):
        descriptor = os.open(temporary, os.O_WRONLY)
        try:
            while view.nbytes:
                # A write may be short (a signal, more than 2 GiB); the rest follows.
                written = os.pwrite(descriptor, view, offset)
                view, offset = view[written:], offset + written
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def publish(temporary: Path, path: str | os.PathLike[str]) -> None:
    """Rename `temporary` to `path`, replacing what was there, and flush the folder.

    Raises FileError.
    """
    path = Path(path)
    with _explained(path):
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        except OSError as error:
            # Some network file systems cannot flush a folder; the rename itself has been done.
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(folder)


def discard(temporary: Path) -> None:
    """Remove a temporary file if it is still there; never raise: an error is on its way."""
    with contextlib.suppress(OSError):
        temporary.unlink()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn an OSError into a FileError that names the file and the remedy."""
    try:
        yield
    except FileError:
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"{path}: cannot write: {reason} ({_remedy(error, path)})") from error


def _remedy(error: OSError, path: Path) -> str:
    """Say what to do about `error`."""
    folder = path.parent
    remedies = {
        errno.ENOENT: f"make the folder {folder} first",
        errno.ENOTDIR: f"{folder} is not a folder; choose another place",
        errno.EACCES: f"get the right to write in {folder}, or choose another place",
        errno.EPERM: f"get the right to write in {folder}, or choose another place",
        errno.EROFS: "choose a place that is not read-only",
        errno.ENOSPC: "free some disk space",
        errno.EDQUOT: "your quota is used up; free some space",
        errno.ENAMETOOLONG: "choose a shorter name",
    }
    return remedies.get(error.errno or 0, "check the disk, or choose another place")
