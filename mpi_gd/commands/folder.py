"""A run's folder: where everything of a training lies, and whose it is."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

from mpi_gd.comm import World
from mpi_gd.errors import FileError, JobError
from mpi_gd.files import write_atomically
from mpi_gd.options import TrainOptions
from mpi_gd.status import STATUS_NAME

__all__ = ["RunFolder", "choose_folder", "lock_folder"]

_MOST_RUNS = 10_000
_LOCK = ".lock"
# All that a training writes: nothing else is ever removed.
_OURS = ("model.npz", "metrics.jsonl", "summary.json", "job.toml", STATUS_NAME)
_CHECKPOINT = re.compile(r"\d{9}\.npz")
# Scripts lay these beside a run.
_HARMLESS = re.compile(r"\..*|checkpoints|.*\.(log|out|err|txt)|slurm-.*")


@dataclass(frozen=True)
class RunFolder:
    """The paths in a run's folder."""

    path: Path

    @property
    def model(self) -> Path:
        """Return where the model lies."""
        return self.path / "model.npz"

    @property
    def metrics(self) -> Path:
        """Return where the history lies: a record an iteration."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        """Return the folder of the checkpoints."""
        return self.path / "checkpoints"

    def write_text(self, name: str, text: str) -> None:
        """Write a small file, whole or not at all; raises FileError."""
        write_atomically(self.path / name, text.encode("utf-8"))


def choose_folder(world: World, name: str, options: TrainOptions) -> tuple[RunFolder, bool]:
    """Choose, lock and make the run's folder on the root; collective. Return also if it resumes.

    Without --out it is runs/NAME, or runs/NAME-2 and so on if that is taken; to resume or replace,
    the last of these. A job that its scheduler has put back into the queue resumes by itself.
    Raises JobError if --out is taken, and neither --resume nor --force is given, or in use.
    """
    chosen = ""
    with world.phase("making the run's folder", by_root=True):
        if world.is_root:
            path, resumes = _choose(name, options)
            chosen = json.dumps([str(path), resumes])
    path_text, resumes = json.loads(world.bcast_text(chosen))
    return RunFolder(Path(path_text)), resumes


def _choose(name: str, options: TrainOptions) -> tuple[Path, bool]:
    """Return the folder, made, locked and cleared, and whether a run in it is to go on."""
    resumes = options.resume or (_is_requeued() and not options.force)
    try:
        path = _named(options) if options.out else _numbered(name, resumes or options.force)
        has_run = (path / "job.toml").exists()
        if options.out and (path / STATUS_NAME).exists() and not (resumes or options.force):
            raise JobError(
                f"{path}: there is a run in this folder; give another --out, or --resume to go on "
                "with it, or --force to replace it"
            )
        (path / "checkpoints").mkdir(exist_ok=True)
        if not resumes:
            _clear(path)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{path if options.out else 'runs'}: cannot make the run's folder: "
            f"{(error.strerror or str(error)).lower()} (choose another --out)"
        ) from error
    return path, resumes and has_run


def _is_requeued() -> bool:
    """Whether Slurm has started this job before."""
    return os.environ.get("SLURM_RESTART_COUNT", "0") not in ("", "0")


def _named(options: TrainOptions) -> Path:
    """Return the folder of --out; raises JobError for one with other things in it, or in use."""
    path = Path(options.out)
    path.mkdir(parents=True, exist_ok=True)
    if not (path / STATUS_NAME).exists():
        others = sorted(item.name for item in path.iterdir() if not _HARMLESS.fullmatch(item.name))
        if others:
            raise JobError(
                f"{path}: this folder holds other files ({others[0]!r}), and no run; give --out a "
                "folder of its own"
            )
    lock_folder(path)
    return path


def _numbered(name: str, is_old: bool) -> Path:
    """Return runs/NAME or its next free sibling, locked; the last one taken if an old one is meant.

    Others may choose at the same moment: what is free is so only once it is locked.
    """
    siblings = [Path("runs") / (name if k == 1 else f"{name}-{k}") for k in range(1, _MOST_RUNS)]
    free = next(k for k, path in enumerate(siblings) if not (path / STATUS_NAME).exists())
    if is_old and free:
        lock_folder(siblings[free - 1])
        return siblings[free - 1]
    for path in siblings[free:]:
        path.mkdir(parents=True, exist_ok=True)
        try:
            lock_folder(path)
        except JobError:
            continue
        if not (path / STATUS_NAME).exists() or is_old:
            # Before anybody can take the lock of a run that has ended.
            (path / STATUS_NAME).touch()
            return path
    raise JobError(f"runs/{name}: there are {_MOST_RUNS} runs of this name; give --out")


_locks: dict[str, int] = {}


def lock_folder(path: Path) -> None:
    """Keep other programs out until this one ends; raises JobError if one is in already.

    The lock is the kernel's: it goes with the process, however that ends. Where a file system has
    none, nothing is locked.
    """
    key = os.path.realpath(path)
    if key in _locks:
        return
    descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise JobError(
                f"{path}: another program is training in this folder; wait for its end, or give "
                "another --out"
            ) from error
        return
    _locks[key] = descriptor


def _clear(path: Path) -> None:
    """Remove what an earlier run has written."""
    for name in _OURS:
        (path / name).unlink(missing_ok=True)
    for old in (path / "checkpoints").iterdir():
        if _CHECKPOINT.fullmatch(old.name):
            old.unlink()
