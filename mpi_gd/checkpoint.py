"""Checkpoints: a solver's state, written whole or not at all, the newest good one found again.

The state is the same on all ranks, so the root writes it alone, and it can be taken up by any
number of ranks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mpi_gd.archive import ArchiveError, pack, pack_into, unpack
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_whole
from mpi_gd.patient import patiently

__all__ = [
    "Checkpoint",
    "Writer",
    "newest",
    "require_same",
    "save",
    "state_arrays",
    "with_arrays",
]

_NAME = re.compile(r"(\d{9})\.npz")
_STATE, _EXPONENTS = "state.", "exponents."
_FORMAT = "mpi_gd checkpoint 2"
# Arrays of a state that are so long are replaced by the solvers, and never changed in place.
_LONG_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Everything that a training needs to go on as if it had never stopped."""

    state: dict[str, NDArray[Any]]
    exponents: dict[str, NDArray[np.int64]]
    iteration: int
    questions: int
    needs: dict[str, Any]
    """What must be the same where it goes on: the job's keys that matter, and the data."""
    rows: int = 0
    """Rows that have been read."""
    objective: float | None = None
    """That of the last iteration; None before the first."""

    @property
    def name(self) -> str:
        """Return the name of its file; later ones are greater."""
        return f"{self.questions:09d}.npz"

    @property
    def place(self) -> str:
        """Say where the training is."""
        return f"iteration {self.iteration}" if self.iteration >= 0 else "the start"

    def to_bytes(self) -> bytes:
        """Return the archive's bytes."""
        return pack(self.arrays, self.document)

    def write(self, file: BinaryIO) -> None:
        """Write the archive to an empty file; no array is copied."""
        pack_into(file, self.arrays, self.document)

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays, as the archive names them."""
        arrays = {_STATE + name: array for name, array in self.state.items()}
        arrays |= {_EXPONENTS + name: array for name, array in self.exponents.items()}
        return arrays

    @property
    def document(self) -> dict[str, Any]:
        """Return all but the arrays, as JSON has it."""
        return {
            "format": _FORMAT,
            "iteration": self.iteration,
            "questions": self.questions,
            "rows": self.rows,
            "objective": self.objective,
            "needs": self.needs,
        }

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Read what `to_bytes` wrote; raises ArchiveError."""
        return cls.of(*unpack(data))

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]], document: dict[str, Any]) -> Checkpoint:
        """Return what an archive has; raises ArchiveError."""
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
            dict(document["needs"]),
            int(document.get("rows", 0)),
            document.get("objective"),
        )


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint and remove all but it and the `keep` - 1 before it; raises FileError.

    A newer one is damaged, else the training would have gone on from it: it is removed too.
    """
    path = folder / checkpoint.name
    write_whole(path, checkpoint.write)
    # It is safe now: one too many that cannot be removed is no failure.
    with contextlib.suppress(OSError):
        files = _files(folder)
        before = [old for old in files if old < path]
        after = [old for old in files if old > path]
        for old in before[: max(0, len(before) + 1 - keep)] + after:
            old.unlink(missing_ok=True)
    return path


def newest(folder: Path, needs: dict[str, Any], warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the newest checkpoint that is whole; None if there is none at all.

    `warn` is told of damaged ones. Raises JobError when it is of another job or other data, saying
    what differs; FileError when none can be read, or all are damaged.
    """
    files = _files(folder)
    for path in reversed(files):
        try:
            data = patiently(path, path.read_bytes)
            found = Checkpoint.from_bytes(data)
        except OSError as error:
            if error.errno == errno.EIO:
                # A bad block, since it has been tried again: damaged like one that is cut.
                warn(f"{path}: cannot read: {error.strerror}; trying the one before it")
                continue
            raise FileError(f"{path}: cannot read: {error.strerror} (check the path)") from error
        except (ArchiveError, KeyError, TypeError, ValueError) as error:
            # The one before it is as good, it only is older.
            warn(f"{path}: this checkpoint is damaged ({error}); trying the one before it")
            continue
        require_same(path, "checkpoint", found.needs, needs)
        return found
    if files:
        raise FileError(
            f"{folder}: all {len(files)} checkpoints are damaged; begin anew with --force instead "
            "of --resume"
        )
    return None


def require_same(path: Path, what: str, made: dict[str, Any], needs: dict[str, Any]) -> None:
    """Raise JobError, naming what differs, unless what lies at `path` was made with `needs`."""
    differing = [
        f"{key} was {made.get(key, 'absent')!r} and is {needs.get(key, 'absent')!r}"
        for key in sorted(made.keys() | needs.keys())
        if made.get(key) != needs.get(key)
    ]
    if differing:
        raise JobError(
            f"{path}: this {what} is of another job or other data: {'; '.join(differing)}; "
            "give what it was made with, or another --out, or begin anew with --force instead of "
            "--resume"
        )


class Writer:
    """Writes checkpoints beside the training, which does not wait for the disk.

    One is written at a time; of those that come meanwhile the newest waits, the others are not
    needed. A disk that takes no more does not end the training: it is said once, and the next
    checkpoint is tried again.
    """

    def __init__(self, folder: Path, keep: int, warn: Callable[[str], None]) -> None:
        """Start the thread that writes to `folder`; `warn` is called in it."""
        self._folder, self._keep, self._warn = folder, keep, warn
        self._changed = threading.Condition()
        self._waiting: Checkpoint | None = None
        self._is_closed = False
        self._failure: Exception | None = None
        # A daemon: a defect elsewhere must not wait for the disk.
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def put(self, checkpoint: Checkpoint) -> None:
        """Take a checkpoint, while the training goes on.

        Short arrays are copied first, for they may change; long ones are replaced by others.
        """
        copied = dataclasses.replace(
            checkpoint,
            state={
                name: array if array.nbytes >= _LONG_BYTES else array.copy()
                for name, array in checkpoint.state.items()
            },
            exponents={name: array.copy() for name, array in checkpoint.exponents.items()},
        )
        with self._changed:
            self._waiting = copied
            self._changed.notify()

    def close(self) -> bool:
        """Wait until the last one is written; return whether that was possible."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()
        return self._failure is None

    def _work(self) -> None:
        """Write what comes until the end."""
        # Signals are for the main thread, which looks for them between two questions.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                checkpoint, self._waiting = self._waiting, None
            if checkpoint is None:
                return
            self._write(checkpoint)
            # Its arrays are not held any longer than they must be.
            del checkpoint

    def _write(self, checkpoint: Checkpoint) -> None:
        """Write one; say it when that begins to fail, and when it works again."""
        before = self._failure
        try:
            save(self._folder, checkpoint, self._keep)
        # Memory may be short as well; and whatever it is, what is not written must not pass for it.
        except Exception as error:
            self._failure = error
            if before is None:
                is_told = isinstance(error, FileError)
                why = f"{error}" if is_told else f"{self._folder}: cannot write: {error!r}"
                self._warn(f"{why}; the training goes on, and will try again")
        else:
            self._failure = None
            if before is not None:
                self._warn(f"{self._folder}: checkpoints are written again")


def state_arrays(state: Any) -> dict[str, NDArray[Any]]:
    """Return the fields of a solver's state as arrays; those of a list are numbered."""
    arrays: dict[str, NDArray[Any]] = {}
    for field in dataclasses.fields(state):
        if field.metadata.get("given"):
            continue
        value = getattr(state, field.name)
        if isinstance(value, list):
            arrays |= {f"{field.name}.{k}": array for k, array in enumerate(value)}
        else:
            arrays[field.name] = np.asarray(value)
    return arrays


def with_arrays(state: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return a state like `state` with its fields from a checkpoint; raises JobError."""
    values: dict[str, Any] = {}
    for name in sorted(arrays.keys() ^ state_arrays(state).keys()):
        raise _misfit(name)
    for field in dataclasses.fields(state):
        old = getattr(state, field.name)
        if field.metadata.get("given"):
            values[field.name] = old
        elif isinstance(old, list):
            values[field.name] = [
                _restored(f"{field.name}.{k}", each, arrays) for k, each in enumerate(old)
            ]
        else:
            values[field.name] = _restored(field.name, old, arrays)
    return type(state)(**values)


def _restored(name: str, old: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """Return an array or number like `old` from a checkpoint; raises JobError."""
    new = arrays[name]
    if new.shape != np.shape(old) or new.dtype != np.asarray(old).dtype:
        raise _misfit(name)
    return new.copy() if isinstance(old, np.ndarray) else type(old)(new.item())


def _misfit(name: str) -> JobError:
    """Return the error for a field that is not what it should be."""
    return JobError(f"the checkpoint does not fit this version of mpi_gd ({name})")


def _files(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
