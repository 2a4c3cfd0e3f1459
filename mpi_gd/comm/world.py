"""The ranks of a program, and how they agree on errors.

MPI has no exceptions: a rank that raises leaves the others waiting for ever. So local work that
can fail for a reason the user can mend stands in a `phase`, at whose end all ranks raise the error
of one. Everything else that is raised is a defect, and ends the program by an abort.
"""

from __future__ import annotations

import json
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mpi_gd import errors, pulse
from mpi_gd.errors import FileError, MpiGdError

__all__ = ["World"]


class World(ABC):
    """A group of ranks that run the same program; all methods but `phase`'s body are collective."""

    rank: int
    size: int
    can_survive: ClassVar[bool] = False
    """Whether a dead rank makes the others' collectives raise RankLost, so that they can go on."""

    @property
    def is_root(self) -> bool:
        """Whether this rank does the input, output and logging."""
        return self.rank == 0

    @abstractmethod
    def allreduce_sum(self, buffer: NDArray[Any]) -> None:
        """Replace `buffer` (float64 or int64) by its sum over the ranks, in place."""

    def allreduce_pieces(self, pieces: Iterable[NDArray[Any]]) -> None:
        """Replace each piece of a long message by its sum, in place, while the next one is made.

        All ranks have as many pieces, of the same sizes.
        """
        for piece in pieces:
            self.allreduce_sum(piece)

    @abstractmethod
    def allreduce_max(self, buffer: NDArray[Any]) -> None:
        """Replace `buffer` (float64 or int64) by its maximum over the ranks, in place."""

    @abstractmethod
    def bcast_bytes(self, data: bytes | None, source: int = 0) -> bytes:
        """Return the bytes that rank `source` gives."""

    def bcast_text(self, text: str | None) -> str:
        """Return the text that the root gives."""
        return self.bcast_bytes(None if text is None else text.encode("utf-8")).decode("utf-8")

    @abstractmethod
    def gather_small(self, text: str) -> list[str]:
        """Return every rank's short text, by rank."""

    @abstractmethod
    def alltoallv(self, pieces: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Send piece i, of one dimension, to rank i; return what came, by rank."""

    def split(self, color: int) -> World:
        """Return the world of the ranks that give the same color, in their order."""
        raise NotImplementedError("this world cannot be split")

    def send_text(self, text: str, rank: int) -> None:
        """Send a text to another rank, which is to look for it; not collective."""
        raise NotImplementedError("this world has no other rank")

    def receive_text(self) -> tuple[int, str] | None:
        """Return a text that has come, and from whom; None if there is none. Not collective."""
        return None

    def meet(self, seconds: float = 3.0) -> bool:
        """Whether all ranks come here within some seconds: an error that all of them have."""
        return True

    def announce_abort(self) -> bool:
        """Tell the others that this rank aborts; False if another one has told so before."""
        return True

    def abort(self) -> None:
        """End all ranks at once with status 1, whatever they do; from any thread."""
        os._exit(1)

    def recover(self) -> list[str]:
        """Go on with the ranks that are left; return who has died. Only where `can_survive`."""
        raise RuntimeError("this world ends with its first dead rank")

    @contextmanager
    def phase(self, what: str, *, by_root: bool = False) -> Iterator[None]:
        """Do local work that may fail; if it fails anywhere, raise the same error on all ranks.

        The error names the rank, unless all fail alike or the work is done `by_root` alone. The
        body must call nothing collective. An error of the user (MpiGdError, OSError, memory)
        is agreed on; any other exception passes, since it is for the abort.
        """
        failure: MpiGdError | None = None
        pulse.doing(what)
        try:
            yield
        except (MpiGdError, OSError, MemoryError) as error:
            failure = _as_users_error(error, what)
        failed = np.array([1 if failure else 0], dtype=np.int64)
        pulse.waiting()
        self.allreduce_max(failed)
        pulse.done()
        if failed[0]:
            raise self._lowest(self.gather_small(_packed(failure)), by_root) from failure

    def _lowest(self, packed: list[str], by_root: bool) -> MpiGdError:
        """Return the lowest failing rank's error; name the rank unless that says nothing."""
        failing = [rank for rank, text in enumerate(packed) if text]
        kind, message = json.loads(packed[failing[0]])
        name = self.name_of(failing[0])
        if len(set(packed)) > 1 and not by_root:
            others = f" (and {len(failing) - 1} more ranks)" if len(failing) > 1 else ""
            message = f"{name}{others}: {message}"
        error: MpiGdError = getattr(errors, kind)(message)
        return error

    def name_of(self, rank: int) -> str:
        """Say which rank it is and, if there are several hosts, where; collective."""
        hosts = self.gather_small(socket.gethostname())
        return f"rank {rank}" + (f" on {hosts[rank]}" if len(set(hosts)) > 1 else "")


def _as_users_error(error: Exception, what: str) -> MpiGdError:
    """Return an error that can be reported in one line."""
    if isinstance(error, MpiGdError):
        return error
    if isinstance(error, MemoryError):
        return FileError(
            f"{what}: not enough memory on this rank ({error}); use more ranks on more hosts, "
            'or dtype = "float32"'
        )
    return FileError(f"{what}: {error} (check the file system)")


def _packed(error: MpiGdError | None) -> str:
    """Return the error as text: the most special class that mpi_gd.errors has, and the message."""
    if error is None:
        return ""
    kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in errors.__all__)
    return json.dumps([kind, str(error)])
