"""Checkpoints: a solver's state, written whole or not at all, the newest good one found again.

The state is the same on all ranks, so the root writes it alone, and it can be taken up by any
number of ranks.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi_gd.archive import ArchiveError, pack, unpack
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_atomically

__all__ = ["Checkpoint", "newest", "save", "state_arrays", "with_arrays"]

_NAME = re.compile(r"(\d{9})\.npz")
_STATE, _EXPONENTS = "state.", "exponents."
_FORMAT = "mpi_gd checkpoint 1"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that a training needs to go on as if it had never stopped."""

    state: dict[str, NDArray[Any]]
    exponents: dict[str, NDArray[np.int64]]
    iteration: int
    questions: int
    job: str
    """Digest of what must be the same in the job that goes on."""

    def to_bytes(self) -> bytes:
        """Return the archive's bytes."""
        arrays = {_STATE + name: array for name, array in self.state.items()}
        arrays |= {_EXPONENTS + name: array for name, array in self.exponents.items()}
        document = {
            "format": _FORMAT,
            "iteration": self.iteration,
            "questions": self.questions,
            "job": self.job,
        }
        return pack(arrays, document)

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote; raises ArchiveError."""
        arrays, document = unpack(data)
        if document.get("format") != _FORMAT:
            raise ArchiveError(f"it says {document.get('format')!r:.60}, expected {_FORMAT!r}")
        parts = {
            prefix: {
                name.removeprefix(prefix): array
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            for prefix in (_STATE, _EXPONENTS)
        }
        return cls(
            parts[_STATE],
            parts[_EXPONENTS],
            int(document["iteration"]),
            int(document["questions"]),
            str(document["job"]),
        )


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint and remove all but it and the `keep` - 1 before it; raises FileError.

    A newer one is damaged, else the training would have gone on from it: it is removed too.
    """
    path = folder / f"{checkpoint.questions:09d}.npz"
    write_atomically(path, checkpoint.to_bytes())
    files = _files(folder)
    last = files.index(path) + 1
    for old in files[: max(0, last - keep)] + files[last:]:
        old.unlink(missing_ok=True)
    return path


def newest(folder: Path, job: str) -> bytes | None:
    """Return the bytes of the newest checkpoint that is whole; None if there is none.

    Raises JobError when it belongs to another job, FileError when it cannot be read.
    """
    for path in reversed(_files(folder)):
        try:
            data = path.read_bytes()
            found = Checkpoint.from_bytes(data)
        except OSError as error:
            raise FileError(f"{path}: cannot read: {error.strerror} (check the path)") from error
        except ArchiveError:
            # Cut or damaged: the one before it is as good, it only is older.
            continue
        if found.job != job:
            raise JobError(
                f"{path}: this checkpoint is of another job or other data; give the job it was "
                "made with, or another --out, or begin anew with --force instead of --resume"
            )
        return data
    return None


def state_arrays(state: Any) -> dict[str, NDArray[Any]]:
    """Return the fields of a solver's state as arrays."""
    return {
        field.name: np.asarray(getattr(state, field.name)) for field in dataclasses.fields(state)
    }


def with_arrays(state: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a state like `state` with its fields from a checkpoint; raises JobError."""
    values: dict[str, Any] = {}
    for field in dataclasses.fields(state):
        old, new = getattr(state, field.name), arrays.get(field.name)
        if new is None or new.shape != np.shape(old):
            raise JobError(f"the checkpoint does not fit this version of mpi_gd ({field.name})")
        values[field.name] = new.copy() if isinstance(old, np.ndarray) else type(old)(new.item())
    return type(state)(**values)


def _files(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
