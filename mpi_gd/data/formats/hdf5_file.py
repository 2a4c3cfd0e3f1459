"""An HDF5 file, opened for reading: no locks, no links into other files, one kind of error."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

from mpi_gd.data.probe import Stamp, open_same
from mpi_gd.errors import DataError, FileError, JobError, MpiGdError

__all__ = ["find_link", "opened"]

_AGAIN = "copy it again, or save it again with h5py"
# Where version 3 of the superblock says that somebody writes to the file, and how it does.
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_VERSION_BYTE, _FLAGS_BYTE, _IS_WRITTEN = 8, 11, 1
# As many as HDF5 follows.
_MOST_LINKS = 16


@contextmanager
def opened(path: Path, expected: Stamp, where: str = "") -> Iterator[Any]:
    """Open a file that is still the same, as an h5py.File.

    HDF5 reads through Python's file: it takes no lock, which some network file systems refuse, and
    a read that fails is tried again.
    Raises JobError without h5py, FileError, and DataError for whatever HDF5 does not like.
    """
    if importlib.util.find_spec("h5py") is None:
        raise JobError(f'{path}: HDF5 files need h5py: pip install "mpi_gd[hdf5]"')
    import h5py

    with open_same(path, expected) as file:
        _require_closed(path, file)
        try:
            with h5py.File(_Whole(file), "r") as found:
                yield found
        except MpiGdError:
            raise
        except OSError as error:
            if error.errno is not None:
                raise FileError(
                    f"{path}: cannot read: {(error.strerror or str(error)).lower()}; check the "
                    "storage that it is on"
                ) from error
            raise _damaged(where or str(path), error) from error
        # KeyError, ValueError, RuntimeError, ...: whatever a damaged file makes of HDF5's answers.
        except Exception as error:
            raise _damaged(where or str(path), error) from error


def _damaged(where: str, error: Exception) -> DataError:
    """Return the error that says what HDF5 says, on one line."""
    return DataError(
        f"{where}: HDF5 cannot read it ({' '.join(str(error).split())!s:.300}); {_AGAIN}"
    )


def _require_closed(path: Path, file: BinaryIO) -> None:
    """Raise DataError if the file says that a program has it open for writing."""
    head = file.read(_FLAGS_BYTE + 1)
    if not head.startswith(_SIGNATURE):
        return
    if head[_VERSION_BYTE : _VERSION_BYTE + 1] >= b"\3" and head[_FLAGS_BYTE:] > b"\0":
        raise DataError(
            f"{path}: a program has the file open for writing, or was killed while it had, "
            "expected a file that was closed; wait for it, or after a crash: h5clear -s FILE"
        )


class _Whole(io.RawIOBase):
    """A file whose reads are never short: HDF5 does not look how much it has got."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer; raises OSError at the file's end."""
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view):
            count = self._file.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise OSError("the file ends too early")
            done += count
        return done

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a byte."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the byte that is next."""
        return self._file.tell()

    def readable(self) -> bool:
        """Say yes."""
        return True

    def seekable(self) -> bool:
        """Say yes."""
        return True


def find_link(file: Any, name: str, path: Path) -> Literal["dataset", "group", ""]:
    """Return what a path leads to, if it is there; raises DataError where it leaves the file."""
    import h5py

    names, here, links = _parts(name), file, 0
    while names:
        link = here.get(names[0], getlink=True) if isinstance(here, h5py.Group) else None
        if link is None:
            return ""
        if isinstance(link, h5py.ExternalLink):
            raise DataError(
                f"{path}: {name!r} is a link into the file {link.filename!r:.200}, expected a "
                "dataset of this one; name that file as data.path, or copy the dataset"
            )
        if isinstance(link, h5py.SoftLink):
            links += 1
            if links > _MOST_LINKS:
                raise DataError(f"{path}: {name!r} leads through links without end; {_AGAIN}")
            here = file if link.path.startswith("/") else here
            names = _parts(link.path) + names[1:]
            continue
        here, names = here[names[0]], names[1:]
    if isinstance(here, h5py.Dataset):
        return "dataset"
    return "group" if isinstance(here, h5py.Group) else ""


def _parts(name: str) -> list[str]:
    """Return the names along a path."""
    return [part for part in name.split("/") if part not in ("", ".")]
